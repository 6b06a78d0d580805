"""Whether anybody works: what people do and busy kernels count, an open tab does not."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable

from visa import clock
from visa.session.hub import Hub, HubUnavailable

log = logging.getLogger(__name__)

_DONE_BY_PEOPLE = frozenset(
    {
        b"execute_request",
        b"input_reply",
        b"complete_request",
        b"inspect_request",
        b"comm_open",
        b"comm_msg",
        b"debug_request",
        b"interrupt_request",
    }
)
_MESSAGE_TYPE = re.compile(rb'"msg_type"\s*:\s*"(\w{1,40})"')
_FIRST = 10.0
_LOOKED_AT = 16384  # bytes of a message; the header comes first in Jupyter's binary layout


def is_work(path: str, message: str | bytes) -> bool:
    """Whether a websocket message from the browser was somebody's doing.

    JupyterLab asks kernels for their info by itself and terminals are told the window's size; pressing
    keys in a terminal or running a cell is work.
    """
    data = message[:_LOOKED_AT].encode(errors="replace") if isinstance(message, str) else message[:_LOOKED_AT]
    if path.startswith("terminals/websocket/"):
        return data.lstrip().startswith(b'["stdin"')
    if re.fullmatch(r"api/kernels/[^/]+/channels", path):
        found = _MESSAGE_TYPE.search(data)
        return found is not None and found[1] in _DONE_BY_PEOPLE
    return False


def kernels_busy(answer: bytes) -> bool:
    """Whether Jupyter's ``api/kernels`` answer names a busy kernel."""
    try:
        kernels = json.loads(answer)
    except ValueError:
        return False
    if not isinstance(kernels, list):
        return False
    return any(isinstance(kernel, dict) and kernel.get("execution_state") == "busy" for kernel in kernels)


class Activity:
    """Remembers the last doing and tells the hub. ``begins``: the instance does, which is one."""

    def __init__(
        self, hub: Hub, kernels: Callable[[], Awaitable[bytes]], interval: float, *, begins: bool = True
    ) -> None:
        self._hub, self._kernels, self._interval = hub, kernels, interval
        self._last = clock.now()
        self._told = None if begins else self._last

    def happened(self) -> None:
        """Somebody did something now."""
        self._last = clock.now()

    async def run(self) -> None:
        """Tell the hub what is new, every interval, until cancelled.

        Not at once: the hub knows that it just started this instance, and has others to start.
        """
        await asyncio.sleep(min(_FIRST, self._interval))
        while True:
            await self.tell()
            await asyncio.sleep(self._interval)

    async def tell(self) -> None:
        """One round."""
        if kernels_busy(await self._kernels()):
            self.happened()
        if self._told == self._last:
            return
        last = self._last
        try:
            await self._hub.note_activity(last)
        except HubUnavailable as error:
            log.warning("The hub was not told of activity; the next round tries again: %s", error)
            return
        self._told = last
