"""Addresses of people and instances: the one place that spells a name in a path, and in the name of a host.

The spelling is JupyterHub's: all but letters, digits, ``_``, ``.``, ``-``, ``~`` and ``@`` is percent-coded. Servers do
not agree on which other spellings mean the same (RFC 3986 leaves ``+`` and ``%2B`` apart), so every link is made here,
proxies take each spelling to its instance, and the gateway leads from the others to this one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from visa.identifiers import instance_id

_RESERVED = frozenset(":/?#[]@!$&'()*+,;=%")
"""RFC 3986's delimiters: the same address only when they are coded alike, for a server that takes it by the letter."""
_NEVER_PLAIN = frozenset("/?#[]%")
_DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*")
SHARED = (
    "Without a host of its own for each instance, a page that somebody left in an instance can act in all other "
    "instances of whoever opens it, support and administrators too, and look like the service itself; only what "
    "browsers tell of requests keeps it from hub and portal."
)
"""What operators are told where all instances share the hub's host (docs/operators/hosts.md)."""
_LONGEST_DOMAIN = 230
"""Characters: with a label before it, DNS takes 253."""


def part(name: str) -> str:
    """``name`` as one part of a path."""
    return quote(name, safe="@~")


def instance_path(base: str, owner: str, name: str) -> str:
    """Where an instance is, with both slashes. ``base``: the hub's own path, ``/`` or ``/jupyter/``."""
    return f"{base}user/{part(owner)}/{part(name)}/"


def label(owner: str, name: str) -> str:
    """The instance's own part of its host's name: fixed by owner and name, fit for DNS whatever these are.

    It is the name of its pod too, so that operators know one from the other, and says nothing of the owner.
    """
    return f"visa-{instance_id(owner, name)}"


@dataclass(frozen=True, slots=True)
class Origins:
    """Where instances are seen: each on a host of its own below ``domain``, or all on the hub's (the default)."""

    scheme: str = ""
    domain: str = ""
    port: int | None = None

    @staticmethod
    def read(pattern: str) -> Origins:
        """From ``https://*.visa.example.org``, perhaps with a port; empty: the hub's host. Raise ``ValueError``."""
        if not pattern:
            return Origins()
        wrong = f"{pattern[:100]!r} is not like https://*.visa.example.org"
        try:
            parts = urlsplit(pattern)
            port = parts.port
        except ValueError:
            raise ValueError(wrong) from None
        host = parts.netloc.rpartition(":")[0] if port is not None else parts.netloc
        domain = host.removeprefix("*.").lower()
        if parts.scheme not in ("http", "https") or host == domain or not _DOMAIN.fullmatch(domain):
            raise ValueError(wrong)
        if parts.path not in ("", "/") or parts.query or parts.fragment or len(domain) > _LONGEST_DOMAIN:
            raise ValueError(wrong)
        return Origins(parts.scheme, domain, port)

    def __bool__(self) -> bool:
        """Whether instances have hosts of their own."""
        return bool(self.domain)

    @property
    def pattern(self) -> str:
        """As `read` takes it; also what a Content-Security-Policy calls all of them."""
        return f"{self.scheme}://*.{self.domain}{self._port}" if self else ""

    @property
    def _port(self) -> str:
        return "" if self.port is None else f":{self.port}"

    def host(self, owner: str, name: str) -> str:
        """The name of the instance's own host; empty where it has none."""
        return f"{label(owner, name)}.{self.domain}" if self else ""

    def origin(self, owner: str, name: str) -> str:
        """Scheme, host and port of its own; empty where it has none."""
        return f"{self.scheme}://{self.host(owner, name)}{self._port}" if self else ""

    def url(self, base: str, owner: str, name: str) -> str:
        """Where a browser goes: absolute with an origin of its own, else a path on the hub's host."""
        return self.origin(owner, name) + instance_path(base, owner, name)


def host_of(netloc: str) -> str:
    """The name in ``Host`` or in an address, as DNS compares it: without port, capitals and last dot."""
    return re.sub(r":\d*$", "", netloc.strip()).lower().removesuffix(".")


def person_api(owner: str) -> str:
    """A person below the hub's API."""
    return f"/users/{part(owner)}"


def server_api(owner: str, name: str) -> str:
    """A named server below the hub's API."""
    return f"{person_api(owner)}/servers/{part(name)}"


def gateway_api(owner: str, name: str) -> str:
    """Where an instance's gateway tells and asks the hub, below the hub's API."""
    return f"/visa/gateways/{part(owner)}/{part(name)}"


def respelled(path: str, prefix: str) -> str | None:
    """``path`` as it is spelled here, when it is at or below ``prefix`` in another spelling; else None."""
    wanted = prefix.rstrip("/").split("/")
    given = path.split("/")
    if given[: len(wanted)] == wanted or len(given) < len(wanted):
        return None
    try:
        same = all(unquote(a, errors="strict") == unquote(b) for a, b in zip(given, wanted, strict=False))
    except UnicodeDecodeError:
        return None
    return "/".join([*wanted, *given[len(wanted) :]]) if same else None


def pattern(path: str) -> str:
    """A regular expression (RE2) for all spellings of a path that is spelled as here.

    For a server that has made unreserved characters plain and codes upper case, as traefik does before it routes.
    """
    return "/".join("".join(map(_spellings, unquote(segment))) for segment in path.split("/"))


def _spellings(character: str) -> str:
    coded = quote(character, safe="")
    if character in _NEVER_PLAIN:
        return coded
    if character in _RESERVED:
        return f"(?:{re.escape(character)}|{coded})"
    return r"\140" if character == "`" else re.escape(character)  # in traefik's rules a backtick ends the expression
