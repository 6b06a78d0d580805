"""What outlives a gateway that dies: a file in memory that the next gateway of the instance reads, and nobody else.

It has people's tokens. On one machine the supervisor holds it, in a pod it lies in a folder of the gateway's alone.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterable
from typing import Any

log = logging.getLogger(__name__)

_LARGEST = 2**20
"""Bytes after which it is written anew."""


class Kept:
    """One JSON object a line, the newest last. ``path`` empty: nothing outlives this gateway."""

    def __init__(self, path: str = "") -> None:
        self.lines: list[dict[str, Any]] = []
        """What a former gateway left."""
        self.state: list[Callable[[], Iterable[dict[str, Any]]]] = []
        """What is to be kept, for writing it anew."""
        self._file = -1
        if path:
            try:
                self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
                content = _content(self._file)
                self.lines = _lines(content)
                if content and not content.endswith(b"\n"):
                    os.write(self._file, b"\n")
            except OSError as error:
                log.warning("Logins do not outlive this gateway: %s", error)

    def add(self, **line: Any) -> None:
        """Keep one more."""
        if self._file < 0:
            return
        try:
            self._write([line])
            if os.fstat(self._file).st_size > _LARGEST:
                os.ftruncate(self._file, 0)
                self._write(line for part in self.state for line in part())
        except OSError as error:
            log.warning("A login may not outlive this gateway: %s", error)

    def _write(self, lines: Iterable[dict[str, Any]]) -> None:
        data = "".join(json.dumps(line) + "\n" for line in lines).encode()
        while data:
            data = data[os.write(self._file, data) :]


def _content(file: int) -> bytes:
    return os.pread(file, os.fstat(file).st_size, 0)


def _lines(content: bytes) -> list[dict[str, Any]]:
    """Of a gateway that was killed while it wrote the last one is torn."""
    found = []
    for line in content.splitlines():
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if isinstance(told, dict):
            found.append(told)
    return found
