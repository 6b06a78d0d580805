"""The proxy that is looked at; what a new one gets is seen on the cluster (tests/helm/test_release.py)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub.httpclient import JupyterHubHTTPClient
from traitlets.config import Config

from tests.hub.test_chart import Configured, configured
from tests.services.waiting import eventually, leap
from visa.hub.chp import PATIENCE, VisaHTTPProxy

__all__ = ["configured"]


class Silent:
    """Takes connections as the node of a pod that is gone: nothing comes back, and no end."""

    def __init__(self) -> None:
        self.asked = 0
        self._open: list[asyncio.StreamWriter] = []

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.append(writer)
        if await reader.readuntil(b"\r\n\r\n"):
            self.asked += 1

    def end(self) -> None:
        for one in self._open:
            one.close()


@pytest.fixture
async def silent() -> AsyncIterator[tuple[Silent, str]]:
    service = Silent()
    server = await asyncio.start_server(service.take, "127.0.0.1", 0)
    yield service, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    service.end()


@pytest.fixture
def hubs(configured: Configured) -> Iterator[Config]:
    """Settings as the chart makes them."""
    JupyterHubHTTPClient.clear_instance()  # a portal in this process has one without these settings
    yield configured()
    JupyterHubHTTPClient.clear_instance()


async def test_a_proxy_that_says_nothing_keeps_nobody_waiting(
    hubs: Any, silent: tuple[Silent, str], caplog: pytest.LogCaptureFixture
) -> None:
    service, hubs.ConfigurableHTTPProxy.api_url = silent
    client = JupyterHubHTTPClient.instance(config=hubs)
    known = SimpleNamespace(server=True, proxy_spec="/services/visa/")
    app = SimpleNamespace(http_server=True, users={}, _service_map={"visa": known})
    proxy = VisaHTTPProxy(config=hubs, app=app, log=logging.getLogger("chp"))
    looking = asyncio.create_task(proxy.check_running())
    await eventually(lambda: service.asked, "its question")
    leap(PATIENCE.sock_read or 0)
    await asyncio.wait_for(looking, 60)
    assert service.asked == 1
    assert "The proxy does not answer" in caplog.text
    await client.close()
