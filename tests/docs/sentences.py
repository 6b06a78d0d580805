"""Sentences that people see, found in the code: f-strings as patterns, remedies left out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

_WORDS = 3
_ANYTHING = ".{0,120}?"


def _pattern(node: ast.expr) -> str:
    """A literal, or an f-string whose values may be anything."""
    if isinstance(node, ast.Constant):
        return re.sub(r"\\\{\d\\\}", lambda _: _ANYTHING, re.escape(str(node.value)))
    assert isinstance(node, ast.JoinedStr)
    return "".join(re.escape(str(v.value)) if isinstance(v, ast.Constant) else _ANYTHING for v in node.values)


def _left_out(tree: ast.AST) -> set[int]:
    """Nodes that are no sentences: docstrings, arguments of ``re``, remedies, log lines, what is inside an f-string."""
    out: set[int] = set()

    def drop(node: ast.AST) -> None:
        out.update(id(inner) for inner in ast.walk(node))

    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            drop(node)
        elif isinstance(node, ast.JoinedStr):
            out.update(id(inner) for inner in ast.walk(node) if inner is not node)
        elif isinstance(node, ast.Compare) or (isinstance(node, ast.keyword) and node.arg == "help"):
            drop(node)
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name.startswith(("re.", "log.")) or name.endswith(".report"):
                drop(node)
            elif name in ("Cause", "StartFailed"):
                for argument in node.args[1:2]:
                    drop(argument)
            elif name == "Refusal":
                for argument in node.args[2:]:
                    drop(argument)
        elif isinstance(node, ast.Tuple) and len(node.elts) == 2 and isinstance(node.elts[0], ast.Constant):
            drop(node.elts[0])  # what Kubernetes says, beside its translation
    return out


def sentences(path: Path) -> dict[str, str]:
    """Pattern to the source text of every sentence in ``path``."""
    tree = ast.parse(path.read_text())
    out = _left_out(tree)
    found = {}
    for node in ast.walk(tree):
        if id(node) in out or not isinstance(node, ast.Constant | ast.JoinedStr):
            continue
        if isinstance(node, ast.Constant) and not isinstance(node.value, str):
            continue
        pattern = " ".join(_pattern(node).replace("\\ ", " ").split())
        words = pattern.replace(_ANYTHING, " ").split()
        if len([word for word in words if re.search("[A-Za-z]{2}", word)]) >= _WORDS:
            found[pattern] = ast.unparse(node)
    return found
