"""What may pass between a desktop and a browser: ``desktop`` in facility.yaml."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import Field

from visa.facility.section import Section
from visa.facility.units import Memory

Way = Literal["both", "in", "out", "none"]
_MOST = 16 * 2**20


class DesktopClipboard(Section):
    """Which way the clipboard passes, by role on the instance: `in` is into the desktop."""

    owner: Way = Field(default="both", description="The owner's.")
    collaborator: Way = Field(default="both", description="Of who acts as the owner.")
    support: Way = Field(default="none", description="Of staff who were let in.")
    observer: Way = Field(default="none", description="Of who only looks; only `out` and `none` have an effect.")


class Desktop(Section):
    """What may pass between a desktop and a browser."""

    clipboard: DesktopClipboard = Field(default=DesktopClipboard(), description="The clipboard, by role.")
    clipboard_limit: Annotated[Memory, Field(le=_MOST)] = Field(
        default=Memory("1Mi"), description="Most that one copy may have, at most 16Mi."
    )
    files: Way = Field(
        default="both", description="Whether people may bring files in (`in`) and take files out (`out`) on the page."
    )
    preview: bool = Field(
        default=True, strict=True, description="Whether the owner's home page shows a small picture of her desktop."
    )

    def told(self) -> str:
        """As gateways read it (docs/developers/desktop.md)."""
        return json.dumps({**self.model_dump(mode="json"), "clipboard_limit": int(self.clipboard_limit)})
