"""Which files a request to Jupyter is about, from its address, query and body; raise `Unclear` when in doubt."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

LARGEST_BODY = 2**16
"""Of a request that names files in its body: it holds names, no content."""

_CONTENTS = re.compile(r"api/contents(?:/(.*))?", re.DOTALL)
_BESIDE = re.compile(r"(?:(.*)/)?(?:checkpoints(?:/[\w-]+)?|trust)", re.DOTALL)
_NAMED = re.compile(r"(?:files|view|nbconvert/\w+|api/collaboration/(?:session|timeline))(?:/(.*))?", re.DOTALL)
_POSTED = re.compile(r"nbconvert/\w+")
_H5 = re.compile(r"h5web/\w+")
_INDEX = "api/fileid/index"
_OUTPUTS = re.compile(r"api/outputs/([^/]+)/.+")


class Unclear(ValueError):
    """The request could be read in two ways, or in none. The message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Asked:
    """``paths``: below Jupyter's root, of all files that the address names. ``body``: names more, see `rewritten`.

    ``query``: in the one spelling in which it is passed on; None when it is none of ours. ``bare``: it has no content,
    in which Jupyter would look for names. ``identifier``: of a file, as Jupyter's index has it.
    """

    paths: tuple[str, ...]
    body: bool = False
    query: str | None = None
    bare: bool = False
    identifier: str | None = None


def asked(method: str, path: str, query: str) -> Asked | None:
    """What the request is about, None when it is not about files; ``path`` decoded, below the instance's own."""
    contents = _CONTENTS.fullmatch(path)
    if contents:
        return _contents(method, clear(contents[1] or ""))
    named = _NAMED.fullmatch(path)
    if named and not (method == "POST" and _POSTED.fullmatch(path)):
        return Asked((clear(named[1] or ""),), body=path.startswith("api/collaboration/session"))
    if _H5.fullmatch(path):
        return _one_file(query, "file")
    if path == _INDEX:
        return replace(_one_file(query, "path"), bare=True)
    outputs = _OUTPUTS.fullmatch(path)
    return Asked((), identifier=outputs[1]) if outputs else None


def _contents(method: str, path: str) -> Asked:
    beside = _BESIDE.fullmatch(path)
    # A folder may be named checkpoints: then both are meant.
    paths = (path, beside[1] or "") if beside else (path,)
    return Asked(paths, body=method in ("POST", "PATCH") and not beside)


def _one_file(query: str, name: str) -> Asked:
    pairs = parse_qsl(query, keep_blank_values=True)
    files = [value for key, value in pairs if key == name]
    if len(files) != 1 or files[0] != files[0].strip():
        raise Unclear("it does not name one file")
    return Asked((clear(files[0], absolute=False),), query=urlencode(pairs))


def clear(path: str, absolute: bool = True) -> str:
    """The path without slashes at its ends; raise `Unclear` when Jupyter could read it in another way."""
    if any(ord(character) < 32 or character in "\\\x7f" for character in path):
        raise Unclear("a name has a control character or backslash")
    if path.startswith("/") and not absolute:
        raise Unclear("the path is not below the home folder")
    inner = path.strip("/")
    if inner and any(part in ("", ".", "..") for part in inner.split("/")):
        raise Unclear("the path has '.', '..' or '//'")
    return inner


_FIELDS: Mapping[str, tuple[str, ...]] = {
    "POST": ("type", "ext", "copy_from"),
    "PATCH": ("path",),
    "PUT": ("format", "type"),
}


def rewritten(method: str, body: bytes) -> tuple[bytes, tuple[str, ...]]:
    """``(what is passed on, the files that the body names)``: known fields only, in one spelling; raise `Unclear`."""
    given = _object(body) if body.strip() else {}
    fields = _FIELDS[method]
    kept: dict[str, str] = {}
    for name, value in given.items():
        if name in fields and value is not None:
            if not isinstance(value, str):
                raise Unclear(f"{name} is not text")
            kept[name] = value
    named = {name: clear(kept[name]) for name in ("copy_from", "path") if kept.get(name)}
    return json.dumps({**kept, **named}).encode(), tuple(named.values())


def _object(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        raise Unclear("its content is not JSON") from None
    if not isinstance(given, dict):
        raise Unclear("its content is not a JSON object")
    return given


def shown(model: Any, keep: Callable[[str], bool], *, writable: bool) -> dict[str, Any]:
    """A folder's or file's model with only the entries that ``keep`` wants by name; raise `Unclear`."""
    if not isinstance(model, dict):
        raise Unclear("Jupyter's answer is no model")
    told = dict(model)
    content = told.get("content")
    if told.get("type") == "directory" and isinstance(content, list):
        kept = [one for one in content if isinstance(one, dict) and keep(str(one.get("name", "")))]
        if len(kept) != len(content):
            told.pop("unshown", None)  # what has no name here is not told to who sees a part only
        told["content"] = [one if writable else {**one, "writable": False} for one in kept]
    return told if writable else {**told, "writable": False}
