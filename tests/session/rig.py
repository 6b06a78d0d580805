"""Parts that the gateway's tests start: a Jupyter on a unix socket, a hub, a gateway; and ways to end them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, urlsplit

import aiohttp
import psutil
from aiohttp import web

from tests.services.waiting import until

ROOT = Path(__file__).parents[2]
ENVIRONMENT = Path(os.environ.get("VISA_TEST_ENVIRONMENT", ROOT / ".cache/environments/scattering"))
DOCUMENTS = Path(os.environ.get("VISA_TEST_DOCUMENTS", ROOT / ".cache/environments/documents"))
"""An environment with jupyter-server-documents."""
FILES = ROOT / "visa/session/environment"
SERVER = "/user/marie/work/"


def free_port() -> int:
    """A port that nobody had a moment ago."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def answers(path: str) -> bool:
    """Whether a unix socket is listened on."""
    with socket.socket(socket.AF_UNIX) as one:
        return one.connect_ex(path) == 0


def narrow() -> aiohttp.ClientSession:
    """A client that has nothing of an answer but what it reads: the system takes little in its name."""

    def made(address: Any) -> socket.socket:
        one = socket.socket(*address[:3])
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        return one

    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(socket_factory=made))


def end(process: subprocess.Popen[Any], number: int = signal.SIGTERM) -> None:
    """End one process group that the tests started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


@dataclass
class Jupyter:
    """A plain JupyterLab, as the launcher starts it."""

    run: Path
    home: Path
    process: subprocess.Popen[bytes]

    @property
    def socket(self) -> str:
        return str(self.run / "jupyter.sock")


def environ(run: Path, home: Path, prefix: str = SERVER) -> dict[str, str]:
    """What the spawner gives an environment, and nothing of JupyterHub's."""
    return {
        "PATH": f"{ENVIRONMENT}/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "USER": "marie",
        "LANG": "C.UTF-8",
        "TMPDIR": str(run),
        "VISA_RUN": str(run),
        "VISA_BASE_URL": prefix,
        "VISA_EXPERIMENTS": "e1",
        "VISA_SESSION": "notebook",
        "VISA_CONFIG": str(FILES / "jupyter_server_config.py"),
    }


