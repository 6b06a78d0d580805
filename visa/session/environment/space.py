"""A full home folder, for JupyterLab: said in one sentence with 507, and nothing is left torn.

Jupyter by itself answers 500 with a path and a number, leaves an empty file where a new one was to be, and loses an old
one when its new content does not fit: what is still in a buffer fails after the place where it would be undone.
Runs on the environment's own Python (3.8 and later).
"""

import asyncio
import contextlib
import errno
import functools
import os
import shutil

from jupyter_server.services.contents import fileio
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from jupyter_server.utils import ensure_async
from tornado import web

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
SENTENCE = (
    "There is no space left here: your home folder is full, or the folder you write to. "
    "Remove what is not needed, or ask the facility for more, and try again."
)
_uploads = set()
"""Files whose first part came, and whose last one did not yet."""


def bound():
    """Change Jupyter."""
    fileio.atomic_writing = whole
    mixin = fileio.FileManagerMixin
    mixin.perm_to_403 = _saying(mixin.perm_to_403)
    mixin._copy = _copy
    fileio.AsyncFileManagerMixin._copy = _copy_async
    AsyncLargeFileManager.save = _by_the_part(AsyncLargeFileManager.save)


def full(error):
    """Whether it, or what it came of, says that there is no space."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


def refusal():
    """What people are told."""
    return web.HTTPError(507, SENTENCE, reason=SENTENCE)


def _saying(perm_to_403):
    @contextlib.contextmanager
    def said(manager, os_path=""):
        try:
            with perm_to_403(manager, os_path):
                yield
        except OSError as error:
            if error.errno in FULL:
                raise refusal() from error
            raise

    return said


@contextlib.contextmanager
def whole(path, text=True, encoding="utf-8", log=None, **more):
    """Write a file that has its new content as a whole afterwards, or the old one, or is not there as before."""
    path = os.path.realpath(path)
    if text:
        more.setdefault("newline", "\n")
        more["encoding"] = encoding
    mode = "w" if text else "wb"
    before, backup = os.path.isfile(path), fileio.path_to_intermediate(path)
    if before and not os.access(os.path.dirname(path), os.W_OK) and os.access(path, os.W_OK):
        with open(path, mode, **more) as file:  # no place for another beside it
            yield file
        return
    if before:
        _copied(path, backup, log)
    file = open(path, mode, **more)  # noqa: SIM115 (closed in two ways)
    try:
        yield file
        file.flush()
        os.fsync(file.fileno())
    except BaseException:
        with contextlib.suppress(OSError):
            file.close()
        if before:
            os.replace(backup, path)
        else:
            os.unlink(path)
        raise
    file.close()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(backup)


def _copied(source, target, log=None):
    """A copy that is there as a whole or not at all."""
    part = target + "~"
    try:
        fileio.copy2_safe(source, part, log=log)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise
    os.replace(part, target)


def _copy(manager, source, target):
    """Of a checkpoint, or of a file."""
    with manager.perm_to_403(target):
        _copied(source, target, manager.log)


async def _copy_async(manager, source, target):
    with manager.perm_to_403(target):
        await asyncio.get_running_loop().run_in_executor(None, _copied, source, target, manager.log)


def _by_the_part(save):
    """An upload in parts writes over an old file from its first one on: that is kept until the last one is there."""

    @functools.wraps(save)
    async def saved(manager, model, path=""):
        chunk = model.get("chunk")
        first = chunk == 1
        target, old, size = _begin(manager, path, first)
        try:
            told = await _told(save(manager, model, path))
        except BaseException as error:
            # An upload that is refused at its first part has not begun.
            if first or (chunk is not None and getattr(error, "status_code", 0) == 507):
                _undo(target, old, size)
            raise
        if first and target in _uploads:
            with contextlib.suppress(OSError):  # a new file has no old one
                shutil.copymode(old, target)
        if chunk is None or chunk == -1:
            _uploads.discard(target)
            _remove(old)
        return told

    return saved


def _begin(manager, path, first):
    """Where the file is, where its old content is kept, and how long it is now."""
    target = os.path.realpath(manager._get_os_path(path.strip("/")))
    old = fileio.path_to_intermediate(target) + ".before-upload"
    there, folder = os.path.isfile(target), os.path.dirname(target)
    # Where there is no place beside a file, or it is not to be written, Jupyter does or says what it always does.
    if first and os.access(folder, os.W_OK) and (not there or os.access(target, os.W_OK)):
        with manager.perm_to_403(target):
            if there and os.path.exists(old):
                _remove(target)  # of an upload that was torn: the old content is kept
            elif there:
                os.replace(target, old)
        _uploads.add(target)
    return target, old, os.path.getsize(target) if os.path.isfile(target) else 0


def _undo(target, old, size):
    if target in _uploads:
        _uploads.discard(target)
        _remove(target)
        with contextlib.suppress(FileNotFoundError):
            os.replace(old, target)
    elif os.path.isfile(target) and os.path.getsize(target) > size:
        os.truncate(target, size)  # a part of an upload that was not begun here


def _remove(path):
    with contextlib.suppress(OSError):
        os.unlink(path)


async def _told(saving):
    try:
        return await ensure_async(saving)
    except Exception as error:
        if full(error) and getattr(error, "status_code", 0) != 507:
            raise refusal() from error
        raise
