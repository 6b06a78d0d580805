"""What must hold between the parts of facility.yaml, beyond each value's own form."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from visa.facility.model import Facility, Lifetime, Quota

BUILT_IN_ROLES = frozenset(
    {"administrator", "it_support", "instrument_scientist", "instrument_control", "scientist", "student"}
)
"""Roles that VISA itself knows; facility.yaml may declare more under ``people.roles``."""

Key = str | int


@dataclass(frozen=True, slots=True)
class Finding:
    """A mistake at the path ``keys``."""

    keys: tuple[Key, ...]
    wrong: str
    right: str


def check(facility: Facility) -> Iterator[Finding]:
    """Every rule on a file whose values are all well-formed."""
    yield from _roles(facility)
    yield from _data(facility)
    yield from _environments(facility)
    yield from _subjects("quotas", facility.quotas)
    yield from _subjects("lifetimes", facility.lifetimes)
    yield from _lifetimes(facility.lifetimes)


def check_raw(data: dict[str, Any]) -> Iterator[Finding]:
    """The rules that still make sense when some value is wrong: names of roles."""
    people = data.get("people")
    declared = people.get("roles") if isinstance(people, dict) else None
    known = BUILT_IN_ROLES | (set(declared) if isinstance(declared, dict) else set())
    for section in ("environments", "flavours"):
        entries = data.get(section)
        for name, entry in entries.items() if isinstance(entries, dict) else ():
            roles = entry.get("roles") if isinstance(entry, dict) else None
            for index, role in enumerate(roles if isinstance(roles, list) else ()):
                if isinstance(role, str) and role not in known:
                    yield _unknown_role((section, name, "roles", index), role, known)


def models_under(model: type[BaseModel], key: str) -> Iterator[type[BaseModel]]:
    """The models that may stand at ``key`` of ``model`` (through dict, tuple, optional and union)."""
    field = model.model_fields.get(key)
    if field is not None:
        yield from _models_in(field.annotation)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type):
        if issubclass(annotation, BaseModel):
            yield annotation
        if typing.get_origin(annotation) is None:
            return
    for argument in typing.get_args(annotation):
        yield from _models_in(argument)


def _unknown_role(keys: tuple[Key, ...], role: str, known: Iterable[str]) -> Finding:
    right = f"declare it under people.roles or use one of {', '.join(sorted(known))}"
    return Finding(keys, f"role '{role}' is not known", right)


def _roles(facility: Facility) -> Iterator[Finding]:
    known = BUILT_IN_ROLES | set(facility.people.roles)
    used: list[tuple[tuple[Key, ...], str]] = []
    for name, environment in facility.environments.items():
        used += [(("environments", name, "roles", i), role) for i, role in enumerate(environment.roles)]
    for flavour_name, flavour in facility.flavours.items():
        used += [(("flavours", flavour_name, "roles", i), role) for i, role in enumerate(flavour.roles)]
    for i, entry in enumerate((*facility.quotas,)):
        used += [(("quotas", i, "role"), entry.role)] if entry.role else []
    for i, rule in enumerate(facility.lifetimes):
        used += [(("lifetimes", i, "role"), rule.role)] if rule.role else []
        used += [
            (("lifetimes", i, "extend", "auto", j), r) for j, r in enumerate(rule.extend.auto if rule.extend else ())
        ]
    used += [(("people", "allow", i), r) for i, r in enumerate(facility.people.allow) if not r.startswith("group:")]
    used += [(("people", "without_experiment", i), r) for i, r in enumerate(facility.people.without_experiment)]
    for keys, role in used:
        if role not in known:
            yield _unknown_role(keys, role, known)


def _data(facility: Facility) -> Iterator[Finding]:
    targets: dict[str, str] = {}
    for name, root in facility.data.items():
        top = root.target.split("/")[1]
        if (root.mode == "rw") != (top == "shared"):
            right = "give mode: ro for /data, mode: rw for /shared"
            yield Finding(
                ("data", name, "target" if root.mode == "rw" else "mode"), f"mode {root.mode} under /{top}", right
            )
        if root.target in targets:
            wrong = f"'{root.target}' is the place of data root '{targets[root.target]}' too"
            yield Finding(("data", name, "target"), wrong, "give another, as /data/{experiment}-" + name)
        targets.setdefault(root.target, name)
        if root.local is None and root.kubernetes is None:
            yield Finding(("data", name), "says neither local nor kubernetes", "add 'local: {root: ...}'")


def _environments(facility: Facility) -> Iterator[Finding]:
    for name, environment in facility.environments.items():
        if environment.local is None and environment.kubernetes is None:
            yield Finding(("environments", name), "says neither local nor kubernetes", "add 'local: {prefix: ...}'")
        if len(set(environment.sessions)) < len(environment.sessions):
            yield Finding(("environments", name, "sessions"), "names a session twice", "name each once")


def _subjects(section: str, entries: Iterable[Quota | Lifetime]) -> Iterator[Finding]:
    seen: dict[tuple[str, str, object], int] = {}
    for index, entry in enumerate(entries):
        for key in ("who", "user", "role", "group", "instrument", "proposal"):
            value = getattr(entry, key, None)
            if value is None:
                continue
            subject = (key, str(value), getattr(entry, "shared", None))
            if subject in seen:
                wrong = f"{key} '{value}' has an entry already (number {seen[subject] + 1})"
                yield Finding((section, index, key), wrong, "put both into one")
            seen.setdefault(subject, index)
        if isinstance(entry, Quota):
            yield from _quota(index, entry)


def _quota(index: int, entry: Quota) -> Iterator[Finding]:
    if all(getattr(entry, key) is None for key in ("instances", "cpu", "memory", "gpu")):
        yield Finding(("quotas", index), "limits nothing", "add instances, cpu, memory or gpu")
    if entry.shared is not None and not (entry.role or entry.group):
        yield Finding(("quotas", index, "shared"), "is for role and group only", "remove it")


def _lifetimes(rules: Iterable[Lifetime]) -> Iterator[Finding]:
    for index, rule in enumerate(rules):
        if rule.maximum and rule.idle and rule.idle > rule.maximum:
            yield Finding(("lifetimes", index, "idle"), "is longer than maximum", "give at most maximum")
        longest = max((value for value in (rule.maximum, rule.idle) if value), default=timedelta.max)
        for number, warning in enumerate(rule.warn):
            if warning > longest:
                yield Finding(("lifetimes", index, "warn", number), "is longer than the life itself", "give less")
        if rule.extend and rule.maximum and rule.extend.at_most < rule.maximum:
            yield Finding(("lifetimes", index, "extend", "at_most"), "is less than maximum", "give more than maximum")
