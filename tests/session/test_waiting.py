"""Before Jupyter is there and after it is gone: pages for people, plain answers for programs; activity."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.session import rig


@contextlib.asynccontextmanager
async def waiting(run: Path, **more: str) -> AsyncIterator[tuple[rig.Gateway, rig.FakeHub]]:
    """A gateway whose Jupyter is not there yet."""
    fake = rig.FakeHub()
    async with fake.served() as api:
        with rig.gateway(run, api, **more) as gateway:
            yield gateway, fake


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
    async with waiting(tmp_path) as (gateway, _), aiohttp.ClientSession(headers=rig.MARIE) as client:
        async with client.get(gateway.url + "api/status") as answer:
            assert answer.status == 503
            assert int(answer.headers["Retry-After"]) <= 5
            assert answer.content_type == "application/problem+json"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect(gateway.url + "terminals/websocket/1")
        assert refused.value.status == 503


async def test_ready_answers_as_soon_as_jupyter_listens_and_needs_a_login(tmp_path: Path) -> None:
    async with waiting(tmp_path) as (gateway, _), aiohttp.ClientSession() as client:
        async with client.get(gateway.url + "_visa/ready") as answer:
            assert answer.status == 401

        async def ready() -> bool:
            async with client.get(gateway.url + "_visa/ready", headers=rig.MARIE) as answer:
                return bool((await answer.json())["ready"])

        asking = asyncio.create_task(ready())
        await asyncio.sleep(0.3)
        assert not asking.done()
        server = await asyncio.start_unix_server(Kernels("idle"), str(tmp_path / "jupyter.sock"))
        assert await asyncio.wait_for(asking, 0.5)
        server.close()


async def test_a_stale_socket_file_is_not_a_jupyter(tmp_path: Path) -> None:
    server = await asyncio.start_unix_server(Kernels("idle"), str(tmp_path / "jupyter.sock"))
    server.close()
    await server.wait_closed()
    (tmp_path / "jupyter.sock").touch()
    async with (
        waiting(tmp_path) as (gateway, _),
        aiohttp.ClientSession(headers=rig.MARIE) as client,
        client.get(gateway.url + "api/status") as answer,
    ):
        assert answer.status == 503


async def test_health_says_nothing_and_elsewhere_is_nothing(tmp_path: Path) -> None:
    async with waiting(tmp_path) as (gateway, _), aiohttp.ClientSession() as client:
        async with client.get(gateway.url + "_visa/health") as answer:
            assert await answer.json() == {"ok": True}
        async with client.get(f"http://127.0.0.1:{gateway.port}/elsewhere") as answer:
            assert answer.status == 404
        async with client.get(f"http://127.0.0.1:{gateway.port}/user/marie/workshop/lab") as answer:
            assert answer.status == 404
        async with client.post(gateway.url + "_visa/health", data=b"x" * 10) as answer:
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


async def told(fake: rig.FakeHub, count: int) -> list[str]:
    """The times of the first ``count`` reports."""
    for _ in range(100):
        if len(fake.activity) >= count:
            break
        await asyncio.sleep(0.05)
    return [report["servers"]["work"]["last_activity"] for report in fake.activity]


async def test_activity_is_what_people_do_and_busy_kernels(tmp_path: Path) -> None:
    kernels = Kernels("idle")
    server = await asyncio.start_unix_server(kernels, str(tmp_path / "jupyter.sock"))
    async with (
        waiting(tmp_path, VISA_ACTIVITY_INTERVAL="0.2") as (gateway, fake),
        aiohttp.ClientSession(headers=rig.MARIE) as client,
    ):
        assert len(await told(fake, 1)) == 1  # that it started
        for _ in range(5):  # an open tab
            async with client.get(gateway.url + "api/contents") as answer:
                assert answer.status == 200
        await asyncio.sleep(0.5)
        assert len(fake.activity) == 1
        async with client.put(gateway.url + "api/contents/x", data=b"{}") as answer:
            assert answer.status == 200
        times = await told(fake, 2)
        assert len(times) == 2
        assert times[1] > times[0]
        await asyncio.sleep(0.5)
        assert len(fake.activity) == 2
        fake.down = True
        kernels.state = "busy"
        await asyncio.sleep(0.5)
        fake.down = False
        assert len(await told(fake, 3)) >= 3
        kernels.state = "idle"
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
