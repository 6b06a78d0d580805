"""What a role on an instance may do: one table, held by the gateway per request and per message.

Everything that is not on the list is refused. The gateway imports this module and nothing heavier: it
stays free of pydantic and SQLAlchemy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import quote, unquote


class Role(StrEnum):
    """Of a person on an instance. Who is nobody there has the role none, which may do nothing."""

    OWNER = "owner"
    COLLABORATOR = "collaborator"
    OBSERVER = "observer"
    SUPPORT = "support"
    SUPPORT_VIEW = "support-view"
    NONE = "none"


class Action(StrEnum):
    """What a request does to the session."""

    VIEW = "view"  # the application's own pages and assets
    READ = "read"  # files and state
    WRITE = "write"  # files and settings
    EXECUTE = "execute"  # kernels, terminals
    EXTEND = "extend"  # whatever an extension offers: nobody knows what it does


_LOOKS = frozenset({Action.VIEW, Action.READ})
_ACTS = frozenset({Action.VIEW, Action.READ, Action.WRITE, Action.EXECUTE})

PERMISSIONS: Mapping[Role, frozenset[Action]] = {
    Role.OWNER: frozenset(Action),
    Role.COLLABORATOR: _ACTS,
    Role.OBSERVER: _LOOKS,
    Role.SUPPORT: _ACTS,
    Role.SUPPORT_VIEW: _LOOKS,
    Role.NONE: frozenset(),
}
"""The table (docs/developers/people.md). What is on no list (`Action.EXTEND`) is the owner's alone."""


class Way(StrEnum):
    """Which way the clipboard or files may pass: into the desktop, out of it."""

    BOTH = "both"
    IN = "in"
    OUT = "out"
    NONE = "none"

    @property
    def into(self) -> bool:
        """Whether anything may come into the desktop."""
        return self in (Way.BOTH, Way.IN)

    @property
    def out(self) -> bool:
        """Whether anything may leave it."""
        return self in (Way.BOTH, Way.OUT)


@dataclass(frozen=True, slots=True)
class DesktopRules:
    """The facility's rules for desktops (``desktop`` in facility.yaml). A role that is not named has no clipboard."""

    clipboard: Mapping[Role, Way]
    clipboard_limit: int = 2**20
    files: Way = Way.BOTH
    preview: bool = True


@dataclass(frozen=True, slots=True)
class DesktopRights:
    """What one person may do on a desktop. Who may not even look has no rights at all: see `desktop_rights`."""

    act: bool
    resize: bool
    restart: bool
    clipboard: Way
    clipboard_limit: int
    files: Way


def desktop_rights(role: Role, rules: DesktopRules) -> DesktopRights | None:
    """From the one table: who may execute may act on the desktop, who may view sees pictures and nothing else."""
    allowed = PERMISSIONS[role]
    if Action.VIEW not in allowed:
        return None
    act = Action.EXECUTE in allowed
    into = rules.files.into and Action.WRITE in allowed
    out = rules.files.out and Action.READ in allowed
    return DesktopRights(
        act=act,
        resize=act,
        restart=act,
        clipboard=rules.clipboard.get(role, Way.NONE) if act else Way.NONE,
        clipboard_limit=rules.clipboard_limit,
        files=Way.BOTH if into and out else Way.IN if into else Way.OUT if out else Way.NONE,
    )


_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_GET = frozenset({"GET"})
_ANY = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True, slots=True)
class Rule:
    """Requests with one of ``methods`` whose path (below the instance's own, decoded) matches do ``action``."""

    methods: frozenset[str]
    path: re.Pattern[str]
    action: Action


def _rule(methods: frozenset[str], path: str, action: Action) -> Rule:
    return Rule(methods, re.compile(path), action)


