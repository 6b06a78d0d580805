"""Files into and out of the environment: HTTP on ``$VISA_RUN/files.sock``, as the person, with her own rights.

Python 3.9 or later, standard library only; it knows no secret. The addresses: docs/developers/desktop.md.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import socket
import socketserver
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs

# Python's -I leaves this script's own folder out.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from places import Place, Problem, clean, leads, place, readable, roots, within
from startup import Look

CHUNK = 2**18
MOST_ENTRIES = 20_000
MOST_CONNECTIONS = 64
LARGEST = 2**50
OLD = 7 * 86400.0
"""Seconds after which the parts of an upload that nobody went on with are removed."""
_LOCK = 5.0
_SILENT = 600.0
_DRAINED = 2**26
_ID = re.compile(r"[0-9A-Za-z_-]{16,64}")
_PART = re.compile(r"\..+\.[0-9A-Za-z_-]{16,64}\.part", re.DOTALL)
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_NO_SPACE = "There is no space left here. Remove what is not needed, or ask the facility for more, and try again."


def open_folder(where: Place) -> tuple[int, str]:
    """``(descriptor of the folder, name)`` to write ``where``; raise `Problem`. Links out of the root are refused."""
    if where.root == "data":
        raise Problem(403, "The experiment's data cannot be changed.")
    root = os.path.realpath(roots()[where.root])
    parent, name = os.path.split(where.path)
    if where.path == roots()[where.root] or not name:
        raise Problem(400, "The address names no file.")
    real = os.path.realpath(parent)
    if not within(real, root):
        raise Problem(403, f"This folder is a link that leads out of {where.root}; write to where it leads.")
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    descriptor = os.open(root, flags)
    # Step by step, so that a link that is made meanwhile leads nowhere.
    for part in filter(None, os.path.relpath(real, root).split("/")):
        if part != ".":
            below = descriptor
            try:
                descriptor = os.open(part, flags | os.O_NOFOLLOW, dir_fd=below)
            finally:
                os.close(below)
    return descriptor, name


def listing(where: Place) -> dict[str, Any]:
    """A folder's entries, without uploads under way; and how many cannot be shown, for their name or their kind."""
    real = readable(where)
    entries: list[dict[str, Any]] = []
    more, unshown = False, {"names": 0, "kinds": 0}
    with os.scandir(real) as found:
        for entry in found:
            if _PART.fullmatch(entry.name):
                continue
            if not clean(entry.name):
                unshown["names"] += 1
            elif (told := _entry(entry)) is None:
                unshown["kinds"] += 1
            elif len(entries) == MOST_ENTRIES:
                more = True
                break
            else:
                entries.append(told)
    own = where.root != "data" and within(real, roots()[where.root])
    writable = own and os.access(real, os.W_OK | os.X_OK)
    return {"entries": entries, "writable": writable, "more": more, "unshown": unshown}


def _entry(entry: os.DirEntry[str]) -> dict[str, Any] | None:
    """A file or folder; None for a link to nothing, a device, a socket."""
    try:
        about = entry.stat()
    except OSError:
        return None
    folder = stat.S_ISDIR(about.st_mode)
    if not folder and not stat.S_ISREG(about.st_mode):
        return None
    kind, size = ("folder", 0) if folder else ("file", about.st_size)
    return {"name": entry.name, "type": kind, "size": size, "modified": about.st_mtime}


def make_folder(where: Place) -> bool:
    """Make a folder where one is to be; whether there was none yet; raise `Problem` when the name is a file's."""
    parent, name = open_folder(where)
    try:
        os.mkdir(name, dir_fd=parent)
    except FileExistsError:
        if not stat.S_ISDIR(os.stat(name, dir_fd=parent).st_mode):
            raise Problem(409, f"There is a file of the name {name}.") from None
        return False
    finally:
        os.close(parent)
    return True


