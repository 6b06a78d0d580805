"""One YAML document as plain values, with the place of every key and value.

Only the parser's tree is used and nothing is constructed from tags. Anchors, aliases, merge keys and
tags are mistakes: facility.yaml is written out, so that a line says what it means and a document
cannot grow when it is read.
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from visa.facility.problems import FacilityProblems, Problem

LARGEST = 256 * 1024  # bytes; a facility.yaml has some kilobytes, and reading takes 8 s for each MiB
DEEPEST = 30  # levels; a facility.yaml has six

Key = str | int
Keys = tuple[Key, ...]
Position = tuple[int, int]  # line, column; from 1

_TAG = "tag:yaml.org,2002:"
# Not to be shown or to reach a path: control characters but tab and line feed, and halves of a surrogate pair.
_UNFIT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(slots=True)
class Document:
    """``data`` in plain Python values; ``problems`` of the notation, by the keys they are at."""

    file: str
    data: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    spoilt: list[Keys] = field(default_factory=list)
    _keys: dict[Keys, Position] = field(default_factory=dict)
    _values: dict[Keys, Position] = field(default_factory=dict)

    def place(self, keys: Keys, *, key: bool = False) -> Position:
        """Of the value at ``keys`` (of the key itself if ``key``), else of the nearest parent's key."""
        if not key and keys in self._values:
            return self._values[keys]
        while keys and keys not in self._keys:
            keys = keys[:-1]
        return self._keys.get(keys, (1, 1))

    def problem(self, keys: Keys, wrong: str, right: str, *, key: bool = False) -> Problem:
        """A `Problem` at ``keys``."""
        return Problem(self.file, *self.place(keys, key=key), ".".join(map(str, keys)), wrong, right)

    def is_spoilt(self, keys: Keys) -> bool:
        """Whether the notation at ``keys`` or above is wrong already, so that the value says nothing."""
        return any(keys[: len(spoilt)] == spoilt for spoilt in self.spoilt)

    # Building

    def _fault(self, keys: Keys, position: Position, wrong: str, right: str, *, spoils: bool = True) -> None:
        self.problems.append(Problem(self.file, *position, ".".join(map(str, keys)), wrong, right))
        if spoils:
            self.spoilt.append(keys)

    def _value(self, node: Node, keys: Keys) -> Any:
        place = (node.start_mark.line + 1, node.start_mark.column + 1)
        if node.anchor is not None:
            right = "write the value out where it is used"
            self._fault(keys, place, f"anchors and aliases (&{node.anchor}) are not read", right)
            return None
        if isinstance(node, MappingNode) and node.tag == f"{_TAG}map":
            return self._mapping(node, keys)
        if isinstance(node, SequenceNode) and node.tag == f"{_TAG}seq":
            values = []
            for index, item in enumerate(node.value):
                self._keys[*keys, index] = (item.start_mark.line + 1, item.start_mark.column + 1)
                values.append(self._value(item, (*keys, index)))
            return values
        if not (isinstance(node, ScalarNode) and not node.value and not node.style):
            self._values[keys] = place  # a key with nothing behind it has no place of its own
        if isinstance(node, ScalarNode):
            return self._scalar(node, keys, place)
        return self._tagged(node, keys, place)

    def _mapping(self, node: MappingNode, keys: Keys) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            place = (key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if not isinstance(key_node, ScalarNode) or not key_node.value:
                self._fault(keys, place, "a key is not a word", "give 'name: value'", spoils=False)
                continue
            name = key_node.value
            if key_node.anchor is not None or key_node.tag == f"{_TAG}merge":
                what = "merge keys (<<)" if key_node.tag == f"{_TAG}merge" else f"anchors (&{key_node.anchor})"
                self._fault(keys, place, f"{what} are not read", "write the keys out", spoils=False)
            elif _UNFIT.search(name):
                self._fault(keys, place, f"key {name!r} has a control character", "remove it", spoils=False)
            elif name in values:
                first = self._keys[*keys, name][0]
                self._fault((*keys, name), place, f"is there twice (first in line {first})", "keep one", spoils=False)
            else:
                self._keys[*keys, name] = place
                values[name] = self._value(value_node, (*keys, name))
        return values

    def _scalar(self, node: ScalarNode, keys: Keys, place: Position) -> Any:
        text = node.value
        kind = str(node.tag).removeprefix(_TAG)
        if kind in ("str", "timestamp"):
            unfit = _UNFIT.search(text)
            if unfit:
                self._fault(keys, place, f"has a control character ({unfit[0]!r})", "remove it")
                return None
            return str(text)
        if kind == "null":
            return None
        if kind in ("bool", "int", "float"):
            try:
                return getattr(_scalars(), f"construct_yaml_{kind}")(node)
            except (ValueError, KeyError, IndexError, OverflowError):
                shown = text if len(text) <= 40 else text[:37] + "..."
                self._fault(keys, place, f"'{shown}' cannot be read as a number or true or false", "mend or quote it")
                return None
        return self._tagged(node, keys, place)

    def _tagged(self, node: Node, keys: Keys, place: Position) -> None:
        tag = str(node.tag).replace(_TAG, "!!")
        self._fault(keys, place, f"tags ({tag[:40]}) are not read", "remove the tag")


def _scalars() -> Any:
    return YAML(typ="safe", pure=True).constructor


def read(path: Path) -> Document:
    """Read ``path``; raise `FacilityProblems` when it is not one readable YAML document of keys."""
    document = Document(str(path))
    text = _text(path)
    try:
        _check_depth(text)
        node = YAML(typ="rt", pure=True).compose(text)
    except (YAMLError, RecursionError, ValueError, LookupError, TypeError, AttributeError) as error:
        # Beside its own errors ruamel.yaml raises plain ones on some broken documents: not YAML either way.
        raise FacilityProblems([_not_yaml(document.file, text, error)]) from None
    if node is None:
        raise FacilityProblems([Problem(document.file, 1, 1, "", "the file is empty", "begin with 'facility:'")])
    if not isinstance(node, MappingNode):
        wrong = "the file is not a set of keys"
        raise FacilityProblems([Problem(document.file, 1, 1, "", wrong, "begin with 'facility:'")])
    document.data = document._value(node, ()) or {}
    return document


def _text(path: Path) -> str:
    """The file's text; raise `FacilityProblems` when it cannot be read as such."""

    def refuse(wrong: str, right: str, line: int = 1) -> FacilityProblems:
        return FacilityProblems([Problem(str(path), line, 1, "", wrong, right)])

    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise refuse("is not a file", "give the path of facility.yaml")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        wrong = (getattr(error, "strerror", None) or str(error)).lower()
        raise refuse(f"cannot be read ({wrong})", "give the path of a facility.yaml that can be read") from None
    if len(content) > LARGEST:
        raise refuse(f"the file is larger than {LARGEST // 1024} KiB", "give a facility.yaml; data belong elsewhere")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise refuse("the file is not UTF-8 text", "save it as UTF-8", line) from None


def _check_depth(text: str) -> None:
    """Raise ``RecursionError`` before the tree is made: ruamel.yaml takes seconds to run into it itself."""
    depth = 0
    for event in YAML(typ="rt", pure=True).parse(text):
        depth += isinstance(event, CollectionStartEvent)
        depth -= isinstance(event, CollectionEndEvent)
        if depth > DEEPEST:
            raise RecursionError


def _not_yaml(file: str, text: str, error: Exception) -> Problem:
    last = text.rstrip().count("\n") + 1
    if isinstance(error, RecursionError):
        return Problem(file, 1, 1, "", "the document is nested too deeply", "give a facility.yaml")
    if isinstance(error, ReaderError):
        line = text[: error.position].count("\n") + 1
        wrong = f"not YAML (control character {chr(error.character)!r})" if isinstance(error.character, int) else ""
        return Problem(file, line, 1, "", wrong or "not YAML (a control character)", "remove it")
    mark = (error.problem_mark or error.context_mark) if isinstance(error, MarkedYAMLError) else None
    what = (error.problem or error.context) if isinstance(error, MarkedYAMLError) else str(error).split("\n", 1)[0]
    line, column = (min(mark.line + 1, last), mark.column + 1) if mark else (1, 1)
    if "single document" in str(what) or "another document" in str(what):
        return Problem(file, line, column, "", "there is more than one document in the file", "remove the '---' line")
    return Problem(file, line, column, "", f"not YAML ({what})", "check indentation, colons, brackets and quotes")
