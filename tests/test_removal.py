"""Trees that people and programs leave, and that have to go all the same."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visa import removal

ORDINARY = os.geteuid() != 0


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """pytest's own remover cannot take what a test that fails would leave here."""
    yield tmp_path
    subprocess.run(["rm", "-rf", *tmp_path.iterdir()], check=False)


def deep(top: Path, levels: int, name: str = "d") -> None:
    """Folders inside one another, deeper than any path may be long."""
    top.mkdir(exist_ok=True)
    here = os.open(top, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, 0o600, dir_fd=here))
    os.close(here)


@pytest.mark.parametrize(("levels", "name"), [(5000, "d"), (1500, "n" * 255)])
def test_any_depth(tmp_path: Path, levels: int, name: str) -> None:
    deep(tmp_path / "tree", levels, name)
    assert removal.remove(tmp_path / "tree") == []
    assert list(tmp_path.iterdir()) == []


def test_several_deep_branches_and_many_files(tmp_path: Path) -> None:
    for number in range(3):
        deep(tmp_path / "tree", 1100, f"branch{number}")
        for file in range(500):
            (tmp_path / "tree" / f"{number}-{file}").touch()
    assert removal.remove(tmp_path / "tree") == []
    assert list(tmp_path.iterdir()) == []


def test_few_files_are_open_at_once(tmp_path: Path) -> None:
    deep(tmp_path / "tree", 1500)
    script = (
        "import resource, sys; from pathlib import Path; from visa import removal\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20)); sys.setrecursionlimit(120)\n"
        f"print(removal.remove(Path({str(tmp_path / 'tree')!r})))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=Path(__file__).parents[1])
    assert done.stdout == "[]\n", done.stderr
    assert list(tmp_path.iterdir()) == []


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir(mode=0o500)
    (tmp_path / "kept" / "file").write_text("mine") if not ORDINARY else None
    tree = tmp_path / "tree"
    (tree / "below").mkdir(parents=True)
    for place in (tree, tree / "below"):
        (place / "link").symlink_to(tmp_path / "kept")
        (place / "broken").symlink_to("nowhere")
        (place / "itself").symlink_to("itself")
    assert removal.remove(tree) == []
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o500
    link = tmp_path / "a link"
    link.symlink_to("kept")
    assert removal.remove(link) == []
    assert [entry.name for entry in tmp_path.iterdir()] == ["kept"]
    assert ORDINARY or (tmp_path / "kept" / "file").read_text() == "mine"


def test_every_kind_of_file_and_odd_names(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    os.mkfifo(tree / "fifo")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tree / "socket"))
    here = os.fsencode(tree)
    for name in (b"\xff\xfe", b"a\nb", b"-rf", b" ", b"...", b"*", "\u202e".encode(), b".gone-", b"x" * 255):
        os.mkdir(here + b"/" + name)
        open(here + b"/" + name + b"/" + name, "w").close()
    assert removal.remove(tree) == []
    assert list(tmp_path.iterdir()) == []


RIGHTS = """
import os, sys
from pathlib import Path
from visa import removal
top = Path(sys.argv[1])
for mode in (0, 0o100, 0o200, 0o400, 0o500, 0o555):
    folder = top / "tree" / f"{mode:o}"
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "file").touch(0)
    for closed in (folder / "a" / "b", folder / "a", folder):
        closed.chmod(mode)
(top / "tree").chmod(0)
print(removal.remove(top / "tree"), os.listdir(top))
"""


def test_rights_that_their_owner_took_away(tmp_path: Path) -> None:
    """Without root's power to pass over them."""
    tmp_path.chmod(0o777)
    for entered in (tmp_path.parent, tmp_path.parent.parent):
        if not ORDINARY:
            entered.chmod(0o755)
    root = Path(__file__).parents[1]
    drop = [] if ORDINARY else ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    done = subprocess.run(
        [*drop, sys.executable, "-c", RIGHTS, str(tmp_path)], capture_output=True, text=True, cwd=root
    )
    assert done.stdout == "[] []\n", done.stderr


