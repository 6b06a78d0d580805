"""What is wrong with facility.yaml, said so that an operator can mend it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake: where (line and column from 1), which field, what is wrong and what would be right."""

    file: str
    line: int
    column: int
    field: str
    wrong: str
    right: str

    def __str__(self) -> str:
        field = f"{self.field}: " if self.field else ""
        return f"{self.file}:{self.line}: {field}{self.wrong}; {self.right}"


class FacilityProblems(Exception):
    """facility.yaml cannot be used; ``problems`` says all that is wrong with it, from top to bottom."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))
