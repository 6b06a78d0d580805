"""The folders of an instance: its run folder, the person's home, the experiments' data.

A folder that somebody else can write in is opened component by component without following links and
handed on as a descriptor, so that nothing can be exchanged between the check and the mount.
"""

from __future__ import annotations

import logging
import os
import secrets
import stat
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from visa import removal
from visa.hub import inside
from visa.hub.admitted import StartFailed
from visa.identifiers import Username
from visa.instances.model import Identity, Mount

_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_PATH
_MAKING = threading.Lock()
_told: set[str] = set()
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Account:
    """A numeric account of this machine."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class OpenFolder:
    """A folder outside, open as ``descriptor`` (O_PATH; the holder closes it), and where it appears inside."""

    descriptor: int
    target: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class RunFolder:
    """``state/instances/<id>``: ``shared`` is what gateway and environment both see, the rest only the hub."""

    path: Path

    @property
    def shared(self) -> Path:
        return self.path / "shared"

    @property
    def scratch(self) -> Path:
        return self.path / "scratch"

    @property
    def etc(self) -> Path:
        return self.path / "etc"

    def make(self, person: Account | None, gateway: Account | None) -> None:
        """Make it empty. ``person`` and ``gateway`` None: everything belongs to the hub's own account.

        What a former run left there is moved away, whatever it is; a sweep removes it.
        """
        self.path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        try:
            removal.aside(self.path)
            for folder, mode in ((self.path, 0o711), (self.shared, 0o2770), (self.scratch, 0o700), (self.etc, 0o755)):
                folder.mkdir()
                if person is not None and folder in (self.shared, self.scratch):
                    group = gateway.gid if gateway and folder == self.shared else person.gid
                    os.chown(folder, person.uid, group)
                folder.chmod(mode)
        except OSError as error:
            raise StartFailed(
                f"The instance's run folder could not be made: {error.strerror}.",
                "An operator should look at the disk that holds the state folder.",
            ) from error

    def clear(self) -> None:
        """Drop what only a running instance needs; the logs and the reason of its end stay."""
        for folder in (self.shared, self.scratch, self.etc):
            _removed(folder)

    def remove(self) -> None:
        """Drop all of it."""
        _removed(self.path)


def _removed(path: Path) -> None:
    """Whatever is there; what cannot be removed is told once and stays."""
    for stays in removal.remove(path):
        if stays not in _told:
            _told.add(stays)
            log.warning("Clean-up: %s", stays)


def open_home(homes: Path, username: Username, person: Account | None) -> int:
    """The person's home, made at her first start (0700, hers); a descriptor of it. Raise `StartFailed`."""
    try:
        homes.mkdir(mode=0o711, parents=True, exist_ok=True)
        parent = os.open(homes, _FOLDER)
        try:
            _make_home(parent, username, person)
            home = os.open(username, _FOLDER, dir_fd=parent)
        finally:
            os.close(parent)
    except OSError as error:
        raise StartFailed(
            f"Your home folder could not be opened: {error.strerror}.",
            "An operator should look at the disk that holds the state folder.",
        ) from error
    owner = os.stat(home).st_uid
    expected = person.uid if person is not None else os.geteuid()
    if owner != expected:
        os.close(home)
        raise StartFailed(
            f"Your home folder belongs to the account {owner}, but you are {expected} now.",
            "An operator has to give the folder to your account first.",
        )
    return home


def _make_home(parent: int, username: str, person: Account | None) -> None:
    # Her first starts may be several at once, and a rename onto an empty folder takes it from who opened it already.
    with _MAKING:
        if _is_there(parent, username):
            return
        # Made under another name first: a hub killed in the middle must not leave a home that is root's.
        temporary = f".new-{secrets.token_hex(8)}"
        os.mkdir(temporary, 0o700, dir_fd=parent)
        try:
            if person is not None:
                os.chown(temporary, person.uid, person.gid, dir_fd=parent, follow_symlinks=False)
            os.rename(temporary, username, src_dir_fd=parent, dst_dir_fd=parent)
        except OSError:
            os.rmdir(temporary, dir_fd=parent)
            raise


def _is_there(parent: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def open_data(mounts: Iterable[Mount], roots: dict[str, Path]) -> list[OpenFolder]:
    """Open what admission granted. A shared folder that does not exist is left out; raise `StartFailed`."""
    opened: list[OpenFolder] = []
    try:
        for mount in mounts:
            descriptor = _open_mount(mount, roots)
            if descriptor is not None:
                opened.append(OpenFolder(descriptor, mount.target, mount.read_only))
    except BaseException:
        close(opened)
        raise
    return opened


def close(folders: Iterable[OpenFolder]) -> None:
    """Close the descriptors."""
    for folder in folders:
        os.close(folder.descriptor)


def _open_mount(mount: Mount, roots: dict[str, Path]) -> int | None:
    root = roots.get(mount.root)
    if root is None:
        raise StartFailed(
            f"The data root {mount.root!r} has no folder on this machine.",
            f"An operator has to give it one in facility.yaml: data.{mount.root}.local.root.",
        )
    try:
        return open_beneath(root, mount.path)
    except OutsideRoot as error:
        raise StartFailed(
            f"The folder of experiment {mount.experiment} leads out of the data root {mount.root!r}.",
            "An operator has to look at the symbolic links there.",
        ) from error
    except FileNotFoundError as error:
        if not mount.read_only:
            return None
        raise StartFailed(
            f"The data of experiment {mount.experiment} is not there (data root {mount.root!r}).",
            "It may not have been taken yet, or the storage is not mounted; ask the instrument's staff.",
        ) from error
    except OSError as error:
        raise StartFailed(
            f"The data of experiment {mount.experiment} cannot be opened: {error.strerror}.",
            "Ask the instrument's staff, or an operator.",
        ) from error


class OutsideRoot(Exception):
    """A path leads out of the root it must stay in."""


def open_beneath(root: Path, path: str) -> int:
    """Open the folder ``root/path``; links are followed only where they end under ``root``."""
    top = os.path.realpath(root, strict=True)
    real = os.path.realpath(os.path.join(top, path), strict=True)
    if real == top or os.path.commonpath([top, real]) != top:
        raise OutsideRoot(path)
    current = os.open(top, _FOLDER)
    for piece in os.path.relpath(real, top).split(os.sep):
        try:
            following = os.open(piece, _FOLDER, dir_fd=current)
        finally:
            os.close(current)
        current = following
    if not stat.S_ISDIR(os.fstat(current).st_mode):
        os.close(current)
        raise NotADirectoryError(20, "Not a directory", path)
    return current


def write_etc(folder: Path, identity: Identity, hostname: str, resolver: str | None) -> list[str]:
    """The generated files of the sandbox's /etc; their names. ``resolver``: address of the name server inside."""
    shell = "/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh"
    files = {
        "passwd": inside.passwd(identity, shell),
        "group": inside.group(identity),
        "hosts": f"127.0.0.1 localhost {hostname}\n::1 localhost ip6-localhost\n",
        "hostname": f"{hostname}\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
        "resolv.conf": f"nameserver {resolver}\n" if resolver else "",
    }
    try:
        for file, text in files.items():
            (folder / file).write_text(text)
            (folder / file).chmod(0o644)
    except OSError as error:
        raise StartFailed(
            f"The instance's files could not be written: {error.strerror}.",
            "An operator should look at the disk that holds the state folder.",
        ) from error
    return list(files)
