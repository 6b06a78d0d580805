"""facility.yaml: a good one is loaded, of a bad one every mistake is said at once with its place."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest

from tests.facility.example import EXAMPLE, SMALL, only, problems, write
from tests.services import facility
from visa.catalogue.sql import QUERIES as SQL_QUERIES
from visa.cli.demo.facility.write import FACILITY as DEMO
from visa.facility import model
from visa.facility.load import FORMS, load
from visa.facility.model import QUERIES, Facility, SqlCatalogue
from visa.facility.problems import FacilityProblems
from visa.facility.section import Form, Section


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATALOGUE_PASSWORD", "hunter2")


def test_the_documented_example_is_loaded(tmp_path: Path) -> None:
    facility = load(write(tmp_path, EXAMPLE))
    assert facility.flavours["small"].cpu == 0.5  # type: ignore[index]
    assert facility.flavours["large"].memory == 64 * 2**30  # type: ignore[index]
    assert facility.lifetimes[1].maximum == timedelta(days=2, hours=12)
    assert facility.quotas[2].shared is True
    assert isinstance(facility.catalogue, SqlCatalogue)
    assert facility.catalogue.url == "postgresql+psycopg://reader:hunter2@db.example.org/userdb"


def test_a_password_is_not_in_the_facilitys_own_text(tmp_path: Path) -> None:
    assert "hunter2" not in repr(load(write(tmp_path, EXAMPLE)))


def test_the_demos_facility_is_loaded(tmp_path: Path) -> None:
    assert load(write(tmp_path, DEMO.replace("PREFIX", str(tmp_path)))).facility.name == "Demo Facility"


def test_folders_are_absolute_from_where_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, SMALL.replace("root: raw", "root: ../raw"))
    monkeypatch.chdir(tmp_path)
    facility = load(Path("facility.yaml"))
    assert facility.catalogue.type == "file"
    assert facility.catalogue.path == tmp_path / "catalogue.yaml"
    root, environment = facility.data["raw"].local, facility.environments["one"].local  # type: ignore[index]
    assert root is not None
    assert root.root == tmp_path.parent / "raw"
    assert environment is not None
    assert environment.prefix == tmp_path / "environment"


def test_folders_stay_beside_the_link_of_a_config_map(tmp_path: Path) -> None:
    """Kubernetes links facility.yaml into a folder that is gone after the next edit."""
    (tmp_path / "..one").mkdir()
    write(tmp_path / "..one", SMALL)
    (tmp_path / "facility.yaml").symlink_to("..one/facility.yaml")
    facility = load(tmp_path / "facility.yaml")
    assert facility.catalogue.type == "file"
    assert facility.catalogue.path == tmp_path / "catalogue.yaml"


def test_every_mistake_is_said_at_once_with_its_place(tmp_path: Path) -> None:
    text = """\
facility:
  name: ""
  contcat: x
  links: {home: nope}
  colour: red
catalogue: {type: sqk}
people:
  roles: {staff: visa-admins, "a b": [x]}
  allow: [sientist, "group:x", staff]
data:
  raw: {path: "{year}/{foo}", mode: rw}
environments:
  one:
    title: One
    sessions: [lab]
    local: {prefix: ""}
  two:
flavours:
  small:
    cpu: lots
    memory: 2Gb
    gpu: true
    cpu: 3
  big: {cpu: 2, memory: !foo 3Gi, gpus: 1}
quotas:
  - {who: everyone, user: x, cpu: 1}
  - {rol: x, instances: -1}
  - 7
lifetimes:
  - {role: studnet, maximum: 1d, idle: 4d, warn: [7d, 1x]}
