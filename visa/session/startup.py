"""The owner's look at start-up files: asked of the environment's files.py, told to the hub, believed by nobody."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

from tornado.httputil import HTTPHeaders
from tornado.iostream import StreamClosedError

from visa.instances.startup import read_look
from visa.session import run, upstream
from visa.session.gateway import Gateway
from visa.session.hub import HubRefused, HubUnavailable

log = logging.getLogger(__name__)

_LARGEST = 256 * 1024
_PATIENCE = 8.0
_AGAIN = 2.0
_NOTHING: dict[str, Any] = {"found": [], "unread": 0, "whole": False, "told": False}
"""When the environment does not tell: not the same as that nothing changed."""


async def answer_looks(gateway: Gateway) -> None:
    """Until cancelled: answer each look that the hub's word has, once."""
    people, done = gateway.people, 0
    found: tuple[object, dict[str, Any]] | None = None  # of the look that the hub does not hear of yet
    while True:
        number, look = people.number, people.look
        if look is not None and look[0] != done:
            try:
                if found is None or found[0] != look:
                    found = look, await _found(gateway.settings.run, look[1])
                await gateway.hub.startup(look[0], found[1])
            except HubUnavailable as error:
                log.warning("What changed in start-up files is told later: %s", error)
                await asyncio.sleep(_AGAIN)
                continue
            except HubRefused as error:
                log.warning("What changed in start-up files was not told: %s", error)
            done = look[0]
        await people.wait(number, 3600)


async def _found(folder: str, since: float) -> dict[str, Any]:
    try:
        async with asyncio.timeout(_PATIENCE):
            stream = await run.connect(f"{folder}/files.sock")
            uri = f"/startup?since={max(0, int(since))}"
            status, body = await upstream.ask(stream, uri, HTTPHeaders({"Host": "visa"}), _LARGEST)
            if status == 200:
                return {**read_look(json.loads(body)), "told": True}
            log.warning("The environment does not tell what changed in start-up files: %s", status)
    except (
        *(upstream.NotListening, upstream.Broken, StreamClosedError, TimeoutError),
        *(ValueError, KeyError, TypeError, RecursionError, OverflowError),
    ) as error:
        log.warning("The environment does not tell what changed in start-up files: %s", error)
    return _NOTHING
