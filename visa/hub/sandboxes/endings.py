"""Why an instance ended, in words, from what its supervisor left in the run folder."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path

from visa.hub.words import how_ended, shown

log = logging.getLogger(__name__)
_TAIL = 4096


@dataclass(frozen=True, slots=True)
class Ending:
    """``code``: for the hub's ``poll``. ``sentence``: for people; empty when it was asked to end."""

    code: int
    sentence: str


def ending_of(run: Path) -> Ending:
    """How the instance in the run folder ``run`` ended."""
    try:
        told = json.loads((run / "exit.json").read_text())
    except FileNotFoundError:
        return Ending(1, "The instance ended without a word: its supervisor was killed, or the machine was restarted.")
    except (OSError, ValueError) as error:
        log.warning("%s: %s", run / "exit.json", error)
        return Ending(1, "The instance ended; why could not be read.")
    if told["who"] in ("stop", "tether"):
        return Ending(0, "")
    if told["problem"]:
        return Ending(1, f"The instance could not be started: {told['problem']}.")
    code = told["code"] if told["code"] is not None else 1
    if told["who"] == "gateway":
        times = " again and again" if told.get("restarts") else ""
        said = last_words(run, "gateway")
        return Ending(code or 1, f"The instance's gateway ended{times} ({how_ended(code)}). Last it said: {said}")
    if told["oom"] and code in (137, -9):
        sentence = "The session ended because its memory was full. Choose a flavour with more memory."
        return Ending(code, sentence)
    if code == 0:
        return Ending(0, "The session was shut down from within.")
    return Ending(code, f"The session ended ({how_ended(code)}). Last it said: {last_words(run, 'environment')}")


def last_words(run: Path, part: str) -> str:
    """The last line that a part wrote."""
    try:
        with open(run / f"{part}.log", "rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _TAIL))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return "nothing."
    return shown(lines[-1] if lines else "nothing.")
