"""Reads facility.yaml: a `Facility`, or every mistake at once with file, line, field and what would be right."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.composer import ComposerError
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from visa.facility import rules
from visa.facility.model import Facility

LARGEST = 2**20  # bytes; a facility.yaml has some kilobytes


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake: where, which field, what is wrong and what would be right."""

    file: str
    line: int
    field: str
    wrong: str
    right: str

    def __str__(self) -> str:
        field = f"{self.field}: " if self.field else ""
        return f"{self.file}:{self.line}: {field}{self.wrong}; {self.right}"


class FacilityProblems(Exception):
    """facility.yaml cannot be used; ``problems`` says all that is wrong with it."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


def load(path: Path) -> Facility:
    """Read and check ``path``; folders in it become absolute. Raise `FacilityProblems`."""
    document = read_yaml(path)
    if not isinstance(document, CommentedMap):
        raise FacilityProblems([Problem(str(path), 1, "", "the file is not a set of keys", "begin with 'facility:'")])
    lines = Lines(document)
    data, missing = _expand(_plain(document), ("catalogue", "url"))
    problems = [
        Problem(str(path), lines.of(("catalogue", "url")), "catalogue.url", f"${{{name}}} is not set", "set it")
        for name in missing
    ]
    try:
        facility = Facility.model_validate(data)
    except ValidationError as error:
        problems += [_problem(path, lines, dict(item)) for item in error.errors(include_url=False)]
        problems += [_at(path, lines, finding) for finding in rules.check_raw(data)]
        raise FacilityProblems(problems) from None
    problems += [_at(path, lines, finding) for finding in rules.check(facility)]
    if problems:
        raise FacilityProblems(problems)
    return _absolute(facility, path.resolve().parent)


def read_yaml(path: Path) -> Any:
    """The document with its positions; raise `FacilityProblems` when it is not one readable YAML document."""
    name = str(path)
    try:
        if path.stat().st_size > LARGEST:
            raise FacilityProblems([Problem(name, 1, "", "the file is larger than 1 MiB", "give a facility.yaml")])
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise FacilityProblems([Problem(name, 1, "", "the file is not UTF-8 text", "save it as UTF-8")]) from None
    except OSError as error:
        what = (error.strerror or "cannot be read").lower()
        raise FacilityProblems([Problem(name, 1, "", what, "give a file that can be read")]) from None
    if re.search(r"(?m)(^|[\s,\[{])[&*][A-Za-z0-9_]", re.sub(r"(?m)#.*$|\"[^\"\n]*\"|'[^'\n]*'", "", text)):
        line = 1 + text[: re.search(r"(?m)(^|[\s,\[{])[&*][A-Za-z0-9_]", text).end()].count("\n")  # type: ignore[union-attr]
        raise FacilityProblems([Problem(name, line, "", "anchors and aliases (& and *) are not read", "write it out")])
    try:
        return YAML(typ="rt").load(text)
    except DuplicateKeyError as error:
        mark = error.problem_mark
        key = re.search(r'duplicate key "([^"]*)"', error.problem or "")
        wrong = f"key '{key[1]}' is there twice" if key else "a key is there twice"
        raise FacilityProblems([Problem(name, mark.line + 1, key[1] if key else "", wrong, "keep one")]) from None
    except (MarkedYAMLError, ComposerError) as error:
        mark = error.problem_mark or error.context_mark
        line = min(mark.line + 1, text.count("\n") + 1) if mark else 1
        wrong = f"not YAML ({error.problem or error.context})"
        raise FacilityProblems([Problem(name, line, "", wrong, "check indentation, colons and quotes")]) from None
    except (YAMLError, ValueError, RecursionError, AttributeError, TypeError, KeyError, IndexError) as error:
        # ruamel raises these on some broken scalars (bad timestamps, tags): all mean "not the YAML we read".
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FacilityProblems([Problem(name, 1, "", f"not YAML ({first})", "check the file")]) from None


class Lines:
    """Where a path of keys stands in the document: the line of the key, else of the nearest parent."""

    def __init__(self, document: CommentedMap) -> None:
        self._document = document

    def of(self, keys: Sequence[str | int]) -> int:
        """Line (from 1) of ``keys``."""
        node: Any = self._document
        line = 0
        for key in keys:
            position = None
            if isinstance(node, CommentedMap) and key in node:
                position = node.lc.key(key)
            elif isinstance(node, CommentedSeq) and isinstance(key, int) and key < len(node):
                position = node.lc.item(key)
            if position is None:
                break
            line, node = position[0], node[key]
        return int(line) + 1


def _plain(node: Any) -> Any:
    """The document as plain Python values (ruamel's own scalar types would show in messages)."""
    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(item) for item in node]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def _expand(data: Any, keys: tuple[str, str]) -> tuple[Any, list[str]]:
    """Replace ``${NAME}`` in one value from the environment; the names that are not set."""
    section = data.get(keys[0])
    value = section.get(keys[1]) if isinstance(section, dict) else None
    if not isinstance(value, str):
        return data, []
    names = re.findall(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", value)
    missing = [name for name in names if name not in os.environ]
    section[keys[1]] = re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", lambda m: os.environ.get(m[1], ""), value)
    return data, missing


_SENTENCES: dict[str, tuple[str, str]] = {
    "missing": ("is missing", "add it"),
    "string_type": ("is not text", "give text, in quotes if it looks like a number"),
    "string_too_short": ("is empty", "give some text"),
    "string_too_long": ("is too long", "give at most {max_length} characters"),
    "string_pattern_mismatch": ("has the wrong form", "give it as {pattern}"),
    "int_type": ("is not a whole number", "give a whole number"),
    "int_parsing": ("is not a whole number", "give a whole number"),
    "int_from_float": ("is not a whole number", "give a whole number"),
    "greater_than_equal": ("is too small", "give at least {ge}"),
    "less_than_equal": ("is too large", "give at most {le}"),
    "bool_type": ("is not yes or no", "give true or false"),
    "bool_parsing": ("is not yes or no", "give true or false"),
    "dict_type": ("is not a set of keys", "give keys and values, one level deeper"),
    "model_type": ("is not a set of keys", "give keys and values, one level deeper"),
    "model_attributes_type": ("is not a set of keys", "give keys and values, one level deeper"),
    "tuple_type": ("is not a list", "give a list, as [a, b]"),
    "list_type": ("is not a list", "give a list, as [a, b]"),
    "literal_error": ("is not one of the choices", "give {expected}"),
    "path_type": ("is not a path", "give a file or folder"),
    "too_short": ("has too few entries", "give at least {min_length}"),
    "union_tag_not_found": ("does not say its type", "add 'type: file' or 'type: sql'"),
    "union_tag_invalid": ("has an unknown type", "give {expected_tags}"),
    "url_type": ("is not an address", "give https://..."),
    "url_parsing": ("is not an address", "give https://..."),
    "url_scheme": ("is not a web address", "give https://..."),
}


def _problem(path: Path, lines: Lines, error: dict[str, Any]) -> Problem:
    kind, context = error["type"], error.get("ctx", {})
    keys = [key for key in error["loc"] if key not in ("[key]",)]
    keys = [key for i, key in enumerate(keys) if not (i == 1 and keys[0] == "catalogue" and key in ("file", "sql"))]
    field = ".".join(map(str, keys))
    if kind == "extra_forbidden":
        wrong, right = "is not known here", _did_you_mean(keys)
    elif kind == "value_error":
        wrong, _, right = str(context.get("error", error["msg"])).partition("; ")
        right = right or "see the reference in docs/operators/facility.md"
    elif kind in _SENTENCES:
        wrong, right = _SENTENCES[kind]
        wrong = f"{_shown(error.get('input'))}{wrong}" if kind != "missing" else wrong
        right = right.format(**{key: str(value) for key, value in context.items()})
    else:
        wrong, right = str(error["msg"]), "see the reference in docs/operators/facility.md"
    return Problem(str(path), lines.of(keys), field, wrong, right)


def _shown(value: Any) -> str:
    return f"{value!r} " if isinstance(value, str | int | float) and len(repr(value)) < 60 else ""


def _did_you_mean(keys: Sequence[str | int]) -> str:
    known = sorted(_fields_at(keys[:-1]))
    close = difflib.get_close_matches(str(keys[-1]), known, 1)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known are {', '.join(known)}" if known else "remove it"


def _fields_at(keys: Sequence[str | int]) -> Iterator[str]:
    """Names of the fields that a section at ``keys`` may have."""
    models: list[type[BaseModel]] = [Facility]
    for key in keys:
        models = [inner for model in models for inner in rules.models_under(model, str(key))] or models
    for model in models:
        yield from model.model_fields


def _at(path: Path, lines: Lines, finding: rules.Finding) -> Problem:
    field = ".".join(map(str, finding.keys))
    return Problem(str(path), lines.of(finding.keys), field, finding.wrong, finding.right)


def _absolute(facility: Facility, base: Path) -> Facility:
    """Folders relative to facility.yaml made absolute."""
    catalogue = facility.catalogue
    if catalogue.type == "file":
        catalogue = catalogue.model_copy(update={"path": base / catalogue.path})
    data = {
        name: root.model_copy(update={"local": root.local.model_copy(update={"root": base / root.local.root})})
        if root.local
        else root
        for name, root in facility.data.items()
    }
    environments = {
        name: entry.model_copy(update={"local": entry.local.model_copy(update={"prefix": base / entry.local.prefix})})
        if entry.local
        else entry
        for name, entry in facility.environments.items()
    }
    return facility.model_copy(update={"catalogue": catalogue, "data": data, "environments": environments})
