"""Before Jupyter is there and after it is gone: pages for people, plain answers for programs; activity."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.session import rig
from tests.session.site import Site, running
from visa import clock

PATIENCE = 20


class Kernels:
    """Jupyter's answer about kernels, and nothing else."""

    def __init__(self, state: str) -> None:
        self.state = state

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        await reader.readexactly(int(length[1]) if length else 0)
        body = json.dumps([{"id": "1", "execution_state": self.state}]).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()


async def test_programs_are_told_to_wait(tmp_path: Path) -> None:
    async with running(tmp_path) as site, aiohttp.ClientSession(headers=rig.MARIE) as client:
        async with client.get(site.url + "api/status") as answer:
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) <= 5
            assert answer.content_type == "application/problem+json"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect(site.url + "terminals/websocket/1")
        assert refused.value.status == 503


@pytest.mark.looptime
async def test_ready_answers_as_soon_as_jupyter_listens_and_needs_a_login(tmp_path: Path) -> None:
    async with running(tmp_path) as site:
        async with site.client.get(site.url + "_visa/ready") as answer:
            assert answer.status == 401
        began = clock.elapsed()
        assert await site.ask("marie", "_visa/ready") == (200, {"ready": False})
        assert clock.elapsed() - began == pytest.approx(PATIENCE, abs=0.1)
        asking = asyncio.create_task(site.ask("marie", "_visa/ready"))
        await asyncio.sleep(PATIENCE - 1)
        assert not asking.done()
        server = await asyncio.start_unix_server(Kernels("idle"), str(tmp_path / "jupyter.sock"))
        listens = clock.elapsed()
        assert await asking == (200, {"ready": True})
        assert clock.elapsed() - listens < 0.1
        server.close()


async def test_a_stale_socket_file_is_not_a_jupyter(tmp_path: Path) -> None:
    server = await asyncio.start_unix_server(Kernels("idle"), str(tmp_path / "jupyter.sock"))
    server.close()
    await server.wait_closed()
    (tmp_path / "jupyter.sock").touch()
    async with (
        running(tmp_path) as site,
        aiohttp.ClientSession(headers=rig.MARIE) as client,
        client.get(site.url + "api/status") as answer,
    ):
        assert answer.status == 503


async def test_health_says_nothing_and_elsewhere_is_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as site, aiohttp.ClientSession() as client:
        async with client.get(site.url + "_visa/health") as answer:
            assert await answer.json() == {"ok": True}
        async with client.get(f"http://127.0.0.1:{site.port}/elsewhere") as answer:
            assert answer.status == 404
        async with client.get(f"http://127.0.0.1:{site.port}/user/marie/workshop/lab") as answer:
            assert answer.status == 404
        async with client.post(site.url + "_visa/health", data=b"x" * 10) as answer:
            assert answer.status == 413


def test_the_pages_hold_no_outside_asset_and_a_strict_policy() -> None:
    from visa.session import pages

    for content, policy in (
        pages.starting("/user/m/w/", "/services/visa/"),
        pages.ended("/user/m/w/", "/services/visa/"),
        pages.message("<b>", "<script>alert(1)</script>", "/services/visa/"),
    ):
        nonces = set(re.findall(r'nonce="([^"]+)"', content))
        assert len(nonces) == 1
        assert f"'nonce-{nonces.pop()}'" in policy
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert not re.search(r"(src|href)=\"(https?:)?//", content)
        assert "<script>alert" not in content
        assert 'lang="en"' in content
        assert "prefers-color-scheme: dark" in content
    assert pages.message("a", "b", "c")[1] != pages.message("a", "b", "c")[1]


def told(site: Site) -> list[datetime]:
    """When the instance was last used, as the hub was told each time."""
    reports = [report["servers"]["work"]["last_activity"] for report in site.hub.activity]
    return [datetime.fromisoformat(one) for one in reports]


def after(start: datetime, *seconds: float) -> list[datetime]:
    """These moments, as far as the test's own work on the way lets them be exact."""
    return [pytest.approx(start + timedelta(seconds=one), abs=timedelta(seconds=0.1)) for one in seconds]


@pytest.mark.looptime
async def test_activity_is_what_people_do_and_busy_kernels(tmp_path: Path, virtual_wall: datetime) -> None:
    kernels = Kernels("idle")
    server = await asyncio.start_unix_server(kernels, str(tmp_path / "jupyter.sock"))
    async with running(tmp_path) as site:
        await asyncio.sleep(9)
        assert told(site) == [], "the hub has others to start"
        await asyncio.sleep(2)  # at 11 s: the rounds are at 10 s, 70 s, 130 s and so on
        assert told(site) == after(virtual_wall, 0), "that it started"
        for _ in range(5):  # an open tab
            assert (await site.ask("marie", "api/contents"))[0] == 200
        await asyncio.sleep(60)
        assert len(told(site)) == 1
        assert (await site.ask("marie", "api/contents/x", method="PUT", data=b"{}"))[0] == 200
        await asyncio.sleep(58)
        assert len(told(site)) == 1
        await asyncio.sleep(2)
        assert told(site) == after(virtual_wall, 0, 71)
        await asyncio.sleep(60)
        assert len(told(site)) == 2
        site.hub.down = True
        kernels.state = "busy"
        await asyncio.sleep(120)
        assert len(told(site)) == 2
        site.hub.down = False
        kernels.state = "idle"
        await asyncio.sleep(60)
        assert told(site) == after(virtual_wall, 0, 71, 310), "when a kernel was last seen busy"
        await asyncio.sleep(120)
        assert len(told(site)) == 3
    server.close()


def _binary(header: dict[str, Any]) -> bytes:
    """A message in Jupyter's binary layout: count and offsets, channel, header and so on."""
    parts = [b"shell", json.dumps(header).encode(), b"{}", b"{}", b'{"code": "\\"msg_type\\": \\"execute_request\\""}']
    offsets = [8 * (len(parts) + 2)]
    for part in parts:
        offsets.append(offsets[-1] + len(part))
    numbers = [len(offsets), *offsets]
    return b"".join(number.to_bytes(8, "little") for number in numbers) + b"".join(parts)


@pytest.mark.parametrize(
    ("kind", "work"),
    [
        ("execute_request", True),
        ("input_reply", True),
        ("comm_msg", True),
        ("complete_request", True),
        ("kernel_info_request", False),
        ("comm_info_request", False),
        ("history_request", False),
        ("shutdown_request", False),
    ],
)
def test_which_kernel_messages_are_somebody_s_doing(kind: str, work: bool) -> None:
    from visa.session.activity import is_work

    path, header = "api/kernels/1/channels", {"msg_id": "1", "msg_type": kind}
    assert is_work(path, _binary(header)) is work
    text = json.dumps({"channel": "shell", "content": {"code": '"msg_type": "execute_request"'}, "header": header})
    assert is_work(path, text) is work
    assert not is_work("api/events/subscribe", text)


def test_keys_in_a_terminal_are_work_and_its_size_is_not() -> None:
    from visa.session.activity import is_work

    assert is_work("terminals/websocket/1", '["stdin", "ls\\r"]')
    assert not is_work("terminals/websocket/1", '["set_size", 24, 80]')
    assert not is_work("terminals/websocket/1", b"\xff\xfe")
