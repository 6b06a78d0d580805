"""Ends that JupyterHub could not write down are done again; those that are under way are left alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from visa.hub.stuck import Stuck


class User:
    """JupyterHub's, as far as an end needs it."""

    name = "marie"

    def __init__(self) -> None:
        self.spawners: dict[str, Any] = {}
        self.stopped: list[str] = []

    def stopping(self, name: str, *, runs: bool = False, future: object = None, tidies: bool = False) -> Any:
        async def poll() -> int | None:
            return None if runs else 0

        self.spawners[name] = SimpleNamespace(name=name, pending="stop", _stop_future=future, poll=poll, tidies=tidies)
        return self.spawners[name]

    async def stop(self, name: str) -> None:
        self.stopped.append(name)
        self.spawners.pop(name).pending = None


def application() -> Any:
    gone: list[str] = []

    async def delete_user(user: User, name: str) -> None:
        gone.append(name)

    return SimpleNamespace(proxy=SimpleNamespace(delete_user=delete_user), gone=gone)


async def test_what_is_stopping_at_two_looks_and_does_not_run_is_ended() -> None:
    user, app = User(), application()
    stuck = Stuck(app)
    user.stopping("stuck")
    user.stopping("runs", runs=True)
    user.stopping("asked", future=object())
    user.stopping("tidies", tidies=True)
    pairs = [(user, spawner) for spawner in user.spawners.values()]
    await stuck.look(pairs)
    assert user.stopped == [], "it may be under way"
    await stuck.look(pairs)
    assert (user.stopped, app.gone) == (["stuck"], ["stuck"])
    await stuck.look(pairs)
    assert user.stopped == ["stuck"]


async def test_what_ended_and_was_started_again_is_another() -> None:
    user, app = User(), application()
    stuck = Stuck(app)
    old = user.stopping("one")
    await stuck.look([(user, old)])
    user.stopping("one")
    await stuck.look([(user, old)])
    assert user.stopped == []