class Upload:
    """A file on its way in: its parts are beside the target in a hidden file, whose length is what was received."""

    def __init__(self, where: Place, identifier: str) -> None:
        if not _ID.fullmatch(identifier):
            raise Problem(400, "upload is 16 to 64 letters, digits, - or _.")
        if _PART.fullmatch(os.path.basename(where.path)):
            raise Problem(400, "Names like this are those of uploads under way: give it another one.")
        self.folder, self.name = open_folder(where)
        self.part = f".{self.name}.{identifier}.part"
        if len(self.part.encode()) > 255:
            self.part = f".{hashlib.sha256(self.name.encode()).hexdigest()}.{identifier}.part"

    def close(self) -> None:
        """Done with it."""
        os.close(self.folder)

    @property
    def received(self) -> int:
        """Bytes that are here."""
        try:
            about = os.stat(self.part, dir_fd=self.folder, follow_symlinks=False)
        except FileNotFoundError:
            return 0
        return about.st_size if stat.S_ISREG(about.st_mode) else 0

    def drop(self) -> None:
        """Forget what is here."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.part, dir_fd=self.folder)

    def check(self, replace: bool) -> None:
        """Raise `Problem` when the name is taken and may not be replaced."""
        try:
            about = os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(about.st_mode):
            raise Problem(409, f"There is a folder of the name {self.name}.")
        if not replace:
            raise Problem(409, f"There is a file of the name {self.name}.")

    @contextlib.contextmanager
    def opened(self) -> Iterator[int]:
        """The part file, for one request at a time."""
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(self.part, flags, 0o666, dir_fd=self.folder)
        try:
            _lock(descriptor)
            yield descriptor
        finally:
            os.close(descriptor)

    def take(self, offset: int, size: int, length: int, read: Callable[[int], bytes]) -> int:
        """``length`` bytes at ``offset``; what is there now; raise `Problem`."""
        with self.opened() as descriptor:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode) or offset > about.st_size:
                raise Problem(416, f"{about.st_size} bytes are here; go on after them.", received=about.st_size)
            room = os.fstatvfs(descriptor)
            if room.f_bavail * room.f_frsize < size - about.st_size:
                raise Problem(507, _NO_SPACE)
            os.ftruncate(descriptor, offset)
            end = offset + length
            while offset < end:
                data = read(min(CHUNK, end - offset))
                if not data:
                    raise Problem(400, "The connection was cut.", received=offset)
                offset += _write(descriptor, data, offset)
            return offset

    def finish(self, replace: bool) -> None:
        """The hidden file gets its name, at once and whole; raise `Problem` when that is taken."""
        self.check(replace)
        here = {"src_dir_fd": self.folder, "dst_dir_fd": self.folder}
        if replace:
            with contextlib.suppress(OSError):
                old = os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)
                if stat.S_ISREG(old.st_mode):
                    os.chmod(self.part, stat.S_IMODE(old.st_mode) & 0o777, dir_fd=self.folder)
            os.replace(self.part, self.name, **here)
            return
        try:
            os.link(self.part, self.name, **here, follow_symlinks=False)
        except FileExistsError:
            raise Problem(409, f"There is a file of the name {self.name}.") from None
        except OSError as error:
            if error.errno in _FULL:
                raise
            os.rename(self.part, self.name, **here)  # a file system without hard links
        else:
            self.drop()

    def clean(self) -> None:
        """Remove uploads in this folder that nobody goes on with."""
        before = time.time() - OLD
        with os.scandir(self.folder) as found:
            old = [e.name for e in found if _PART.fullmatch(e.name) and e.name != self.part and _older(e, before)]
        for name in old:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=self.folder)


def _older(entry: Any, before: float) -> bool:
    try:
        about = entry.stat(follow_symlinks=False)
    except OSError:
        return False
    return stat.S_ISREG(about.st_mode) and about.st_mtime < before


def _lock(descriptor: int) -> None:
    """For a while: an earlier request of the same upload may just be ending."""
    end = time.monotonic() + _LOCK
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise Problem(503, "Another part of this upload is on its way.") from None
            time.sleep(0.05)
        except OSError:
            return  # a file system without locks
        else:
            return


def _write(descriptor: int, data: bytes, offset: int) -> int:
    view, done = memoryview(data), 0
    while done < len(view):
        done += os.pwrite(descriptor, view[done:], offset + done)
    return done


def span(header: str, size: int) -> tuple[int, int] | None:
    """``(first, count)`` of a Range header; None for the whole; raise `Problem` 416."""
    found = _RANGE.fullmatch(header.replace(" ", ""))
    if not found or not (found[1] or found[2]):
        return None
    if not found[1]:
        first, last = max(0, size - int(found[2])), size - 1
    else:
        first, last = int(found[1]), min(int(found[2]) if found[2] else size - 1, size - 1)
        if found[2] and int(found[2]) < first:
            return None
    if first >= size or first > last:
        raise Problem(416, "The file is shorter.", size=size)
    return first, last - first + 1


class Handler(BaseHTTPRequestHandler):
    """One request; the connection ends with it."""

    protocol_version = "HTTP/1.1"
    server_version = "files"
    sys_version = ""
    timeout = _SILENT
    rbufsize = CHUNK

    def address_string(self) -> str:
        """There is none."""
        return "files"

    def log_message(self, format: str, *args: Any) -> None:
        """The gateway logs."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class refuses, in our form."""
        self._problem(Problem(code, message or "The request is not well formed."))

    def _serve(self) -> None:
        self.close_connection = True
        raw, _, query = self.path.partition("?")
        self._taken = 0
        try:
            self._given = {key: values[-1] for key, values in parse_qs(query, keep_blank_values=True).items()}
            if raw == "/startup" and self.command == "GET":
                self._json(200, Look(self._number("since")).at(roots()["home"]))
            else:
                self._run(place(raw))
        except Problem as problem:
            self._problem(problem)
        except ConnectionError:
            return
        except OSError as error:
            self._problem(_said(error))
        except ValueError:
            self._problem(Problem(400, "The request is not well formed."))
        self._drain()

    do_GET = do_HEAD = do_PUT = do_DELETE = _serve

    def _run(self, where: Place) -> None:
        if self.command == "PUT":
            self._put(where)
        elif self.command == "DELETE" or "upload" in self._given:
            self._about(where)
        elif self._given.get("where") == "1":
            self._json(200, leads(where, self._given.get("list") == "1"))
        elif self._given.get("list") == "1":
            self._json(200, listing(where))
        else:
            self._get(where)

    def _about(self, where: Place) -> None:
        with contextlib.closing(Upload(where, self._given.get("upload", ""))) as upload:
            if self.command != "DELETE":
                self._json(200, {"received": upload.received})
                return
            upload.drop()
        self._head(204, {})

    def _put(self, where: Place) -> None:
        if self._given.get("folder") == "1":
            self._json(201 if make_folder(where) else 200, {})
            return
        offset, size = self._number("offset"), self._number("size")
        length = self._length()
        if offset + length > size:
            raise Problem(400, "The part is larger than what was to come.")
        replace = self._given.get("replace") == "1"
        with contextlib.closing(Upload(where, self._given.get("upload", ""))) as upload:
            upload.check(replace)
            if not offset:
                upload.clean()
            received = upload.take(offset, size, length, self._read)
            if received == size:
                upload.finish(replace)
        self._json(201 if received == size else 200, {"received": received})

    def _length(self) -> int:
        text = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"[0-9]{1,16}", text):
            raise Problem(411, "A part's length is needed.")
        return int(text)

    def _number(self, name: str) -> int:
        text = self._given.get(name, "")
        if not re.fullmatch(r"[0-9]{1,16}", text) or int(text) > LARGEST:
            raise Problem(400, f"{name} is a number of bytes.")
        return int(text)

    def _read(self, count: int) -> bytes:
        data = self.rfile.read1(count)
        self._taken += len(data)
        return data

    def _drain(self) -> None:
        """Take what was refused, else the answer may be lost with it."""
        with contextlib.suppress(OSError, ValueError, Problem):
            self.wfile.flush()
            if self.command == "PUT":
                self.connection.shutdown(socket.SHUT_WR)
                left = min(self._length() - self._taken, _DRAINED)
                while left > 0:
                    data = self.rfile.read1(min(CHUNK, left))
                    if not data:
                        return
                    left -= len(data)

    def _get(self, where: Place) -> None:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with open(os.open(readable(where), flags), "rb", buffering=0) as file:
            about = os.fstat(file.fileno())
            if stat.S_ISDIR(about.st_mode):
                raise Problem(400, "This is a folder.")
            if not stat.S_ISREG(about.st_mode):
                raise Problem(403, "This is not a file.")
            self._send(file, about)

    def _send(self, file: Any, about: os.stat_result) -> None:
        tag = f'"{about.st_mtime_ns:x}-{about.st_size:x}-{about.st_ino:x}"'
        common = {"ETag": tag, "Accept-Ranges": "bytes", "Cache-Control": "private, no-cache"}
        if tag in re.split(r"\s*,\s*", self.headers.get("If-None-Match", "")):
            self._head(304, common)
            return
        asked = self.headers.get("Range", "") if self.headers.get("If-Range", tag) == tag else ""
        part = span(asked, about.st_size) if self.command == "GET" else None
        first, count = part or (0, about.st_size)
        if part:
            common["Content-Range"] = f"bytes {first}-{first + count - 1}/{about.st_size}"
        more = {"Content-Type": "application/octet-stream", "Content-Disposition": "attachment"}
        self._head(206 if part else 200, {**common, **more, "Content-Length": str(count)})
        if self.command == "GET" and count:
            self.wfile.flush()
            self.connection.sendfile(file, first, count)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response_only(status)
        for name, value in {"X-Content-Type-Options": "nosniff", **headers, "Connection": "close"}.items():
            self.send_header(name, value)
        self.end_headers()

    def _json(self, status: int, value: dict[str, Any], kind: str = "application/json", **more: str) -> None:
        content = json.dumps(value).encode()
        kept = {"Cache-Control": "no-store"}
        self._head(status, {"Content-Type": kind, "Content-Length": str(len(content)), **kept, **more})
        if self.command != "HEAD":
            self.wfile.write(content)

    def _problem(self, problem: Problem) -> None:
        self.close_connection = True
        more = {"Content-Range": f"bytes */{problem.more['size']}"} if "size" in problem.more else {}
        about = {"status": problem.status, "title": problem.sentence, "detail": problem.sentence, **problem.more}
        with contextlib.suppress(OSError):
            self._json(problem.status, about, "application/problem+json", **more)


def _said(error: OSError) -> Problem:
    """What the system refused, in words."""
    if error.errno in _FULL:
        return Problem(507, _NO_SPACE)
    if error.errno in _FORBIDDEN:
        return Problem(403, "Your account may not do this here.")
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
        return Problem(404, "There is nothing at this address.")
    if error.errno == errno.ENAMETOOLONG:
        return Problem(400, "The name is too long.")
    return Problem(500, f"The system says: {os.strerror(error.errno or 0)}.")


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A thread for each connection, and so many at most; more wait."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path: str) -> None:
        self._free = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(path, Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """When a thread is free."""
        self._free.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One request."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """One line."""
        sys.stderr.write(f"visa: files: {sys.exc_info()[1]!r}\n")


def main() -> None:
    """Until it is ended."""
    path = os.environ["VISA_RUN"] + "/files.sock"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    before = os.umask(0o117)
    server = Server(path)
    os.umask(before)
    threading.stack_size(2**19)
    server.serve_forever()


if __name__ == "__main__":
    main()
