"""What must hold between the parts of facility.yaml, beyond each value's own form.

The rules work on the plain document and on those of its entries that are well-formed, so that a
mistake in one entry does not hide the mistakes in the others.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from visa.facility.document import Keys
from visa.facility.entitlements import parse
from visa.facility.model import (
    BUILT_IN_ROLES,
    DataRoot,
    Environment,
    Facility,
    Lifetime,
    Quota,
)
from visa.facility.section import Section, subject_fault

__all__ = ["BUILT_IN_ROLES", "Finding", "check", "fields_at"]

S = TypeVar("S", bound=Section)
_DATABASE = re.compile(r"[a-z][a-z0-9_]*(\+[a-z0-9_]+)?://.*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Finding:
    """A mistake at the path ``keys``."""

    keys: Keys
    wrong: str
    right: str


def check(document: Mapping[str, Any]) -> Iterator[Finding]:
    """Every rule that can be judged on ``document``, whatever else is wrong with it."""
    yield from _catalogue(document.get("catalogue"))
    yield from _roles(document)
    yield from _data(document)
    yield from _claims(document)
    yield from _entitlements(document)
    yield from _environments(document)
    yield from _quotas(document)
    yield from _lifetimes(document)


def fields_at(keys: Keys) -> Iterator[str]:
    """Names of the keys that the section at ``keys`` may have; the tag of a union counts as a key."""
    annotations: list[Any] = [Facility]
    for key in keys:
        annotations = [inner for annotation in annotations for inner in _under(annotation, str(key))]
    for annotation in annotations:
        yield from annotation.model_fields if _is_section(annotation) else ()


def _under(annotation: Any, key: str) -> Iterator[Any]:
    """The types that may stand at ``key`` of ``annotation``, unions and annotations taken apart."""
    if _is_section(annotation):
        found = annotation.model_fields.get(key)
        tag = annotation.model_fields.get("type")
        if tag is not None and typing.get_args(tag.annotation) == (key,):
            yield annotation
        yield from _alternatives(found.annotation) if found else ()
    elif typing.get_origin(annotation) in (dict, tuple):
        yield from _alternatives(typing.get_args(annotation)[1 if typing.get_origin(annotation) is dict else 0])


def _alternatives(annotation: Any) -> Iterator[Any]:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        yield from _alternatives(typing.get_args(annotation)[0])
    elif origin in (typing.Union, types.UnionType):
        for argument in typing.get_args(annotation):
            yield from _alternatives(argument)
    else:
        yield annotation


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


# The document, however broken


def _entries(document: Mapping[str, Any], section: str) -> Iterator[tuple[Keys, dict[str, Any]]]:
    """The entries of a section of named or listed entries that are sets of keys."""
    content = document.get(section)
    if isinstance(content, dict):
        pairs: Iterable[tuple[str | int, Any]] = content.items()
    else:
        pairs = enumerate(content) if isinstance(content, list) else ()
    for key, entry in pairs:
        if isinstance(entry, dict):
            yield (section, key), entry


def _formed(model: type[S], entry: dict[str, Any]) -> tuple[S | None, set[str]]:
    """``entry`` without its malformed keys (None when nothing usable is left), and those keys."""
    bad: set[str] = set()
    for _attempt in range(2):
        try:
            return model.model_validate({key: value for key, value in entry.items() if key not in bad}), bad
        except ValidationError as error:
            bad |= {str(item["loc"][0]) for item in error.errors(include_url=False) if item["loc"]}
    return None, bad


def _lacks(model: type[S], entry: dict[str, Any], *keys: str) -> bool:
    """Whether none of ``keys`` is given, nor a key that may be one of them misspelt."""
    return all(entry.get(key) is None for key in keys) and set(entry) <= set(model.model_fields)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


# The rules


def _catalogue(section: Any) -> Iterator[Finding]:
    url = section.get("url") if isinstance(section, dict) and section.get("type") == "sql" else None
    if isinstance(url, str) and not _DATABASE.fullmatch(url):
        right = "give an SQLAlchemy URL, as postgresql+psycopg://reader:${PASSWORD}@host/name"
        yield Finding(("catalogue", "url"), "is not a database address", right)


def _roles(document: Mapping[str, Any]) -> Iterator[Finding]:
    people = document.get("people")
    people = people if isinstance(people, dict) else {}
    declared = people.get("roles")
    known = BUILT_IN_ROLES | (set(declared) if isinstance(declared, dict) else set())
    for keys, role in _named_roles(document, people):
        if isinstance(role, str) and role and role not in known:
            close = difflib.get_close_matches(role, sorted(known), 1)
            right = f"did you mean '{close[0]}'?" if close else f"known are {', '.join(sorted(known))}"
            right += " (declare others under people.roles)"
            yield Finding(keys, f"role '{role[:64]}' is not known", right)


def _named_roles(document: Mapping[str, Any], people: dict[str, Any]) -> Iterator[tuple[Keys, Any]]:
    for section in ("environments", "flavours"):
        for keys, entry in _entries(document, section):
            yield from (((*keys, "roles", i), role) for i, role in enumerate(_list(entry.get("roles"))))
    for section in ("quotas", "lifetimes"):
        for keys, entry in _entries(document, section):
            yield (*keys, "role"), entry.get("role")
            extend = entry.get("extend") if section == "lifetimes" else None
            auto = _list(extend.get("auto")) if isinstance(extend, dict) else []
            yield from (((*keys, "extend", "auto", i), role) for i, role in enumerate(auto))
    for key in ("allow", "without_experiment", "embargoed_needs"):
        for i, role in enumerate(_list(people.get(key))):
            if not (key == "allow" and isinstance(role, str) and role.startswith("group:")):
                yield ("people", key, i), role
    support = document.get("support")
    yield from _support_roles(support if isinstance(support, dict) else {})


def _support_roles(support: dict[str, Any]) -> Iterator[tuple[Keys, Any]]:
    window = support.get("window")
    for keys, names in (
        (("support", "everywhere"), support.get("everywhere")),
        (("support", "break_glass"), support.get("break_glass")),
        (("support", "window", "roles"), window.get("roles") if isinstance(window, dict) else None),
    ):
        yield from (((*keys, i), role) for i, role in enumerate(_list(names)))


def _data(document: Mapping[str, Any]) -> Iterator[Finding]:
    targets: dict[str, str] = {}
    for keys, entry in _entries(document, "data"):
        if _lacks(DataRoot, entry, "local", "kubernetes"):
            yield Finding(keys, "says neither local nor kubernetes", "add 'local: {root: ...}'")
        path = entry.get("path")
        if isinstance(path, str) and path and "{experiment}" not in path and "{proposal}" not in path:
            # Else whoever has one experiment reads all others' data.
            right = "name {experiment} or {proposal} in it"
            yield Finding((*keys, "path"), "is one folder for all experiments", right)
        root, bad = _formed(DataRoot, {**entry, "path": "{experiment}"})
        if root is None or bad & {"mode", "target"}:
            continue
        name, top = str(keys[1]), root.target.split("/")[1]
        if (root.mode == "rw") != (top == "shared"):
            where = (*keys, "target" if "target" in entry else "mode")
            yield Finding(where, f"mode {root.mode} does not go with /{top}", _RIGHT_MODE[root.mode])
        if root.target in targets:
            wrong = f"'{root.target}' is the place of data root '{targets[root.target]}' too"
            right = f"give another, as /{top}/{{experiment}}-{name}"
            yield Finding((*keys, "target"), wrong, right)
        targets.setdefault(root.target, name)


def _claims(document: Mapping[str, Any]) -> Iterator[Finding]:
    """A claim is mounted read-only as a whole or not at all: else Kubernetes makes folders that are missing."""
    roots = [(keys, entry.get("mode", "ro"), _claim(entry)) for keys, entry in _entries(document, "data")]
    written = {claim: f"data root '{keys[1]}'" for keys, mode, claim in roots if claim and mode == "rw"}
    homes = document.get("homes")
    homes = homes if isinstance(homes, dict) else {}
    if (claim := _claim(homes)) is not None:
        written[claim] = "homes"
    yield from _set_group(homes.get("kubernetes"), document)
    for keys, mode, claim in roots:
        if claim in written and mode == "ro":
            right = "give what is read and what is written claims of their own (two volumes may name one export)"
            yield Finding((*keys, "kubernetes", "claim"), f"'{claim}' is written to by {written[claim]}", right)


def _entitlements(document: Mapping[str, Any]) -> Iterator[Finding]:
    """What is written as a group of an AAI can be read as one, and stands where entitlements are compared."""
    people = document.get("people")
    people = people if isinstance(people, dict) else {}
    roles = people.get("roles")
    for role, values in (roles if isinstance(roles, dict) else {}).items():
        for i, value in enumerate(_list(values)):
            if isinstance(value, str) and value[:4].lower() == "urn:" and ":group:" in value and parse(value) is None:
                right = "write urn:NID:AUTHORITY[:…]:group:GROUP[:SUBGROUP…][:role=ROLE][#AUTHORITY] (AARC-G069)"
                yield Finding(
                    ("people", "roles", role, i), f"'{value[:200]}' is no entitlement that can be read", right
                )
    for i, value in enumerate(_list(people.get("allow"))):
        if isinstance(value, str) and value[:10].lower() == "group:urn:":
            right = "map the entitlement to a role under people.roles, and allow that role"
            yield Finding(("people", "allow", i), "an entitlement is not a group's name", right)


def _claim(entry: dict[str, Any]) -> str | None:
    storage = entry.get("kubernetes")
    claim = storage.get("claim") if isinstance(storage, dict) else None
    return claim if isinstance(claim, str) else None


def _set_group(storage: Any, document: Mapping[str, Any]) -> Iterator[Finding]:
    if not isinstance(storage, dict) or storage.get("set_group") is not True:
        return
    for keys, entry in _entries(document, "data"):
        if entry.get("mode") == "rw" and isinstance(entry.get("kubernetes"), dict):
            wrong = f"would also give data root '{keys[1]}' to the person's group"
            yield Finding(("homes", "kubernetes", "set_group"), wrong, "remove it, and let the storage set the owner")


_RIGHT_MODE = {
    "rw": "give target: /shared/{experiment}, or mode: ro (what is under /data cannot be changed)",
    "ro": "give target: /data/{experiment}, or mode: rw (what is under /shared can be changed)",
}


def _environments(document: Mapping[str, Any]) -> Iterator[Finding]:
    for keys, entry in _entries(document, "environments"):
        if _lacks(Environment, entry, "local", "kubernetes"):
            yield Finding(keys, "says neither local nor kubernetes", "add 'local: {prefix: ...}'")
        for key in ("sessions", "roles", "instruments"):
            yield from _twice((*keys, key), _list(entry.get(key)))
    for keys, entry in _entries(document, "flavours"):
        yield from _twice((*keys, "roles"), _list(entry.get("roles")))


def _twice(keys: Keys, values: list[Any]) -> Iterator[Finding]:
    for index, value in enumerate(values):
        if isinstance(value, str) and value in values[:index]:
            yield Finding((*keys, index), f"'{value[:64]}' is there twice", "name it once")


def _subjects(entries: Iterable[tuple[Keys, dict[str, Any]]], model: type[Quota | Lifetime]) -> Iterator[Finding]:
    """Each entry is about one subject, and each subject has one entry."""
    seen: dict[object, int] = {}
    for keys, entry in entries:
        given = [key for key in model.subjects if entry.get(key) is not None]
        if (fault := subject_fault(given, model.subjects)) and (given or _lacks(model, entry, *model.subjects)):
            wrong, _, right = fault.partition("; ")
            yield Finding(keys, wrong, right)
        elif len(given) == 1 and isinstance(entry[given[0]], str):
            value, number = entry[given[0]], int(keys[1])
            together = entry.get("shared", given[0] == "group")
            subject = (given[0], value, together is True)
            if subject in seen:
                wrong = f"'{value[:128]}' has an entry already (number {seen[subject] + 1} of the list)"
                yield Finding((*keys, given[0]), wrong, "put both into one entry")
            seen.setdefault(subject, number)


def _quotas(document: Mapping[str, Any]) -> Iterator[Finding]:
    entries = list(_entries(document, "quotas"))
    yield from _subjects(entries, Quota)
    for keys, entry in entries:
        if _lacks(Quota, entry, "instances", "cpu", "memory", "gpu"):
            yield Finding(keys, "limits nothing", "add instances, cpu, memory or gpu")
        if entry.get("shared") is not None and not (entry.get("role") or entry.get("group")):
            yield Finding((*keys, "shared"), "is for role and group only", "remove it")


def _lifetimes(document: Mapping[str, Any]) -> Iterator[Finding]:
    entries = list(_entries(document, "lifetimes"))
    yield from _subjects(entries, Lifetime)
    for keys, entry in entries:
        rule, _bad = _formed(Lifetime, {**entry, "who": "everyone", "role": None})
        if rule is None:
            continue
        if rule.maximum and rule.idle and rule.idle > rule.maximum:
            yield Finding((*keys, "idle"), "is longer than maximum", "give at most what maximum says")
        longest = max((value for value in (rule.maximum, rule.idle) if value), default=timedelta.max)
        for number, warning in enumerate(rule.warn):
            if warning > longest:
                yield Finding((*keys, "warn", number), "is longer than the whole life", "give less than maximum")
        if rule.extend and rule.maximum and rule.extend.at_most < rule.maximum:
            yield Finding((*keys, "extend", "at_most"), "is less than maximum", "give more than maximum says")
