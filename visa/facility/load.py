"""Reads facility.yaml: a `Facility`, or every mistake at once with file, line, field and what would be right."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from visa.facility import rules
from visa.facility.document import Document, Keys, read
from visa.facility.model import Facility
from visa.facility.problems import FacilityProblems, Problem

__all__ = ["FacilityProblems", "Problem", "load"]

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_IDENTIFIER = " is not valid: "  # between what is wrong and what is allowed in `InvalidIdentifier`
_REFERENCE = "see the reference in docs/operators/facility.md"


def load(path: Path, base: Path | None = None) -> Facility:
    """Read and check ``path``; folders in it become absolute, from its own or ``base``. Raise `FacilityProblems`."""
    document = read(path)
    problems = [*document.problems, *_expand(document)]
    facility = None
    try:
        facility = Facility.model_validate(document.data)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            keys = _keys(item["loc"])
            # pydantic counts well-formed entries only: a list of one bad entry is not too short, it is bad.
            if not document.is_spoilt(keys) and not (item["type"] == "too_short" and item["input"]):
                problems.append(_problem(document, keys, item["type"], item))
    for finding in rules.check(document.data):
        if not document.is_spoilt(finding.keys):
            problems.append(document.problem(finding.keys, finding.wrong, finding.right))
    if problems or facility is None:
        raise FacilityProblems(problems)
    return _absolute(facility, base or Path(os.path.abspath(path)).parent)


def _expand(document: Document) -> Iterator[Problem]:
    """Replace ``${NAME}`` in the catalogue's address from the environment; what is not set is a problem."""
    section = document.data.get("catalogue")
    value = section.get("url") if isinstance(section, dict) else None
    if not isinstance(section, dict) or not isinstance(value, str):
        return
    keys = ("catalogue", "url")
    for name in sorted(set(_VARIABLE.findall(value)) - set(os.environ)):
        right = "set it where the hub is started, or write the value"
        yield document.problem(keys, f"the environment variable {name} is not set", right)
        document.spoilt.append(keys)
    section["url"] = _VARIABLE.sub(lambda match: os.environ.get(match[1], ""), value)


def _keys(place: tuple[int | str, ...]) -> Keys:
    """Pydantic's place without what is not in the file: the union's tag and the mark of a bad key."""
    keys = [key for key in place if key != "[key]"]
    if len(keys) > 1 and keys[0] == "catalogue" and keys[1] in ("file", "sql"):
        del keys[1]
    return tuple(keys)


_SENTENCES: dict[str, tuple[str, str]] = {
    "missing": ("is missing", "add it"),
    "string_type": ("is not text", "give text; in quotes if it looks like a number"),
    "string_too_short": ("is empty", "give some text"),
    "string_too_long": ("is too long", "give at most {max_length} characters"),
    "int_type": ("is not a whole number", "give a whole number"),
    "greater_than_equal": ("is too small", "give at least {ge}"),
    "less_than_equal": ("is too large", "give at most {le}"),
    "bool_type": ("is not true or false", "give true or false"),
    "dict_type": ("is not a set of keys", "give 'name: value' lines, one level deeper"),
    "model_type": ("is not a set of keys", "give 'name: value' lines, one level deeper"),
    "model_attributes_type": ("is not a set of keys", "give 'name: value' lines, one level deeper"),
    "tuple_type": ("is not a list", "give a list, as [a, b]"),
    "literal_error": ("is not one of the choices", "give {expected}"),
    "path_type": ("is not a file or folder", "give text, as data/raw"),
    "too_short": ("is empty", "give at least one entry"),
    "union_tag_not_found": ("is missing", "add 'type: file' or 'type: sql'"),
    "union_tag_invalid": ("is not a known type", "give {expected_tags}"),
    "url_type": ("is not an address", "give https://..."),
    "url_parsing": ("is not an address", "give https://..."),
    "url_scheme": ("is not a web address", "give https://..."),
    "url_too_long": ("is too long", "give at most {max_length} characters"),
}
FORMS = {
    "colour": "give #rrggbb, as #0b5cad",
}
"""What would be right for a key whose text has a form of its own (a test holds that none is missing)."""
_EMPTY = frozenset({"dict_type", "model_type", "model_attributes_type", "tuple_type", "string_type", "path_type"})


def _problem(document: Document, keys: Keys, kind: str, error: Any) -> Problem:
    context, value = error.get("ctx", {}), error.get("input")
    if kind == "extra_forbidden":
        wrong, right = "is not known here", _did_you_mean(error["loc"])
        return document.problem(keys, wrong, right, key=True)
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        keys, value = (*keys, "type"), context.get("tag")
    if kind == "value_error":
        wrong, _, right = (
            str(context.get("error", error["msg"])).replace(_IDENTIFIER, " is not valid; give ").partition("; ")
        )
        return document.problem(keys, wrong, right or _REFERENCE, key="[key]" in error["loc"])
    if kind == "string_pattern_mismatch":
        return document.problem(keys, f"{_shown(keys, value)}has the wrong form", FORMS[str(keys[-1])])
    wrong, right = _SENTENCES.get(kind, (str(error["msg"]).lower(), _REFERENCE))
    if value is None and kind in _EMPTY:
        wrong = "is empty"
    elif kind != "missing":
        wrong = f"{_shown(keys, value)}{wrong}"
    values = {key: str(given).replace("', '", "' or '") for key, given in context.items()}
    return document.problem(keys, wrong, right.format(**values))


def _shown(keys: Keys, value: Any) -> str:
    """The value, if it is short; nothing of the catalogue, whose address may hold a password."""
    if keys[:1] == ("catalogue",) and keys[-1] != "type":
        return ""
    return f"{value!r} " if isinstance(value, str | int | float) and value != "" and len(repr(value)) < 60 else ""


def _did_you_mean(keys: Keys) -> str:
    known = sorted(rules.fields_at(keys[:-1]))
    close = difflib.get_close_matches(str(keys[-1]).lower().replace("-", "_"), known, 1)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known are {', '.join(known)}" if known else "remove it"


def _absolute(facility: Facility, base: Path) -> Facility:
    """Folders relative to facility.yaml made absolute.

    ``base`` is the folder of the path as given, links not followed: Kubernetes mounts a ConfigMap as
    links into a folder that goes away with the next edit.
    """

    def absolute(path: Path) -> Path:
        return Path(os.path.abspath(base / path))

    catalogue = facility.catalogue
    if catalogue.type == "file":
        catalogue = catalogue.model_copy(update={"path": absolute(catalogue.path)})
    data = dict(facility.data)
    for name, root in data.items():
        if root.local:
            local = root.local.model_copy(update={"root": absolute(root.local.root)})
            data[name] = root.model_copy(update={"local": local})
    environments = dict(facility.environments)
    for key, entry in environments.items():
        if entry.local:
            prefix = entry.local.model_copy(update={"prefix": absolute(entry.local.prefix)})
            environments[key] = entry.model_copy(update={"local": prefix})
    return facility.model_copy(update={"catalogue": catalogue, "data": data, "environments": environments})
