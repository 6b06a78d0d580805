"""Writes sbom.cdx.json, a CycloneDX 1.6 list of what an image is made of.

``python sbom.py NAME STATUS FOLDER... TARGET``: Debian's packages by dpkg's STATUS file, the Python or Node packages
under each FOLDER and under TARGET, which is the folder that gets the file. The same contents give the same file.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

Component = dict[str, Any]


def component(kind: str, name: str, version: str, qualifiers: str = "") -> Component:
    """One entry; ``kind`` is the package URL's type and, for Debian's, its namespace."""
    purl = f"pkg:{kind}/{quote(name, safe='/')}@{quote(version, safe='')}{qualifiers}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def debian(status: Path) -> Iterator[Component]:
    """Packages that dpkg holds for installed."""
    for paragraph in status.read_text().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if ": " in line and line[0] != " ")
        if fields.get("Status", "").endswith(" installed"):
            yield component("deb/debian", fields["Package"], fields["Version"], f"?arch={fields['Architecture']}")


def python(folder: Path) -> Iterator[Component]:
    """Distributions in an environment."""
    # An environment, or files to be laid over one, whose tree begins at the root.
    places = [str(path) for path in folder.glob("**/lib/python3*/site-packages")]
    for found in metadata.distributions(path=places):
        entry = component("pypi", found.metadata["Name"].lower().replace("_", "-"), found.version)
        if licence := found.metadata.get("License-Expression"):
            entry["licenses"] = [{"expression": licence}]
        yield entry


def node(folder: Path) -> Iterator[Component]:
    """Packages that npm put there."""
    lock = folder / "package-lock.json"
    packages = json.loads(lock.read_text())["packages"] if lock.exists() else {}
    for place, package in packages.items():
        if place and "version" in package and not package.get("dev"):
            yield component("npm", place.rpartition("node_modules/")[2], package["version"])


def bill(name: str, status: Path, folders: list[Path]) -> dict[str, Any]:
    """The whole document."""
    entries = list(debian(status))
    for folder in folders:
        entries += [*python(folder), *node(folder)]
    found = {entry["bom-ref"]: entry for entry in entries}
    components = [found[key] for key in sorted(found)]
    serial = uuid.uuid5(uuid.NAMESPACE_URL, f"{name} {' '.join(sorted(found))}")
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {"component": {"type": "container", "bom-ref": f"visa/{name}", "name": f"visa/{name}"}},
        "components": components,
    }


if __name__ == "__main__":
    *given, last = sys.argv[1:]
    target = Path(last)
    target.mkdir(parents=True, exist_ok=True)
    document = bill(given[0], Path(given[1]), [Path(folder) for folder in (*given[2:], last)])
    (target / "sbom.cdx.json").write_text(json.dumps(document, indent=1) + "\n")
