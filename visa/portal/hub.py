"""JupyterHub, asked with the person's own token: the portal has no rights of its own over anybody's servers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from visa.addresses import part, person_api, server_api
from visa.portal.problems import Problem, hub_unavailable

_TIMEOUT = aiohttp.ClientTimeout(total=40, connect=5)


class HubClient:
    """``url``: the hub's API, as ``http://127.0.0.1:8081/hub/api``."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(timeout=_TIMEOUT)
        return self._session

    async def close(self) -> None:
        """End its connections."""
        if self._session is not None:
            await self._session.close()

    async def servers(self, token: str, owner: str) -> dict[str, dict[str, Any]]:
        """Her servers by name, stopped ones too; raise `Problem`."""
        model = await self._ask("GET", f"{person_api(owner)}?include_stopped_servers=1", token)
        return {name: server for name, server in (model.get("servers") or {}).items() if name}

    async def start(self, token: str, owner: str, name: str, title: str | None, options: dict[str, Any] | None) -> None:
        """Start a server; raise `Problem` with admission's own words when it is refused."""
        body: dict[str, Any] = {"user_options": options}
        if title:
            body["display_name"] = title
        await self._ask("POST", server_api(owner, name), token, body)

    async def stop(self, token: str, owner: str, name: str, *, remove: bool) -> None:
        """Stop a server, or stop and remove it."""
        await self._ask("DELETE", server_api(owner, name), token, {"remove": True} if remove else None)

    async def enter(self, token: str, identifier: str) -> None:
        """Let the person whose token it is log in at the gateway of an instance that she is a member of."""
        await self._ask("POST", f"/visa/instances/{part(identifier)}/enter", token)

    async def progress(self, token: str, owner: str, name: str) -> AsyncIterator[dict[str, Any]]:
        """The hub's progress events until the start ends; raise `Problem`."""
        url = f"{self._url}{server_api(owner, name)}/progress"
        timeout = aiohttp.ClientTimeout(total=None, connect=5, sock_read=60)
        try:
            async with self._client().get(url, headers=_headers(token), timeout=timeout) as answer:
                if answer.status >= 500:
                    raise hub_unavailable()
                if answer.status != 200:
                    raise Problem(404, "not-found", "The instance is not starting.", "Look at your home page.")
                async for line in answer.content:
                    if line.startswith(b"data:"):
                        yield json.loads(line[5:])
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise hub_unavailable() from error

    async def _ask(self, method: str, path: str, token: str, body: Any = None) -> dict[str, Any]:
        try:
            async with self._client().request(method, self._url + path, headers=_headers(token), json=body) as answer:
                content = await answer.read()
                if answer.status < 400:
                    return _object(content)
                raise _problem(answer.status, _object(content))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise hub_unavailable() from error


def _headers(token: str) -> dict[str, str]:
    return {"Authorization": f"token {token}"}


def _object(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content) if content else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _problem(status: int, answer: dict[str, Any]) -> Problem:
    message = str(answer.get("message") or "JupyterHub refused the request.")
    if "reason" in answer and "remedy" in answer:
        sentence = message.removesuffix(str(answer["remedy"])).strip()
        return Problem(status, str(answer["reason"]), sentence, str(answer["remedy"]), answer.get("field"))
    if status >= 500 and status != 503:
        return Problem(502, "hub-refused", message, "Try again; if it stays so, ask the facility's contact.")
    return Problem(status, "hub-refused", message, "")
