"""JupyterHub's session after a fault of its database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jupyterhub import orm
from sqlalchemy import inspect, text
from sqlalchemy.exc import OperationalError

from visa.hub.away import roll_back


def test_its_users_stay_in_it_where_not_even_a_rollback_can_be_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = orm.new_session_factory(f"sqlite:///{tmp_path / 'hub.sqlite'}")()
    marie = orm.User(name="marie")
    db.add(marie)
    db.commit()
    assert marie.name == "marie"

    def away(*_: Any) -> None:
        raise OperationalError("ROLLBACK", {}, Exception("terminating connection due to administrator command"))

    with monkeypatch.context() as broken:
        broken.setattr(db.get_bind().dialect, "do_rollback", away)
        db.execute(text("SELECT 1"))
        roll_back(db)
    assert not inspect(marie).detached
    roll_back(db)
    assert marie.name == "marie"
    db.close()
