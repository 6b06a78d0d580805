"""What the hub does with the spawner: start, ask, restart, stop. A hub's own round is in tests/end_to_end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.hub.sandboxing import GATEWAY, Place, made_place
from visa.hub import sandbox
from visa.hub.admitted import StartFailed
from visa.hub.sandbox import VisaSandboxSpawner
from visa.hub.sandboxes.instance import Site
from visa.hub.sandboxes.machine import NoSandbox, explain

IDENTIFIER = "0123456789abcdef"


class Alone(VisaSandboxSpawner):
    """The spawner without a hub around it."""

    place: Place

    instance_id = IDENTIFIER  # type: ignore[assignment]

    @property
    def hub_settings(self) -> Any:
        facility = SimpleNamespace(current=self.place.facility())
        return SimpleNamespace(state=self.place.state, facility=facility, gateways=self.place.gateways)

    def get_env(self) -> dict[str, str]:
        return {"JUPYTERHUB_SERVICE_PREFIX": "/user/marie/x/", "JUPYTERHUB_API_TOKEN": "t", "PATH": "/secret"}


@pytest.fixture
def spawner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Alone]:
    def small(*values: Any, **more: Any) -> Site:
        more |= {"gateway_command": ("/usr/bin/python3", "-c", GATEWAY), "environment_command": ("sleep", "300")}
        return Site(*values, **more, configuration=tmp_path)

    monkeypatch.setattr(sandbox, "Site", small)
    with made_place(tmp_path) as place:
        spawner = Alone()
        spawner.place = place
        yield spawner
        Alone._sweep(place.state, set(), 0.0)
        place.machine.control.remove(IDENTIFIER, kill=True)


async def test_an_instance_is_found_again_after_a_restart_of_the_hub(spawner: Alone) -> None:
    assert await spawner.poll() == 0
    url = await spawner.start_instance(spawner.place.spec())
    assert url == f"http://127.0.0.1:{spawner.gateway_port}"
    assert await spawner.poll() is None
    after = Alone()
    after.place = spawner.place
    after.load_state(spawner.get_state())
    assert await after.poll() is None
    assert after.gateway_port == spawner.gateway_port > 0
    await after.stop_instance(now=False)
    assert await after.poll() == 0
    assert await spawner.poll() == 0
    assert spawner.failure is None
    after.clear_state()
    assert after.get_state() == {}


async def test_another_process_with_the_same_number_is_not_taken(spawner: Alone) -> None:
    await spawner.start_instance(spawner.place.spec())
    state = spawner.get_state()
    after = Alone()
    after.place = spawner.place
    after.load_state(state | {"started": state["started"] + 1})
    assert await after.poll() is not None
    await after.stop_instance(now=True)
    assert await spawner.poll() is None


async def test_a_start_ends_the_supervisor_that_a_killed_hub_left(spawner: Alone) -> None:
    await spawner.start_instance(spawner.place.spec())
    former = spawner.supervisor
    assert former is not None
    after = Alone()
    after.place = spawner.place
    await after.start_instance(spawner.place.spec())
    assert not former.is_alive()
    assert await after.poll() is None


async def test_the_reason_of_an_end_is_kept(spawner: Alone) -> None:
    await spawner.start_instance(spawner.place.spec())
    assert spawner.supervisor is not None
    spawner.supervisor.signal(9)
    while await spawner.poll() is None:
        pass
    assert spawner.failure is not None
    assert "supervisor was killed" in spawner.failure


async def test_a_machine_without_sandbox_is_said(spawner: Alone, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_state: Path, _program: str | None) -> None:
        raise NoSandbox(explain("bwrap: No permissions to create new namespace", False))

    monkeypatch.setattr(sandbox, "probe", refuse)
    with pytest.raises(StartFailed, match=r"No permissions to create new namespace.*run the hub as root"):
        await spawner.start_instance(spawner.place.spec())


async def test_a_tether_that_is_gone_refuses(spawner: Alone) -> None:
    spawner.tether_pid = 2**22 + 1
    with pytest.raises(StartFailed, match="service is ending"):
        await spawner.start_instance(spawner.place.spec())
