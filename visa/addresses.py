"""Addresses of people and instances: the one place that spells a name in a path.

The spelling is JupyterHub's: all but letters, digits, ``_``, ``.``, ``-``, ``~`` and ``@`` is percent-coded. Servers do
not agree on which other spellings mean the same (RFC 3986 leaves ``+`` and ``%2B`` apart), so every link is made here,
proxies take each spelling to its instance, and the gateway leads from the others to this one.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

_RESERVED = frozenset(":/?#[]@!$&'()*+,;=%")
"""RFC 3986's delimiters: the same address only when they are coded alike, for a server that takes it by the letter."""
_NEVER_PLAIN = frozenset("/?#[]%")


def part(name: str) -> str:
    """``name`` as one part of a path."""
    return quote(name, safe="@~")


def instance_path(base: str, owner: str, name: str) -> str:
    """Where an instance is, with both slashes. ``base``: the hub's own path, ``/`` or ``/jupyter/``."""
    return f"{base}user/{part(owner)}/{part(name)}/"


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
