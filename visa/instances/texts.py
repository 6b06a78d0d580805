"""Texts that people write, titles above all: what is refused, and how what is stored is shown."""

from __future__ import annotations

import re
import unicodedata

LONGEST_TITLE = 200
_HUBS_LONGEST = 255
_DANGEROUS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters, what turns the direction of what follows, halves of a pair."""
_INVISIBLE = re.compile("[\u00ad\u200b\u2060-\u2065\u206a-\u206f\ufeff\ufff9-\ufffb]")
_LOOKS_BLANK = "\u115f\u1160\u2800\u3164\uffa0"
_HUBS = ("L", "M", "N", "P", "S")


class UnfitText(ValueError):
    """The text is not taken. ``sentence`` goes on after the field's name; ``remedy``: what would be taken."""

    def __init__(self, sentence: str, remedy: str) -> None:
        super().__init__(f"{sentence} {remedy}")
        self.sentence, self.remedy = sentence, remedy


def title(given: str) -> str:
    """``given`` as one line that can be read; raise `UnfitText`."""
    found = _DANGEROUS.search(given)
    if found:
        sentence = f"has a character that cannot be shown (U+{ord(found[0]):04X})."
        raise UnfitText(sentence, "Leave out control characters and signs that turn the direction of writing.")
    clean = _line(given)
    if not _seen(clean):
        raise UnfitText("has nothing that can be read.", "Write at least one letter or digit.")
    if len(clean) > LONGEST_TITLE:
        raise UnfitText(f"has {len(clean)} characters.", f"Use at most {LONGEST_TITLE}.")
    return clean


def shown(stored: str, otherwise: str) -> str:
    """A title of any origin as it may be shown; ``otherwise`` when nothing of it can be read."""
    clean = _line(_DANGEROUS.sub("", stored))[:LONGEST_TITLE].strip()
    return clean if _seen(clean) else otherwise


def for_hub(given: str) -> str:
    """What JupyterHub takes of a title: letters, marks, digits, punctuation, symbols, single spaces; may be empty."""
    kept = "".join(c if unicodedata.category(c)[0] in _HUBS else " " if c.isspace() else "" for c in given)
    return " ".join(kept.split())[:_HUBS_LONGEST].strip()


def _line(text: str) -> str:
    return " ".join(_INVISIBLE.sub("", text).split())


def _seen(text: str) -> bool:
    return any(unicodedata.category(c)[0] in "LNPS" and c not in _LOOKS_BLANK for c in text)
