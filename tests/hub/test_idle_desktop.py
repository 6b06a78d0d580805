"""A desktop on which only a clock moves is idle, one key press is not: as the hub sees it, on every backend."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from tests.services import facility
from tests.services.hub import Backend, RunningHub, run_in, until
from tests.services.looking import looking
from visa.clock import now

SOON = """
from visa.hub import inside
_told = inside.gateway_variables
inside.gateway_variables = lambda *all: {**_told(*all), "VISA_ACTIVITY_INTERVAL": "0.3"}
"""
"""The hub is told of activity at once."""
CLOCK = """
import glob, os, shutil, subprocess
display = ":" + glob.glob("/tmp/.X11-unix/X*")[0].rpartition("X")[2]
command = ["xterm", "-e"] if shutil.which("xterm") else ["xfce4-terminal", "--disable-server", "-x"]
command += ["sh", "-c", "while :; do date +%T.%N; sleep 0.2; done"]
quiet = subprocess.DEVNULL
subprocess.Popen(command, env={**os.environ, "DISPLAY": display}, start_new_session=True, stdout=quiet, stderr=quiet)
print("runs")
"""


class WithDesktop(Backend):
    """A facility whose environment has both kinds of session."""

    def __init__(self, prefix: Path) -> None:
        super().__init__(prefix)
        self._parts = facility.document(prefix)["environments"]
        self._parts["scattering"]["sessions"] = ["desktop", "notebook"]

    def facility(self, folder: Path) -> Path:
        """facility.yaml."""
        return facility.write(folder / "facility", environments=self._parts)


@pytest.fixture(scope="module")
def desktops(environment_prefix: Path) -> tuple[Backend, str]:
    """A backend with desktops, and the environment that has one."""
    return WithDesktop(environment_prefix), "scattering"


@pytest.fixture(scope="module")
def running(desktops: tuple[Backend, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with desktops[0].running(tmp_path_factory.mktemp("idle"), extra=SOON) as made:
        yield made


@pytest.mark.backend
def test_a_moving_clock_is_idle_and_one_key_press_is_not(running: RunningHub, desktops: tuple[Backend, str]) -> None:
    token = running.token("marie")
    with running.api(token) as api:
        options = {"experiments": ["exp-1"], "environment": desktops[1], "flavour": "small", "session": "desktop"}
        answer = api.post("/users/marie/servers/idle", json=options)
        assert answer.status_code in (201, 202), answer.text
        until(lambda: server(api).get("ready"), 90, "the start")
        base = f"{running.url}/user/marie/idle/"
        until(lambda: api.get(f"{base}desktop/state?wait=1").json()["ready"], 60, "the desktop")
        with running.login("marie") as person:  # whose coming starts the notebook, as no program's does
            person.get(f"{base}lab", headers={"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"})
        until(lambda: api.get(f"{base}api/kernels").status_code == 200, 60, "Jupyter")
        assert run_in(running, token, "marie/idle", CLOCK).strip() == "runs"
        with looking(base, token) as viewer:
            viewer.pictures(10)  # the clock moves, and the hub hears of what was done before
            still = now()
            viewer.pictures(10)
            assert active(api) < still
            pressed = now()
            viewer.press()
            until(lambda: active(api) >= pressed, 60, "activity")
        api.request("DELETE", "/users/marie/servers/idle", json={"remove": True})


def active(api: httpx.Client) -> datetime:
    """When somebody did something in it last, as the hub knows."""
    return datetime.fromisoformat(server(api)["last_activity"])


def server(api: httpx.Client) -> dict[str, str]:
    """The instance, as the hub knows it."""
    return dict(api.get("/users/marie").json()["servers"].get("idle", {}))
