"""A kernel of an instance, spoken to through the proxy as JupyterLab does."""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
import websockets.sync.client as websockets
from websockets.exceptions import WebSocketException

from tests.services.waiting import until


def send(socket: Any, code: str) -> str:
    """Send Python to the kernel at the other end of ``socket``; the message's id."""
    message_id = uuid.uuid4().hex
    header = {"msg_id": message_id, "msg_type": "execute_request", "username": "", "session": "s", "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": False, "allow_stdin": False}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    socket.send(json.dumps(message))
    return message_id


def run(socket: Any, code: str, seconds: float = 60.0) -> str:
    """Run Python at the other end of ``socket``; what it printed."""
    message_id = send(socket, code)
    printed = ""
    while True:
        got = json.loads(socket.recv(timeout=seconds))
        if got["parent_header"].get("msg_id") != message_id:
            continue
        if got["msg_type"] == "stream":
            printed += got["content"]["text"]
        elif got["msg_type"] == "error":
            printed += "\n".join(got["content"]["traceback"])
        elif got["msg_type"] == "status" and got["content"]["execution_state"] == "idle":
            break
    return printed


@dataclass(frozen=True)
class Kernel:
    """``base``: the instance's address; ``headers`` say who asks. Each run has a websocket of its own."""

    base: str
    headers: dict[str, str]
    id: str

    @classmethod
    def begin(cls, base: str, headers: dict[str, str]) -> Kernel:
        """A new one, once Jupyter is there."""
        with httpx.Client(headers=headers, timeout=30) as client:
            until(lambda: client.get(f"{base}api/kernels").status_code == 200, 60, "Jupyter")
            made = client.post(f"{base}api/kernels", json={"name": "python3"})
        return cls(base, headers, made.json()["id"])

    def connect(self) -> Any:
        """A websocket."""
        address = f"{self.base}api/kernels/{self.id}/channels".replace("http", "ws", 1)
        return websockets.connect(address, additional_headers=self.headers, max_size=None)

    def run(self, code: str, seconds: float = 60.0) -> str:
        """Run Python; what it printed."""
        with self.connect() as socket:
            return run(socket, code, seconds)

    def run_once_back(self, code: str) -> str:
        """The same, tried again while nobody answers."""

        def tried() -> list[str]:
            with suppress(WebSocketException, OSError, TimeoutError):
                return [self.run(code)]
            return []

        return str(until(tried, 60, "an answer of the kernel")[0])

    def dies_of(self, code: str, seconds: float = 200.0) -> None:
        """Run Python that ends it; return when Jupyter says that it is dead or starts another."""
        with self.connect() as socket:
            send(socket, code)
            state = ""
            while state not in ("restarting", "autorestarting", "dead"):
                got = json.loads(socket.recv(timeout=seconds))
                state = got["content"].get("execution_state", "")

    def end(self) -> None:
        """End it."""
        with httpx.Client(headers=self.headers, timeout=30) as client:
            client.delete(f"{self.base}api/kernels/{self.id}")
