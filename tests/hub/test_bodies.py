"""A stranger's bodies that never end, at a real hub and portal behind their proxy."""

from __future__ import annotations

import contextlib
import socket
from urllib.parse import urlsplit

import psutil
import pytest

from tests.services.hub import RunningHub

LONG = 90 * 2**20
PART = 2**20


def served(hub: RunningHub) -> dict[str, psutil.Process]:
    """The hub's process and the portal's."""
    assert hub.process is not None
    process = psutil.Process(hub.process.pid)
    portal = next(one for one in process.children() if "visa.portal" in " ".join(one.cmdline()))
    return {"hub": process, "portal": portal}


def send(port: int, path: str, size: int) -> socket.socket:
    """The head of a request with a long body, and of that as much as is taken."""
    one = socket.create_connection(("127.0.0.1", port), 30)
    with contextlib.suppress(ConnectionError):
        one.sendall(f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {LONG + 1}\r\n\r\n".encode())
        for _ in range(size // PART):
            one.sendall(bytes(PART))
    return one


@pytest.mark.parametrize(("who", "path"), [("hub", "/hub/login"), ("portal", "/services/visa/api/v1/instances")])
def test_bodies_without_an_end_are_refused_and_kept_nowhere(shared_hub: RunningHub, who: str, path: str) -> None:
    process = served(shared_hub)[who]
    before = process.memory_info().rss
    # One byte is missing in each, so none is ever handed to its handler.
    proxy = urlsplit(shared_hub.url).port or 0
    sent = [send(proxy, path, LONG) for _ in range(4)]
    # traefik tells nothing before it has the whole body, so the answer is looked at without it.
    own = min(one.laddr.port for one in process.net_connections("tcp") if one.status == psutil.CONN_LISTEN)
    with contextlib.closing(send(own, path, 0)) as one:
        assert one.recv(65536).startswith(b"HTTP/1.1 413 ")
    assert process.memory_info().rss - before < 30 * 2**20
    for one in sent:
        one.close()
