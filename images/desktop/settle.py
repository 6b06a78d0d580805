"""What Xfce writes into a new home at its first start becomes the image's: later first starts find it there.

``python settle.py``, when the image is made: starts a session in a home of its own, and puts what xfconf keeps of it
over /etc/xdg. xfwm4 alone would set seventy properties at a person's first start, and read its theme anew for several
of them: a third of the processor time of Xfce's start.
"""

import os
import signal
import subprocess
import tempfile
import time
import xml.etree.ElementTree as tree
from pathlib import Path

CHANNELS = ("xfwm4", "xfce4-keyboard-shortcuts", "xsettings")
FOLDER = "xfce4/xfconf/xfce-perchannel-xml"
QUIET = 10
"""Seconds without a change until a home is complete; xfconf writes five seconds after the last one."""
WAIT = 120


def overlay(below: tree.Element, above: tree.Element) -> None:
    """Put ``above`` over ``below``; a property of type empty only holds others, or stands for the one below."""
    known = {one.get("name"): one for one in below.findall("property")}
    for one in above.findall("property"):
        found = known.get(one.get("name"))
        if found is None:
            below.append(one)
            continue
        if one.get("type") != "empty":
            found.attrib.clear()
            found.attrib.update(one.attrib)
            for value in found.findall("value"):
                found.remove(value)
            found.extend(one.findall("value"))
        overlay(found, one)


def merge(home: Path, system: Path) -> None:
    """Both hold a file for each of `CHANNELS`."""
    for channel in CHANNELS:
        file = system / f"{channel}.xml"
        below = tree.parse(file)
        overlay(below.getroot(), tree.parse(home / file.name).getroot())
        tree.indent(below)
        below.write(file, encoding="UTF-8", xml_declaration=True)


def begin(folder: Path) -> list[subprocess.Popen[bytes]]:
    """An X server and a session with ``folder`` as home and for all else that it writes."""
    server = ["Xvnc", ":99", "-rfbport", "-1", "-rfbunixpath", str(folder / "rfb"), "-SecurityTypes", "None"]
    own = {name: str(folder) for name in ("HOME", "TMPDIR", "XDG_RUNTIME_DIR")}
    environment = {"PATH": os.environ["PATH"], "DISPLAY": ":99", **own}
    commands = (server, ["dbus-run-session", "--", "/opt/visa/desktop"])
    return [subprocess.Popen(one, env=environment, start_new_session=True) for one in commands]


def wait_for(folder: Path) -> None:
    """Until all channels are there and nothing changes any more; raise `TimeoutError`."""
    files = [folder / f"{channel}.xml" for channel in CHANNELS]
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        if all(file.exists() and time.time() - file.stat().st_mtime > QUIET for file in files):
            return
        time.sleep(0.5)
    raise TimeoutError(f"a first session did not write {', '.join(CHANNELS)} within {WAIT} s")


def main() -> None:
    """Make the image's."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        started = begin(Path(name))
        try:
            home = Path(name) / ".config" / FOLDER
            wait_for(home)
            merge(home, Path("/etc/xdg") / FOLDER)
        finally:
            for one in reversed(started):
                os.killpg(one.pid, signal.SIGKILL)
                one.wait()


if __name__ == "__main__":
    main()
