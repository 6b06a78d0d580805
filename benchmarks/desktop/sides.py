"""The two that are measured: the same Xvnc and X session, reached as VISA has it and as the stock proxy has it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from tests.conftest import REPOSITORY
from tests.services.waiting import until
from tests.session import rig

PREFIX = REPOSITORY / ".cache" / "benchmarks" / "remote-desktop"
STOCK = ("jupyter-remote-desktop-proxy==3.0.1", "jupyter-server>=2.14,<3")
TOKEN = "stock"


@dataclass
class Side:
    """One way to a desktop. ``between``: the process between browser and X server; ``top``: those that started all."""

    name: str
    page: str
    websocket: str
    headers: dict[str, str]
    between: psutil.Process
    top: list[psutil.Process]
    cookies: list[Any] = field(default_factory=list)

    def processes(self) -> list[psutil.Process]:
        """All of this side's, the X session too."""
        found = {one.pid: one for top in self.top for one in [top, *top.children(recursive=True)]}
        return list(found.values())

    def variables(self) -> dict[str, str] | None:
        """Of programs on this desktop, once its session runs."""
        for process in self.processes():
            try:
                environ = process.environ()
            except psutil.Error:
                continue
            if environ.get("DISPLAY") and process.name() not in ("Xvnc", "Xtigervnc"):
                wanted = ("DISPLAY", "XAUTHORITY", "HOME")
                return {"PATH": os.environ["PATH"], **{name: environ[name] for name in wanted if name in environ}}
        return None

    def cpu(self) -> float:
        """Seconds used until now, of all its processes."""
        return sum(sum(one.cpu_times()[:2]) for one in self.processes())

    def memory(self) -> float:
        """MB of all its processes, what they share counted once."""
        return sum(one.memory_full_info().pss for one in self.processes()) / 1e6


def session() -> str:
    """The X session that the launcher would start here."""
    done = subprocess.run(["sh", rig.FILES / "desktop", "session"], capture_output=True, text=True)
    if not done.stdout.strip():
        raise SystemExit("no X session is installed: tools/system installs one")
    return done.stdout.strip()


def install() -> None:
    """The stock proxy and what it wants, in a virtual environment of its own."""
    if (PREFIX / "done").exists():
        return
    uv = Path(sys.executable).parent / "uv"
    subprocess.run([uv, "venv", "--quiet", "--clear", PREFIX], check=True)
    command = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", PREFIX / "bin" / "python", *STOCK]
    subprocess.run(command, check=True)
    (PREFIX / "done").touch()


def _started(command: list[str], environ: dict[str, str], log: Path, folder: Path) -> subprocess.Popen[bytes]:
    with open(log, "wb") as file:
        return subprocess.Popen(command, env=environ, cwd=folder, stdout=file, stderr=file, start_new_session=True)


def end(process: subprocess.Popen[bytes]) -> None:
    """And all that it started, X servers in sessions of their own too."""
    started = psutil.Process(process.pid).children(recursive=True)
    rig.end(process)
    for one in started:
        if one.is_running():
            one.terminate()
    psutil.wait_procs(started, 5)


@asynccontextmanager
async def ours() -> AsyncIterator[Side]:
    """The launcher's desktop behind the gateway, for a hub whose answers are given by hand."""
    fake = rig.FakeHub()
    with tempfile.TemporaryDirectory(prefix="visa-b-") as name:
        folder = Path(name)
        run, home = folder / "run", folder / "home"
        run.mkdir()
        home.mkdir()
        environ = {**rig.environ(run, home), "VISA_SESSION": "desktop", "VISA_SESSIONS": "desktop"}
        launcher = _started(["/bin/sh", str(rig.FILES / "launch")], environ, folder / "launch.log", home)
        try:
            async with fake.served() as api:
                until(lambda: rig.answers(str(run / "desktop.sock")), 30, "the desktop", launcher)
                with rig.gateway(run, api, VISA_SESSION="desktop", VISA_SESSIONS="desktop") as gateway:
                    cookie = await rig.session_cookie(gateway)
                    between = psutil.Process(gateway.process.pid)
                    yield Side(
                        "VISA",
                        f"{gateway.url}desktop/",
                        f"{gateway.url}desktop/websocket",
                        rig.MARIE,
                        between,
                        [between, psutil.Process(launcher.pid)],
                        [{"name": "visa-session", "value": cookie, "domain": "127.0.0.1", "path": rig.SERVER}],
                    )
        finally:
            end(launcher)


@asynccontextmanager
async def stock() -> AsyncIterator[Side]:
    """A jupyter-server with the proxy, as its authors have it but for the X session, which is the other side's."""
    install()
    with tempfile.TemporaryDirectory(prefix="visa-b-") as name:
        folder, port = Path(name), rig.free_port()
        start = folder / "xstartup"
        start.write_text(f'#!/bin/sh\ncd "$HOME"\nexec dbus-run-session -- {session()}\n')
        start.chmod(0o755)
        environ = {
            "PATH": f"{PREFIX}/bin:/usr/bin:/bin",
            "HOME": name,
            "USER": os.environ.get("USER", "root"),
            "LANG": "C.UTF-8",
            "JUPYTER_REMOTE_DESKTOP_PROXY_XSTARTUP": str(start),
        }
        options = [f"--port={port}", "--no-browser", "--allow-root", f"--IdentityProvider.token={TOKEN}"]
        command = [f"{PREFIX}/bin/jupyter", "server", *options, f"--ServerApp.root_dir={name}"]
        server = _started(command, environ, folder / "server.log", folder)
        url, headers = f"http://127.0.0.1:{port}/", {"Authorization": f"token {TOKEN}"}
        try:
            await _up(url, headers, server)
            process = psutil.Process(server.pid)
            websocket = f"{url}desktop-websockify/"
            yield Side("stock", f"{url}desktop/?token={TOKEN}", websocket, headers, process, [process])
        except BaseException:
            print((folder / "server.log").read_text()[-4000:], file=sys.stderr)
            raise
        finally:
            end(server)


async def _up(url: str, headers: dict[str, str], server: subprocess.Popen[bytes]) -> None:
    """It answers, and so does its X server, which it starts with the first websocket."""
    port = int(url.split(":")[2].rstrip("/"))
    until(lambda: _listens(port), 60, "the stock server", server)
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.ws_connect(f"{url}desktop-websockify/", timeout=aiohttp.ClientWSTimeout(60)) as websocket,
    ):
        message = await websocket.receive(60)
        assert message.data.startswith(b"RFB"), message


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


SIDES: tuple[Callable[[], Any], ...] = (ours, stock)
