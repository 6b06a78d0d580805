"""Writes software.json: what is really installed. Runs on the environment's own Python.

``python describe.py FILE`` writes name to version, of the packages that people look for first.
"""

from __future__ import annotations

import json
import platform
import sys
from importlib import metadata
from pathlib import Path

_MINOR = ("types-", "jupyter-", "jupyterlab-", "python-json", "prometheus", "webcolors", "uri-template")


def software() -> dict[str, str]:
    """Every distribution that somebody may ask for, and Python."""
    found = {"Python": platform.python_version()}
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"]
        wanted = name.lower() == "jupyterlab-h5web" or not name.lower().startswith(_MINOR)
        if name and wanted:
            found[name] = distribution.version
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(software(), indent=1) + "\n")
