"""Values with units as people write them in facility.yaml: durations, memory, cores, path templates.

Each parser raises ``ValueError`` with a sentence that says what would be right; pydantic carries it to
the problem list of `visa.facility.load`.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, PlainSerializer, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from visa.identifiers import Identifier

_SECONDS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?=.)([0-9]{1,9}w)?([0-9]{1,9}d)?([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?")
_MEMORY = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)(Ki|Mi|Gi|Ti|k|M|G|T)?")
_MEMORY_FACTOR = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
_CPU = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(m?)")
_MOST_CORES = 65536
_LARGEST_DURATION = timedelta(days=3660)


def _shown(value: object) -> str:
    text = repr(value) if isinstance(value, str | int | float) else f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def parse_duration(value: object) -> timedelta:
    """``14d``, ``1h``, ``1d12h`` to a time span; zero and more than ten years are refused."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or len(value) > 40 or not _DURATION.fullmatch(value):
        raise ValueError(f"{_shown(value)} is not a time span; give a number with w, d, h, m or s, as 14d, 1h or 1d12h")
    seconds = sum(int(part[:-1]) * _SECONDS[part[-1]] for part in re.findall(r"[0-9]+[wdhms]", value))
    if not 0 < seconds <= _LARGEST_DURATION.total_seconds():
        raise ValueError(f"{_shown(value)} is not a useful time span; give more than 0 and at most ten years, as 14d")
    return timedelta(seconds=seconds)


def write_duration(value: timedelta) -> str:
    """The shortest text that `parse_duration` reads back."""
    rest, parts = int(value.total_seconds()), ""
    for unit in "dhms":
        count, rest = divmod(rest, _SECONDS[unit])
        parts += f"{count}{unit}" if count else ""
    return parts


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(write_duration, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": f"^{_DURATION.pattern}$", "examples": ["14d", "1h", "1d12h"]}),
]


def parse_cpu(value: object) -> float:
    """``2``, ``0.5`` or ``500m`` to cores; between 0.01 and 65536 (a quota may be a whole cluster's)."""
    text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    match = _CPU.fullmatch(text) if isinstance(text, str) and len(text) < 20 else None
    if match is None:
        raise ValueError(f"{_shown(value)} is not a number of cores; give 2, 0.5 or 500m")
    cores = float(match[1]) / (1000 if match[2] else 1)
    if not 0.01 <= cores <= _MOST_CORES:
        raise ValueError(f"{_shown(value)} is not a useful number of cores; give 10m to {_MOST_CORES}")
    return cores


Cpu = Annotated[
    float,
    BeforeValidator(parse_cpu),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0.01, "maximum": _MOST_CORES},
                {"type": "string", "pattern": f"^{_CPU.pattern}$"},
            ],
            "examples": [2, 0.5, "500m"],
        }
    ),
]


class Memory(int):
    """Bytes; written and read as Kubernetes does (``2Gi``, ``512Mi``, ``4G``)."""

    def __new__(cls, value: object) -> Self:
        """Parse ``value``; raise ``ValueError`` when it is no amount of memory between 1 Mi and 64 Ti."""
        if isinstance(value, cls):
            return value
        text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        match = _MEMORY.fullmatch(text) if isinstance(text, str) and len(text) < 30 else None
        if match is None:
            raise ValueError(f"{_shown(value)} is not an amount of memory; give 2Gi or 512Mi")
        amount = int(float(match[1]) * _MEMORY_FACTOR[match[2] or ""])
        if not 2**20 <= amount <= 2**46:
            raise ValueError(f"{_shown(value)} is not a useful amount of memory; give 1Mi to 64Ti, as 2Gi")
        return super().__new__(cls, amount)

    def __str__(self) -> str:
        for unit in ("Ti", "Gi", "Mi", "Ki"):
            if int(self) % _MEMORY_FACTOR[unit] == 0:
                return f"{int(self) // _MEMORY_FACTOR[unit]}{unit}"
        return repr(int(self))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls, serialization=core_schema.plain_serializer_function_ser_schema(str, when_used="json")
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {
            "anyOf": [
                {"type": "integer", "minimum": 2**20, "maximum": 2**46},
                {"type": "string", "pattern": f"^{_MEMORY.pattern}$"},
            ],
            "examples": ["2Gi", "512Mi"],
        }


class PathTemplate(str):
    """A relative folder in which ``{instrument}``, ``{year}``, ``{proposal}``, ``{experiment}`` are replaced.

    Names only: nothing in braces is evaluated, and what is put in is a checked identifier or a year.
    """

    __slots__ = ()
    names: ClassVar[frozenset[str]] = frozenset({"instrument", "year", "proposal", "experiment"})
    form: ClassVar[str] = (
        r"(?=.*\{(?:experiment|proposal)\})(?!(?:.*/)?\.{1,2}(?:/|$))"
        r"(?:[A-Za-z0-9._-]|\{[a-z]+\})+(?:/(?:[A-Za-z0-9._-]|\{[a-z]+\})+)*"
    )
    right: ClassVar[str] = "give a relative folder such as {instrument}/{year}/{proposal}/{experiment}"

    def __new__(cls, value: object) -> Self:
        """Check the template; raise ``ValueError`` when a name or a part is not allowed."""
        if not isinstance(value, str) or not value:
            raise ValueError(f"{_shown(value)} is not a folder; {cls.right}")
        cls._check(value)
        return super().__new__(cls, value)

    @classmethod
    def _check(cls, value: str) -> None:
        for name in re.findall(r"\{([^{}]*)\}", value):
            if name not in cls.names:
                raise ValueError(f"{{{name}}} is not known here; use {', '.join(sorted(cls.names))}")
        plain = re.sub(r"\{[a-z]+\}", "x", value)
        if not re.fullmatch(r"[A-Za-z0-9._/-]{1,400}", plain):
            raise ValueError(f"{_shown(value)} has characters that a folder may not have; {cls.right}")
        if any(part in ("", ".", "..") for part in plain.split("/")):
            raise ValueError(
                f"{_shown(value)} is not a plain relative folder ('..', '//' and '/' at the ends); {cls.right}"
            )

    def fill(self, *, instrument: Identifier, year: int, proposal: Identifier, experiment: Identifier) -> str:
        """Put the values in; they are identifiers, so the result is a safe path."""
        values = {
            "instrument": str(instrument),
            "year": str(int(year)),
            "proposal": str(proposal),
            "experiment": str(experiment),
        }
        return re.sub(r"\{([a-z]+)\}", lambda match: values[match[1]], str(self))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls, serialization=core_schema.plain_serializer_function_ser_schema(str, when_used="json")
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        pattern = cls.form.replace("[a-z]+", f"(?:{'|'.join(sorted(cls.names))})")
        return {"type": "string", "pattern": f"^{pattern}$", "examples": [cls.right.split()[-1]]}


class TargetTemplate(PathTemplate):
    """Where a data root appears in the environment: ``/data/{experiment}`` or ``/shared/{experiment}``."""

    __slots__ = ()
    names: ClassVar[frozenset[str]] = frozenset({"experiment"})
    form: ClassVar[str] = r"/(?:data|shared)/(?!.*\.\.)[A-Za-z0-9._-]{0,60}\{experiment\}[A-Za-z0-9._-]{0,60}"
    right: ClassVar[str] = "give /data/{experiment} or /shared/{experiment}"

    @classmethod
    def _check(cls, value: str) -> None:
        if not re.fullmatch(cls.form, value):
            raise ValueError(f"{_shown(value)} is not a place for data; {cls.right}")