@pytest.mark.parametrize("flag", [0x10, 0x20])
def test_flags_that_keep_a_file_or_folder(tmp_path: Path, flag: int) -> None:
    tree = tmp_path / "around" / "tree"
    (tree / "below" / "more").mkdir(parents=True)
    (tree / "below" / "file").touch()
    for place in (tree / "below" / "file", tree / "below" / "more", tree / "below", tree):
        with suppress(OSError), open(place, "rb", opener=lambda path, flags: os.open(path, os.O_RDONLY)) as known:
            fcntl.ioctl(known, 0x40086602, struct.pack("l", flag))  # where there are such flags, and who may
    assert removal.remove(tmp_path / "around") == []
    assert list(tmp_path.iterdir()) == []


MOUNTED = """
set -e
mkdir -p "$1/tree/a/b/mounted" "$1/tree/direct" "$1/outside"
echo kept >"$1/outside/file"
mount --bind "$1/outside" "$1/tree/a/b/mounted"
mount --bind "$1/outside" "$1/tree/direct"
touch "$1/tree/a/file"
exec "$2" -c 'import sys; from pathlib import Path; from visa import removal
print(len(removal.remove(Path(sys.argv[1], "tree"))), flush=True)
import subprocess; subprocess.run(["umount", "-a", "-t", "none"], check=False, capture_output=True)' "$1"
"""


def test_what_is_mounted_inside_is_left_alone_and_told(tmp_path: Path) -> None:
    command = ["unshare", "--user", "--map-root-user", "--mount", "/bin/sh", "-c", MOUNTED, "sh", str(tmp_path)]
    root = Path(__file__).parents[1]
    done = subprocess.run([*command, sys.executable], capture_output=True, text=True, cwd=root)
    assert done.stdout == "2\n", done.stderr
    assert (tmp_path / "outside" / "file").read_text() == "kept\n"
    (left,) = [entry for entry in tmp_path.iterdir() if entry.name.startswith(removal.MARK)]
    assert not list(left.rglob("file")), "the rest is gone"
    # The mounts went with their namespace, so a next try ends it.
    assert removal.remove(left) == []


def test_what_is_not_there_or_goes_meanwhile(tmp_path: Path) -> None:
    assert removal.remove(tmp_path / "nothing") == []
    assert removal.remove(tmp_path / "no" / "folder") == []
    tree = tmp_path / "tree"
    for number in range(300):
        (tree / f"{number}" / "below").mkdir(parents=True)
        (tree / f"{number}" / "file").touch()
    script = "import sys; from pathlib import Path; from visa import removal; print(removal.remove(Path(sys.argv[1])))"
    root = Path(__file__).parents[1]
    both = [
        subprocess.Popen([sys.executable, "-c", script, str(tree)], stdout=subprocess.PIPE, text=True, cwd=root)
        for _ in range(2)
    ]
    assert [one.communicate()[0] for one in both] == ["[]\n", "[]\n"]
    assert list(tmp_path.iterdir()) == []


def test_room_is_made_at_once(tmp_path: Path) -> None:
    deep(tmp_path / "tree", 1500)
    other = removal.aside(tmp_path / "tree")
    assert other is not None
    assert not (tmp_path / "tree").exists()
    assert removal.aside(tmp_path / "tree") is None
    assert removal.remove(other) == []


_NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=20).filter(
    lambda name: name not in (".", "..")
)
_TREES = st.recursive(st.none(), lambda below: st.dictionaries(_NAMES, below, max_size=4), max_leaves=30)


@given(_TREES, st.sampled_from([0o700, 0o500, 0o000]))
def test_any_tree(tmp_path_factory: pytest.TempPathFactory, tree: object, mode: int) -> None:
    top = tmp_path_factory.mktemp("any")
    made(top / "tree", tree, mode)
    assert removal.remove(top / "tree") == []
    assert list(top.iterdir()) == []


def made(place: Path, tree: object, mode: int) -> None:
    if not isinstance(tree, dict):
        place.touch()
        return
    place.mkdir()
    for name, below in tree.items():
        made(place / name, below, mode)
    place.chmod(mode)
