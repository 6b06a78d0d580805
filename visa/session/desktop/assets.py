"""The desktop page's own files and noVNC's: public, kept by browsers for as long as this version is here."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import posixpath
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from visa.session.guard import Guard

_HERE = Path(__file__).parent
OWN = _HERE / "static"
WORD = _HERE.parent / "environment/lab-word.js"
"""JupyterLab's page has it too; here it is ``word.js``."""
NOVNC = _HERE / "novnc/package"
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
_NAME = re.compile(r"(?:[0-9a-z][0-9a-z_-]*/)*[0-9a-z][0-9a-z_-]*\.(?:js|css|svg)")
_IMPORT = re.compile(r"""^(?:import|export)\b[^;"']*["'](\.[^"']+)["']""", re.MULTILINE)


def novnc_is_here() -> bool:
    """Whether tools/novnc has run."""
    return (NOVNC / "core/rfb.js").is_file()


def files() -> dict[str, Path]:
    """All that may be asked for, by its name below ``static/<version>/``."""
    parts = [("", OWN), ("novnc/core/", NOVNC / "core"), ("novnc/vendor/", NOVNC / "vendor")]
    found = {f"{name}{path.relative_to(folder)}": path for name, folder in parts for path in folder.rglob("*")}
    found["word.js"] = WORD
    return {name: path for name, path in found.items() if _NAME.fullmatch(name) and path.is_file()}


@cache
def _known() -> dict[str, Path]:
    return files()


@cache
def version() -> str:
    """Of all files together: it is in their addresses, so that none is taken from an older version's cache."""
    digest = hashlib.sha256()
    for name, path in sorted(_known().items()):
        digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


@cache
def needed_by(name: str) -> tuple[str, ...]:
    """``name`` and all modules that it imports: browsers told of them at once need not find out one by one."""
    found, left = dict[str, None](), [name]
    while left:
        one = left.pop()
        path = _known().get(one)
        if one in found or path is None:
            continue
        found[one] = None
        folder = posixpath.dirname(one)
        left += [posixpath.normpath(posixpath.join(folder, to)) for to in _IMPORT.findall(path.read_text())]
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Asset:
    """One file: as it is, and packed."""

    kind: str
    plain: bytes
    packed: bytes


@lru_cache(maxsize=256)
def asset(name: str) -> Asset | None:
    """None when there is no such file."""
    path = _known().get(name)
    if path is None:
        return None
    content = path.read_bytes()
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Asset(kind, content, gzip.compress(content, 6, mtime=0))


class Static(Guard):
    """``desktop/static/<version>/<name>``, without login: the same for everybody."""

    async def get(self, of: str, name: str) -> None:
        """The file; of another version, only for now."""
        found = asset(name)
        if found is None:
            self.send_error(404)
            return
        self.set_header("Content-Type", found.kind)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        kept = "public, max-age=31536000, immutable" if of == version() else "no-cache"
        self.set_header("Cache-Control", kept)
        self.set_header("Vary", "Accept-Encoding")
        packed = "gzip" in self.request.headers.get("Accept-Encoding", "")
        if packed:
            self.set_header("Content-Encoding", "gzip")
        self.finish(found.packed if packed else found.plain)

    head = get
