"""A real configurable-http-proxy, as the chart runs it, on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.services.waiting import until
from visa.cli.demo.runner import free_ports

PROGRAM = Path(__file__).parents[2] / ".cache" / "proxy" / "configurable-http-proxy"
TOKEN = "token-of-the-proxy"


@dataclass
class Running:
    """``url``: where people come; ``api``: where the hub says its routes. Started again when it dies, as in a pod."""

    url: str
    api: str
    command: list[str]
    folder: Path
    ending: bool = False
    starts: int = 0

    def __post_init__(self) -> None:
        self.process = self._start()
        self._watching = threading.Thread(target=self._watch)
        self._watching.start()

    def _start(self) -> subprocess.Popen[bytes]:
        self.starts += 1
        variables = {**os.environ, "CONFIGPROXY_AUTH_TOKEN": TOKEN}
        with open(self.folder / "chp.log", "ab") as log:
            return subprocess.Popen(self.command, env=variables, stdout=log, stderr=log, start_new_session=True)

    def _watch(self) -> None:
        while not self.ending:
            self.process.wait()
            if not self.ending:
                self.process = self._start()

    def kill(self) -> None:
        """SIGKILL; the next one begins with no routes."""
        os.kill(self.process.pid, signal.SIGKILL)

    def end(self) -> None:
        """End it for good."""
        self.ending = True
        self.process.send_signal(signal.SIGTERM)
        self._watching.join(60)

    def extra(self) -> str:
        """What jupyterhub_config.py says so that a hub uses it."""
        return (
            'c.JupyterHub.proxy_class = "visa.hub.chp.VisaHTTPProxy"\n'
            f"c.ConfigurableHTTPProxy.api_url = {self.api!r}\n"
            f"c.ConfigurableHTTPProxy.auth_token = {TOKEN!r}\n"
        )


@contextmanager
def running(folder: Path, port: int | None = None, flags: Sequence[str] = ()) -> Iterator[Running]:
    """One for the length of the block; ``port``: where people come; ``flags``: more of its own."""
    assert PROGRAM.exists(), f"{PROGRAM} is not there: run `make proxy`"
    api, free = free_ports(2)
    public = port or free
    command = [
        str(PROGRAM),
        "--ip",
        "127.0.0.1",
        "--port",
        str(public),
        "--api-ip",
        "127.0.0.1",
        "--api-port",
        str(api),
        *flags,
    ]
    made = Running(f"http://127.0.0.1:{public}", f"http://127.0.0.1:{api}", command, folder)
    try:
        until(lambda: _answers(made), 60, "configurable-http-proxy")
        yield made
    finally:
        made.end()


def _answers(made: Running) -> bool:
    try:
        answer = httpx.get(f"{made.api}/api/routes", headers={"Authorization": f"token {TOKEN}"}, timeout=60)
    except httpx.HTTPError:
        return False
    return answer.status_code == 200
