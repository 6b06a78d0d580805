"""A gateway in front of a run folder that the tests fill themselves, with a hub of answers given by hand."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import aiohttp
import pytest

from tests.session import rig, site


class Served(Protocol):
    """A gateway, in a process of its own or in the tests'."""

    @property
    def url(self) -> str: ...

    @property
    def port(self) -> int: ...


@dataclass
class Desk:
    """The gateway, its hub, and the run folder as the environment sees it."""

    gateway: Served
    hub: rig.FakeHub
    run: Path
    client: aiohttp.ClientSession

    @property
    def url(self) -> str:
        """Of the desktop, with the slash."""
        return self.gateway.url + "desktop/"


@dataclass
class Apart(Desk):
    """With a gateway in a process of its own."""

    gateway: rig.Gateway


MakeDesk = Callable[..., AbstractAsyncContextManager[Apart]]


@contextlib.asynccontextmanager
async def desk(run: Path | None = None, **variables: str) -> AsyncIterator[Apart]:
    """Nothing is in the run folder yet, unless one is given."""
    with tempfile.TemporaryDirectory(prefix="visa-d-") as folder:
        run = run or Path(folder)
        fake = rig.FakeHub()
        async with fake.served() as api, aiohttp.ClientSession(headers=rig.MARIE) as client:
            with rig.gateway(run, api, **{"VISA_SESSIONS": "notebook desktop", **variables}) as one:
                yield Apart(one, fake, run, client)


@pytest.fixture
def make_desk() -> MakeDesk:
    """For tests that choose the gateway's variables."""
    return desk


@pytest.fixture
async def marie_desk() -> AsyncIterator[Desk]:
    """In this process, with the usual variables."""
    with tempfile.TemporaryDirectory(prefix="visa-d-") as folder:
        async with (
            site.running(Path(folder), VISA_SESSIONS="notebook desktop") as one,
            aiohttp.ClientSession(headers=rig.MARIE) as client,
        ):
            yield Desk(one, one.hub, Path(folder), client)
