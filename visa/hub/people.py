"""From the identity provider's claims and the catalogue to a `Person`.

Name, mail address and numeric ids: claims win, the catalogue fills what they do not say. Roles and groups
of both add up, and an instrument's scientists are known by the catalogue. What cannot be read safely is
refused: a role or uid that cannot be verified is no role and no uid (design: security stance).
User names are taken as they are, case and all: no two names of the provider become one person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from visa.catalogue.base import CataloguePerson, Instrument
from visa.facility.model import Facility, People
from visa.facility.rules import BUILT_IN_ROLES
from visa.identifiers import InvalidIdentifier, Username
from visa.instances.model import Person


class BadClaims(ValueError):
    """The claims do not make a person. The message says which claim and what is wrong."""


def username_of(claims: Mapping[str, Any], people: People) -> Username:
    """The user name as the hub will use it, unchanged: two names never become one."""
    value = claims.get(people.username_claim)
    if not isinstance(value, str) or not value:
        raise BadClaims(f"claim '{people.username_claim}' holds no user name")
    try:
        return Username(value)
    except InvalidIdentifier as error:
        raise BadClaims(f"claim '{people.username_claim}': {error}") from None


def person_of(
    claims: Mapping[str, Any],
    known: CataloguePerson | None,
    instruments: Iterable[Instrument],
    facility: Facility,
    now: datetime,
) -> Person:
    """The person; raise `BadClaims`."""
    people = facility.people
    username = username_of(claims, people)
    groups = _texts(claims, people.groups_claim) | (known.groups if known else frozenset())
    values = _texts(claims, people.roles_claim) | groups | (known.roles if known else frozenset())
    roles = roles_of(values, people)
    if any(username in instrument.scientists for instrument in instruments):
        roles |= {"instrument_scientist"}
    name = claims.get(people.name_claim)
    gids = _numbers(claims, people.gids_claim) or (known.gids if known else ())
    return Person(
        username=username,
        name=_name(name) or (known.name if known else username),
        uid=_number(claims, people.uid_claim, known.uid if known else None),
        gid=_number(claims, people.gid_claim, known.gid if known else None),
        gids=gids,
        groups=groups,
        roles=roles,
        email=_email(claims, people) or (known.email if known else None),
        active=True,
        verified_at=now,
    )


def roles_of(values: Iterable[str], people: People) -> frozenset[str]:
    """Roles that ``values`` of the role or group claims give: those mapped, and built-in ones of that very name.

    A built-in role that facility.yaml maps is given by its mapping only.
    """
    given = frozenset(values)
    mapped = {str(role) for role, by in people.roles.items() if given & frozenset(by)}
    direct = {value for value in given if value in BUILT_IN_ROLES and value not in people.roles}
    return frozenset(mapped | direct)


def may_log_in(person: Person, people: People) -> bool:
    """The facility's allow rules: a role, or ``group:NAME``. No rule: everyone whom the provider lets in."""
    if not people.allow:
        return True
    names = set(person.roles) | {f"group:{group}" for group in person.groups}
    return bool(names & set(people.allow))


def initials(name: str) -> str:
    """Up to two letters: of the first and the last word."""
    words = [word for word in name.split() if word[0].isalnum()] or ["?"]
    return (words[0][0] + (words[-1][0] if len(words) > 1 else "")).upper()


def colour(username: str) -> str:
    """A colour for cursors, one of JupyterLab's collaborator colours, fixed by the user name."""
    return f"var(--jp-collaborator-color{sum(username.encode()) % 7 + 1})"


def _name(value: object) -> str:
    return " ".join("".join(c for c in value if c.isprintable()).split())[:200] if isinstance(value, str) else ""


def _email(claims: Mapping[str, Any], people: People) -> str | None:
    """Links are bound to it, so one that the provider itself does not vouch for is none."""
    email = claims.get(people.email_claim)
    unverified = claims.get("email_verified") in (False, "false", "False")
    return email if isinstance(email, str) and not unverified else None


def _texts(claims: Mapping[str, Any], claim: str) -> frozenset[str]:
    value = claims.get(claim)
    if value is None:
        return frozenset()
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadClaims(f"claim '{claim}' is not a list of texts")
    return frozenset(value)


def _number(claims: Mapping[str, Any], claim: str | None, otherwise: int | None) -> int | None:
    value = claims.get(claim) if claim else None
    if value is None:
        return otherwise
    number = _whole(value)
    if number is None:
        raise BadClaims(f"claim '{claim}' is not a whole number")
    return number


def _numbers(claims: Mapping[str, Any], claim: str | None) -> tuple[int, ...]:
    values = claims.get(claim) if claim else None
    if values is None:
        return ()
    numbers = [_whole(value) for value in values] if isinstance(values, list) else [None]
    found = tuple(number for number in numbers if number is not None)
    if len(found) != len(numbers):
        raise BadClaims(f"claim '{claim}' is not a list of whole numbers")
    return found


def _whole(value: object) -> int | None:
    """A whole number from 0, or None; some providers give numbers as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
