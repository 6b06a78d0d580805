"""Files in JupyterLab's editors: at most so many bytes of one, and long ones passed on by the part.

Jupyter holds a file that it is asked for several times over, and sends it while nothing else goes on. Here a file above
`PIECE` is refused with a sentence, and a long one is read, packed and sent by the part: a page that does not take it
holds a part of it, and nobody waits. A notebook has to be read as a whole: `notebooks.py` has a process for that, and
what Jupyter itself reads of long ones, as for several people's editing, it reads one after the other. A copy of a long
file is made by the part too. Downloads are not concerned: Jupyter streams them by itself.
Runs on the environment's own Python (3.8 and later).
"""

import asyncio
import base64
import codecs
import contextlib
import functools
import hashlib
import json
import mimetypes
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor

import notebooks
import space
from jupyter_server.auth.decorator import authorized
from jupyter_server.services.contents.filemanager import AsyncFileContentsManager
from jupyter_server.services.contents.handlers import ContentsHandler
from jupyter_server.services.contents.manager import copy_pat
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
    AsyncFileContentsManager.copy = _by_the_part(AsyncFileContentsManager.copy)
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
        size = 0
        if content or named.get("require_hash"):
            check(size := _size(manager._get_os_path(path.strip("/"))))
        if content and size > LONG and (path.endswith(".ipynb") or "notebook" in (*more, named.get("type"))):
            async with _one_at_a_time():
                return await get(manager, path, content, *more, **named)
        return await get(manager, path, content, *more, **named)

    return answer


def _one_at_a_time(made=[]):  # noqa: B006 (made by the first question, when the loop runs)
    if not made:
        made.append(asyncio.Lock())
    return made[0]


def _size(os_path):
    return os.path.getsize(os_path) if os.path.isfile(os_path) else 0


def _in_parts(get):
    @web.authenticated
    @authorized
    @functools.wraps(get)
    async def answer(handler, path=""):
        os_path = await _long(handler, path)
        if os_path is None:
            return await get(handler, path)
        if _is_notebook(handler, path):
            return await notebooks.send(handler, path)
        return await _Long(handler, path, os_path).send()

    return answer


def _is_notebook(handler, path):
    """Whether a file is asked for as a notebook."""
    return handler.get_query_argument("type", "notebook" if path.endswith(".ipynb") else "") == "notebook"


async def _long(handler, path):
    """Where a long file is that is asked for; None for all else."""
    manager = handler.contents_manager
    if not path or not isinstance(manager, AsyncFileContentsManager):
        return None
    if handler.get_query_argument("content", "1") != "1" or handler.get_query_argument("type", "") == "directory":
        return None
    os_path = manager._get_os_path(path.strip("/"))
    if not LONG < _size(os_path) <= PIECE or await ensure_async(manager.is_hidden(path)):
        return None
    return os_path


def _by_the_part(copy):
    @functools.wraps(copy)
    async def answer(manager, from_path, to_path=None):
        source = manager._get_os_path(from_path.strip("/"))
        if _size(source) <= LONG:
            return await copy(manager, from_path, to_path)
        target = await _target(manager, from_path.strip("/"), to_path)
        for path in (from_path, target):
            if not manager.allow_hidden and await ensure_async(manager.is_hidden(path)):
                raise web.HTTPError(404, f"file or directory does not exist: {path!r}")
        copying = asyncio.get_running_loop().run_in_executor(_COPIES, _copied, source, manager._get_os_path(target))
        await copying
        model = await ensure_async(manager.get(target, content=False))
        manager.emit(data={"action": "copy", "path": target, "source_path": from_path})
        return model

    return answer


async def _target(manager, from_path, to_path):
    """Where Jupyter would put a copy."""
    folder, _, name = from_path.rpartition("/")
    place = folder if to_path is None else to_path.strip("/")
    if await ensure_async(manager.dir_exists(place)):
        name = await ensure_async(manager.increment_filename(copy_pat.sub(".", name), place, insert="-Copy"))
        return f"{place}/{name}"
    parent = place.rpartition("/")[0]
    if to_path is None or not await ensure_async(manager.dir_exists(parent)):
        raise web.HTTPError(404, f"No such directory: {place if to_path is None else parent}")
    return place


def _copied(source, target):
    """Make the copy, or none: it has its name when it is whole."""
    part = ""
    try:
        descriptor, part = tempfile.mkstemp(prefix=".", suffix=".~copy", dir=os.path.dirname(target))
        with open(source, "rb") as original, open(descriptor, "wb") as copy:
            shutil.copyfileobj(original, copy, _PART)
        shutil.copymode(source, part)
        os.replace(part, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(part)
        if space.full(error):
            raise space.refusal() from None
        sentence = f"The file could not be copied: {error.strerror}."
        raise web.HTTPError(403, sentence, reason=sentence) from None


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


_COPIES = ThreadPoolExecutor(2, "copies")
"""Long copies keep to these: listings and all else wait in asyncio's own threads, which are few on one core."""


async def _in_thread(do, *given):
    return await asyncio.get_running_loop().run_in_executor(None, do, *given)
