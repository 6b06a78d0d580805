"""Long notebooks for JupyterLab: read in a process of their own, and sent by the part.

At most so many are read at once, one for all who are not the owner: sixty who ask for a large one take no more than
one, and Jupyter answers everybody else meanwhile.
Runs on the environment's own Python (3.8 and later).
"""

import asyncio
import contextlib
import json
import os
import sys

from tornado import web
from tornado.iostream import StreamClosedError

PATIENCE = float(os.environ.get("VISA_READER_PATIENCE", "") or 60)
"""Seconds that reading may take, and as many until the answer is taken."""
READ = {True: 2, False: 1}
"""Notebooks that are read at once: of the owner's questions, and of everybody else's."""
_CHUNK = 2**18
_SLOW = "Reading this notebook took too long. Clear outputs, or download it."
_ENDED = "Reading this notebook takes more memory than is there for it. Clear outputs, or download it."
_READER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "notebook_reader.py")
_free = {}


def _turn(owner):
    """Made by the first question, when the loop runs."""
    if owner not in _free:
        _free[owner] = asyncio.Semaphore(READ[owner])
    return _free[owner]


async def send(handler, path):
    """Answer a request for the content of a notebook."""
    is_owner = getattr(handler.identity_provider, "is_owner", None)
    manager = handler.contents_manager
    question = {
        "root": str(manager.root_dir),
        "allow_hidden": bool(manager.allow_hidden),
        "path": path,
        "hash": handler.get_query_argument("hash", "0") == "1",
    }
    async with _turn(bool(is_owner and is_owner(handler))):
        if handler.request.connection.stream.closed():
            return  # who asked is gone meanwhile
        process = await _started(question)
        try:
            await _answer(handler, process)
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            await process.wait()


async def _started(question):
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, _READER, stdin=pipe, stdout=pipe, limit=_CHUNK)
    process.stdin.write(json.dumps(question).encode() + b"\n")
    return process


async def _answer(handler, process):
    try:
        head = json.loads(await asyncio.wait_for(process.stdout.readline(), PATIENCE))
    except asyncio.TimeoutError:  # noqa: UP041 (another one until 3.10)
        raise web.HTTPError(504, _SLOW, reason=_SLOW) from None
    except ValueError:
        raise web.HTTPError(507, _ENDED, reason=_ENDED) from None
    if "sentence" in head:
        raise web.HTTPError(head["status"], head["sentence"])
    handler.set_header("Content-Type", "application/json")
    try:
        await asyncio.wait_for(_pass(handler, process.stdout, head["size"]), PATIENCE)
    except (asyncio.TimeoutError, asyncio.IncompleteReadError, StreamClosedError):  # noqa: UP041
        handler.log.warning("A notebook was cut off: it was not taken, or its reader ended")
        handler.request.connection.stream.close()


async def _pass(handler, source, size):
    while size:
        chunk = await source.read(min(size, _CHUNK))
        if not chunk:
            raise asyncio.IncompleteReadError(b"", size)
        size -= len(chunk)
        handler.write(chunk)
        await handler.flush()
    await handler.finish()
