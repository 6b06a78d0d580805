"""From what the probe found to what a facility should change. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from visa.cli.check_image.running import Facts

Level = Literal["error", "warning", "advice"]
ORDER: tuple[Level, ...] = ("error", "warning", "advice")
SLOW = 3.0
"""Seconds to Jupyter's first answer from which people notice that they wait."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``session`` is the kind that it keeps from working or makes worse, empty where all are meant."""

    level: Level
    code: str
    wrong: str
    right: str
    session: str = ""

    def __str__(self) -> str:
        return f"{self.level}: {self.wrong}; {self.right}"


NO_SHELL = Finding("error", "no-shell", "there is no /bin/sh", "build on an image that has one, as Debian's")


def findings(facts: Facts, sessions: Sequence[str], read_only: bool) -> list[Finding]:
    """What is to be said about an image for the session kinds that it is to offer, errors first."""
    found = [*_notebook(facts, read_only), *_desktop(facts), *_video(facts), *_both(facts, read_only)]
    # Video is of a desktop.
    kinds = {*sessions, *(["desktop"] if "video" in sessions else [])}
    wanted = [finding for finding in found if not finding.session or finding.session in kinds]
    return sorted(wanted, key=lambda finding: ORDER.index(finding.level))


def possible(facts: Facts, read_only: bool) -> dict[str, bool]:
    """Each session kind and whether the image can offer it."""
    desktop = tuple(_desktop(facts))
    kinds = {"notebook": _notebook(facts, read_only), "desktop": desktop, "video": (*desktop, *_video(facts))}
    return {kind: all(finding.level != "error" for finding in found) for kind, found in kinds.items()}


def _notebook(facts: Facts, read_only: bool) -> Iterator[Finding]:
    if not facts["jupyter"]:
        yield _no_jupyter(facts)
        return
    version = re.match(r"\d+", facts["lab"])
    if not version:
        right = "add jupyterlab of version 4 to the same environment"
        yield Finding("error", "no-lab", f"{facts['jupyter']} has no `jupyter lab`", right, "notebook")
        return
    if int(version[0]) != 4:
        wrong = f"JupyterLab is {facts['lab']}; VISA needs version 4"
        yield Finding("error", "old-lab", wrong, "install jupyterlab>=4,<5", "notebook")
        return
    if not facts["start-first"] or not facts["start-again"]:
        yield _not_started(facts, read_only)
        return
    yield from _page_and_kernels(facts)
    yield from _speed(facts)


def _no_jupyter(facts: Facts) -> Finding:
    if closed := facts.all("closed"):
        wrong = f"`jupyter` is not found by the account of a person: {', '.join(closed)} is closed to all but root"
        return Finding("error", "closed", wrong, "install outside /root, where everybody may read", "notebook")
    wrong = f"there is no `jupyter` on PATH ({facts['path']})"
    right = "install jupyterlab>=4,<5 and ipykernel, and put their bin folder on PATH with ENV"
    return Finding("error", "no-jupyter", wrong, right, "notebook")


def _said(facts: Facts) -> str:
    return f": {' | '.join(facts.log[-3:])}" if facts.log else ""


def _not_started(facts: Facts, read_only: bool) -> Finding:
    right = (
        "look at what it said; it runs as an account that the image does not know and writes to $HOME and /tmp alone"
    )
    if read_only and any("Read-only file system" in line for line in facts.log):
        right = "let it write below $HOME or /tmp, or set `read_only_root: false` for it in facility.yaml"
    return Finding("error", "no-start", f"`jupyter lab` does not answer{_said(facts)}", right, "notebook")


def _page_and_kernels(facts: Facts) -> Iterator[Finding]:
    if facts["page"] != "200":
        right = "reinstall jupyterlab with its share/jupyter/lab folder"
        yield Finding("error", "no-page", f"JupyterLab's page answers {facts['page']}", right, "notebook")
    if not facts["kernels"]:
        right = "install ipykernel, or another kernel's specification in share/jupyter/kernels"
        yield Finding("error", "no-kernel", "there is no kernel", right, "notebook")
    elif not facts["kernel"]:
        right = "try it in the image: jupyter console"
        yield Finding("error", "dead-kernel", f"the default kernel does not start{_said(facts)}", right, "notebook")


