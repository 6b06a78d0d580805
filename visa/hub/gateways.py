"""Gateways that report to the hub: who is expected, and who may speak for an instance."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import dataclass

from visa.hub.pods.certificates import Authority


def key_of(token: str) -> str:
    """What is kept of a server's token, to know it again after the hub's restart."""
    return hashlib.sha256(token.encode()).hexdigest() if token else ""


def holds(key: str, token: str | None) -> bool:
    """Whether ``token`` is the one whose `key_of` is ``key``; an empty key is nobody's."""
    return bool(key) and secrets.compare_digest(key, key_of(token or ""))


@dataclass(slots=True)
class Expected:
    """A gateway that will report. ``authority``: it must speak TLS with a certificate of this one."""

    key: str
    authority: Authority | None
    url: asyncio.Future[str]


class Gateways:
    """Instances whose gateway is expected to report, and who may speak for the others.

    In memory: a thousand gateways ask all the time, and JupyterHub's own look at who asks reads its database.
    """

    def __init__(self) -> None:
        self._expected: dict[str, Expected] = {}
        self._keys: dict[str, str] = {}

    def know(self, identifier: str, key: str) -> None:
        """``key``: `key_of` the token of the instance's gateway; empty when there is none any more."""
        if key:
            self._keys[identifier] = key
        else:
            self._keys.pop(identifier, None)

    def speaks(self, identifier: str, token: str | None) -> bool:
        """Whether ``token`` is that of the instance's gateway."""
        return holds(self._keys.get(identifier, ""), token)

    def expect(self, identifier: str, token: str, authority: Authority | None) -> asyncio.Future[str]:
        """The URL at which the instance's gateway listens, as soon as it says so with ``token``."""
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._expected[identifier] = Expected(key_of(token), authority, future)
        return future

    def forget(self, identifier: str) -> None:
        """Nobody waits any more."""
        expected = self._expected.pop(identifier, None)
        if expected is not None and not expected.url.done():
            expected.url.cancel()

    def expected(self, identifier: str, token: str | None) -> Expected | None:
        """The start that waits for the gateway that holds ``token``, or None."""
        found = self._expected.get(identifier)
        return found if found is not None and holds(found.key, token) else None
