"""How a gateway reports to the hub: patiently, once the environment runs, and never leaving its key about."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.session.rig import FakeHub, free_port
from visa import clock
from visa.hub.pods.certificates import Authority, make_authority
from visa.session import report
from visa.session.hub import Hub, HubRefused, HubUnavailable
from visa.session.kept import Kept
from visa.session.settings import BadSettings, GatewaySettings

pytestmark = pytest.mark.looptime

approx = partial(pytest.approx, abs=0.02)
ADDRESS = "127.0.0.1"
GIVEN = {
    "JUPYTERHUB_API_TOKEN": "its own",
    "JUPYTERHUB_SERVICE_PREFIX": "/user/marie/work/",
    "JUPYTERHUB_CLIENT_ID": "c",
    "JUPYTERHUB_OAUTH_ACCESS_SCOPES": '["access:servers!server=marie/work"]',
    "JUPYTERHUB_USER": "marie",
    "JUPYTERHUB_SERVER_NAME": "work",
    "VISA_ADDRESS": ADDRESS,
}


class ReportedTo(FakeHub):
    """A hub that takes reports. ``answers``: statuses of the next ones; then ``taken`` is the answer.

    ``times``: when the reports came, on the loop's clock.
    """

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[int] = []
        self.taken: dict[str, str] = {}
        self.reports: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.tokens: set[str] = set()

    async def _reported(self, request: web.Request) -> web.Response:
        self.reports.append(await request.json())
        self.times.append(clock.elapsed())
        self.tokens.add(request.headers["Authorization"])
        return web.json_response(self.taken, status=self.answers.pop(0) if self.answers else 200)

    @contextlib.asynccontextmanager
    async def at(self, port: int = 0) -> AsyncIterator[str]:
        """Its API's address, perhaps at a port that was promised before."""
        app = web.Application()
        app.router.add_post("/hub/api/visa/gateways/marie/work", self._reported)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/hub/api"
        finally:
            await runner.cleanup()


@pytest.fixture
async def hub() -> ReportedTo:
    return ReportedTo()


@pytest.fixture
def run(tmp_path: Path) -> Path:
    made = tmp_path / "run"
    made.mkdir()
    (made / "began").touch()
    return made


def settings_of(run: Path, api: str, **changed: Any) -> GatewaySettings:
    return replace(GatewaySettings.read({**GIVEN, "JUPYTERHUB_API_URL": api, "VISA_RUN": str(run)}), **changed)


async def announced(api: str, run: Path, kept: Kept | None = None, **changed: Any) -> ssl.SSLContext | None:
    settings = settings_of(run, api, **changed)
    return await report.announce(Hub(settings), settings, 8888, kept)


# that it listens


async def test_the_hub_hears_where_the_gateway_listens(hub: ReportedTo, run: Path) -> None:
    async with hub.at() as api:
        assert await announced(api, run) is None
    assert hub.reports == [{"url": "http://127.0.0.1:8888"}]
    assert hub.tokens == {"token its own"}


async def test_nothing_is_said_before_the_environment_runs(hub: ReportedTo, run: Path) -> None:
    (run / "began").unlink()
    async with hub.at() as api:
        task = asyncio.create_task(announced(api, run))
        await asyncio.sleep(3)
        assert hub.reports == []
        (run / "jupyter.sock").touch()  # not that one
        await asyncio.sleep(3)
        assert hub.reports == []
        (run / "began").touch()
        await task
    assert hub.times == approx([6])


@pytest.mark.parametrize("status", [403, 404, 429, 500, 502, 503])
async def test_a_hub_that_does_not_take_it_yet_is_asked_again(hub: ReportedTo, run: Path, status: int) -> None:
    hub.answers = [status] * 3
    async with hub.at() as api:
        await announced(api, run)
    assert hub.times == approx([0, 0.05, 0.05 + 0.075, 0.05 + 0.075 + 0.1125]), "the pauses grow"


