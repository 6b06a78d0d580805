"""SQLite on a full disk, under a hub: what is to be written is 503, who asks is still read, and nothing ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.services import disk
from tests.services.hub import Backend, RunningHub
from tests.services.waiting import until
from visa.store.faults import REASON


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of eight megabytes."""
    folder = tmp_path / "disk"
    if not disk.small(folder, "8m"):
        pytest.skip("this account may not mount a small disk")
    yield folder
    disk.gone(folder)


def test_a_full_disk_is_503_for_what_is_written_and_all_is_well_when_there_is_room(
    tmp_path: Path, small: Path, backend: Backend
) -> None:
    extra = f"from visa.hub.defaults import hub_database\nhub_database(c, 'sqlite:///{small}/hub.sqlite')\n"
    with backend.running(tmp_path / "hub", store_url=f"sqlite:///{small}/visa.sqlite", extra=extra) as hub:
        token = hub.token("marie")
        with disk.full(small):
            refused = until(lambda: _refused(hub, token), what="a full database")
            assert refused.headers["Content-Type"] == "application/problem+json"
            assert refused.json()["reason"] == REASON
            for _ in range(3):
                with hub.api(token) as api, hub.rest(token) as rest:
                    assert api.get("/user").status_code == 200
                    assert rest.get("me").status_code == 200
                    started = rest.post(
                        "instances", json={"experiments": ["exp-1"], "environment": "scattering", "flavour": "small"}
                    )
                    assert started.status_code == 503, started.text
        assert until(lambda: _made(hub, token), what="a token").status_code == 201
        assert hub.store.holding() == ()


def _made(hub: RunningHub, token: str) -> httpx.Response | None:
    with hub.api(token) as api:
        answer = api.post("/users/marie/tokens", json={"note": "n" * 200})
    assert answer.status_code in (201, 503), answer.text
    return answer if answer.status_code == 201 else None


def _refused(hub: RunningHub, token: str) -> httpx.Response | None:
    with hub.api(token) as api:
        answer = api.post("/users/marie/tokens", json={"note": "n" * 200})
    assert answer.status_code in (201, 503), answer.text
    return answer if answer.status_code == 503 else None
