"""A JupyterLab, a hub and a gateway for the tests of this folder. Each is started once where that is safe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.services.waiting import eventually
from tests.session import rig
from tests.session.site import Site, running


@pytest.fixture(scope="session")
def jupyter() -> Iterator[rig.Jupyter]:
    """JupyterLab for ``/user/marie/work/`` behind its socket."""
    with rig.jupyter() as one:
        yield one


@pytest.fixture(scope="session")
def hub(jupyter: rig.Jupyter) -> Iterator[rig.Hub]:
    """A real hub in which marie's server ``work`` runs: a gateway to ``jupyter``."""
    with rig.hub(jupyter.run) as one:
        asyncio.run(_started(one))
        yield one


async def _started(hub: rig.Hub) -> None:
    for user in ("pierre", "grace"):
        await hub.api("POST", f"/users/{user}")
    status, answer = await hub.api("POST", "/users/marie/servers/work")
    assert status in (201, 202), answer

    async def ready() -> bool:
        return bool((await hub.api("GET", "/users/marie"))[1]["servers"].get("work", {}).get("ready"))

    await eventually(ready, "marie's server")


@pytest.fixture
async def site(jupyter: rig.Jupyter) -> AsyncIterator[Site]:
    """A gateway in this process in front of ``jupyter``."""
    async with running(jupyter.run) as one:
        yield one
