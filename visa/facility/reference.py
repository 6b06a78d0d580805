"""The operator's reference of facility.yaml as Markdown, made from the models.

``python -m visa.facility.reference`` writes it into docs/operators/facility.md between its markers;
a test fails when the committed page says something else than the models.
"""

from __future__ import annotations

import json
import sys
import types
import typing
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic import BaseModel, HttpUrl
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from visa.facility.model import QUERIES, Facility, QueryName
from visa.facility.section import Section
from visa.facility.units import Memory, PathTemplate, TargetTemplate, write_duration
from visa.identifiers import Identifier

PAGE = Path(__file__).parents[2] / "docs" / "operators" / "facility.md"
BEGIN = "<!-- Made by `python -m visa.facility.reference`. Change the models, not this part. -->"
END = "<!-- End of the reference. -->"

_WORDS: dict[Any, str] = {
    str: "text",
    int: "whole number",
    bool: "true or false",
    float: "cores",
    timedelta: "time span",
    Path: "file or folder",
    HttpUrl: "web address",
    Memory: "amount of memory",
    PathTemplate: "folder with names in braces",
    TargetTemplate: "folder with names in braces",
    QueryName: "name of a query",
}
_EXAMPLES: dict[Any, Any] = {timedelta: "14d", Memory: "4Gi", float: 2}


class Undescribed(Exception):
    """A key of facility.yaml has no description or no example. The message names it."""


def markdown() -> str:
    """The whole reference."""
    return "\n".join(_section(Facility, "")).strip() + "\n"


def _section(model: type[BaseModel], name: str) -> Iterator[str]:
    if name:
        yield f"### {name}"
        yield f"{_cell((model.__doc__ or '').strip())}\n"
    yield "| key | value | default | meaning | example |"
    yield "|---|---|---|---|---|"
    inner: list[tuple[type[BaseModel], str]] = []
    for key, field in model.model_fields.items():
        path = f"{name}.{key}" if name else key
        if not field.description:
            raise Undescribed(f"{path} has no description")
        found = list(_models(field.annotation, path))
        inner += found
        example = "below" if found else f"`{_text(example_of(path, field))}`"
        row = (f"`{key}`", _words(field.annotation), _default(field), _cell(field.description), example)
        yield f"| {' | '.join(row)} |"
    yield ""
    for part, path in inner:
        yield from _section(part, path)


def example_of(path: str, field: FieldInfo) -> Any:
    """What an operator could write at ``path``; raise `Undescribed` when the model gives none."""
    if field.examples:
        return field.examples[0]
    if not field.is_required() and field.default not in (None, "", (), {}):
        return field.default
    kind = next(_alternatives(field.annotation))
    kind = next(_alternatives(typing.get_args(kind)[0])) if typing.get_origin(kind) is tuple else kind
    if kind not in _EXAMPLES:
        raise Undescribed(f"{path} has no example")
    return [_EXAMPLES[kind]] if kind is not next(_alternatives(field.annotation)) else _EXAMPLES[kind]


def _models(annotation: Any, path: str) -> Iterator[tuple[type[BaseModel], str]]:
    """The sections under a key, with their paths: ``data.NAME``, ``quotas.N``, ``catalogue (type: sql)``."""
    kinds = list(_alternatives(annotation))
    for kind in kinds:
        if isinstance(kind, type) and issubclass(kind, Section):
            tag = kind.model_fields.get("type")
            yield kind, f"{path} ({typing.get_args(tag.annotation)[0]})" if tag and len(kinds) > 1 else path
        elif typing.get_origin(kind) in (dict, tuple):
            more, value = (".NAME", 1) if typing.get_origin(kind) is dict else (".N", 0)
            yield from _models(typing.get_args(kind)[value], path + more)


def _alternatives(annotation: Any) -> Iterator[Any]:
    """The types of a union without None; names for the annotated ones that have their own words."""
    origin = typing.get_origin(annotation)
    if annotation == QueryName:
        yield QueryName
    elif origin is typing.Annotated:
        yield from _alternatives(typing.get_args(annotation)[0])
    elif origin in (typing.Union, types.UnionType):
        for argument in typing.get_args(annotation):
            yield from _alternatives(argument)
    elif annotation is not type(None):
        yield annotation


def _words(annotation: Any, many: bool = False) -> str:
    """The type in plain words."""
    words = []
    for kind in _alternatives(annotation):
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin is typing.Literal:
            words.append(" or ".join(f"`{choice}`" for choice in arguments))
        elif origin is tuple:
            words.append("list" if _has_section(arguments[0]) else f"list of {_words(arguments[0], many=True)}")
        elif origin is dict:
            words.append("keys" if _has_section(arguments[1]) else f"{_words(arguments[0])}: {_words(arguments[1])}")
        elif isinstance(kind, type) and issubclass(kind, Section):
            words.append("keys")
        elif isinstance(kind, type) and issubclass(kind, Identifier):
            words.append(kind.kind + "s" * many)
        else:
            words.append(_WORDS[kind] + "s" * many)
    return " or ".join(dict.fromkeys(words))


def _has_section(annotation: Any) -> bool:
    return any(True for _ in _models(annotation, ""))


def _default(field: FieldInfo) -> str:
    if field.is_required() or field.default is PydanticUndefined:
        return "**needed**"
    if field.default in (None, "", (), {}) or isinstance(field.default, Section):
        return ""
    return f"`{_text(field.default)}`"


def _text(value: Any) -> str:
    """A value as one writes it in YAML, on one line."""
    if isinstance(value, timedelta):
        return write_duration(value)
    if isinstance(value, Memory):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_quoted(key)}: {_text(item)}' for key, item in value.items())}}}"
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    """In quotes where YAML or a reader would take it for something else."""
    plain = text and text[0] not in "{[#&*!|>'\"%@`-?:," and ": " not in text and " #" not in text
    number = text.replace(".", "", 1).isdigit()
    return text if plain and not number and not set(text) & set("{}[],") else json.dumps(text)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def page(current: str) -> str:
    """``current`` with the reference between its markers; ``ValueError`` when they are not there once each."""
    if current.count(BEGIN) != 1 or current.count(END) != 1:
        raise ValueError(f"the page must have the lines {BEGIN!r} and {END!r} once each")
    before, rest = current.split(BEGIN)
    queries = f"Queries of a `sql` catalogue: {', '.join(f'`{name}`' for name in QUERIES)}.\n"
    return f"{before}{BEGIN}\n\n{markdown()}\n{queries}\n{END}{rest.split(END)[1]}"


def main() -> int:
    """Rewrite the page."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
