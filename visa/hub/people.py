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
from visa.facility.entitlements import parse
from visa.facility.model import Facility, People
from visa.facility.rules import BUILT_IN_ROLES
from visa.hub.claims import BadClaims, Claims
from visa.identifiers import InvalidIdentifier, Username
from visa.instances.model import Person


def username_of(claims: Mapping[str, Any], people: People) -> Username:
    """The user name as the hub will use it, unchanged: two names never become one."""
    value = Claims(claims).value(people.username_claim)
    if not isinstance(value, str) or not value:
        raise BadClaims(f"claim '{people.username_claim}' holds no user name")
    try:
        return Username(value)
    except InvalidIdentifier as error:
        raise BadClaims(f"claim '{people.username_claim}': {error}") from None


def person_of(
    given: Mapping[str, Any] | Claims,
    known: CataloguePerson | None,
    instruments: Iterable[Instrument],
    facility: Facility,
    now: datetime,
) -> Person:
    """The person; raise `BadClaims`. What was odd stands in the notes of ``given`` when that is `Claims`."""
    people = facility.people
    claims = given if isinstance(given, Claims) else Claims(given)
    username = username_of(claims.given, people)
    groups = claims.texts(people.groups_claim) | (known.groups if known else frozenset())
    told = claims.texts(people.roles_claim) | (known.roles if known else frozenset())
    others = groups.union(*(claims.texts(claim) for claim in (*people.entitlement_claims, people.assurance_claim)))
    for key in ("roles_claim", "assurance_claim", "groups_claim", "uid_claim", "gid_claim", "gids_claim"):
        if key in people.model_fields_set and (claim := getattr(people, key)):
            claims.absent(claim, key)
    roles = roles_of(told, others, people)
    if any(username in instrument.scientists for instrument in instruments):
        roles |= {"instrument_scientist"}
    name = claims.value(people.name_claim)
    gids = claims.numbers(people.gids_claim) or (known.gids if known else ())
    return Person(
        username=username,
        name=_name(name) or (known.name if known else username),
        uid=claims.number(people.uid_claim, known.uid if known else None),
        gid=claims.number(people.gid_claim, known.gid if known else None),
        gids=gids,
        groups=groups,
        roles=roles,
        email=_email(claims, people) or (known.email if known else None),
        active=True,
        verified_at=now,
    )


def roles_of(told: Iterable[str], others: Iterable[str], people: People) -> frozenset[str]:
    """Roles that people have: those that facility.yaml maps from any value, and built-in ones that are ``told``.

    ``told``: values of `roles_claim` and the catalogue's roles; ``others``: groups, entitlements and assurance:
    anybody who may name a group chooses one, so that they give mapped roles only. A built-in role that
    facility.yaml maps is given by its mapping only. Entitlements are compared as AARC-G069 says, others as they are.
    """
    direct = {value for value in told if value in BUILT_IN_ROLES and value not in people.roles}
    held = frozenset((*told, *others))
    entitled = [one for one in map(parse, held) if one is not None]

    def gives(wanted: str) -> bool:
        asked = parse(wanted)
        return wanted in held or (asked is not None and any(one.gives(asked) for one in entitled))

    return frozenset(direct | {str(role) for role, by in people.roles.items() if any(map(gives, by))})


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


def _email(claims: Claims, people: People) -> str | None:
    """Links are bound to it, so one that the provider itself does not vouch for is none."""
    email = claims.value(people.email_claim)
    unverified = claims.value("email_verified") in (False, "false", "False")
    return email if isinstance(email, str) and not unverified else None
