"""What every way of running the probe shares: the script, the account, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import resources

UID = 20001
"""An account that no image knows."""
HOME, RUN, TMP = "/home/visa-check", "/run/visa", "/tmp"
PATIENCE = 300.0
"""Seconds for the whole probe, without the pull of the image."""

PASSWD = f"root:x:0:0:root:/nonexistent:/usr/sbin/nologin\nvisa-check:x:{UID}:{UID}::{HOME}:/bin/sh\n"
"""``/etc/passwd``, as in instances: a session bus asks for the account's name."""

VARIABLES = {
    "HOME": HOME,
    "USER": "visa-check",
    "LOGNAME": "visa-check",
    "LANG": "C.UTF-8",
    "TMPDIR": TMP,
    "JUPYTER_RUNTIME_DIR": f"{TMP}/jupyter-runtime",
    "VISA_RUN": RUN,
    "VISA_BASE_URL": "/user/visa-check/probe/",
    "VISA_EXPERIMENTS": "",
    "VISA_CONFIG": f"{RUN}/jupyter_server_config.py",
}
"""As an instance's (visa/hub/inside.py), with the configuration where the probe can write it."""


class CannotRun(Exception):
    """The image could not be run at all. The message says why and what to do."""


class NoShell(Exception):
    """The image has no /bin/sh."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What the probe printed, and whether the file system was read-only meanwhile, as it is on Kubernetes."""

    output: str
    read_only: bool


@dataclass(slots=True)
class Facts:
    """What the probe found, by key; a key that came more than once has all its values."""

    values: dict[str, list[str]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    @staticmethod
    def read(output: str) -> Facts:
        """From what the probe printed; other lines are passed over."""
        facts = Facts()
        for line in output.splitlines():
            word, _, rest = line.partition(" ")
            if word == "fact":
                key, _, value = rest.partition(" ")
                facts.values.setdefault(key, []).append(value.strip())
            elif word == "log":
                facts.log.append(rest)
        return facts

    def __getitem__(self, key: str) -> str:
        return self.values.get(key, [""])[0]

    def all(self, key: str) -> list[str]:
        """Every value."""
        return self.values.get(key, [])


def arguments() -> list[str]:
    """For ``/bin/sh``: write the files that VISA would mount, and look around.

    Each file is an argument of its own, as Linux takes none longer than 128 KiB.
    """
    here, given = resources.files("visa.cli.check_image"), resources.files("visa") / "session" / "environment"
    texts = [file for file in (*given.iterdir(), here / "probe.py") if file.is_file()]
    write = f'while [ "$#" -gt 0 ]; do printf %s "$2" >"{RUN}/$1"; shift 2; done\n'
    files = [part for file in texts for part in (file.name, file.read_text())]
    return ["-c", write + (here / "probe.sh").read_text(), "visa-check", *files]


def last_words(text: str) -> str:
    """The last line of what an engine said: there it says what went wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][-600:] if lines else "it said nothing"


def is_about_the_shell(text: str) -> bool:
    """Whether an engine's complaint is that there is no /bin/sh."""
    return "/bin/sh" in text and any(words in text for words in ("no such file", "not found", "No such file"))