async def test_a_hub_that_is_not_there_yet_is_waited_for(hub: ReportedTo, run: Path) -> None:
    port = free_port()
    task = asyncio.create_task(announced(f"http://127.0.0.1:{port}/hub/api", run))
    await asyncio.sleep(115)
    assert not task.done()
    async with hub.at(port):
        await task
    assert len(hub.reports) == 1


@pytest.mark.parametrize(("status", "error"), [(403, HubRefused), (503, HubUnavailable)])
async def test_patience_has_an_end(hub: ReportedTo, run: Path, status: int, error: type[Exception]) -> None:
    hub.answers = [status] * 1000
    async with hub.at() as api:
        with pytest.raises(error):
            await announced(api, run)
    assert 120 < hub.times[-1] < 122, "two minutes, and the last pause"
    assert len(hub.times) == 69
    assert hub.times[-1] - hub.times[-2] == approx(2), "the longest pause"


@pytest.mark.parametrize(
    ("address", "tls", "url"),
    [
        ("10.1.2.3", False, "http://10.1.2.3:8888"),
        ("10.1.2.3", True, "https://10.1.2.3:8888"),
        ("FD00:0::1", True, "https://[fd00::1]:8888"),
    ],
)
def test_the_url_of_an_address(address: str, tls: bool, url: str) -> None:
    assert report.url_of(address, 8888, tls) == url


@pytest.mark.parametrize("address", ["", "pod", "10.1.2.3:80", "[fd00::1]"])
def test_what_is_no_address_is_named(address: str) -> None:
    with pytest.raises(BadSettings, match="VISA_ADDRESS"):
        report.url_of(address, 1, True)


# certificates


async def test_it_serves_with_the_certificate_that_the_hub_gave_and_writes_no_key(
    hub: ReportedTo, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "authority").mkdir()
    certificate, key = make_authority(tmp_path / "authority")
    issued = Authority(certificate, key).issue(ADDRESS)
    hub.taken = {"certificate": issued.certificate, "key": issued.key}
    monkeypatch.chdir(run)
    monkeypatch.setenv("TMPDIR", str(run))
    async with hub.at() as api:
        serving = await announced(api, run, tls=True)
    assert serving is not None
    assert hub.reports == [{"url": "https://127.0.0.1:8888"}]
    assert os.listdir(run) == ["began"]
    assert not [name for name in open_files() if "certificate" in name], "the memory that held it is let go"

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, ADDRESS, 0, ssl=serving)
    port = server.sockets[0].getsockname()[1]
    asking = ssl.create_default_context(cafile=str(certificate))
    reader, writer = await asyncio.open_connection(ADDRESS, port, ssl=asking)
    assert await reader.read() == b"hello"
    writer.close()
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection(ADDRESS, port, ssl=asking, server_hostname="10.1.2.3")
    server.close()


def open_files() -> list[str]:
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return found


@pytest.mark.parametrize("taken", [{}, {"certificate": "x"}, {"key": "x"}, {"certificate": "", "key": ""}])
async def test_no_certificate_is_no_plain_http(hub: ReportedTo, run: Path, taken: dict[str, str]) -> None:
    hub.taken = taken
    async with hub.at() as api:
        with pytest.raises(HubRefused, match="no certificate"):
            await announced(api, run, tls=True)


def test_a_certificate_of_nonsense_is_an_error_and_leaves_nothing_open() -> None:
    before = len(open_files())
    with pytest.raises(ssl.SSLError):
        report.context("nonsense", "nonsense")
    assert len(open_files()) == before


