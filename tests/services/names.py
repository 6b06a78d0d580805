"""Names below localhost: browsers lead them to this machine by themselves (RFC 6761), other programs may not."""

from __future__ import annotations

import socket
from typing import Any

_real: Any = socket.getaddrinfo


def resolve_localhost() -> None:
    """From now on, for all clients in the tests' own process. The name stays in ``Host``, as browsers have it."""
    socket.getaddrinfo = _found


def _found(host: Any, *rest: Any, **more: Any) -> Any:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    below = isinstance(name, str) and name.lower().rstrip(".").endswith(".localhost")
    return _real("127.0.0.1" if below else host, *rest, **more)
