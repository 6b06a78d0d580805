"""What tests of the portal share."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import jsonschema

from tests.services.hub import Site, page_headers
from tests.services.waiting import until

API = "/services/visa/api/v1/"
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


def again(hub: Site, browser: httpx.Client, instance: str, act: dict[str, Any], password: str = "visa") -> str:
    """Begin an act for which one logs in again, and do so; what stands behind the ``#`` then."""
    made = browser.post(f"{API}instances/{instance}/confirmations", json=act, headers=page_headers(browser))
    assert made.status_code == 201, made.text
    page = browser.get(made.json()["login"])
    found = re.search(r'name="_xsrf" value="([^"]+)"', page.text)
    assert found, page.text[:500]
    form = {"password": password, "_xsrf": found[1]}
    answer = browser.post(made.json()["login"], data=form, follow_redirects=False)
    onward = answer.headers.get("location") or html.unescape(answer.text)
    key = re.search(r"confirmed#([0-9]+\.[A-Za-z0-9_-]+)", onward)
    assert key, (answer.status_code, answer.text[:800])
    return key[1]


def finish(browser: httpx.Client, key: str) -> httpx.Response:
    """What the portal's page does with it."""
    number, code = key.split(".")
    return browser.post(f"{API}confirmations/{number}", json={"code": code}, headers=page_headers(browser))


def break_glass(hub: Site, instance: str, username: str = "grace", **body: Any) -> dict[str, Any]:
    """Enter without consent, with the login that it needs."""
    with hub.login(username) as browser:
        done = finish(browser, again(hub, browser, instance, {"break_glass": body}))
        assert done.status_code == 200, done.text
        return dict(done.json())
