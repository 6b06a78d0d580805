"""The proxy survives the hub, is taken over by the next one, and is replaced when its ports are not today's."""

from __future__ import annotations

import stat
from collections.abc import Iterator

import httpx
import pytest

from tests.services import facility
from tests.services.hub import RunningHub, started, until
from visa.cli.demo.runner import free_ports
from visa.hub.defaults import secret
from visa.processes import Process


def traefik_of(hub: RunningHub) -> Process:
    pid, started, _configuration = (hub.state / "traefik.pid").read_text().split()
    return Process(int(pid), int(started))


NAMES = ("cookie", "crypt", "proxy")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """Each test ends it in its own way, and leaves it running."""
    folder = tmp_path_factory.mktemp("proxy")
    made = RunningHub(folder, facility.write(folder / "facility"))
    (made.state / "visa.sqlite").parent.mkdir()
    (made.state / "visa.sqlite").touch(0o644)
    with started(made):
        yield made


def test_secrets_and_databases_are_the_hubs_alone(hub: RunningHub) -> None:
    private = [hub.state / "secrets" / name for name in NAMES]
    private += [hub.state / name for name in ("hub.sqlite", "visa.sqlite", "traefik.toml", "traefik-rules.toml")]
    for path in private:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert stat.S_IMODE((hub.state / "secrets").stat().st_mode) == 0o700
    kept = {name: secret(hub.state, name) for name in NAMES}
    assert len(set(kept.values())) == 3
    log = hub.tail(1_000_000)
    assert not any(value in log for value in kept.values())


def test_a_request_s_head_is_bounded_before_it_is_passed_on(hub: RunningHub) -> None:
    for size, status in ((40_000, 200), (100_000, 431)):
        answer = httpx.get(f"{hub.url}/hub/health", headers={"X-Long": "x" * size}, timeout=60)
        assert answer.status_code == status


def test_it_is_taken_over_after_a_kill(hub: RunningHub) -> None:
    first = traefik_of(hub)
    hub.kill()
    until(lambda: httpx.get(f"{hub.url}/hub/health", timeout=60).status_code == 502, 60, "traefik without the hub")
    hub.start()
    assert traefik_of(hub) == first
    assert "Taking over traefik" in hub.tail(100_000)


def test_it_is_taken_over_after_a_clean_stop_and_secrets_stay(hub: RunningHub) -> None:
    first, kept = traefik_of(hub), {name: secret(hub.state, name) for name in NAMES}
    hub.stop()
    assert first.is_alive()
    hub.start()
    assert traefik_of(hub) == first
    assert {name: secret(hub.state, name) for name in NAMES} == kept


def test_it_is_started_anew_when_it_died_with_the_hub(hub: RunningHub) -> None:
    first = traefik_of(hub)
    hub.kill()
    first.signal(9)
    until(lambda: not first.is_alive(), 60)
    hub.start()
    assert traefik_of(hub) != first


def test_other_ports_replace_it(hub: RunningHub) -> None:
    first = traefik_of(hub)
    hub.kill()
    (public,) = free_ports(1)
    former, hub.url = hub.url, f"http://127.0.0.1:{public}"
    hub.portal = f"{hub.url}/services/visa/"
    hub.config.write_text(hub.config.read_text().replace(former, hub.url))
    hub.start()
    assert traefik_of(hub) != first
    assert not first.is_alive()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{former}/hub/health", timeout=60)
    with hub.login("marie") as browser:
        assert browser.get("/hub/api/user").json()["name"] == "marie"
