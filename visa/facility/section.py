"""What all parts of facility.yaml are: sets of known keys whose values do not change."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

Text = Annotated[str, Field(min_length=1, max_length=200)]


class Section(BaseModel):
    """A part of facility.yaml: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def one_of(word: Literal["oneOf", "anyOf"], *keys: str) -> ConfigDict:
    """Tells editors that exactly one, or at least one, of ``keys`` must be given; the loader checks it itself."""
    return ConfigDict(json_schema_extra={word: [{"required": [key]} for key in keys]})


def subject_fault(given: Iterable[str], choices: Iterable[str]) -> str | None:
    """What is wrong with an entry that names ``given`` as its subject; it must name one of ``choices``."""
    names, right = list(given), f"give exactly one of {', '.join(choices)}"
    if len(names) == 1:
        return None
    return f"names {', '.join(names)} at once; {right}" if names else f"does not say whom it is for; {right}"


class Form(NamedTuple):
    """For ``Annotated[str, Form(...)]``: the text must match ``pattern``; ``right`` says what would be ("give ...")."""

    pattern: str
    right: str
    longest: int

    def _check(self, value: str) -> str:
        if len(value) > self.longest or not re.fullmatch(self.pattern, value):
            raise ValueError(f"{value[:60]!r} has the wrong form; {self.right}")
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^(?:{self.pattern})$", "maxLength": self.longest}
