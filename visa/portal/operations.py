"""The table of the REST API's operations, from which routes and the OpenAPI document come."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from visa.portal.service import Caller, PortalService

READ, WRITE = "custom:visa:read", "custom:visa:write"


@dataclass(frozen=True, slots=True)
class Call:
    """One request: who, the parts of the path, and the parsed query or body."""

    service: PortalService
    caller: Caller
    path: dict[str, str]
    given: Any


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing the API does. ``path`` is below ``api/v1``; ``given`` is the query's model for GET, else the body's."""

    method: str
    path: str
    summary: str
    scope: str
    run: Callable[[Call], Awaitable[Any]]
    gives: Any
    given: type[BaseModel] | None = None
    status: int = 200
    stream: bool = False


OPERATIONS: list[Operation] = []


def operation(
    method: str,
    path: str,
    summary: str,
    *,
    gives: Any,
    given: type[BaseModel] | None = None,
    status: int = 200,
    stream: bool = False,
) -> Callable[[Callable[[Call], Awaitable[Any]]], Callable[[Call], Awaitable[Any]]]:
    """Enter a function into the table."""

    def enter(run: Callable[[Call], Awaitable[Any]]) -> Callable[[Call], Awaitable[Any]]:
        scope = READ if method == "GET" else WRITE
        OPERATIONS.append(Operation(method, path, summary, scope, run, gives, given, status, stream))
        return run

    return enter
