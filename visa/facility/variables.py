"""Variables that a facility wants in its environments."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

_OURS = ("HOME", "USER", "LOGNAME", "PATH", "TMPDIR", "JUPYTER_RUNTIME_DIR")
_OUR_BEGINNINGS = ("VISA_", "JUPYTERHUB_")
_LONGEST = 4096


def _name(given: str) -> str:
    if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]{0,99}", given):
        raise ValueError("a variable's name is letters, digits and _, and begins with no digit")
    if given in _OURS or given.startswith(_OUR_BEGINNINGS):
        raise ValueError(f"{given} is set by VISA itself: leave it out")
    return given


def _value(given: str) -> str:
    if re.search("[\x00-\x08\x0a-\x1f\x7f]", given):
        raise ValueError("a variable is one line without control characters")
    return given


Variables = dict[
    Annotated[str, AfterValidator(_name)],
    Annotated[str, Field(max_length=_LONGEST), AfterValidator(_value)],
]
"""Name to value, text both: what YAML takes for a number or a truth value stands in quotes."""
