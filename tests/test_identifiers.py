"""Identifiers: what passes can be put into a path, a label, a pod name or SQL."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from visa import identifiers
from visa.identifiers import ExperimentId, Identifier, InvalidIdentifier, ServerName, Username, instance_id

KINDS = [kind for kind in vars(identifiers).values() if isinstance(kind, type) and issubclass(kind, Identifier)]
UNSAFE = [
    "", ".", "..", "-x", "_x", ".x", "a..b", "../a", "a/b", "/a", "a\\b", "a b", " a", "a ", "a\n", "\na", "a\x00b",
    "a\tb", "{a}", "{a.__class__}", "%2e%2e", "a%", "a;b", "a'b", 'a"b', "a:b", "a,b", "$a", "é", "ａ", "a\u202eb",
    "\ud800", "٣",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", UNSAFE)
def test_unsafe_text_is_refused_by_every_kind(kind: type[Identifier], text: str) -> None:
    with pytest.raises(InvalidIdentifier, match=kind.kind):
        kind(text)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", ["a", "7", "A.b_c-d", "p-2026-017", "d22"])
def test_usual_ids_are_taken_as_they_are(kind: type[Identifier], text: str) -> None:
    made = kind(text)
    assert made == text
    assert isinstance(made, str)
    assert hash(made) == hash(text), "it is found in tables of plain text"


@pytest.mark.parametrize("kind", KINDS)
def test_the_longest_passes_and_one_more_does_not(kind: type[Identifier]) -> None:
    assert kind("a" * kind.longest)
    with pytest.raises(InvalidIdentifier) as refused:
        kind("a" * 1_000_000)
    assert len(str(refused.value)) < 300, "a message never echoes at length"
    with pytest.raises(InvalidIdentifier):
        kind("a" * (kind.longest + 1))


def test_only_user_names_may_be_mail_addresses() -> None:
    assert Username("marie+x@example.org")
    for kind in KINDS:
        if kind is not Username:
            with pytest.raises(InvalidIdentifier):
                kind("marie@example.org")


@pytest.mark.parametrize("value", [None, 1, True, 1.5, b"a", ["a"], {"a": 1}])
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(InvalidIdentifier, match="must be text"):
        Identifier(value)  # type: ignore[arg-type]


@given(st.sampled_from(KINDS), st.text(max_size=12) | st.text(alphabet="a.-_/{}@%\x00", max_size=12))
def test_whatever_passes_is_one_plain_part_of_a_path(kind: type[Identifier], text: str) -> None:
    try:
        made = kind(text)
    except InvalidIdentifier:
        return
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@+-]*", made)
    assert ".." not in made
    assert made == text


@given(st.text(max_size=12) | st.from_regex(r"[A-Za-z0-9._-]{1,12}", fullmatch=True))
def test_models_and_their_schema_agree_with_the_type(text: str) -> None:
    class Model(BaseModel):
        id: ExperimentId

    schema = Model.model_json_schema()["properties"]["id"]
    by_schema = re.search(schema["pattern"], text) is not None and "\n" not in text and len(text) <= schema["maxLength"]
    try:
        made = Model(id=text)  # type: ignore[arg-type]
    except ValidationError:
        assert not by_schema
        return
    assert by_schema
    assert isinstance(made.id, ExperimentId)
    assert json.loads(made.model_dump_json()) == {"id": text}


@given(st.lists(st.tuples(st.text(max_size=6), st.text(max_size=6)), min_size=2, max_size=2, unique=True))
def test_an_instances_id_is_fixed_by_owner_and_name(pairs: list[tuple[str, str]]) -> None:
    first, second = (instance_id(*(part.replace("\0", "") for part in pair)) for pair in pairs)
    assert re.fullmatch(r"[0-9a-f]{16}", first)
    cleaned = {tuple(part.replace("\0", "") for part in pair) for pair in pairs}
    assert (first == second) == (len(cleaned) == 1)


def test_an_instances_id_does_not_change_between_versions() -> None:
    assert instance_id("marie", "work") == "ca7183a15496eb4c"
    assert instance_id("ab", "c") != instance_id("a", "bc")


def test_server_names_are_as_long_as_the_store_keeps() -> None:
    assert ServerName.longest == 64
