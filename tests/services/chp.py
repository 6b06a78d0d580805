"""A real configurable-http-proxy, as the chart runs it, on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.services.hub import until
from visa.cli.demo.runner import free_ports

PROGRAM = Path(__file__).parents[2] / ".cache" / "proxy" / "configurable-http-proxy"
TOKEN = "token-of-the-proxy"


@dataclass(frozen=True)
class Running:
    """``url``: where people come; ``api``: where the hub says its routes."""

    url: str
    api: str

    def extra(self) -> str:
        """What jupyterhub_config.py says so that a hub uses it."""
        return (
            'c.JupyterHub.proxy_class = "visa.hub.chp.VisaHTTPProxy"\n'
            f"c.ConfigurableHTTPProxy.api_url = {self.api!r}\n"
            f"c.ConfigurableHTTPProxy.auth_token = {TOKEN!r}\n"
        )


@contextmanager
def running(folder: Path, port: int | None = None) -> Iterator[Running]:
    """One for the length of the block; ``port``: where people come."""
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
    ]
    variables = {**os.environ, "CONFIGPROXY_AUTH_TOKEN": TOKEN}
    with open(folder / "chp.log", "ab") as log:
        process = subprocess.Popen(command, env=variables, stdout=log, stderr=log, start_new_session=True)
    made = Running(f"http://127.0.0.1:{public}", f"http://127.0.0.1:{api}")
    try:
        until(lambda: _answers(made), 60, "configurable-http-proxy")
        yield made
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _answers(made: Running) -> bool:
    try:
        answer = httpx.get(f"{made.api}/api/routes", headers={"Authorization": f"token {TOKEN}"})
    except httpx.HTTPError:
        return False
    return answer.status_code == 200
