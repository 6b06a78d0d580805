"""Numbers that tell gateways that something changed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from sqlalchemy import Table
from sqlalchemy.orm import Session

from visa.store.tables import ChangeRow
from visa.store.upserts import upsert


def count(session: Session, instances: Iterable[str]) -> None:
    """Each of ``instances`` has changed once more, in the caller's transaction."""
    rows = [{"instance_id": instance, "number": 1} for instance in sorted(set(instances))]
    if rows:
        session.execute(upsert(session, cast("Table", ChangeRow.__table__), added=("number",)), rows)
