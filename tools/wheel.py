"""Hatch's hook: no wheel without noVNC, which is not in the repository."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class WithNoVNC(BuildHookInterface):  # type: ignore[type-arg]
    """Looks before the wheel is built; an editable installation may come first."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Raise when it is missing."""
        there = Path(self.root, "visa/session/desktop/novnc/package/core/rfb.js").exists()
        if version == "standard" and not there:
            raise RuntimeError("noVNC is missing: run tools/novnc first, which takes it from npm.")
