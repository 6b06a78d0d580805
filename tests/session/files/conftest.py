"""The environment's files.py on a real unix socket."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.services.waiting import until
from tests.session import rig


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("visa", timeout=30)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self._path)


@dataclass
class Answer:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Environment:
    """Where the files are, and the socket."""

    run: Path
    home: Path
    shared: Path
    data: Path

    @property
    def socket(self) -> str:
        return str(self.run / "files.sock")

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection = _Unix(self.socket)
        connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
        answer = connection.getresponse()
        try:
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()


@contextmanager
def serving() -> Iterator[Environment]:
    """Home, shared space and data of its own; ``VISA_TEST_PYTHON`` chooses another Python."""
    folder = Path(tempfile.mkdtemp(prefix="visa-f-"))
    one = Environment(*(folder / name for name in ("run", "home", "shared", "data")))
    for path in (one.run, one.home, one.shared / "e1", one.data / "e1"):
        path.mkdir(parents=True)
    variables = {
        **os.environ,
        "VISA_RUN": str(one.run),
        "HOME": str(one.home),
        "VISA_SHARED": str(one.shared),
        "VISA_DATA": str(one.data),
    }
    python = os.environ.get("VISA_TEST_PYTHON", sys.executable)
    command = [python, "-I", "-S", str(rig.FILES / "files.py")]
    process = subprocess.Popen(command, env=variables, start_new_session=True)
    try:
        until(lambda: rig.answers(one.socket), 60, "files.py listens", process)
        yield one
    finally:
        rig.end(process)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def environment() -> Iterator[Environment]:
    """One for all tests."""
    with serving() as one:
        yield one
