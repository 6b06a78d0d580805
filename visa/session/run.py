"""The run folder, shared with the environment, which may put anything there: links are not followed, nothing is waited
for, and what is found is looked at before it is used (docs/developers/desktop.md)."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tornado.httputil import HTTPHeaders
from tornado.iostream import IOStream
from tornado.websocket import WebSocketClientConnection

from visa.session import upstream

DESKTOP, SELKIES = "desktop.sock", "selkies.sock"
_ASK = "ask"
_CAREFUL = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@contextmanager
def _opened(path: str, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | _CAREFUL)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _is(kind: Callable[[int], bool], descriptor: int) -> bool:
    return kind(os.fstat(descriptor).st_mode)


def read(path: str, most: int) -> bytes:
    """The first bytes of a file, none when it is no file; raise ``OSError`` when it cannot be read."""
    with _opened(path, os.O_RDONLY) as descriptor:
        return os.read(descriptor, most) if _is(stat.S_ISREG, descriptor) else b""


def ask(run: str, what: str) -> bool:
    """Tell the launcher to start ``what``; False when nobody is there to be told."""
    try:
        with _opened(f"{run}/{_ASK}", os.O_WRONLY) as descriptor:
            return _is(stat.S_ISFIFO, descriptor) and os.write(descriptor, f"{what}\n".encode()) > 0
    except OSError:
        return False


@contextmanager
def _socket(path: str) -> Iterator[str]:
    """A path that leads to this very socket; raise ``OSError`` when there is none."""
    with _opened(path, os.O_PATH) as descriptor:
        if not _is(stat.S_ISSOCK, descriptor):
            raise OSError("it is no socket")
        yield f"/proc/self/fd/{descriptor}"


async def connect(path: str) -> IOStream:
    """A stream to a socket; raise `upstream.NotListening`."""
    try:
        with _socket(path) as place:
            return await upstream.connect(place)
    except OSError as error:
        raise upstream.NotListening(str(error)) from None


async def websocket(path: str, uri: str, largest: int) -> WebSocketClientConnection:
    """A websocket to a socket, of messages of at most ``largest`` bytes; raise as `upstream.open_websocket`."""
    try:
        with _socket(path) as place:
            return await upstream.open_websocket(place, uri, HTTPHeaders(), largest)
    except OSError as error:
        raise upstream.NotListening(str(error)) from None


def listens(path: str) -> bool:
    """Whether a socket takes connections."""
    try:
        with _socket(path) as place, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as one:
            one.connect(place)
    except BlockingIOError:
        return True  # its queue is full: it is there, and busy
    except OSError:
        return False
    return True
