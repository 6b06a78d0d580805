"""Files in JupyterLab's editors: at most so many bytes of one, and long ones passed on by the part.

Jupyter holds a file that it is asked for several times over, and sends it while nothing else goes on. Here a file above
`PIECE` is refused with a sentence, and a long one that is no notebook is read, packed and sent by the part: a page that
does not take it holds a part of it, and nobody waits. Downloads are not concerned: Jupyter streams them by itself.
Runs on the environment's own Python (3.8 and later).
"""

import asyncio
import base64
import codecs
import functools
import hashlib
import json
import mimetypes
import os

from jupyter_server.auth.decorator import authorized
from jupyter_server.services.contents.filemanager import AsyncFileContentsManager
from jupyter_server.services.contents.handlers import ContentsHandler
from jupyter_server.utils import ensure_async
from tornado import web
from tornado.iostream import StreamClosedError

try:
    from jupyter_client.jsonutil import json_default
except ImportError:
    from jupyter_client.jsonutil import date_default as json_default

PIECE = int(os.environ.get("VISA_PIECE", "") or 2**26)
LONG = 2**20
"""Bytes from which a file is passed on by the part."""
_PART = 3 * 2**16  # a whole number of base64's groups


def bound(server):
    """Change Jupyter; ``server`` is its section of the configuration."""
    # What is saved comes as JSON, so as text that is longer than what it says.
    server.max_body_size = server.max_buffer_size = 2 * PIECE + 2**20
    AsyncFileContentsManager.get = _refusing(AsyncFileContentsManager.get)
    ContentsHandler.get = _in_parts(ContentsHandler.get)


def check(size):
    """Raise an error with a sentence when a file is longer than a piece."""
    if size > PIECE:
        most = f"{PIECE / 1e6:.3g} MB"
        sentence = (
            f"This file has {size / 1e6:.3g} MB; an editor is given at most {most} at once. "
            "Download it, or read it in a notebook or a terminal."
        )
        raise web.HTTPError(413, sentence, reason=sentence)


def _refusing(get):
    @functools.wraps(get)
    async def answer(manager, path, content=True, *more, **named):
        # A hash is made of the whole file, held at once.
        if content or named.get("require_hash"):
            check(_size(manager._get_os_path(path.strip("/"))))
        return await get(manager, path, content, *more, **named)

    return answer


def _size(os_path):
    return os.path.getsize(os_path) if os.path.isfile(os_path) else 0


def _in_parts(get):
    @web.authenticated
    @authorized
    @functools.wraps(get)
    async def answer(handler, path=""):
        os_path = await _long(handler, path)
        return await (get(handler, path) if os_path is None else _Long(handler, path, os_path).send())

    return answer


async def _long(handler, path):
    """Where a long file is that is asked for and no notebook; None for all else."""
    manager, kind = handler.contents_manager, handler.get_query_argument("type", None)
    if not path or not isinstance(manager, AsyncFileContentsManager):
        return None
    if handler.get_query_argument("content", "1") != "1" or kind in ("directory", "notebook"):
        return None
    if kind is None and path.endswith(".ipynb"):
        return None
    os_path = manager._get_os_path(path.strip("/"))
    if not LONG < _size(os_path) <= PIECE or await ensure_async(manager.is_hidden(path)):
        return None
    return os_path


class _Long:
    """One file on its way."""

    def __init__(self, handler, path, os_path):
        self._handler, self._path, self._os_path = handler, path, os_path
        self._format = handler.get_query_argument("format", None)

    async def send(self):
        handler, manager = self._handler, self._handler.contents_manager
        if self._format not in (None, "text", "base64"):
            raise web.HTTPError(400, "The format is text or base64")
        model = await ensure_async(manager.get(self._path, content=False, type="file"))
        if handler.get_query_argument("hash", "0") == "1":
            algorithm = manager.hash_algorithm
            model.update(hash=await _in_thread(_hash, self._os_path, algorithm), hash_algorithm=algorithm)
        if self._format != "base64":
            text = await _in_thread(_is_text, self._os_path)
            if not text and self._format:
                raise web.HTTPError(400, f"{self._path} is not UTF-8 encoded", reason="bad format")
            self._format = "text" if text else "base64"
        usual = "text/plain" if self._format == "text" else "application/octet-stream"
        kind = mimetypes.guess_type(self._os_path)[0] or usual
        head = {**model, "format": self._format, "mimetype": kind}
        del head["content"]
        handler.set_header("Last-Modified", model["last_modified"])
        handler.set_header("Content-Type", "application/json")
        handler.write(json.dumps(head, default=json_default)[:-1] + ', "content": "')
        try:
            await self._content()
            await handler.finish('"}')
        except StreamClosedError:
            handler.log.debug("The browser went away while it was given %s", self._path)

    async def _content(self):
        packed = _base64 if self._format == "base64" else _escaped()
        with await _in_thread(open, self._os_path, "rb") as file:
            left = PIECE  # it may grow meanwhile
            while left:
                data = await _in_thread(file.read, min(_PART, left))
                left -= len(data)
                self._handler.write(packed(data))
                await self._handler.flush()
                if not data:
                    return


def _base64(data):
    return base64.b64encode(data).decode()


def _escaped():
    decoder = codecs.getincrementaldecoder("utf-8")("replace")  # it may be written to meanwhile
    return lambda data: json.dumps(decoder.decode(data, not data))[1:-1]


def _hash(os_path, algorithm):
    made = hashlib.new(algorithm)
    with open(os_path, "rb") as file:
        for data in iter(functools.partial(file.read, _PART), b""):
            made.update(data)
    return made.hexdigest()


def _is_text(os_path):
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        with open(os_path, "rb") as file:
            while True:
                data = file.read(_PART)
                decoder.decode(data, not data)
                if not data:
                    return True
    except UnicodeDecodeError:
        return False


async def _in_thread(do, *given):
    return await asyncio.get_running_loop().run_in_executor(None, do, *given)
