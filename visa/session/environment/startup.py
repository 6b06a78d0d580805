"""What changed in files of the home folder that programs read or run when they start. Python 3.9, standard library.

Whoever can act as the person can leave a line there. No link is followed and no file is opened: the file system's own
note of the last change (ctime) is compared, which a program can set to nothing but the present moment. A folder's
changes when something in it was made, removed or moved.
"""

from __future__ import annotations

import fnmatch
import os
import stat
import time
from typing import Any, NamedTuple

_SHELLS, _PYTHON = "shells: terminals, and programs that a desktop starts", "every Python of that version takes it up"
TABLE = (
    (".bashrc", _SHELLS),
    (".bash_profile", _SHELLS),
    (".bash_login", _SHELLS),
    (".bash_logout", _SHELLS),
    (".bash_aliases", _SHELLS),
    (".bash*", _SHELLS),
    (".profile", "login shells, and the desktop's session"),
    (".zshrc", "zsh"),
    (".zshenv", "zsh"),
    (".zprofile", "zsh"),
    (".zlogin", "zsh"),
    (".inputrc", "keys of shells"),
    (".config/fish/**", "fish"),
    (".config/environment.d/**", "variables of a session"),
    (".ipython/profile_default/startup/**", "every Python kernel runs these"),
    (".ipython/profile_default/*config*", "settings of Python kernels, which are programs"),
    (".ipython/*/startup/**", "every Python kernel runs these"),
    (".ipython/*/*config*", "settings of Python kernels, which are programs"),
    (".ipython/extensions/**", "extensions of Python kernels"),
    (".jupyter/**", "settings of Jupyter, which are programs"),
    (".local/etc/jupyter/**", "settings of Jupyter"),
    (".local/share/jupyter/kernels/**", "what a kernel's name starts"),
    (".local/share/jupyter/labextensions/**", "scripts in JupyterLab's page"),
    (".local/share/jupyter/nbextensions/**", "scripts in a notebook's page"),
    (".local/lib/python*/site-packages/usercustomize.py", _PYTHON),
    (".local/lib/python*/site-packages/sitecustomize.py", _PYTHON),
    (".local/lib/python*/site-packages/*", "packages and .pth files, which every Python of that version takes up"),
    (".local/bin/**", "programs that are found before others"),
    ("bin/**", "programs that are found before others"),
    (".config/autostart/**", "started with the desktop"),
    (".config/autostart-scripts/**", "started with the desktop"),
    (".config/systemd/**", "services of the person's own"),
    (".config/xfce4/**", "the desktop's settings, with what it starts"),
    (".config/openbox/**", "the desktop's settings, with what it starts"),
    (".local/share/applications/**", "what the desktop's menu and files start"),
    (".xinitrc", "the desktop's session"),
    (".xsession", "the desktop's session"),
    (".xsessionrc", "the desktop's session"),
    (".x*rc", "the desktop's session"),
    (".xprofile", "the desktop's session"),
    (".xsession*", "the desktop's session"),
    (".vnc/**", "the desktop's session"),
    (".config/pip/**", "where Python's packages come from"),
    (".condarc", "where packages come from"),
    (".gitconfig", "git runs what is named there"),
    (".config/git/**", "git runs what is named there"),
    (".ssh/**", "who may log in elsewhere as the person, and what ssh runs"),
    (".vscode*/**", "extensions and settings of Visual Studio Code"),
    (".config/Code/User/**", "settings of Visual Studio Code"),
    (".vimrc", "vim"),
    (".vim/**", "vim"),
    (".config/nvim/**", "neovim"),
    (".emacs", "emacs"),
    (".emacs*", "emacs"),
    (".Rprofile", "R"),
    (".Renviron", "R"),
    (".julia/config/**", "Julia"),
    (".octaverc", "Octave"),
    ("Documents/MATLAB/startup.m", "MATLAB"),
    (".gdbinit", "gdb"),
)
"""Where below home, and what reads it. ``*`` stands for a part of a name, ``/**`` at the end for all that is below.
What matters most of a line with a ``*`` has a line of its own: many other names there do not hide it."""

