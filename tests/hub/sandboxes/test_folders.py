"""The folders of an instance, where starts meet."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from visa.hub.sandboxes.folders import open_home
from visa.identifiers import Username


def test_first_starts_at_once_share_one_home(tmp_path: Path) -> None:
    count = 8
    for turn in range(50):
        username, together = Username(f"p{turn}"), Barrier(count)

        def start(number: int, username: Username = username, together: Barrier = together) -> int:
            together.wait()
            home = open_home(tmp_path, username, None)
            (Path(f"/proc/self/fd/{home}") / f"kept-{number}").touch()
            return home

        with ThreadPoolExecutor(count) as pool:
            homes = list(pool.map(start, range(count)))
        for home in homes:
            os.close(home)
        assert len(list((tmp_path / username).iterdir())) == count
    assert not list(tmp_path.glob(".new-*"))
