"""OpenAPI 3.1 from the table of operations and the pydantic models."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

import visa
from visa.portal import models
from visa.portal.api import OPERATIONS, Operation

_REF = "#/components/schemas/{model}"


@cache
def content(server: str) -> bytes:
    """`document` as it is sent: making it takes most of a second, and anybody may ask."""
    return json.dumps(document(server)).encode()


def document(server: str) -> dict[str, Any]:
    """The whole description; ``server`` is the API's own address."""
    used: dict[str, type[BaseModel]] = {"ProblemOut": models.ProblemOut}
    for operation in OPERATIONS:
        for part in (operation.gives, operation.given):
            model = _model(part)
            if model is not None:
                used[model.__name__] = model
    wanted = [(model, "serialization") for model in used.values()]
    _, schemas = models_json_schema(wanted, ref_template=_REF)  # type: ignore[arg-type]
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(f"/{operation.path}", {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "VISA", "version": visa.__version__, "description": "One's experiments and instances."},
        "servers": [{"url": server}],
        "paths": paths,
        "components": {
            "schemas": schemas.get("$defs", {}),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "A JupyterHub token"}},
        },
        "security": [{"token": []}],
    }


def _model(part: Any) -> type[BaseModel] | None:
    if isinstance(part, type) and issubclass(part, BaseModel):
        return part
    inner = getattr(part, "__args__", (None,))[0]
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.run.__name__,
        "summary": operation.summary,
        "description": f"Needs the scope `{operation.scope}`.",
        "responses": {str(operation.status): _response(operation), "default": _problem()},
    }
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", operation.path)
    ]
    if operation.given is not None and operation.method == "GET":
        parameters += _query(operation.given)
    elif operation.given is not None:
        content = {"application/json": {"schema": {"$ref": _REF.format(model=operation.given.__name__)}}}
        described["requestBody"] = {"required": True, "content": content}
    if parameters:
        described["parameters"] = parameters
    return described


def _query(model: type[BaseModel]) -> list[dict[str, Any]]:
    schema = TypeAdapter(model).json_schema()
    definitions = schema.get("$defs", {})
    found = []
    for name, field in schema["properties"].items():
        reference = field.pop("$ref", "").rpartition("/")[2]
        found.append(
            {"name": name, "in": "query", "required": False, "schema": {**definitions.get(reference, {}), **field}}
        )
    return found


def _response(operation: Operation) -> dict[str, Any]:
    if operation.stream:
        return {"description": "Events", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
    if operation.status == 204:
        return {"description": "Done"}
    model = _model(operation.gives)
    reference: dict[str, Any] = {"$ref": _REF.format(model=model.__name__ if model else "Nothing")}
    schema = reference if model is operation.gives else {"type": "array", "items": reference}
    return {"description": operation.summary, "content": {"application/json": {"schema": schema}}}


def _problem() -> dict[str, Any]:
    schema = {"$ref": _REF.format(model="ProblemOut")}
    return {"description": "Refused or failed", "content": {"application/problem+json": {"schema": schema}}}
