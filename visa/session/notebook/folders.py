"""Places of files as the owner names the folders that she opens: below ``home``, ``shared`` or ``data``."""

from __future__ import annotations

from collections.abc import Iterable

from visa.instances.members import opened


def leads_to(place: str | None, folders: Iterable[str]) -> bool:
    """Whether the place is opened, or a folder on the way to one that is."""
    folders = tuple(folders)
    return place is not None and (opened(place, folders) or any(one.startswith(f"{place}/") for one in folders))
