"""Entitlements of AAIs: who is in which group, in the words of AARC-G002 and AARC-G069.

``urn:<nid>:<delegated>[:<sub>…]:group:<group>[:<subgroup>…][:role=<role>][#<authority>]``
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from aarc_entitlement import G069, Error

_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Entitlement:
    """``namespace``: in small letters, as URNs are compared. Who wrote it down (the authority) counts for nothing."""

    namespace: tuple[str, ...]
    groups: tuple[str, ...]
    role: str | None

    def gives(self, wanted: Entitlement) -> bool:
        """Whether who has this has ``wanted``: a member of a subgroup is one of the group, and a role needs its group.

        Namespaces are the same as a whole. (`G069.satisfies` takes a longer one too, which is another community's.)
        """
        if self.namespace != wanted.namespace or self.groups[: len(wanted.groups)] != wanted.groups:
            return False
        return wanted.role is None or (self.role == wanted.role and self.groups == wanted.groups)


def parse(text: str) -> Entitlement | None:
    """The entitlement, or None when ``text`` is something else.

    Parts are decoded after they are told apart: an encoded colon in a group's name makes no subgroup.
    """
    if len(text) > _LONGEST or text[:4].lower() != "urn:" or not text.isprintable():
        return None
    try:
        found = G069(text)
    except Error:
        return None
    groups = (found.group, *found.subgroups)
    if any(group.startswith("role=") for group in groups):  # an empty role
        return None
    return Entitlement(
        (found.namespace_id, found.delegated_namespace, *found.subnamespaces),
        tuple(unquote(part) for part in groups),
        None if found.role is None else unquote(found.role),
    )
