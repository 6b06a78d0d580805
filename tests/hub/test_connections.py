"""Connections that ask nothing, and requests that few programs make, at a real hub and portal."""

from __future__ import annotations

import contextlib
import socket

import httpx
import psutil
import pytest

from tests.hub.test_bodies import served
from tests.services.hub import RunningHub
from tests.services.waiting import until
from tests.soak.attacks import odd
from visa.hub import entrances
from visa.portal import app

MEGABYTE = 10**6
PAGES = {"hub": "/hub/login", "portal": "/services/visa/"}
MOST = {"hub": entrances.WAITING, "portal": app.WAITING}
HALF = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 20_000


def own_port(process: psutil.Process) -> int:
    """Where it listens behind the proxy."""
    return min(one.laddr.port for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN)


def connected(port: int, sent: bytes) -> socket.socket:
    """One that sends this and reads nothing."""
    one = socket.create_connection(("127.0.0.1", port), 60)
    one.settimeout(5)
    with contextlib.suppress(ConnectionError, TimeoutError):
        one.sendall(sent)
    return one


@pytest.mark.parametrize("who", PAGES)
def test_connections_that_ask_nothing_are_few_and_others_are_answered(shared_hub: RunningHub, who: str) -> None:
    process = served(shared_hub)[who]
    before, port = process.memory_info().rss, own_port(process)
    sent = [connected(port, HALF if number % 2 else b"") for number in range(MOST[who] + 400)]
    assert httpx.get(shared_hub.url + PAGES[who], timeout=60, follow_redirects=True).status_code == 200
    until(lambda: _at(process, port) <= MOST[who] + 50, 60, lambda: f"the end of some of {_at(process, port)}")
    assert process.memory_info().rss - before < 60 * MEGABYTE
    for one in sent:
        one.close()


def _at(process: psutil.Process, port: int) -> int:
    """Connections that are open there."""
    return sum(one.laddr.port == port for one in process.net_connections("tcp"))


@pytest.mark.parametrize("what", odd("/"))
@pytest.mark.parametrize("who", PAGES)
def test_what_few_programs_ask_costs_little_and_others_are_answered(
    shared_hub: RunningHub, who: str, what: str
) -> None:
    process = served(shared_hub)[who]
    before, port = process.memory_info().rss, own_port(process)
    sent = [connected(port, odd(PAGES[who])[what]) for _ in range(20)]
    assert httpx.get(shared_hub.url + PAGES[who], timeout=60, follow_redirects=True).status_code == 200
    assert process.memory_info().rss - before < 30 * MEGABYTE
    for one in sent:
        one.close()
