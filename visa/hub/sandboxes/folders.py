"""Folders of one instance: the run folder, the person's home, the data; made safe before anything starts."""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from visa.facility.model import Facility
from visa.hub.admitted import StartFailed
from visa.instances.model import Identity, InstanceSpec, Mount

ENVIRONMENT_FILES = Path(__file__).parents[2] / "session" / "environment"


@dataclass(frozen=True, slots=True)
class Folders:
    """``run``: shared by gateway and environment. ``etc``: read-only inside. ``scratch``: /tmp inside."""

    instance: Path
    run: Path
    etc: Path
    scratch: Path
    home: Path


def prepare(state: Path, identifier: str, spec: InstanceSpec, gateway_gid: int | None) -> Folders:
    """Make them empty (but for the home) with the right owners. ``gateway_gid``: None when not root."""
    instance = state / "instances" / identifier
    folders = Folders(
        instance, instance / "run", instance / "etc", instance / "scratch", state / "homes" / spec.identity.username
    )
    try:
        for path in (state / "instances", state / "homes"):
            path.mkdir(exist_ok=True, mode=0o711)
            path.chmod(0o711)
        if instance.exists():
            shutil.rmtree(instance)
        instance.mkdir(mode=0o711)
        instance.chmod(0o711)
        _own(folders.run, spec.identity.uid, gateway_gid, 0o2770 if gateway_gid is not None else 0o700)
        _own(folders.scratch, spec.identity.uid, spec.identity.gid if gateway_gid is not None else None, 0o700)
        _own(folders.home, spec.identity.uid, spec.identity.gid if gateway_gid is not None else None, 0o700)
        _etc(folders.etc, spec.identity)
    except OSError as error:
        raise StartFailed(
            f"The instance's folders could not be made ({(error.strerror or 'fault').lower()}).",
            "The facility's operators can make room or mend the state folder.",
        ) from error
    return folders


def _own(path: Path, uid: int, gid: int | None, mode: int) -> None:
    path.mkdir(exist_ok=True)
    if path.is_symlink():
        raise NotADirectoryError(20, "a link stands where a folder should be")
    if gid is not None:
        os.chown(path, uid, gid, follow_symlinks=False)
    path.chmod(mode)


def _etc(etc: Path, identity: Identity) -> None:
    """The files that the environment sees under /etc."""
    etc.mkdir()
    etc.chmod(0o755)
    (etc / "visa").mkdir()
    (etc / "visa").chmod(0o755)
    name = "".join(c for c in identity.name if c.isprintable() and c not in ":,\n")
    groups = {identity.gid: f"g{identity.gid}", **{gid: f"g{gid}" for gid in identity.gids}}
    files = {
        "passwd": f"root:x:0:0:root:/root:/usr/sbin/nologin\n"
        f"{identity.username}:x:{identity.uid}:{identity.gid}:{name}:/home/{identity.username}:/bin/bash\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
        "group": "root:x:0:\n"
        + "".join(f"{text}:x:{gid}:{identity.username}\n" for gid, text in groups.items())
        + "nogroup:x:65534:\n",
        "hosts": "127.0.0.1 localhost visa\n::1 localhost\n",
        "hostname": "visa\n",
        "resolv.conf": "nameserver 169.254.1.1\noptions timeout:2\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    }
    for file, content in files.items():
        (etc / file).write_text(content)
        (etc / file).chmod(0o644)
    for source in ENVIRONMENT_FILES.iterdir():
        if source.is_file():
            copy = etc / "visa" / source.name
            copy.write_bytes(source.read_bytes())
            copy.chmod(0o755 if source.name == "launch" else 0o644)


def data_source(mount: Mount, facility: Facility) -> Path:
    """The folder of ``mount`` on this machine, checked to lie in its data root; raise `StartFailed`."""
    local = facility.data[mount.root].local
    contact = facility.facility.contact
    if local is None:
        raise StartFailed(f"Data root '{mount.root}' is not on this machine.", f"Ask {contact}.")
    root = Path(os.path.realpath(local.root))
    source = root / mount.path
    real = Path(os.path.realpath(source))
    if not real.is_relative_to(root) or real == root:
        raise StartFailed(
            f"The data folder of experiment '{mount.experiment}' leads out of data root '{mount.root}'.",
            f"Ask {contact}.",
        )
    if not real.is_dir():
        if not mount.read_only and not real.exists():
            _make_shared(root, real)
        else:
            raise StartFailed(
                f"The data folder of experiment '{mount.experiment}' is not there ({mount.root}: {mount.path}).",
                f"The data may not have been written yet, or was archived. Ask {contact}.",
            )
    return real


def _make_shared(root: Path, folder: Path) -> None:
    """A shared space that nobody used before: as open as its data root allows, groups inherited."""
    try:
        group = stat.S_IMODE(root.stat().st_mode)
        for path in (*reversed(folder.relative_to(root).parents[:-1]), folder.relative_to(root)):
            made = root / path
            if not made.exists():
                made.mkdir()
                made.chmod(group)
    except OSError as error:
        raise StartFailed(
            f"The shared space {folder.name} could not be made ({(error.strerror or 'fault').lower()}).",
            "The facility's operators can make it.",
        ) from error