"""
    found = [(p.line, p.field) for p in problems(tmp_path, text)]
    assert found == [
        (1, "facility.contact"),
        (2, "facility.name"),
        (3, "facility.contcat"),
        (4, "facility.links.home"),
        (5, "facility.colour"),
        (6, "catalogue.type"),
        (8, "people.roles.staff"),
        (8, "people.roles.a b"),
        (9, "people.allow.0"),
        (11, "data.raw"),
        (11, "data.raw.path"),
        (11, "data.raw.path"),
        (11, "data.raw.mode"),
        (15, "environments.one.sessions.0"),
        (16, "environments.one.local.prefix"),
        (17, "environments.two"),
        (20, "flavours.small.cpu"),
        (21, "flavours.small.memory"),
        (22, "flavours.small.gpu"),
        (23, "flavours.small.cpu"),
        (24, "flavours.big.memory"),
        (24, "flavours.big.gpus"),
        (26, "quotas.0"),
        (27, "quotas.1.rol"),
        (27, "quotas.1.instances"),
        (28, "quotas.2"),
        (30, "lifetimes.0.role"),
        (30, "lifetimes.0.idle"),
        (30, "lifetimes.0.warn.1"),
    ]


def test_a_problem_reads_as_a_sentence(tmp_path: Path) -> None:
    problem = only(tmp_path, SMALL.replace("cpu: 1", "cpu: lots"))
    path = tmp_path / "facility.yaml"
    assert str(problem) == f"{path}:8: flavours.small.cpu: 'lots' is not a number of cores; give 2, 0.5 or 500m"
    assert problem.column == len("  small: {cpu: ") + 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("contact: help", "contakt: help", "facility.contakt: is not known here; did you mean 'contact'?"),
        ("cpu: 1,", "", "flavours.small.cpu: is missing; add it"),
        ("cpu: 1", "CPU: 1", "did you mean 'cpu'?"),
        ("name: Test", "name: 7", "7 is not text; give text; in quotes"),
        ("name: Test", "name: !!str ''", "facility.name: is empty; give some text"),
        ("name: Test", "name: ", "facility.name: is empty; give text"),
        ("name: Test", 'name: "a\\u0007b"', "has a control character"),
        ("name: Test", 'name: "\\ud800"', "has a control character"),
        ("name: Test", "name: &x Test", "anchors and aliases (&x) are not read; write"),
        ("name: Test", "name: !!python/object/apply:os.getcwd []", "tags (!!python/object"),
        ("name: Test", "name: !env HOME", "tags (!env) are not read"),
        ("name: Test", "name: Test, <<: {a: 1}", "merge keys (<<) are not read; write the keys out"),
        ("name: Test", "name: Test, ? [a] : 1", "a key is not a word"),
        ("name: Test", "name: Test, links: [a]", "links: is not a set of keys"),
        ("cpu: 1", "cpu: 1, gpu: yes", "'yes' is not a whole number"),
        ("cpu: 1", "cpu: 1, gpu: true", "is not a whole number"),
        ("cpu: 1", "cpu: 1, gpu: -1", "-1 is too small; give at least 0"),
        ("cpu: 1", f"cpu: {'9' * 5000}", "cannot be read as a number"),
        ("cpu: 1", "cpu: 1, roles: scientist", "'scientist' is not a list; give a list, as [a, b]"),
        ("cpu: 1", "cpu: 1, roles: [../x]", "role '../x' is not valid; give at most 64"),
        ("small:", "sm/all:", "flavour 'sm/all' is not valid"),
        ("type: file", "type: fiel", "'fiel' is not a known type; give 'file' or 'sql'"),
        ("type: file, ", "", "catalogue.type: is missing; add 'type: file'"),
        ("path: catalogue.yaml", "url: x", "catalogue.url: is not known here; known are believe, path, type"),
        ("root: raw", "root: ", "data.raw.local.root: is empty"),
        ("root: raw", "root: [a]", "is not a file or folder; give text"),
        ("title: One", "title: " + "x" * 81, "is too long; give at most 80"),
        ("local: {prefix: environment}", "kubernetes: {image: 'a b'}", "'a b' has the wrong form; give an image"),
        ("local: {root: raw}", "kubernetes: {claim: Raw}", "give the name of an object"),
        ("local: {root: raw}", "kubernetes: {claim: raw, sub_path: ../x}", "give a relative folder without '..'"),
        (
            "environments:\n  one: {title: One, local: {prefix: environment}}",
            "environments: {}",
            "environments: is empty",
        ),
    ],
)
def test_what_is_wrong_and_what_would_be_right(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in SMALL
    found = [str(problem) for problem in problems(tmp_path, SMALL.replace(old, new, 1))]
    assert any(said in text for text in found), found


def test_a_wrong_notation_is_said_once_and_not_as_a_missing_value_too(tmp_path: Path) -> None:
    assert only(tmp_path, SMALL.replace("cpu: 1", "cpu: !cores 1")).wrong == "tags (!cores) are not read"


@pytest.mark.parametrize("value", ["Fish &chips", "see *this* and &that", "'<<'", "'!important'", "- & -"])
def test_text_that_only_looks_like_anchors_is_taken(tmp_path: Path, value: str) -> None:
    block = f"one:\n    title: One\n    local: {{prefix: environment}}\n    description: |\n      {value}\n"
    text = SMALL.replace("one: {title: One, local: {prefix: environment}}", block)
    assert load(write(tmp_path, text)).environments["one"].description.strip() == value  # type: ignore[index]


# Files that are no facility.yaml at all


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (b"", 1, "the file is empty"),
        (b"# nothing\n", 1, "the file is empty"),
        (b"- a\n- b\n", 1, "is not a set of keys"),
        (b"text", 1, "is not a set of keys"),
        (b"a: [1\nb: 2\n", 2, "not YAML"),
        (b"a: 1\n\tb: 2\n", 2, "not YAML"),
        (b"a: 1\n b: 2\n", 2, "not YAML"),
        (b"a: 1\n---\nb: 2\n", 2, "more than one document"),
        (b"a: 1\nb: \xff\n", 2, "not UTF-8"),
        (b"a: 1\nb: \x00\n", 2, "control character"),
        (b"a: *nothing\n", 1, "not YAML (found undefined alias"),
        (b"[" * 5000, 1, "nested too deeply"),
        (b"a: " + b"x" * 300_000, 1, "larger than 256 KiB"),
    ],
)
def test_what_is_no_facility_yaml_is_said_clearly(tmp_path: Path, content: bytes, line: int, said: str) -> None:
    path = tmp_path / "facility.yaml"
    path.write_bytes(content)
    with pytest.raises(FacilityProblems) as caught:
        load(path)
    (problem,) = caught.value.problems
    assert said in problem.wrong
    assert problem.line == line
    assert problem.right


def test_aliases_that_would_grow_without_end_are_refused_at_once(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    found = problems(tmp_path, "\n".join(lines))
    assert any("anchors and aliases (&a11)" in problem.wrong for problem in found)


def test_a_hundred_megabytes_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "facility.yaml"
    with path.open("wb") as file:
        file.truncate(100 * 2**20)
    with pytest.raises(FacilityProblems, match="larger than 256 KiB"):
        load(path)


def test_a_missing_file_a_folder_and_a_pipe_are_said(tmp_path: Path) -> None:
    with pytest.raises(FacilityProblems, match="no such file"):
        load(tmp_path / "nothing.yaml")
    with pytest.raises(FacilityProblems, match="is not a file"):
        load(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FacilityProblems, match="is not a file"):
        load(tmp_path / "pipe")
    with pytest.raises(FacilityProblems, match="cannot be read"):
        load(Path("a\0b"))


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "facility.yaml"
    path.write_text("\ufeff" + SMALL, encoding="utf-8")
    assert load(path).facility.name == "Test"


# The catalogue's address

SQL = SMALL.replace("{type: file, path: catalogue.yaml}", "{type: sql, url: 'URL'}")


def test_a_variable_that_is_not_set_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET", raising=False)
    problem = only(tmp_path, SQL.replace("URL", "${NOT_SET}"))
    assert (problem.line, problem.field) == (2, "catalogue.url")
    assert "NOT_SET is not set" in problem.wrong


def test_variables_are_replaced_in_the_address_only(tmp_path: Path) -> None:
    text = SQL.replace("URL", "sqlite:///$x${CATALOGUE_PASSWORD}").replace("One", "'$1 ${HOME}'")
    facility = load(write(tmp_path, text))
    assert isinstance(facility.catalogue, SqlCatalogue)
    assert facility.catalogue.url == "sqlite:///$xhunter2"
    assert facility.environments["one"].title == "$1 ${HOME}"  # type: ignore[index]


@pytest.mark.parametrize(
    "text",
    [
        SQL.replace("URL", "reader:${CATALOGUE_PASSWORD}@host"),
        SQL.replace("URL", "${CATALOGUE_PASSWORD}" * 40),
        SMALL.replace("{type: file, path: catalogue.yaml}", "postgresql://reader:hunter2@host/db"),
        SQL.replace("'URL'", "['x:hunter2']"),
    ],
)
def test_no_message_shows_the_password(tmp_path: Path, text: str) -> None:
    assert "hunter2" not in "".join(map(str, problems(tmp_path, text)))


def test_a_query_that_is_not_asked_is_a_mistake(tmp_path: Path) -> None:
    text = SQL.replace("url: 'URL'", "url: 'sqlite://', queries: {experiment: x}")
    assert "is not one of the queries; did you mean 'experiments'?" in str(only(tmp_path, text))


def test_the_model_knows_the_queries_of_the_sql_catalogue() -> None:
    assert set(QUERIES) == set(SQL_QUERIES)


def test_every_form_has_its_remedy() -> None:
    sections = [kind for kind in vars(model).values() if isinstance(kind, type) and issubclass(kind, Section)]
    assert Facility in sections
    with_form = {
        key
        for section in sections
        for key, field in section.model_fields.items()
        if any(getattr(rule, "pattern", None) and not isinstance(rule, Form) for rule in field.metadata)
    }
    assert with_form == set(FORMS)


@pytest.mark.parametrize("zone", ["Europe/Pariss", "../etc/passwd", "", "CEST"])
def test_a_time_zone_that_is_none_is_said(zone: str) -> None:
    with pytest.raises(ValueError, match=r"time_zone\n.*is not a time zone"):
        Facility.model_validate({**facility.document(), "facility": {"name": "N", "contact": "c", "time_zone": zone}})