NOTEBOOK: tuple[Rule, ...] = (
    _rule(_READING, r"_visa/(ready|people)", Action.VIEW),
    _rule(_READING, r"desktop(/|/state|/websocket|/selkies)?", Action.VIEW),
    _rule(frozenset({"POST"}), r"desktop/start", Action.EXECUTE),
    _rule(_READING, r"desktop/files/.+", Action.READ),
    _rule(frozenset({"PUT", "DELETE"}), r"desktop/files/.+", Action.WRITE),
    _rule(_READING, r"desktop/preview\.png", Action.EXECUTE),
    # JupyterLab's pages and assets, and what it reads of its own state.
    _rule(_READING, r"(|(lab|doc)(/workspaces/[\w-]+)?(/tree(/.*)?)?|static/.*|lab/extensions/.*)", Action.VIEW),
    _rule(_READING, r"(favicon\.ico|lab/api/(settings|themes|translations|listings|licenses)(/.*)?)", Action.VIEW),
    _rule(_READING, r"(api(/status|/spec\.yaml|/me|/nbconvert)?|api/kernelspecs(/[^/]+)?|kernelspecs/.+)", Action.VIEW),
    # The gateway answers these for everybody but the owner: nothing to build, and the layout of windows is hers.
    _rule(_GET, r"lab/api/build", Action.VIEW),
    _rule(_ANY, r"lab/api/workspaces(/.*)?", Action.VIEW),
    # Websockets: which messages pass is decided one by one (visa.session.notebook.rules).
    _rule(_GET, r"(api/kernels/[^/]+/channels|api/collaboration/room/[^/]+|api/events/subscribe)", Action.VIEW),
    # Files, below opened folders only (visa.session.notebook.session). A collaboration session is an index' entry.
    _rule(_READING, r"(api/contents(/.*)?|(files|view)/.+|h5web/(attr|data|meta|paths))", Action.READ),
    _rule(_READING, r"nbconvert/(html|markdown|notebook)/.+", Action.READ),
    _rule(frozenset({"PUT"}), r"api/collaboration/session/.+", Action.READ),
    # The same of jupyter-server-documents, and outputs that it keeps beside the notebook.
    _rule(frozenset({"POST"}), r"api/fileid/index", Action.READ),
    _rule(_READING, r"api/outputs/[^/]+/[^/]+(/[^/]+)?", Action.READ),
    _rule(frozenset({"DELETE"}), r"api/outputs/[^/]+/[^/]+(/[^/]+)?", Action.EXECUTE),
    _rule(_READING, r"api/((sessions|kernels)(/[^/]+)?|terminals)", Action.READ),
    _rule(_ANY, r"(api/contents(/.*)?|api/config/\w+|lab/api/settings(/.*)?|api/events)", Action.WRITE),
    _rule(_ANY, r"((api/(sessions|kernels|terminals)|terminals)(/.*)?|nbconvert/.+)", Action.EXECUTE),
    _rule(
        _ANY, r"(api/collaboration/(fork|timeline|undo_redo)/.+|api/fileid/(id|path)|api/resolvePath)", Action.EXECUTE
    ),
    _rule(_ANY, r".+", Action.EXTEND),
)
"""The notebook's allow-list, first match counts. Its last line is the owner's alone."""


_CODED_SLASHES = "api/collaboration/session/"
"""JupyterLab codes a path's slashes here, and Jupyter reads them as if it had not."""


class UnsafePath(ValueError):
    """The path could be read in two ways. The message says what is wrong with it."""


def safe_path(raw: str, prefix: str) -> str:
    """The part of ``raw`` (as in the request line, without the query) below ``prefix``, decoded once.

    What Jupyter will see (`coded`) is what the table decides on: a path that a server might read in
    another way (``..``, ``//``, backslash, control characters, bad percent-coding) is refused.
    ``prefix`` is the instance's own path as it stands in addresses, with both slashes. Raise `UnsafePath`.
    """
    if raw == prefix[:-1]:
        return ""
    if not raw.startswith(prefix):
        raise UnsafePath("the path is not this instance's")
    raw = raw[len(prefix) :]
    if raw.startswith(_CODED_SLASHES):
        raw = re.sub(r"(?i)%2f", "/", raw)
    if re.search(r"%(?![0-9A-Fa-f]{2})", raw):
        raise UnsafePath("the path has a % that begins no code")
    if re.search(r"(?i)%(2f|5c|00)", raw):
        raise UnsafePath("the path has a coded slash, backslash or NUL")
    try:
        path = unquote(raw, errors="strict")
    except UnicodeDecodeError:
        raise UnsafePath("the path is not UTF-8") from None
    if any(ord(character) < 32 or character in "\\\x7f" for character in path):
        raise UnsafePath("the path has a control character or backslash")
    segments = path.split("/")
    if any(segment in (".", "..") for segment in segments) or "" in segments[:-1]:
        raise UnsafePath("the path has '.', '..' or '//'")
    return path


def coded(path: str) -> str:
    """``path`` from `safe_path` in its one spelling for an address: Jupyter reads what the table saw."""
    return quote(path, safe="/~!$&'()*+,;=:@")


def action_of(method: str, path: str) -> Action | None:
    """What the request does, or None when it is on no list. ``path``: decoded, below the instance's own."""
    for rule in NOTEBOOK:
        if method in rule.methods and rule.path.fullmatch(path):
            return rule.action
    return None


def may(role: Role, method: str, path: str) -> bool:
    """Whether ``role`` may make this request."""
    action = action_of(method, path)
    return action is not None and action in PERMISSIONS[role]
