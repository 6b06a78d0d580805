"""What tests of people in instances share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.services.hub import RunningHub, until

START: dict[str, Any] = {"experiments": ["exp-1"], "environment": "scattering", "flavour": "small"}


@contextmanager
def instance_of(hub: RunningHub, owner: str = "marie", **changed: Any) -> Iterator[str]:
    """The id of a running instance of ``owner``'s for the length of a block."""
    with hub.rest(hub.token(owner)) as rest:
        made = rest.post("instances", json={**START, **changed})
        assert made.status_code == 202, made.text
        identifier = str(made.json()["id"])
        try:
            until(lambda: rest.get(f"instances/{identifier}").json()["state"] == "running", 40, "the instance")
            yield identifier
        finally:
            rest.delete(f"instances/{identifier}")


class Callers:
    """A client of the REST API for each person, made once."""

    def __init__(self, hub: RunningHub) -> None:
        self._hub, self._made = hub, dict[str, httpx.Client]()

    def __getattr__(self, username: str) -> httpx.Client:
        if username not in self._made:
            self._made[username] = self._hub.rest(self._hub.token(username))
        return self._made[username]

    def close(self) -> None:
        """End their connections."""
        for client in self._made.values():
            client.close()