MOST_SEEN = 20_000
"""Names for one line of the table."""
MOST_TOLD = 300
DEEPEST = 12
SECONDS, SECONDS_EACH = 5.0, 1.0
"""For all, and for one line of the table."""
CLOCKS = 120.0
"""Seconds by which a file server's clock may be behind the hub's."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _Enough(Exception):
    """The look for a line of the table is as long as it may be."""


class _Seen(NamedTuple):
    path: str
    about: os.stat_result


class Look:
    """One look at ``home``: what changed after ``since`` (seconds since 1970)."""

    def __init__(self, since: float) -> None:
        self._after, self._end = since - CLOCKS, time.monotonic() + SECONDS
        self._seen, self._line_end, self._paths = 0, self._end, set()  # type: int, float, set[str]
        self._line, self.unread, self.whole = [], 0, True  # type: list[dict[str, Any]], int, bool

    def at(self, home: str) -> dict[str, Any]:
        """The answer, as JSON has it."""
        descriptor = os.open(os.path.realpath(home), _FOLDER)
        try:
            # Single names cost next to nothing: whatever fills the rest, they are looked at.
            lines = [self._of(descriptor, *line) for line in sorted(TABLE, key=lambda one: "*" in one[0])]
        finally:
            os.close(descriptor)
        found = _shared(lines)
        self.whole = self.whole and len(found) == sum(len(line) for line in lines)
        return {"found": found, "unread": self.unread, "whole": self.whole}

    def _of(self, home: int, pattern: str, why: str) -> list[dict[str, Any]]:
        """What is told for one line of the table, which has bounds of its own: none hides what another finds."""
        self._seen, self._line = 0, []
        self._line_end = min(self._end, time.monotonic() + SECONDS_EACH)
        try:
            self._follow(home, "", pattern.split("/"), why)
        except _Enough:
            self.whole = False
        return self._line

    def _follow(self, folder: int, above: str, parts: list[str], why: str) -> None:
        """All of ``folder`` that ``parts`` of a pattern match."""
        first, rest = parts[0], parts[1:]
        for one in self._entries(folder, above, first):
            everything = rest == ["**"]
            if not rest or everything or stat.S_ISLNK(one.about.st_mode):
                self._tell(one, why)
            if rest and stat.S_ISDIR(one.about.st_mode):
                self._enter(folder, one, ["*"] if everything else rest, why, everything)

    def _enter(self, folder: int, one: _Seen, rest: list[str], why: str, everything: bool) -> None:
        if one.path.count("/") >= DEEPEST:
            self.whole = False
            return
        try:
            below = os.open(one.path.rpartition("/")[2], _FOLDER, dir_fd=folder)
        except OSError:
            self.unread += 1
            return
        try:
            self._follow(below, one.path + "/", [*rest, "**"] if everything else rest, why)
        finally:
            os.close(below)

    def _entries(self, folder: int, above: str, pattern: str) -> list[_Seen]:
        if time.monotonic() > self._line_end:
            raise _Enough
        try:
            names = [pattern] if "*" not in pattern else self._listed(folder, pattern)
        except OSError:
            self.unread += 1
            return []
        found = []
        for name in names:
            try:
                found.append(_Seen(above + name, os.lstat(name, dir_fd=folder)))
            except FileNotFoundError:
                continue
            except OSError:
                self.unread += 1
        return found

    def _listed(self, folder: int, pattern: str) -> list[str]:
        names = []
        with os.scandir(folder) as listed:
            for entry in listed:
                self._seen += 1
                if self._seen > MOST_SEEN or time.monotonic() > self._line_end:
                    raise _Enough
                if fnmatch.fnmatchcase(entry.name, pattern):
                    names.append(entry.name)
        return sorted(names)

    def _tell(self, one: _Seen, why: str) -> None:
        """A link is told whenever it was made: what it leads to was not looked at."""
        link = stat.S_ISLNK(one.about.st_mode)
        if one.path in self._paths or (one.about.st_ctime <= self._after and not link):
            return
        if len(self._line) >= MOST_TOLD:
            raise _Enough
        self._paths.add(one.path)
        kind = "link" if link else "folder" if stat.S_ISDIR(one.about.st_mode) else "file"
        shown = one.path.encode("utf-8", "backslashreplace").decode()[:400]
        self._line.append({"path": shown, "kind": kind, "changed": one.about.st_ctime, "why": why})


def _shared(lines: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The newest of each line, at most `MOST_TOLD` of all: those that found little tell all of it."""
    found = []  # type: list[dict[str, Any]]
    for number, line in enumerate(sorted(lines, key=len)):
        part = (MOST_TOLD - len(found)) // (len(lines) - number)
        found += sorted(line, key=lambda one: -one["changed"])[:part]
    return sorted(found, key=lambda one: -one["changed"])
