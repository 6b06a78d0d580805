"""The JSON Schema of facility.yaml, so that editors complete it.

It knows the form of each value. What holds between values (`visa.facility.rules`) only the loader checks.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from visa.facility.model import Facility
from visa.facility.units import write_duration

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Generator(GenerateJsonSchema):
    """As operators write values: ``5m``, not ``PT5M``; nothing about null and no titles made from names."""

    schema_dialect = DIALECT

    def encode_default(self, default: Any) -> Any:
        return write_duration(default) if isinstance(default, timedelta) else super().encode_default(default)

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = super().default_schema(schema)
        if made.get("default", ...) is None:
            del made["default"]
        return made

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        made = super().dict_schema(schema)
        for pattern, values in made.pop("patternProperties", {}).items():
            made["additionalProperties"] = values  # pydantic would let names of another form have any value
            made["propertyNames"] = {**made.get("propertyNames", {"type": "string"}), "pattern": pattern}
        return made

    def get_title_from_name(self, name: str) -> str:
        return ""


def document() -> dict[str, Any]:
    """JSON Schema 2020-12."""
    schema = _without_titles(Facility.model_json_schema(schema_generator=_Generator))
    return {"$schema": DIALECT, "title": "facility.yaml", **schema}


def _without_titles(node: Any) -> Any:
    """Titles that pydantic makes from names say nothing that the names do not; keys called title stay."""
    if isinstance(node, dict):
        return {
            key: _without_titles(value)
            for key, value in node.items()
            if not (key == "title" and isinstance(value, str)) and key != "$schema"
        }
    return [_without_titles(item) for item in node] if isinstance(node, list) else node
