"""What must hold between the parts of facility.yaml: each rule broken once, and what is right beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.facility.example import SMALL, only, problems, write
from visa.facility.load import load
from visa.facility.rules import BUILT_IN_ROLES, fields_at


def _added(text: str) -> str:
    return SMALL + text


@pytest.mark.parametrize("role", sorted(BUILT_IN_ROLES))
def test_built_in_roles_are_known(tmp_path: Path, role: str) -> None:
    facility = load(write(tmp_path, _added(f"quotas: [{{role: {role}, instances: 1}}]")))
    assert facility.quotas[0].role == role


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (SMALL.replace("title: One", "title: One, roles: [scientist, boss]"), "environments.one.roles.1"),
        (SMALL.replace("cpu: 1", "cpu: 1, roles: [boss]"), "flavours.small.roles.0"),
        (_added("quotas: [{role: boss, instances: 1}]"), "quotas.0.role"),
        (_added("lifetimes: [{role: boss, maximum: 1d}]"), "lifetimes.0.role"),
        (
            _added("lifetimes: [{who: everyone, maximum: 1d, extend: {by: 1d, at_most: 9d, auto: [boss]}}]"),
            "lifetimes.0.extend.auto.0",
        ),
        (_added("people: {allow: ['group:any', boss]}"), "people.allow.1"),
        (_added("people: {without_experiment: [boss]}"), "people.without_experiment.0"),
        (_added("people: {embargoed_needs: [boss]}"), "people.embargoed_needs.0"),
        (_added("support: {everywhere: [boss]}"), "support.everywhere.0"),
        (_added("support: {break_glass: [boss]}"), "support.break_glass.0"),
        (_added("support: {window: {roles: [boss]}}"), "support.window.roles.0"),
    ],
)
def test_roles_must_be_known_everywhere(tmp_path: Path, text: str, field: str) -> None:
    problem = only(tmp_path, text)
    assert (problem.field, problem.wrong) == (field, "role 'boss' is not known")
    declared = text.replace("people: {", "people: {roles: {boss: [x]}, ")
    load(write(tmp_path, declared if "people" in text else text + "\npeople: {roles: {boss: [x]}}"))


def test_a_misspelt_role_gets_a_suggestion(tmp_path: Path) -> None:
    problem = only(tmp_path, _added("quotas: [{role: sientist, instances: 1}]"))
    assert problem.right.startswith("did you mean 'scientist'?")


@pytest.mark.parametrize(
    ("old", "new", "field", "said"),
    [
        ("local: {root: raw}", "mode: rw, local: {root: raw}", "data.raw.mode", "give target: /shared/{experiment}"),
        (
            "local: {root: raw}",
            "target: '/shared/{experiment}', local: {root: raw}",
            "data.raw.target",
            "give target: /data/{experiment}",
        ),
        (", local: {root: raw}", "", "data.raw", "add 'local: {root: ...}'"),
        ("{proposal}/{experiment}", "{instrument}/{year}", "data.raw.path", "name {experiment} or {proposal} in it"),
        ("{proposal}/{experiment}", "all", "data.raw.path", "name {experiment} or {proposal} in it"),
        (", local: {prefix: environment}", "", "environments.one", "add 'local: {prefix: ...}'"),
        ("title: One", "title: One, sessions: [desktop, desktop]", "environments.one.sessions.1", "name it once"),
        ("cpu: 1", "cpu: 1, roles: [student, student]", "flavours.small.roles.1", "name it once"),
    ],
)
def test_data_environments_and_flavours(tmp_path: Path, old: str, new: str, field: str, said: str) -> None:
    assert old in SMALL
    problem = only(tmp_path, SMALL.replace(old, new, 1))
    assert problem.field == field
    assert said in problem.right


def test_two_data_roots_at_one_place(tmp_path: Path) -> None:
    second = '  more: {path: "{experiment}", local: {root: more}}\n'
    problem = only(tmp_path, SMALL.replace("environments:\n", second + "environments:\n"))
    assert (problem.line, problem.field) == (5, "data.more.target")
    assert problem.right == "give another, as /data/{experiment}-more"
    mended = second.replace("local", 'target: "/data/{experiment}-more", local')
    load(write(tmp_path, SMALL.replace("environments:\n", mended + "environments:\n")))


@pytest.mark.parametrize(
    ("entries", "field", "said"),
    [
        ("[{instances: 1}]", "quotas.0", "does not say whom it is for"),
        ("[{who: everyone, role: student, instances: 1}]", "quotas.0", "names who, role at once"),
        ("[{who: everyone}]", "quotas.0", "limits nothing"),
        ("[{user: marie, shared: true, gpu: 1}]", "quotas.0.shared", "is for role and group only"),
        ("[{who: everyone, gpu: 1}, {who: everyone, cpu: 1}]", "quotas.1.who", "has an entry already (number 1"),
        ("[{role: student, gpu: 1}, {role: student, shared: false, cpu: 1}]", "quotas.1.role", "has an entry already"),
        ("[{group: a, gpu: 1}, {group: a, shared: true, cpu: 1}]", "quotas.1.group", "has an entry already"),
    ],
)
def test_quotas(tmp_path: Path, entries: str, field: str, said: str) -> None:
    problem = only(tmp_path, _added(f"quotas: {entries}"))
    assert problem.field == field
    assert said in problem.wrong


@pytest.mark.parametrize(
    "entries",
    [
        "[{role: student, gpu: 1}, {role: student, shared: true, cpu: 1}]",
        "[{group: a, gpu: 1}, {group: a, shared: false, cpu: 1}]",
        "[{user: a, gpu: 0}, {group: a, gpu: 0}, {proposal: a, gpu: 0}, {instrument: a, gpu: 0}]",
    ],
)
def test_quotas_of_different_pots_stand_beside_each_other(tmp_path: Path, entries: str) -> None:
    assert len(load(write(tmp_path, _added(f"quotas: {entries}"))).quotas) >= 2


@pytest.mark.parametrize(
    ("entry", "field", "said"),
    [
        ("{maximum: 1d}", "lifetimes.0", "does not say whom it is for"),
        ("{who: everyone, maximum: 1d, idle: 2d}", "lifetimes.0.idle", "longer than maximum"),
        ("{who: everyone, maximum: 1d, warn: [1h, 2d]}", "lifetimes.0.warn.1", "longer than the whole life"),
        ("{who: everyone, maximum: 2d, extend: {by: 1d, at_most: 1d}}", "lifetimes.0.extend.at_most", "less than max"),
    ],
)
def test_lifetimes(tmp_path: Path, entry: str, field: str, said: str) -> None:
    problem = only(tmp_path, _added(f"lifetimes: [{entry}]"))
    assert problem.field == field
    assert said in problem.wrong


def test_a_lifetime_may_have_its_limits_at_the_same_length(tmp_path: Path) -> None:
    text = _added("lifetimes: [{who: everyone, maximum: 1d, idle: 1d, warn: [1d], extend: {by: 1d, at_most: 1d}}]")
    assert load(write(tmp_path, text)).lifetimes[0].idle is not None


def test_one_mistake_in_an_entry_does_not_hide_another_nor_make_a_third(tmp_path: Path) -> None:
    text = _added("lifetimes: [{who: everyone, maximum: 1d, idle: 2d, warn: [x]}]\nquotas: [{who: everyone, cpu: x}]")
    assert [p.field for p in problems(tmp_path, text)] == ["lifetimes.0.idle", "lifetimes.0.warn.0", "quotas.0.cpu"]
    misspelt = SMALL.replace("local: {root: raw}", "locl: {root: raw}")
    assert only(tmp_path, misspelt).right == "did you mean 'local'?"


def test_the_keys_of_a_section_are_found_also_where_a_name_is_a_key_elsewhere() -> None:
    assert "prefix" not in set(fields_at(("environments", "local")))
    assert set(fields_at(("environments", "kubernetes", "local"))) == {"prefix"}
    assert set(fields_at(("catalogue", "file"))) == {"type", "path", "believe"}
    assert "by" in set(fields_at(("lifetimes", 3, "extend")))
    assert not list(fields_at(("facility", "name", "x")))


@pytest.mark.parametrize(
    "value",
    [
        "urn:geant:group:",
        "URN:geant:example.org:group:",
        "urn::example.org:group:a",
        "urn:geant:example.org:group:#x",
        "urn:geant:example.org:group:a:role=",
    ],
)
def test_an_entitlement_that_cannot_be_read_is_refused(tmp_path: Path, value: str) -> None:
    problem = only(tmp_path, _added(f"people: {{roles: {{student: ['{value}']}}}}"))
    assert problem.field == "people.roles.student.0"
    assert value in problem.wrong


@pytest.mark.parametrize(
    "value", ["urn:geant:example.org:group:a#x", "urn:mace:dir:entitlement:common-lib-terms", "a:group:b"]
)
def test_other_values_are_left_as_they_are(tmp_path: Path, value: str) -> None:
    load(write(tmp_path, _added(f"people: {{roles: {{student: ['{value}']}}}}")))


def test_an_entitlement_is_allowed_through_a_role(tmp_path: Path) -> None:
    problem = only(tmp_path, _added("people: {allow: ['group:urn:geant:example.org:group:a']}"))
    assert (problem.field, problem.wrong) == ("people.allow.0", "an entitlement is not a group's name")
    assert "people.roles" in problem.right