async def test_the_next_gateway_of_the_instance_needs_no_hub(hub: ReportedTo, run: Path, tmp_path: Path) -> None:
    issued = Authority(*make_authority(tmp_path)).issue(ADDRESS)
    hub.taken = {"certificate": issued.certificate, "key": issued.key}
    path = str(tmp_path / "kept")
    async with hub.at() as api:
        assert await announced(api, run, Kept(path), tls=True) is not None
    assert await announced(api, run, Kept(path), tls=True) is not None, "the hub is gone"
    async with hub.at() as api:
        await announced(api, run, Kept(path), tls=True, address="127.0.0.2")
    assert [one["url"] for one in hub.reports] == ["https://127.0.0.1:8888", "https://127.0.0.2:8888"]


# full memory


@contextlib.asynccontextmanager
async def looking(hub: ReportedTo, run: Path) -> AsyncIterator[Path]:
    """A gateway that looks, every two seconds, for what was killed; the file where that is counted."""
    async with hub.at() as api:
        settings = settings_of(run, api)
        task = asyncio.create_task(report.tell_of_memory(Hub(settings), settings))
        try:
            await asyncio.sleep(1)
            yield run / "killed-for-memory"
            await asyncio.sleep(60)
            assert not task.done(), "it looks until it is told to end"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_each_change_is_told_once(hub: ReportedTo, run: Path) -> None:
    async with looking(hub, run) as file:
        file.write_text("0\n")
        await asyncio.sleep(8)
        assert hub.reports == []
        file.write_text("1\n")
        await asyncio.sleep(60)
        file.write_text("3\n")
    first, second = (said["notice"] for said in hub.reports)
    assert first.startswith("A program in this instance ended because the memory was full")
    assert second.startswith("3 programs in this instance ended")
    assert hub.times == approx([10, 70])


async def test_a_count_that_goes_back_is_not_told(hub: ReportedTo, run: Path) -> None:
    async with looking(hub, run) as file:
        for text in ("5", "4", "", "0", "5", "6"):
            file.write_text(text)
            await asyncio.sleep(4)
    assert hub.times == approx([2, 22])


async def test_a_hub_that_is_away_is_told_later(hub: ReportedTo, run: Path) -> None:
    hub.answers = [503, 403]
    async with looking(hub, run) as file:
        file.write_text("1")
    assert hub.times == approx([2, 4, 6])


@pytest.mark.parametrize(
    "content",
    [b"", b"x", b"-1", b"1.5", b"1e3", b"0x10", b"\xb2", b"\xff" * 20, b"1 2", b"9" * 16, b"<script>", b"\0", b"+1"],
)
async def test_junk_from_the_environment_is_no_count(hub: ReportedTo, run: Path, content: bytes) -> None:
    async with looking(hub, run) as file:
        file.write_bytes(content)
    assert hub.reports == []


async def test_nothing_but_the_number_comes_from_the_environment(hub: ReportedTo, run: Path) -> None:
    async with looking(hub, run) as file:
        file.write_text("2\nPay at once!")
        await asyncio.sleep(4)
        file.write_text("2")
    assert len(hub.reports) == 1
    assert "Pay" not in str(hub.reports)


async def test_a_link_is_not_followed(hub: ReportedTo, run: Path, tmp_path: Path) -> None:
    """It could lead to what only the gateway may read."""
    (tmp_path / "secret").write_text("7")
    (run / "killed-for-memory").symlink_to(tmp_path / "secret")
    async with looking(hub, run):
        pass
    assert hub.reports == []


@pytest.mark.parametrize("kind", ["fifo", "folder", "socket", "huge"])
async def test_a_file_of_another_kind_holds_nobody_up(hub: ReportedTo, run: Path, kind: str) -> None:
    path = run / "killed-for-memory"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(str(path))
    else:
        path.touch()
        os.truncate(path, 2**33)
    async with looking(hub, run):
        pass  # were it read, the loop would stand still
    assert hub.reports == []


async def test_a_fifo_that_somebody_holds_open_holds_nobody_up(hub: ReportedTo, run: Path) -> None:
    path = run / "killed-for-memory"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR)
    try:
        async with looking(hub, run):
            pass
    finally:
        os.close(descriptor)
    assert hub.reports == []