@contextlib.contextmanager
def jupyter(prefix: str = SERVER, **more: str) -> Iterator[Jupyter]:
    """A JupyterLab of the demo's environment on a socket in a short temporary path; ``more``: its variables."""
    folder = Path(tempfile.mkdtemp(prefix="visa-t-"))
    run, home = folder / "run", folder / "home"
    run.mkdir()
    home.mkdir()
    with open(folder / "jupyter.log", "wb") as log:
        process = subprocess.Popen(
            ["/bin/sh", str(FILES / "launch")],
            env=environ(run, home, prefix) | more,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        for name in ("jupyter.sock", "files.sock"):
            until(partial(answers, str(run / name)), 60, f"{name} answers", process)
        yield Jupyter(run, home, process)
    except BaseException:
        sys.stderr.write((folder / "jupyter.log").read_text(errors="replace")[-6000:])
        raise
    finally:
        end(process)
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Hub:
    """A running JupyterHub behind its proxy. ``token`` is a service's that may do everything."""

    url: str
    token: str
    folder: Path
    process: subprocess.Popen[bytes]

    async def api(self, method: str, path: str, body: Any = None, token: str | None = None) -> tuple[int, Any]:
        """Ask the hub's REST API: ``(status, answer)``."""
        headers = {"Authorization": f"token {token or self.token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as client,
            client.request(method, f"{self.url}/hub/api{path}", json=body) as answer,
        ):
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    async def user_token(self, user: str, **options: Any) -> str:
        """A new token of ``user``."""
        status, answer = await self.api("POST", f"/users/{user}/tokens", {"note": "test", **options})
        assert status == 201, answer
        return str(answer["token"])

    async def log_in(self, user: str) -> aiohttp.ClientSession:
        """A client with ``user``'s cookies, as a browser has them after the hub's login form."""
        browser = aiohttp.ClientSession(
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        )
        async with browser.get(f"{self.url}/hub/login") as answer:
            assert answer.status == 200
        xsrf = next(c.value for c in browser.cookie_jar if c.key == "_xsrf")
        form = {"username": user, "password": "visa", "_xsrf": xsrf}
        async with browser.post(f"{self.url}/hub/login", data=form, allow_redirects=False) as answer:
            assert answer.status == 302, await answer.text()
        return browser


@contextlib.contextmanager
def hub(run: Path) -> Iterator[Hub]:
    """A real hub with traefik in front; its servers are gateways to the Jupyter in ``run``."""
    folder = Path(tempfile.mkdtemp(prefix="visa-h-"))
    token = os.urandom(16).hex()
    port = free_port()
    given = {
        "run": str(run),
        "folder": str(folder),
        "token": token,
        "port": port,
        "hub_port": free_port(),
        "traefik_port": free_port(),
        "root": str(ROOT),
    }
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with open(folder / "hub.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", str(Path(__file__).parent / "hub_for_tests.py")],
            cwd=folder,
            env={**os.environ, "VISA_TEST_HUB": json.dumps(given), "PATH": path},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def up() -> bool:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)):
                return False
        try:
            return bool(urllib.request.urlopen(f"http://127.0.0.1:{port}/hub/api/", timeout=2).status == 200)
        except (urllib.error.URLError, OSError):
            return False

    try:
        until(up, 60, "the hub answers through its proxy", process)
        yield Hub(f"http://127.0.0.1:{port}", token, folder, process)
    except BaseException:
        sys.stderr.write((folder / "hub.log").read_text(errors="replace")[-6000:])
        raise
    finally:
        end(process)
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Gateway:
    """A gateway process. ``url`` ends with the instance's own path."""

    url: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def memory(self) -> float:
        """Resident memory in MB."""
        return float(psutil.Process(self.process.pid).memory_info().rss) / 1e6

    def most_memory(self) -> float:
        """The most resident memory that it ever had, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1e3


def variables(run: Path, api: str, prefix: str = SERVER) -> dict[str, str]:
    """What a spawner gives the gateway in front of ``run`` that asks the hub at ``api``."""
    return {
        "JUPYTERHUB_API_TOKEN": "the gateway's own token",
        "JUPYTERHUB_API_URL": api,
        "JUPYTERHUB_BASE_URL": "/",
        "JUPYTERHUB_SERVICE_PREFIX": prefix,
        "JUPYTERHUB_CLIENT_ID": "jupyterhub-user-marie-work",
        "JUPYTERHUB_OAUTH_ACCESS_SCOPES": json.dumps(["access:servers!server=marie/work"]),
        "JUPYTERHUB_USER": "marie",
        "JUPYTERHUB_SERVER_NAME": "work",
        "VISA_RUN": str(run),
        "VISA_LISTEN": "127.0.0.1:0",
        "VISA_OPEN": "lab/tree/notebooks/e1.ipynb",
        "VISA_SESSION": "notebook",
    }


async def started(given: dict[str, str]) -> asyncio.subprocess.Process:
    """A gateway process with these variables, whoever waits for it."""
    own = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "visa.session", env={**given, **own}, stderr=asyncio.subprocess.PIPE
    )


@contextlib.contextmanager
def gateway(
    run: Path, api: str, prefix: str = SERVER, *, inherited: tuple[int, ...] = (), **more: str
) -> Iterator[Gateway]:
    """A gateway in front of ``run`` that asks the hub at ``api``; it has the descriptors ``inherited``."""
    folder = Path(tempfile.mkdtemp(prefix="visa-g-"))
    reading, writing = os.pipe()
    own = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "VISA_READY_FD": str(writing)}
    with open(folder / "gateway.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "visa.session"],
            env={**variables(run, api, prefix), **own, **more},
            stdout=log,
            stderr=log,
            pass_fds=[writing, *inherited],
            start_new_session=True,
        )
    os.close(writing)
    try:
        with os.fdopen(reading) as ready:
            port = json.loads(ready.readline())["port"]
        yield Gateway(f"http://127.0.0.1:{port}{prefix}", port, process, folder / "gateway.log")
    except BaseException:
        sys.stderr.write((folder / "gateway.log").read_text(errors="replace")[-6000:])
        raise
    finally:
        # At once: a gateway that ends in order tells its hub, which waits in this loop for the end of this very call.
        end(process, signal.SIGKILL)
        shutil.rmtree(folder, ignore_errors=True)


class FakeHub:
    """The hub's few answers that a gateway needs, with faults that a real hub cannot be made to have."""

    _waiting: frozenset[asyncio.Event] = frozenset()

    def __init__(self) -> None:
        self.down = False
        self.pictures = ""
        self.asked = 0
        self.activity: list[dict[str, Any]] = []
        self.people: dict[str, dict[str, Any]] = {}
        self.number = 1
        self.members: dict[str, dict[str, Any]] = {}
        self.sharing: dict[str, Any] = {"presence": "any"}
        self.requests: list[dict[str, Any]] = []
        self.told: list[dict[str, Any]] = []
        self.notices: list[str] = []
        self.codes: list[str] = []
        self.held = self.words = 0
        self.deaf = self.silent = False
        self.let_in("marie's", "marie")

    def __setattr__(self, name: str, value: Any) -> None:
        """Whatever changes, who waits for the hub's word looks again."""
        super().__setattr__(name, value)
        for waiting in self._waiting:
            waiting.set()

    def let_in(self, token: str, name: str, **info: Any) -> None:
        """``token`` is ``name``'s and opens this server."""
        scopes = ["access:servers!server=marie/work"]
        self.people[token] = {"kind": "user", "name": name, "scopes": scopes, "user_info": info}

    def share(self, name: str, role: str | None, **more: Any) -> None:
        """``name`` is a member from now on, or with None no longer."""
        self.members.pop(name, None)
        if role is not None:
            usual = {"way": "team", "since": "2026-01-01T00:00:00+00:00", "until": None, "with_owner": False}
            self.members[name] = {"username": name, "name": name.title(), "role": role, **usual, **more}
        self.number += 1

    def share_as(self, **sharing: Any) -> None:
        """What the owner sets."""
        self.sharing |= sharing
        self.number += 1

    async def _people(self, request: web.Request) -> web.Response:
        after = request.query.get("after")
        self.words += after is None
        self.held += 1
        try:
            async with asyncio.timeout(50):
                await self._other_than(after)
        except TimeoutError:
            pass  # nothing has changed
        finally:
            self.held -= 1
        if self.down:
            raise web.HTTPServiceUnavailable
        if after == str(self.number):
            return web.Response(status=204)
        word = {"number": self.number, "members": list(self.members.values()), "sharing": self.sharing}
        return web.json_response({**word, "requests": self.requests, "help": False, "pictures": self.pictures})

    async def _other_than(self, after: str | None) -> None:
        changed = asyncio.Event()
        self._waiting |= {changed}
        try:
            while not self.down and (self.silent or after == str(self.number) or (after and self.deaf)):
                changed.clear()
                await changed.wait()
        finally:
            self._waiting -= {changed}

    async def _here(self, request: web.Request) -> web.Response:
        if self.down:
            raise web.HTTPServiceUnavailable
        self.told.append(await request.json())
        return web.Response(status=204)

    async def _report(self, request: web.Request) -> web.Response:
        self.notices.append((await request.json())["notice"])
        return web.Response(status=204)

    async def _user(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.down:
            raise web.HTTPServiceUnavailable
        person = self.people.get(request.headers.get("Authorization", "").removeprefix("token "))
        return web.json_response(person) if person else web.json_response({"status": 403}, status=403)

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        if self.down:
            raise web.HTTPServiceUnavailable
        self.codes.append(str(form["code"]))
        return web.json_response({"access_token": form["code"], "token_type": "Bearer"})

    async def _active(self, request: web.Request) -> web.Response:
        if self.down:
            raise web.HTTPServiceUnavailable
        self.activity.append(await request.json())
        return web.Response()

    @contextlib.asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        """Its API's address."""
        app = web.Application()
        app.router.add_get("/hub/api/user", self._user)
        app.router.add_post("/hub/api/oauth2/token", self._token)
        app.router.add_post("/hub/api/users/marie/activity", self._active)
        app.router.add_post("/hub/api/visa/gateways/marie/work", self._report)
        app.router.add_get("/hub/api/visa/gateways/marie/work/people", self._people)
        app.router.add_post("/hub/api/visa/gateways/marie/work/people", self._here)
        runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/hub/api"
        finally:
            await runner.cleanup()


class Reached(Protocol):
    """A gateway, in a process of its own or in the tests'."""

    @property
    def url(self) -> str: ...


async def session_cookie(gateway: Reached, token: str = "marie's") -> str:
    """Log in as a browser does, at a hub whose login codes are tokens: the gateway's session."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(
        cookie_jar=jar, headers={"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    ) as browser:
        async with browser.get(gateway.url + "api/me", allow_redirects=False) as answer:
            state = parse_qs(urlsplit(answer.headers["Location"]).query)["state"][0]
        query = {"code": token, "state": state}
        async with browser.get(gateway.url + "oauth_callback", params=query, allow_redirects=False) as answer:
            assert answer.status == 302, await answer.text()
        return next(cookie.value for cookie in jar if cookie.key == "visa-session")


MARIE = {"Authorization": "token marie's"}


async def answered(port: int, request: bytes) -> bytes:
    """The gateway's one answer to these very bytes, by its Content-Length; where it has none, until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"\r\ncontent-length: *(\d+)", head.lower())
        return head + await (reader.readexactly(int(length[1])) if length else reader.read())
    finally:
        writer.close()