def _speed(facts: Facts) -> Iterator[Finding]:
    if facts["rfc3987"]:
        wrong = "rfc3987_syntax is installed: it doubles the time that Jupyter takes to start"
        yield Finding("warning", "slow-import", wrong, "remove it (pip uninstall rfc3987-syntax)", "notebook")
    compiled, _, all_files = facts["bytecode"].partition("/")
    if all_files.isdigit() and int(compiled) < 0.9 * int(all_files):
        wrong = f"only {compiled} of {all_files} files of Jupyter have byte code: each start compiles the others again"
        right = "run `python -m compileall -q --invalidation-mode unchecked-hash` on site-packages as the last step"
        yield Finding("warning", "no-bytecode", wrong, right, "notebook")
    if float(facts["start-again"]) > SLOW:
        wrong = f"Jupyter takes {facts['start-again']} s to its first answer"
        right = "see what makes it slow: docs/operators/images.md"
        yield Finding("warning", "slow-start", wrong, right, "notebook")
    if facts["jupyterhub"]:
        wrong = "JupyterHub is installed; VISA does not use it in an environment"
        yield Finding("advice", "jupyterhub", wrong, "leave it out: its version then never matters", "notebook")


def _desktop(facts: Facts) -> Iterator[Finding]:
    install = "install TigerVNC's server (Debian: tigervnc-standalone-server)"
    if not facts["xvnc"]:
        yield Finding("error", "no-xvnc", "there is no Xvnc on PATH", install, "desktop")
    elif not facts["xvnc-kind"]:
        wrong = f"{facts['xvnc']} cannot listen on a unix socket: it is not TigerVNC's"
        yield Finding("error", "other-xvnc", wrong, install, "desktop")
    if not facts["xsession"]:
        right = "install one (Debian: xfce4-session xfce4-panel xfwm4 dbus), or bring /opt/visa/desktop"
        yield Finding("error", "no-xsession", "there is no desktop session that VISA knows of", right, "desktop")
    elif facts["xvnc-kind"] and facts["desktop"] != "there":
        yield _no_desktop(facts)
    if not facts["bus"]:
        wrong = "there is no dbus-run-session: some programs of a desktop need a session bus"
        yield Finding("advice", "no-session-bus", wrong, "install it (Debian: dbus)", "desktop")
    if not facts["python3"]:
        wrong = "there is no python3 on PATH: the desktop's page has no file transfer"
        yield Finding("advice", "no-file-transfer", wrong, "install Python 3.9 or later", "desktop")


def _video(facts: Facts) -> Iterator[Finding]:
    if not facts["selkies"]:
        right = "install selkies (docs/operators/desktop.md), or leave out `desktop: selkies` in facility.yaml"
        yield Finding("error", "no-selkies", "there is no selkies on PATH", right, "video")
    elif facts["desktop"] == "there" and facts["video"] != "there":
        right = "try it in the image: selkies --help"
        yield Finding("error", "no-video", f"{facts['selkies']} does not start beside the desktop", right, "video")


_ENDINGS = {
    "logged-out": "its session ends by itself",
    "server": "Xvnc ends",
    "killed": "it is killed",
}


def _no_desktop(facts: Facts) -> Finding:
    ending = _ENDINGS.get(facts["desktop"], "it is not there after 20 s")
    said = f" ({facts['desktop-said']})" if facts["desktop-said"] else ""
    right = f"see what {facts['xsession']} needs, as an account without a name and on a read-only file system"
    return Finding("error", "no-desktop", f"the desktop does not start: {ending}{said}", right, "desktop")


def _both(facts: Facts, read_only: bool) -> Iterator[Finding]:
    if not read_only:
        wrong = "buildah cannot make the file system read-only, as it is on Kubernetes"
        yield Finding("advice", "not-read-only", wrong, "check once more with podman, docker or --kubernetes")
    for place in facts.all("hidden"):
        wrong = f"what the image has in {place} is hidden by what VISA mounts there"
        yield Finding("warning", "hidden", wrong, "put it elsewhere")
    if not facts["tini"]:
        wrong = "there is no tini on PATH: ended processes stay as zombies"
        yield Finding("warning", "no-tini", wrong, "install it (Debian and conda-forge: tini)")
    if not facts["bash"]:
        yield Finding("advice", "no-bash", "there is no bash: terminals are plain sh", "install bash")
    if not facts["git"]:
        yield Finding("advice", "no-git", "there is no git, which many people expect", "install git")
    if not facts["software"]:
        wrong = "there is no /opt/visa/software.json: people do not see what is installed"
        yield Finding("advice", "no-software-list", wrong, "write it when the image is built: docs/operators/images.md")
