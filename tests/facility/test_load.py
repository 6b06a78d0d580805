"""facility.yaml: every mistake at once, each where it is and with what would be right."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.services.facility import document, write
from visa.facility.load import FacilityProblems, Problem, load

BROKEN = """\
facility: {name: Demo, contact: me}
catalogue: {type: file, path: catalogue.yaml}
data:
  raw: {path: "{instrument}/{foo}", local: {root: /x}}
environments:
  e: {title: x, roles: [studnt], locl: {prefix: x}}
flavours:
  small:
    cpu: lots
    memory: 2 Gigs
    gpus: 2
quotas:
  - {who: everyone, user: x, instances: 1}
  - {who: everyone, instances: -1}
lifetimes:
  - {who: everyone, maximum: 2 days}
"""


def problems(path: Path) -> tuple[Problem, ...]:
    with pytest.raises(FacilityProblems) as raised:
        load(path)
    return raised.value.problems


def changed(tmp_path: Path, **parts: Any) -> tuple[Problem, ...]:
    return problems(write(tmp_path, **parts))


def test_a_good_file_has_absolute_folders(tmp_path: Path) -> None:
    facility = load(write(tmp_path))
    assert facility.data["raw"].local is not None  # type: ignore[index]
    assert facility.data["raw"].local.root == tmp_path / "data" / "raw"  # type: ignore[index, union-attr]
    assert facility.environments["scattering"].local.prefix == tmp_path / "environment"  # type: ignore[index, union-attr]
    assert facility.catalogue.path == tmp_path / "catalogue.yaml"  # type: ignore[union-attr]


def test_every_mistake_at_once_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "facility.yaml"
    path.write_text(BROKEN)
    found = {(p.line, p.field): p for p in problems(path)}
    assert set(found) == {
        (4, "data.raw.path"),
        (6, "environments.e.roles.0"),
        (6, "environments.e.locl"),
        (9, "flavours.small.cpu"),
        (10, "flavours.small.memory"),
        (11, "flavours.small.gpus"),
        (13, "quotas.0"),
        (14, "quotas.1.instances"),
        (16, "lifetimes.0.maximum"),
    }
    assert found[(6, "environments.e.locl")].right == "did you mean 'local'?"
    assert found[(11, "flavours.small.gpus")].right == "did you mean 'gpu'?"
    expected = f"{path}:9: flavours.small.cpu: 'lots' is not a number of cores; give 2, 0.5 or 500m"
    assert str(found[(9, "flavours.small.cpu")]) == expected


@pytest.mark.parametrize(
    ("text", "line", "wrong"),
    [
        ("", 1, "set of keys"),
        ("- a\n- b\n", 1, "set of keys"),
        ("facility: [unclosed\n", 1, "not YAML"),
        ("a: 1\nb: 2\na: 3\n", 3, "twice"),
        ("a: &x [1]\nb: *x\n", 1, "anchors"),
        ("a: !!python/object/apply:os.system [id]\n", 1, ""),
    ],
)
def test_what_is_no_facility_file(tmp_path: Path, text: str, line: int, wrong: str) -> None:
    path = tmp_path / "facility.yaml"
    path.write_text(text)
    found = problems(path)
    assert any(problem.line >= 1 and wrong in problem.wrong for problem in found), found
    assert all(problem.line <= text.count("\n") + 1 for problem in found)
    if wrong:
        assert found[0].line in (line, 2), found


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "no such file" in problems(tmp_path / "missing.yaml")[0].wrong
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    assert "UTF-8" in problems(binary)[0].wrong
    huge = tmp_path / "huge.yaml"
    huge.write_bytes(b"#" * (2**20 + 1))
    assert "larger" in problems(huge)[0].wrong
    assert "directory" in problems(tmp_path)[0].wrong


@pytest.mark.parametrize(
    ("part", "value", "field"),
    [
        ("data", {"r": {"path": "{experiment}", "mode": "rw", "local": {"root": "x"}}}, "data.r.target"),
        (
            "data",
            {"r": {"path": "{experiment}", "target": "/shared/{experiment}", "local": {"root": "x"}}},
            "data.r.mode",
        ),
        ("data", {"r": {"path": "../{experiment}", "local": {"root": "x"}}}, "data.r.path"),
        ("data", {"r": {"path": "/{experiment}", "local": {"root": "x"}}}, "data.r.path"),
        ("data", {"r": {"path": "{experiment.__class__}", "local": {"root": "x"}}}, "data.r.path"),
        ("data", {"r": {"path": "{experiment}"}}, "data.r"),
        ("data", {"r": {"path": "a", "target": "/etc/{experiment}", "local": {"root": "x"}}}, "data.r.target"),
        (
            "data",
            {n: {"path": "{experiment}", "local": {"root": "x"}} for n in ("a", "b")},
            "data.b.target",
        ),
        ("environments", {"e": {"title": "x"}}, "environments.e"),
        ("environments", {}, "environments"),
        ("environments", {"a/b": {"title": "x", "local": {"prefix": "p"}}}, "environments.a/b"),
        (
            "environments",
            {"e": {"title": "x", "sessions": ["shell"], "local": {"prefix": "p"}}},
            "environments.e.sessions.0",
        ),
        ("quotas", [{"who": "everyone"}], "quotas.0"),
        ("quotas", [{"who": "everyone", "instances": 1}, {"who": "everyone", "cpu": 1}], "quotas.1.who"),
        ("quotas", [{"role": "nobody", "instances": 1}], "quotas.0.role"),
        ("quotas", [{"who": "everyone", "shared": True, "instances": 1}], "quotas.0.shared"),
        ("lifetimes", [{"who": "everyone", "maximum": "1d", "idle": "2d"}], "lifetimes.0.idle"),
        ("lifetimes", [{"who": "everyone", "maximum": "1d", "warn": ["2d"]}], "lifetimes.0.warn.0"),
        (
            "lifetimes",
            [{"who": "everyone", "maximum": "9d", "extend": {"by": "1d", "at_most": "2d"}}],
            "lifetimes.0.extend.at_most",
        ),
        ("people", {"allow": ["nobody"]}, "people.allow.0"),
        ("catalogue", {"type": "cloud"}, "catalogue"),
        ("catalogue", {"type": "sql", "url": "postgresql://u:${VISA_NOT_SET}@h/d"}, "catalogue.url"),
        ("facility", {"name": "x", "contact": "y", "links": {"a": "javascript:alert(1)"}}, "facility.links.a"),
        ("facility", {"name": "x", "contact": "y", "colour": "red"}, "facility.colour"),
    ],
)
def test_each_rule_names_its_field(tmp_path: Path, part: str, value: Any, field: str) -> None:
    found = changed(tmp_path, **{part: value})
    assert field in {problem.field for problem in found}, [str(p) for p in found]
    assert all(problem.wrong and problem.right for problem in found)


def test_passwords_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISA_TEST_PASSWORD", "s3cret")
    url = "postgresql://u:${VISA_TEST_PASSWORD}@h/d"
    facility = load(write(tmp_path, catalogue={"type": "sql", "url": url}))
    assert facility.catalogue.url == "postgresql://u:s3cret@h/d"  # type: ignore[union-attr]


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just([]) | st.just({})


@given(st.data())
def test_any_change_loads_or_says_where_it_is_wrong(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = copy.deepcopy(document())
    node: Any = content
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.booleans()):
            node[key] = data.draw(VALUES)
            break
        node = node[key]
    path = tmp_path_factory.mktemp("facility") / "facility.yaml"
    text = yaml.safe_dump(content, allow_unicode=True)
    path.write_text(text)
    found: tuple[Problem, ...] = ()
    try:
        load(path)
    except FacilityProblems as error:
        found = error.problems or (Problem("", 0, "", "", ""),)
    assert all(1 <= problem.line <= text.count("\n") + 1 for problem in found)
    assert all(problem.wrong and problem.right for problem in found)
