"""One call of the portal's API."""

from __future__ import annotations

import json
import re
import sys
from urllib.parse import quote

import aiohttp

from visa.cli.api.description import NotUnderstood, line, read, sorted_out

_CONNECT = 10.0
"""Seconds within which the portal must be reached; an answer may take long, a start for example."""
_ANSWER = 300.0


async def call(url: str, token: str, name: str | None, given: list[str]) -> int:
    """Do it and print the answer; the exit code. Without ``name``, print what the portal offers.

    Raise `NotUnderstood`, or aiohttp's ``ClientError`` when the portal cannot be reached.
    """
    headers = {"Authorization": f"token {token}"} if token else {}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=_ANSWER)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as client:
        # Redirects are not followed: the token is for this address.
        async with client.get(f"{url}/openapi.json", allow_redirects=False) as answer:
            if answer.status != 200 or answer.content_type != "application/json":
                raise NotUnderstood(f"{url} is no portal of VISA's (status {answer.status}): look at the address.")
            offers = {offer.name: offer for offer in read(await answer.json())}
        if name is None:
            print("\n".join(line(offer) for offer in offers.values()))
            return 0
        offer = offers.get(name)
        if offer is None:
            raise NotUnderstood(f"There is no {name!r}. `visa api` alone lists what there is.")
        parts, query, body = sorted_out(offer, given)
        path = re.sub(r"\{(\w+)\}", lambda found: quote(str(parts[found[1]]), safe=""), offer.path)
        sent = body if any(one.place == "body" for one in offer.fields) else None
        async with client.request(offer.method, url + path, params=query, json=sent, allow_redirects=False) as answer:
            return await _show(answer)


async def _show(answer: aiohttp.ClientResponse) -> int:
    if answer.content_type == "text/event-stream":
        async for text in answer.content:
            print(text.decode(errors="replace"), end="", flush=True)
        return 0
    told = await answer.text()
    if answer.status >= 300:
        print(_refusal(answer.status, told), file=sys.stderr)
        return 1
    if told:
        print(json.dumps(json.loads(told), indent=1, ensure_ascii=False))
    return 0


def _refusal(status: int, told: str) -> str:
    try:
        problem = json.loads(told)
        return f"{problem['detail']} {problem.get('remedy') or ''}".strip()
    except (ValueError, TypeError, KeyError):
        return f"The portal answered {status}."
