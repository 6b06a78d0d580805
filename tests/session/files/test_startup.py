"""What files.py tells of start-up files: by the file system's own times, without following or opening anything."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.services.waiting import until
from tests.session.files.conftest import Environment, serving
from tests.session.rig import FILES

LONG_AGO = 10**9


@pytest.fixture
def alone() -> Iterator[Environment]:
    """A home that no other test writes to."""
    with serving() as one:
        yield one


def look(one: Environment, since: float = LONG_AGO) -> dict[str, Any]:
    answer = one.ask("GET", f"/startup?since={int(since)}")
    assert answer.status == 200, answer.body
    return dict(answer.json)


def paths(found: dict[str, Any]) -> set[str]:
    return {one["path"] for one in found["found"]}


def write(home: Path, path: str, text: str = "x") -> Path:
    file = home / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


STARTS = (
    ".bashrc",
    ".bash_profile",
    ".profile",
    ".config/fish/config.fish",
    ".config/autostart/a.desktop",
    ".config/systemd/user/a.service",
    ".ipython/profile_default/startup/00-a.py",
    ".ipython/profile_other/ipython_config.py",
    ".jupyter/jupyter_server_config.py",
    ".local/share/jupyter/kernels/mine/kernel.json",
    ".local/share/jupyter/labextensions/deep/in/it/a.js",
    ".local/lib/python3.12/site-packages/a.pth",
    ".local/lib/python3.12/site-packages/usercustomize.py",
    ".local/bin/ls",
    ".vscode/settings.json",
    ".ssh/authorized_keys",
    ".xsessionrc",
)
OTHERS = ("notebooks/a.ipynb", ".ipython/profile_default/history.sqlite", ".cache/a", "bashrc", ".local/share/a")


def test_what_starts_is_told_and_nothing_else(alone: Environment) -> None:
    for path in (*STARTS, *OTHERS):
        write(alone.home, path)
    found = look(alone)
    told = {one["path"]: one for one in found["found"]}
    assert set(STARTS) <= set(told)
    assert not set(OTHERS) & set(told)
    assert all(one["why"] for one in told.values())
    assert (found["whole"], found["unread"]) == (True, 0)
    assert told[".bashrc"]["kind"] == "file"
    assert told[".ipython/profile_default/startup"]["kind"] == "folder"
    assert abs(told[".bashrc"]["changed"] - (alone.home / ".bashrc").stat().st_ctime) < 1


def test_what_was_there_before_is_not_told_unless_it_changes_whatever_its_date_says(alone: Environment) -> None:
    """A date is what its writer sets (mtime); the file system's own note of the change (ctime) is not."""
    write(alone.home, ".bashrc")
    later = time.time() + 10_000
    assert look(alone, later)["found"] == []
    os.utime(alone.home / ".bashrc", (LONG_AGO, LONG_AGO))
    assert ".bashrc" in paths(look(alone))
    assert look(alone, later)["found"] == []


def test_a_folder_tells_that_something_was_removed_or_moved_into_it(alone: Environment) -> None:
    write(alone.home, ".jupyter/a/one.py")
    write(alone.home, "elsewhere/two.py").rename(alone.home / ".jupyter/a/two.py")
    found = paths(look(alone))
    assert {".jupyter/a", ".jupyter/a/two.py"} <= found
    (alone.home / ".jupyter/a/one.py").unlink()
    assert ".jupyter/a" in paths(look(alone))


def test_links_are_told_and_not_followed(alone: Environment) -> None:
    secret = write(alone.data, "e1/startup/secret.py").parent
    (alone.home / ".ipython").symlink_to(secret)
    (alone.home / ".jupyter").mkdir()
    (alone.home / ".jupyter" / "custom").symlink_to(secret)
    (alone.home / ".bashrc").symlink_to("/etc/passwd")
    found = look(alone, time.time() + 10_000)
    assert {(one["path"], one["kind"]) for one in found["found"]} == {
        (".ipython", "link"),
        (".jupyter/custom", "link"),
        (".bashrc", "link"),
    }


def test_fifos_and_odd_names_hold_nothing_up(alone: Environment) -> None:
    (alone.home / ".jupyter").mkdir()
    os.mkfifo(alone.home / ".jupyter" / "fifo")
    name = os.fsencode(alone.home / ".jupyter") + b"/\xff\n\xe2\x80\xae.py"
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
    found = look(alone)
    assert ".jupyter/fifo" in paths(found)
    assert any("udcff" in path for path in paths(found))


def test_a_look_is_bounded_in_number_and_depth(alone: Environment) -> None:
    folder = alone.home / ".jupyter"
    folder.mkdir()
    for number in range(400):
        (folder / f"{number}.py").touch()
    found = look(alone)
    assert len(found["found"]) == 300
    assert found["whole"] is False
    for file in folder.iterdir():
        file.unlink()
    deep = folder
    for _ in range(30):
        deep = deep / "d"
        deep.mkdir()
    assert look(alone)["whole"] is False


@pytest.mark.parametrize(
    "names",
    [[f".bash_{number}" for number in range(400)], [f"{number}" for number in range(20_100)]],
    ids=["of a line", "of home"],
)
def test_many_names_hide_no_line_that_starts_something(alone: Environment, names: list[str]) -> None:
    starts = {".bashrc", ".profile", ".ssh/authorized_keys", ".ipython/profile_default/startup/00-a.py"}
    for path in starts:
        write(alone.home, path)
    for name in names:
        (alone.home / name).touch()
    found = look(alone)
    assert starts <= paths(found)
    assert found["whole"] is False
    assert len(found["found"]) <= 300


@pytest.mark.parametrize("query", ["", "since=", "since=x", "since=-1", "since=1e3"])
def test_a_wrong_question_gets_words(environment: Environment, query: str) -> None:
    assert environment.ask("GET", f"/startup?{query}").status == 400


def test_the_table_has_a_reason_for_each_place_and_no_place_out_of_home() -> None:
    import importlib.util

    spec = importlib.util.spec_from_file_location("visa_startup", FILES / "startup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    places = [place for place, _ in module.TABLE]
    assert len(places) == len(set(places))
    for place, why in module.TABLE:
        assert why
        assert not place.startswith("/")
        assert ".." not in place.split("/")
        assert "**" not in place.removesuffix("/**")


def test_the_server_answers_others_meanwhile(alone: Environment) -> None:
    write(alone.home, "a.txt")
    until(lambda: look(alone)["whole"], 60, "the look")
    assert alone.ask("GET", "/home/a.txt").status == 200
