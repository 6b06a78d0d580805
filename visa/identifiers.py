"""Identifiers that may reach a path, a label, a pod name or SQL.

Each is a ``str`` that could only be made by passing its pattern, so that a value of the type
cannot hold ``..``, ``/``, ``%``, braces, white space or control characters (design: security stance).
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, ClassVar, Self


class InvalidIdentifier(ValueError):
    """The text is not a safe identifier. The message names the kind and says what is allowed."""


class Identifier(str):
    """A safe identifier: letters, digits, ``.``, ``_``, ``-``; starts with a letter or digit; no ``..``."""

    __slots__ = ()
    kind: ClassVar[str] = "identifier"
    longest: ClassVar[int] = 64
    pattern: ClassVar[re.Pattern[str]] = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
    allowed: ClassVar[str] = "letters, digits, '.', '_' and '-', beginning with a letter or digit, without '..'"

    def __new__(cls, text: str) -> Self:
        """Check ``text``; raise `InvalidIdentifier` when it is not safe."""
        if not isinstance(text, str):
            raise InvalidIdentifier(f"{cls.kind} must be text, not {type(text).__name__}")
        if len(text) > cls.longest or not cls.pattern.fullmatch(text) or ".." in text or not text.isascii():
            shown = text if len(text) <= 40 else text[:37] + "..."
            raise InvalidIdentifier(
                f"{cls.kind} {shown!r} is not valid: at most {cls.longest} characters, {cls.allowed}"
            )
        return super().__new__(cls, text)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        # Imported here: the gateway uses identifiers and has no room for pydantic.
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(
            cls, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^(?!.*\\.\\.){cls.pattern.pattern}$", "maxLength": cls.longest}


class ExperimentId(Identifier):
    kind = "experiment"


class ProposalId(Identifier):
    kind = "proposal"


class InstrumentId(Identifier):
    kind = "instrument"


class EnvironmentId(Identifier):
    kind = "environment"


class FlavourId(Identifier):
    kind = "flavour"


class RoleName(Identifier):
    kind = "role"


class DataRootId(Identifier):
    kind = "data root"


class ServerName(Identifier):
    """An instance's name among its owner's: the name of the hub's named server."""

    kind = "server name"


class Username(Identifier):
    """A person's name in the hub. ``@`` and ``+`` are allowed: many facilities use mail addresses."""

    kind = "user name"
    longest = 128
    pattern = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]*")
    allowed = "letters, digits, '.', '_', '-', '@' and '+', beginning with a letter or digit, without '..'"


def instance_id(owner: str, name: str) -> str:
    """The instance's id, 16 hexadecimal digits: fixed by owner and server name, safe in paths and labels."""
    return hashlib.sha256(f"{owner}\0{name}".encode()).hexdigest()[:16]
