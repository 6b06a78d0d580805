"""HDF5 files in h5web: a server extension that asks a process of its own, and stays small and quick itself.

What a person asks for may be as large as what the file says, and HDF5 holds up whoever reads it. So `hdf5_reader.py`
reads, within bounds; when it ends for memory or takes too long, that one question is answered with a sentence, and
the next one starts another. It is started by the first question: HDF5 for Python is a fifth of Jupyter's start.
Runs on the environment's own Python (3.8 and later).
"""

import asyncio
import contextlib
import importlib.util
import json
import os
import sys

from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

PATIENCE = float(os.environ.get("VISA_READER_PATIENCE", "") or 60)
"""Seconds that a question may take, and as many until its answer is taken."""
QUESTIONS = ("attr", "data", "meta", "paths")
READERS = 2
"""Processes for the owner's questions; everybody else's share one of their own."""
_CHUNK = 2**18
_SLOW = "Reading this took too long. Choose a part of it, or read it in a notebook."
_ENDED = "Reading this takes more memory than the viewer has. Choose a part of it, or read it in a notebook."
_READER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hdf5_reader.py")


def _jupyter_server_extension_points():
    return [{"module": "hdf5"}]


def _load_jupyter_server_extension(server_app):
    if importlib.util.find_spec("jupyterlab_h5web"):
        readers = {owner: Readers(server_app.root_dir, READERS if owner else 1) for owner in (True, False)}
        base = server_app.web_app.settings["base_url"]
        handlers = [
            (url_path_join(base, "h5web", what), Question, {"readers": readers, "what": what}) for what in QUESTIONS
        ]
        server_app.web_app.add_handlers(".*$", handlers)


class Failed(Exception):
    """No answer came; ``status`` and a sentence."""

    def __init__(self, status, sentence):
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class Question(APIHandler):
    """One of h5web's."""

    def initialize(self, readers, what):
        self._readers, self._what = readers, what

    @web.authenticated
    async def get(self):
        owner = bool(self.identity_provider.is_owner(self))
        given = {name: self.get_query_argument(name) for name in self.request.query_arguments}
        self.update_api_activity()
        try:
            async with self._readers[owner].one() as reader:
                await self._answer(reader, {"what": self._what, "given": given, "owner": owner})
        except Failed as failed:
            self._say(failed.status, failed.sentence)

    async def _answer(self, reader, question):
        head = await reader.ask(question)
        if "sentence" in head:
            self._say(head["status"], head["sentence"])
            return
        for name, value in head["headers"].items():
            self.set_header(name, value)
        try:
            await asyncio.wait_for(self._pass(reader, head["size"]), PATIENCE)
        except (asyncio.TimeoutError, asyncio.IncompleteReadError):  # noqa: UP041 (another one until 3.10)
            self.log.warning("An answer about an HDF5 file was cut off: it was not taken, or its reader ended")
            reader.end()
            self.request.connection.stream.close()

    async def _pass(self, reader, size):
        while size:
            chunk = await reader.read(min(size, _CHUNK))
            size -= len(chunk)
            self.write(chunk)
            await self.flush()
        super(APIHandler, self).finish()

    def _say(self, status, sentence):
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        super(APIHandler, self).finish(json.dumps({"message": sentence, "reason": sentence}))


class Readers:
    """So many processes at most, each asked one question at a time."""

    def __init__(self, folder, most):
        self._folder, self._idle = folder, []
        self._free = asyncio.Semaphore(most)

    @contextlib.asynccontextmanager
    async def one(self):
        """One that waits for a question; one that was left in the middle of an answer is ended."""
        async with self._free:
            reader = self._idle.pop() if self._idle else Reader(self._folder)
            try:
                yield reader
            except BaseException:
                reader.end()
                raise
            if reader.well:
                self._idle.append(reader)


class Reader:
    """A process, started by its first question."""

    def __init__(self, folder):
        self._folder, self._process = str(folder), None
        self.well = True

    async def ask(self, question):
        """The head of its answer; raise `Failed`."""
        try:
            return await asyncio.wait_for(self._ask(question), PATIENCE)
        except asyncio.TimeoutError:  # noqa: UP041
            self.end()
            raise Failed(504, _SLOW) from None
        except (OSError, ValueError, EOFError):
            self.end()
            raise Failed(507, _ENDED) from None

    async def _ask(self, question):
        if self._process is None:
            pipe = asyncio.subprocess.PIPE
            # Without -I: the environment's variables say where its packages and HDF5's filters are.
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, _READER, self._folder, stdin=pipe, stdout=pipe, limit=_CHUNK
            )
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        await self._process.stdin.drain()
        line = await self._process.stdout.readline()
        if not line:
            raise EOFError
        return json.loads(line)

    async def read(self, most):
        """Some of the answer."""
        chunk = await self._process.stdout.read(most)
        if not chunk:
            raise asyncio.IncompleteReadError(b"", most)
        return chunk

    def end(self):
        """It is not asked again."""
        self.well = False
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
