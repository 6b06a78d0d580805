"""Fixtures that every folder shares."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial, partialmethod
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, settings
from playwright import async_api, sync_api
from playwright.sync_api import Browser

from tests.services import hub, postgresql
from tests.services.browser import chromium
from tests.services.names import resolve_localhost
from tests.services.scheduling import BySharing
from visa import clock

REPOSITORY = Path(__file__).parents[1]

resolve_localhost()

# What a page shows is waited for until only a fault can be why it does not come: Playwright's own bound is 5 s.
async_api.expect.set_options(timeout=60_000)
sync_api.expect.set_options(timeout=60_000)

# No test asks by https. Each client would read all the system's authorities for it: 20 ms of a core, in every look at
# whether a hub is up.
httpx.Client.__init__ = partialmethod(httpx.Client.__init__, verify=False)  # type: ignore[assignment]
for _act in ("get", "post", "put", "delete", "request", "stream"):
    setattr(httpx, _act, partial(getattr(httpx, _act), verify=False))

# The same few cases in every run; `make soak` looks for new ones, as many as there is time for.
_HEALTH = [HealthCheck.too_slow, HealthCheck.differing_executors]
settings.register_profile("visa", deadline=None, max_examples=50, derandomize=True, suppress_health_check=_HEALTH)
_MANY = int(os.environ.get("SOAK_EXAMPLES", "1000"))
settings.register_profile("soak", settings.get_profile("visa"), max_examples=_MANY, derandomize=False)
settings.load_profile("visa")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> BySharing | None:
    """Choose ours where ``--dist loadfile`` was asked for."""
    return BySharing(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.fixture
async def virtual_wall() -> AsyncIterator[datetime]:
    """The moment at which a test with the mark `looptime` begins: its wall clock goes on as its event loop does.

    Virtual time is the test function's own, and begins at 0 there: build what has timers inside of it, not in fixtures.
    """
    loop, start = asyncio.get_running_loop(), datetime(2026, 3, 28, 12, tzinfo=UTC)
    with clock.wall(lambda: start + timedelta(seconds=loop.time())):
        yield start


@pytest.fixture(scope="session")
def environment_prefix() -> Path:
    """The analysis environment that `make test` installed."""
    prefix = Path(os.environ.get("VISA_TEST_ENVIRONMENT", REPOSITORY / ".cache" / "environments" / "scattering"))
    assert (prefix / "bin" / "jupyter-lab").exists(), f"{prefix} is no environment: run `make environment`"
    return prefix


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgresql.PostgreSQL]:
    """A real PostgreSQL server."""
    with postgresql.running() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: postgresql.PostgreSQL) -> str:
    """An empty database."""
    return postgres.database()


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind that the store takes."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'visa.sqlite'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture(scope="session")
def backend(environment_prefix: Path) -> hub.Backend:
    """Where instances start."""
    return hub.Backend(environment_prefix)


@pytest.fixture(scope="session")
def shared_hub(tmp_path_factory: pytest.TempPathFactory, backend: hub.Backend) -> Iterator[hub.RunningHub]:
    """A hub that many tests use; each takes names of its own for its servers and leaves none running."""
    with backend.running(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture
def own_hub(tmp_path: Path, backend: hub.Backend) -> Iterator[hub.RunningHub]:
    """A hub of one's own: to be killed, restarted, misconfigured."""
    with backend.running(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")  # not longer: while it lives its event loop runs, and no async test can
def browser() -> Iterator[Browser]:
    """One Chromium for the tests of a module; each opens contexts of its own."""
    with chromium() as opened:
        yield opened
