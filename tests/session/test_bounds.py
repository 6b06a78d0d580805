"""What a gateway keeps of what is sent to it, measured in a process of its own. Jupyter is whatever a test needs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.session import rig
from visa.session.app import make_app
from visa.session.gateway import Gateway
from visa.session.settings import GatewaySettings

LIGHT = 60.0
"""Megabytes that a gateway may have."""
WEBSOCKET = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"


@contextlib.asynccontextmanager
async def alone(run: Path) -> AsyncIterator[rig.Gateway]:
    """A gateway with a hub and without a Jupyter."""
    async with rig.FakeHub().served() as api:
        with rig.gateway(run, api) as gateway:
            yield gateway


async def unfinished(port: int, head: bytes, size: int) -> asyncio.StreamWriter:
    """As much of a body as is taken."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head)
    with contextlib.suppress(ConnectionError, TimeoutError):
        for _ in range(size // 2**20):
            writer.write(bytes(2**20))
            await asyncio.wait_for(writer.drain(), 2)
    return writer


@pytest.mark.parametrize("more", [WEBSOCKET, b""], ids=["websocket", "plain"])
@pytest.mark.parametrize("path", ["lab", "api/kernels/x/channels", "desktop/websocket", "desktop/selkies", "_visa/x"])
async def test_a_stranger_s_body_is_not_kept(tmp_path: Path, path: str, more: bytes) -> None:
    async with alone(tmp_path) as gateway:
        head = f"GET {rig.SERVER}{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {2**30}\r\n".encode() + more + b"\r\n"
        sent = await asyncio.gather(*(unfinished(gateway.port, head, 48 * 2**20) for _ in range(4)))
        assert gateway.memory() < LIGHT
        for writer in sent:
            writer.close()
        assert (await rig.raw(gateway.port, head)).startswith((b"HTTP/1.1 401", b"HTTP/1.1 413"))


def test_no_handler_waits_for_a_body_before_it_knows_who_asks(tmp_path: Path) -> None:
    settings = GatewaySettings.read(rig.variables(tmp_path, "http://127.0.0.1:1/hub/api"))

    async def handlers() -> list[type]:
        app = make_app(Gateway(settings))
        rules = [rule for rule in app.wildcard_router.rules if isinstance(rule.target, type)]
        return [*(rule.target for rule in rules), app.settings["default_handler_class"]]

    for handler in asyncio.run(handlers()):
        assert getattr(handler, "_stream_request_body", False), handler
