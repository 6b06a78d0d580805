"""What tests of the portal share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import jsonschema

from tests.services.hub import Site
from tests.services.waiting import until

START: dict[str, Any] = {"experiments": ["exp-1"], "environment": "scattering", "flavour": "small"}


@contextmanager
def instance_of(hub: Site, owner: str = "marie", **changed: Any) -> Iterator[str]:
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

    def __init__(self, hub: Site) -> None:
        self._hub, self._made = hub, dict[str, httpx.Client]()

    def __getattr__(self, username: str) -> httpx.Client:
        if username not in self._made:
            self._made[username] = self._hub.rest(self._hub.token(username))
        return self._made[username]

    def close(self) -> None:
        """End their connections."""
        for client in self._made.values():
            client.close()


def check(description: dict[str, Any], method: str, path: str, answer: httpx.Response) -> Any:
    """The answer fits what openapi.json says of it."""
    responses = description["paths"][f"/{path}"][method.lower()]["responses"]
    response = responses.get(str(answer.status_code), responses["default"])
    if answer.status_code == 204:
        return None
    (kind,) = response["content"]
    assert answer.headers["content-type"].startswith(kind)
    schema = {**response["content"][kind]["schema"], "components": description["components"]}
    jsonschema.Draft202012Validator(schema).validate(answer.json())
    return answer.json()
