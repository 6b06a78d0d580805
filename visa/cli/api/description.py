"""The portal's description of its API (OpenAPI 3.1), and what the command line gives to one of its operations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


class NotUnderstood(Exception):
    """What was asked on the command line cannot be; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that an operation takes. ``place``: path, query or body."""

    name: str
    place: str
    required: bool
    types: frozenset[str]


@dataclass(frozen=True, slots=True)
class Offer:
    """One operation of the API."""

    name: str
    method: str
    path: str
    summary: str
    fields: tuple[Field, ...]


def read(document: Mapping[str, Any]) -> list[Offer]:
    """The operations of an OpenAPI document as the portal gives it, by name."""
    schemas = document.get("components", {}).get("schemas", {})
    found = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            name = operation["operationId"].replace("_", "-")
            fields = (*_parameters(operation), *_body(operation, schemas))
            found.append(Offer(name, method.upper(), path, operation.get("summary", ""), fields))
    return sorted(found, key=lambda offer: offer.name)


def _parameters(operation: Mapping[str, Any]) -> Iterable[Field]:
    for one in operation.get("parameters", ()):
        yield Field(one["name"], one["in"], bool(one.get("required")), _types(one["schema"]))


def _body(operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterable[Field]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return
    schema = schemas[content["schema"]["$ref"].rpartition("/")[2]]
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        yield Field(name, "body", name in required, _types(field))


def _types(schema: Mapping[str, Any]) -> frozenset[str]:
    """JSON's names of what is taken; a reference is to an enumeration of texts."""
    several = [found for one in schema.get("anyOf", ()) for found in _types(one)]
    return frozenset(several or [schema.get("type", "string")])


def line(offer: Offer) -> str:
    """One operation for people, its fields with those in brackets that may be left out."""
    fields = (field.name if field.required else f"[{field.name}]" for field in offer.fields)
    return f"{' '.join((offer.name, *fields)):<60} {offer.summary}".rstrip()


def sorted_out(offer: Offer, given: Iterable[str]) -> tuple[dict[str, Any], dict[str, str], dict[str, Any]]:
    """``FIELD=VALUE`` by where they go: path, query, body. Raise `NotUnderstood`."""
    known = {field.name: field for field in offer.fields}
    values: dict[str, Any] = {}
    for one in given:
        name, mark, text = one.partition("=")
        field = known.get(name)
        if not mark or field is None:
            taken = ", ".join(known) or "nothing"
            raise NotUnderstood(f"{one!r} is not understood: {offer.name} takes {taken}, each as FIELD=VALUE.")
        if name in values:
            raise NotUnderstood(f"{name} is given twice.")
        values[name] = value(field, text)
    missing = [field.name for field in offer.fields if field.required and field.name not in values]
    if missing:
        raise NotUnderstood(f"{offer.name} needs {', '.join(missing)}.")
    places: dict[str, dict[str, Any]] = {"path": {}, "query": {}, "body": {}}
    for name, found in values.items():
        places[known[name].place][name] = found
    query = {name: found if isinstance(found, str) else json.dumps(found) for name, found in places["query"].items()}
    return places["path"], query, places["body"]


def value(field: Field, text: str) -> Any:
    """What ``text`` means for the field. Raise `NotUnderstood`."""
    if text == "null" and "null" in field.types:
        return None
    if "string" in field.types:
        return text
    if "array" in field.types and not text.startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return json.loads(text)
    except ValueError:
        taken = " or ".join(sorted(field.types))
        raise NotUnderstood(f"{field.name}: {text!r} is no {taken}, written as in JSON.") from None
