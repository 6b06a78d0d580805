"""What Jupyter holds for pages that do not read: bounded, and the session goes on.

Jupyter writes to a websocket whatever a kernel or a terminal tells, and what a page does not take stays in its memory.
A page that is asleep, or slower than a kernel that prints, would so take all of the instance's. Here a page that left
`PIECE` bytes and takes nothing for `STILL` seconds is cut off at the next message, and connects again by itself; one
that only is slower than the kernel may leave `MOST`. What a kernel tells while
nobody is there, which Jupyter keeps for the page that comes back, is bounded too: the oldest outputs go, said in words.
Runs on the environment's own Python (3.8 and later).
"""

import asyncio
import collections
import json
import os
import weakref

from tornado.concurrent import Future
from tornado.websocket import WebSocketHandler

try:
    from jupyter_server.services.kernels.kernelmanager import MappingKernelManager
except ImportError:
    MappingKernelManager = None

PIECE = int(os.environ.get("VISA_PIECE", "") or 2**26)
MOST = 4 * PIECE
STILL = 2.0
TOGETHER = 2
"""How many pages' bytes all together may leave."""
_GONE = "{count} messages of this kernel were not kept while nobody was here: they were too much. Run the cell again."
_DELIMITER = b"<IDS|MSG>"
_open = weakref.WeakSet()


def bound():
    """Change tornado and Jupyter."""
    write = WebSocketHandler.write_message

    def bounded(handler, message, binary=False):
        _open.add(handler)
        if _too_much(handler):
            print(
                f"visa: a page is cut off that did not take {_left(handler)} bytes: {handler.request.path}", flush=True
            )
            handler.ws_connection.stream.close()
            done = Future()
            done.set_result(None)  # who wrote need not know
            return done
        return write(handler, message, binary)

    WebSocketHandler.write_message = bounded
    start = getattr(MappingKernelManager, "start_buffering", None)
    if start is None:
        return

    def start_buffering(manager, kernel_id, session_key, channels):
        start(manager, kernel_id, session_key, channels)
        buffered = manager._kernel_buffers.get(kernel_id) if hasattr(manager, "_kernel_buffers") else None
        if buffered and "buffer" in buffered:
            buffered["buffer"] = Kept(manager.get_kernel(kernel_id).session, PIECE)

    MappingKernelManager.start_buffering = start_buffering


def _left(handler):
    """Bytes that a page was told and did not take."""
    stream = getattr(handler.ws_connection, "stream", None)
    return len(stream._write_buffer) if stream is not None and not stream.closed() else 0


def _too_much(handler):
    """Whether it has left too much to be told more; of all together the one that left most."""
    left = _left(handler)
    if not left:
        return False
    others = [_left(one) for one in list(_open)]
    together, most = sum(others), left == max(others)
    still = _still(handler)
    if left > MOST or (most and together > TOGETHER * MOST):
        return True
    return still and (left > PIECE or (most and together > TOGETHER * PIECE))


def _still(handler):
    """Whether it took nothing of what it has left for `STILL` seconds: a busy machine's pages take it by and by."""
    taken, now = handler.ws_connection.stream._total_write_done_index, asyncio.get_event_loop().time()
    before, since = getattr(handler, "_visa_taken", (None, now))
    if taken != before:
        since = now
    handler._visa_taken = taken, since
    return now - since >= STILL


class Kept(collections.deque):
    """Messages of a kernel, ``(channel, parts)``, with at most so many bytes of outputs: the oldest go.

    Replies and the kernel's states stay: a page waits for them.
    """

    def __init__(self, session, most):
        super().__init__()
        self._session, self._most = session, most
        self._size = self._dropped = 0
        self._parent = {}

    def append(self, message):
        """One more, and what is too much goes."""
        super().append(message)
        self._size += _size(message)
        if self._size > self._most:
            self._drop()

    def _drop(self):
        messages = list(super().__iter__())
        self.clear()
        for message in messages:
            # More than has to go, so that not all are looked at again for each.
            if self._size > self._most * 3 // 4 and _is_output(message):
                self._size -= _size(message)
                self._dropped += 1
                self._parent = _header(message, 3) or self._parent
            else:
                super().append(message)

    def __iter__(self):
        """What is told to who comes back."""
        if self._dropped:
            content = {"name": "stderr", "text": _GONE.format(count=self._dropped) + "\n"}
            told = self._session.msg("stream", content, parent={"header": self._parent})
            yield "iopub", self._session.serialize(told)
        yield from super().__iter__()


def _size(message):
    return sum(memoryview(part).nbytes for part in message[1])


def _is_output(message):
    return message[0] == "iopub" and _header(message, 2).get("msg_type") != "status"


def _header(message, after):
    """The message's own header (2 after the delimiter), or its parent's (3)."""
    parts = message[1]
    try:
        found = json.loads(bytes(parts[parts.index(_DELIMITER) + after]))
    except (ValueError, IndexError):
        return {}
    return found if isinstance(found, dict) else {}
