"""What may not stand in a log: login codes, sessions, tokens, the keys of invitations.

One place for a whole process, whoever logs and whichever handler writes: `without_secrets` sees to each record as it is
made. A log is read by more people, and kept for longer, than what it tells of.
"""

from __future__ import annotations

import logging
import re
import traceback
from typing import Any

HIDDEN = "[secret]"

_SAFE = r"[^\s&\"'<>;,)\]}%]|%(?!26|25)[0-9A-Fa-f]{2}|%25(?!26)"
_NAMES = r"code|state|[\w.-]*token|[\w.-]*_hint|[\w.-]*secret|code_verifier|password|_xsrf|session_state|ticket"
_PATTERNS = [
    (re.compile(r"(confirmed(?:#|%23)\d+\.)[\w-]+"), rf"\1{HIDDEN}"),
    # A query's value, of an address within an address too (percent-coded once or twice).
    (re.compile(rf"(?i)((?:[?&]|%3F|%26|%253F|%2526)(?:{_NAMES})(?:=|%3D|%253D))(?:{_SAFE})+"), rf"\1{HIDDEN}"),
    # Headers and fields, as libraries print them: `Cookie: a=b`, {"Authorization": "token x"}, [('Set-Cookie', '...')].
    (
        re.compile(
            r"(?i)(\b(?:proxy-)?authorization\b['\"]?\s*[:=,]\s*(?:b?['\"])?(?:(?:token|bearer|basic)\s+)?)[^\s'\",]+"
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?i)(\b(?:set-)?cookie\b['\"]?\s*[:,]\s*b?)(\"[^\"\n]*\"|'[^'\n]*'|[^\n'\"][^\n]*)"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)(\bx-(?:xsrftoken|visa-page)\b['\"]?\s*[:=,]\s*(?:b?['\"])?)[^\s'\",]+"), rf"\1{HIDDEN}"),
    (
        re.compile(
            r"(?i)((?:\b|['\"])(?:code|state|code_verifier|client_secret|access_token|refresh_token|id_token|api_token|"
            r"password|_xsrf)['\"]\s*[:,]\s*b?)(\"[^\"\n]*\"|'[^'\n]*')"
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"(?i)(\b(?:token|bearer)\s+)[\w.~+/=-]{20,}"), rf"\1{HIDDEN}"),
    # What JupyterHub and we make at random: ids of sessions and tokens (32 digits), what is signed, keys of links.
    (re.compile(r"(?<![0-9A-Za-z])[0-9a-f]{32}(?![0-9A-Za-z])"), HIDDEN),
    (re.compile(r"\b2(?:\||%7C)1:0(?:\||%7C)[^\s\"'<>;,)\]}&]+"), HIDDEN),
    (re.compile(r"(/join/|%2Fjoin%2F)(?:[^\s\"'?&%]|%(?!3F|26|25))+", re.IGNORECASE), r"\1..."),
]


def scrubbed(text: str) -> str:
    """``text`` without what opens anything."""
    for pattern, instead in _PATTERNS:
        text = pattern.sub(instead, text)
    return text


def without_secrets() -> None:
    """From now on, for all that this process logs; called again it changes nothing."""
    make = logging.getLogRecordFactory()
    if getattr(make, "without_secrets", False):
        return

    def made(*given: Any, **named: Any) -> logging.LogRecord:
        record = make(*given, **named)
        try:
            told = record.getMessage()
        except Exception:  # as logging itself: a line that cannot be written stops nobody's work
            told = f"{record.msg} (its arguments do not fit, or cannot be shown now)"
        record.msg, record.args = scrubbed(told), ()
        if isinstance(record.exc_info, tuple) and record.exc_info[1] is not None:
            record.exc_text = scrubbed("".join(traceback.format_exception(record.exc_info[1])).rstrip("\n"))
        return record

    made.without_secrets = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(made)
