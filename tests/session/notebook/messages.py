"""Kernel and room messages as a browser makes them, and as nobody should."""

from __future__ import annotations

import json
import uuid
from typing import Any

from visa.session.notebook.lib0 import number, string

KERNEL_MESSAGES = (
    "execute_request",
    "inspect_request",
    "complete_request",
    "history_request",
    "is_complete_request",
    "connect_request",
    "comm_info_request",
    "kernel_info_request",
    "shutdown_request",
    "interrupt_request",
    "debug_request",
    "create_subshell_request",
    "delete_subshell_request",
    "list_subshell_request",
    "comm_open",
    "comm_msg",
    "comm_close",
    "input_reply",
    "input_request",
    "apply_request",
    "abort_request",
    "clear_request",
    "stream",
    "display_data",
    "execute_result",
    "execute_reply",
    "status",
    "error",
    "usage_request",
    "none_that_anybody_knows",
)
"""Of the protocol's versions 5.0 to 5.5, ipykernel's and ipyparallel's own, and one that does not exist."""
CHANNELS = ("shell", "control", "stdin", "iopub", "hb", "")


def header(kind: str) -> dict[str, Any]:
    """Of a new message: kernels drop one that they had before."""
    return {
        "msg_id": uuid.uuid4().hex,
        "msg_type": kind,
        "username": "somebody else",
        "session": "s-1",
        "version": "5.3",
        "date": "",
    }


def text(kind: str, channel: str, content: Any = None, **more: Any) -> str:
    """The JSON encoding."""
    parts = {"header": header(kind), "parent_header": {}, "metadata": {}, "content": content or {}, "buffers": []}
    return json.dumps({**parts, "channel": channel, **more})


def frames(kind: str, channel: str, content: Any = None, *buffers: bytes) -> bytes:
    """The encoding of v1.kernel.websocket.jupyter.org."""
    parts = [channel.encode(), *(json.dumps(one).encode() for one in (header(kind), {}, {}, content or {})), *buffers]
    places = [8 * (len(parts) + 2)]
    for part in parts:
        places.append(places[-1] + len(part))
    return b"".join(one.to_bytes(8, "little") for one in (len(places), *places)) + b"".join(parts)


def sync(kind: int, content: bytes) -> bytes:
    """A sync message of Yjs."""
    return bytes([0, kind]) + string(content)


def states(*entries: tuple[int, int, Any]) -> bytes:
    """An awareness message of Yjs: ``(client, clock, state)``."""
    parts = [number(client) + number(clock) + string(json.dumps(state).encode()) for client, clock, state in entries]
    return b"\x01" + string(number(len(entries)) + b"".join(parts))
