"""Writes /opt/visa/sbom.cdx.json, a CycloneDX 1.6 list of what an image is made of.

``python sbom.py NAME FOLDER``: Debian's packages, and the Python or Node packages under FOLDER.
"""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

TARGET = Path("/opt/visa/sbom.cdx.json")


def component(kind: str, name: str, version: str, qualifiers: str = "") -> dict[str, str]:
    """One entry; ``kind`` is the package URL's type and namespace."""
    purl = f"pkg:{kind}/{name.replace('@', '%40')}@{version.replace('+', '%2B')}{qualifiers}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def debian() -> Iterator[dict[str, str]]:
    """Packages that dpkg knows."""
    form = "${Package}\t${Version}\t${Architecture}\n"
    for line in subprocess.run(
        ["dpkg-query", "-W", "-f", form], check=True, capture_output=True, text=True
    ).stdout.splitlines():
        name, version, architecture = line.split("\t")
        yield component("deb/debian", name, version.replace(":", "%3A"), f"?arch={architecture}")


def python(folder: Path) -> Iterator[dict[str, str]]:
    """Distributions in an environment."""
    places = [str(path) for path in folder.glob("lib/python3*/site-packages")]
    for found in metadata.distributions(path=places):
        yield component("pypi", found.metadata["Name"].lower().replace("_", "-"), found.version)


def node(folder: Path) -> Iterator[dict[str, str]]:
    """Packages that npm put there."""
    lock = folder / "package-lock.json"
    packages = json.loads(lock.read_text())["packages"] if lock.exists() else {}
    for place, package in packages.items():
        if place and "version" in package and not package.get("dev"):
            yield component("npm", place.rpartition("node_modules/")[2], package["version"])


def bill(name: str, folder: Path) -> dict[str, object]:
    """The whole document."""
    found = {entry["bom-ref"]: entry for entries in (debian(), python(folder), node(folder)) for entry in entries}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid4()}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
            "component": {"type": "container", "name": f"visa/{name}"},
        },
        "components": [found[key] for key in sorted(found)],
    }


if __name__ == "__main__":
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(json.dumps(bill(sys.argv[1], Path(sys.argv[2])), indent=1) + "\n")
