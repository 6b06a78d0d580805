"""A database that cannot be used now is told from a mistake: nothing is refused or withdrawn because of it."""

from __future__ import annotations

from sqlalchemy.exc import DisconnectionError, InterfaceError, InternalError, OperationalError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeout

FAULTS = (OperationalError, InterfaceError, InternalError, PendingRollbackError, DisconnectionError, PoolTimeout)
"""Away, restarting, silent, refusing, read-only or full: for both kinds of database and their drivers.

PostgreSQL says that it is read-only with a code of class 25, which drivers give as an internal error.
"""

REASON = "database-unavailable"
SENTENCE = "The service's database cannot be used at the moment, so this cannot be said or done now."
REMEDY = "Running work goes on. Try again in a minute."
AGAIN = 3
"""Seconds after which programs and pages ask again."""
INTERRUPTED = "The service's database could not be used while this instance was starting. Start it again."


def is_fault(error: BaseException | None) -> bool:
    """Whether ``error`` says that a database cannot be used now."""
    return isinstance(error, FAULTS)


def said(error: BaseException) -> str:
    """What the database or its driver said, in one line for logs; never a statement with its values."""
    original = getattr(error, "orig", None) or error
    return " ".join(str(original).split())[:300]
