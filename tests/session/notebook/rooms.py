"""A browser's end of a collaboration room, with a real document of Yjs."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
from pycrdt import Array, Doc, Map, create_sync_message, create_update_message, handle_sync_message

from tests.services.waiting import eventually
from tests.session.notebook.conftest import Three
from visa.session.notebook import awareness
from visa.session.notebook.lib0 import Reader

PATH = "shared/e1/one.ipynb"


class Room:
    """Answers the server's questions by itself, as a browser does, and keeps what it hears."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket, self.doc = socket, Doc()
        self.heard: list[bytes] = []
        self.people: dict[int, dict[str, Any] | None] = {}

    @property
    def cells(self) -> Array[Any]:
        return self.doc.get("cells", type=Array)

    @property
    def sources(self) -> list[str]:
        return [str(cell["source"]) for cell in self.cells]

    @property
    def outputs(self) -> str:
        return json.dumps([cell["outputs"].to_py() for cell in self.cells if "outputs" in cell])

    async def listen(self) -> None:
        await self.socket.send_bytes(create_sync_message(self.doc))
        async for message in self.socket:
            if message.type is not aiohttp.WSMsgType.BINARY:
                continue
            self.heard.append(message.data)
            if message.data[0] == 0:
                answer = handle_sync_message(message.data[1:], self.doc)
                if answer is not None:
                    await self.socket.send_bytes(answer)
            elif message.data[0] == 1:
                for one in awareness.read(Reader(message.data[1:]).bytes()):
                    self.people[one.client] = one.state

    async def until(self, there: Callable[[], Any]) -> None:
        def seen() -> bool:
            assert not self.socket.closed, self.socket.close_code
            return bool(there())

        await eventually(seen, lambda: f"what was waited for ({self.sources}, {self.people})")

    async def type(self, index: int, text: str) -> None:
        """Add to a cell's source and tell the server."""
        before = self.doc.get_state()
        source = self.cells[index]["source"]
        source.insert(len(str(source)), text)
        await self.socket.send_bytes(create_update_message(self.doc.get_update(before)))

    async def print(self, text: str) -> None:
        """What JupyterLab does with an output: it goes into the document."""
        before = self.doc.get_state()
        output = {"output_type": "stream", "name": "stdout", "text": text}
        self.cells[0]["outputs"].append(Map(output))
        await self.socket.send_bytes(create_update_message(self.doc.get_update(before)))


async def room_of(three: Three, who: aiohttp.ClientSession, path: str = PATH) -> str:
    """The address of a notebook's room."""
    kind = {"format": "json", "type": "notebook"}
    told = await three.json(who, "PUT", "api/collaboration/session/" + path.replace("/", "%2F"), json=kind)
    return f"api/collaboration/room/json:notebook:{told['fileId']}?sessionId={told['sessionId']}"


@contextlib.asynccontextmanager
async def entered(three: Three, who: aiohttp.ClientSession, address: str) -> AsyncIterator[Room]:
    """In a room, listening."""
    async with who.ws_connect(three.url + address, max_msg_size=0) as socket:
        room = Room(socket)
        task = asyncio.create_task(room.listen())
        try:
            yield room
        finally:
            task.cancel()
