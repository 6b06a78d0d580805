"""Seats at a desktop."""

from __future__ import annotations

import pytest

from tests.session.test_viewer import Desk, desk, desktop, viewing
from visa.session.desktop import seat

__all__ = ["desk", "desktop"]


async def test_others_who_fill_the_desktop_do_not_keep_its_owner_out(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seat, "MOST", 2)
    async with viewing(desk, "oscar"), viewing(desk, "oscar"), viewing(desk, "oscar", begun=False) as third:
        assert await third.closed() == 1013
        async with viewing(desk), viewing(desk), viewing(desk, begun=False) as third:
            assert await third.closed() == 1013
