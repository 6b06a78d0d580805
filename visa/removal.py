"""Removes a tree in which anybody may have put anything: of any depth, with any names, rights and flags.

Nothing is entered before it was moved beside the tree's top, under a name of ours. So there is no recursion, no path
that grows, and a mount, which cannot be moved, is left alone with what is in it. No link is followed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import struct
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

MARK = ".gone-"
"""Begins the names of what is being removed: it may lie beside its former place until a next try."""
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_GET_FLAGS, _SET_FLAGS, _KEPT_BY_FLAGS = 0x80086601, 0x40086602, 0x30
_PASSES = 100
"""Looks at one folder: somebody may still write there."""
_TOLD = 5


def aside(path: Path) -> Path | None:
    """Make room at ``path`` at once: what is there gets another name beside it. None when nothing is there.

    Raise ``OSError`` when it cannot be moved, as a mount cannot.
    """
    other = path.with_name(MARK + secrets.token_hex(8))
    with suppress(PermissionError, FileNotFoundError):
        _open_up(path)
    try:
        os.rename(path, other)
    except FileNotFoundError:
        return None
    return other


def remove(path: Path) -> list[str]:
    """Remove ``path`` and all below; what stays and why, in words. Blocks for as long as that takes."""
    tree = _Tree(path)
    try:
        with _opened(str(path.parent), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC) as parent:
            tree.remove(path.name, parent)
    except OSError as error:
        tree.keep(path.name, error)
    return tree.words()


class _Tree:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._mark = MARK + secrets.token_hex(8)
        self._moved = 0
        self._waiting: deque[str] = deque()
        self._kept: dict[str, str] = {}

    def keep(self, name: str, error: OSError) -> None:
        if error.errno != errno.ENOENT:
            self._kept.setdefault(name, error.strerror or str(error))

    def words(self) -> list[str]:
        said = [f"{self.path}: {name!r} stays: {why}" for name, why in list(self._kept.items())[:_TOLD]]
        return [*said, f"{self.path}: and {len(self._kept) - _TOLD} more"] if len(self._kept) > _TOLD else said

    def remove(self, name: str, parent: int) -> None:
        """A file, or a folder with all below, of the folder open as ``parent``."""
        if not self._is_folder(name, parent):
            self._try(name, parent, lambda: os.unlink(name, dir_fd=parent))
            return
        top = self._move(name, parent, parent)
        if top is None:
            return
        with suppress(FileNotFoundError), self._folder(top, parent) as pit:
            for _ in range(_PASSES):
                if not self._pass(pit):
                    break
        self._try(top, parent, lambda: os.rmdir(top, dir_fd=parent))

    def _pass(self, pit: int) -> bool:
        """Empty the folder open as ``pit``, as far as that goes. Whether anything was done."""
        done = self._empty(pit, pit)
        while self._waiting:
            name = self._waiting.popleft()
            with suppress(FileNotFoundError), self._folder(name, pit) as folder:
                done |= self._empty(folder, pit)
            done |= self._try(name, pit, partial(os.rmdir, name, dir_fd=pit))
        return done

    def _empty(self, folder: int, pit: int) -> bool:
        """Remove files of ``folder``, and move its folders into ``pit``, where they wait. Whether anything was done."""
        done = False
        with os.scandir(folder) as entries:
            for name in (entry.name for entry in entries):
                if not self._is_folder(name, folder):
                    done |= self._try(name, folder, partial(os.unlink, name, dir_fd=folder))
                elif name.startswith(self._mark):
                    self._waiting.append(name)
                elif (moved := self._move(name, folder, pit)) is not None:
                    self._waiting.append(moved)
                    done = True
        return done

    def _move(self, name: str, source: int, target: int) -> str | None:
        """The folder's new name; None when it cannot be moved."""
        self._moved += 1
        new = f"{self._mark}-{self._moved}"
        moved = self._try(name, source, lambda: os.rename(name, new, src_dir_fd=source, dst_dir_fd=target))
        return new if moved else None

    def _is_folder(self, name: str, parent: int) -> bool:
        try:
            return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
        except OSError as error:
            self.keep(name, error)
            return False

    @contextmanager
    def _folder(self, name: str, parent: int) -> Iterator[int]:
        """Open, whatever its rights are."""
        try:
            descriptor = os.open(name, _OPEN, dir_fd=parent)
        except PermissionError:
            _open_up(name, parent)
            descriptor = os.open(name, _OPEN, dir_fd=parent)
        try:
            _let_write(descriptor)
            yield descriptor
        finally:
            os.close(descriptor)

    def _try(self, name: str, parent: int, act: Callable[[], None]) -> bool:
        """Act; once more with rights and flags out of the way. Whether it was done; else it is kept."""
        try:
            act()
        except PermissionError:
            try:
                with suppress(OSError):
                    _let_write(parent)
                with suppress(OSError):
                    _open_up(name, parent)
                act()
            except OSError as error:
                self.keep(name, error)
                return False
        except OSError as error:
            # A folder that is not empty is told by what is in it.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                self.keep(name, error)
            return False
        self._kept.pop(name, None)
        return True


def _open_up(name: str | Path, parent: int | None = None) -> None:
    """Take away flags that keep an entry, and give a folder's owner all rights. Raise ``OSError``."""
    with _opened(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, parent) as known:
        mode = os.fstat(known).st_mode
        if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
            return
        itself = f"/proc/self/fd/{known}"
        with suppress(PermissionError):  # of a flag
            if stat.S_ISDIR(mode):
                os.chmod(itself, 0o700)
        with _opened(itself, os.O_RDONLY | os.O_CLOEXEC) as readable:
            _clear_flags(readable)
            if stat.S_ISDIR(mode):
                os.fchmod(readable, 0o700)


def _let_write(folder: int) -> None:
    """The same for a folder that is open already."""
    if os.fstat(folder).st_mode & 0o700 != 0o700:
        with suppress(PermissionError):
            os.fchmod(folder, 0o700)
    _clear_flags(folder)


def _clear_flags(descriptor: int) -> None:
    """As ``chattr -i -a``; on a file system that has such flags, by whoever may."""
    with suppress(OSError):
        (flags,) = struct.unpack("l", fcntl.ioctl(descriptor, _GET_FLAGS, struct.pack("l", 0)))
        if flags & _KEPT_BY_FLAGS:
            fcntl.ioctl(descriptor, _SET_FLAGS, struct.pack("l", flags & ~_KEPT_BY_FLAGS))


@contextmanager
def _opened(name: str | Path, flags: int, parent: int | None = None) -> Iterator[int]:
    descriptor = os.open(name, flags, dir_fd=parent)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
