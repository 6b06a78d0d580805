"""Storage as the hub's own pod sees it, read-only: a folder that is missing is told before anything is started."""

from __future__ import annotations

import os

HOMES = ".homes"
"""Where the homes' claim appears beside the data roots; no data root can have this name."""


def there(top: str, root: str, folder: str) -> bool | None:
    """Whether ``folder`` is in data root ``root``; None when the hub cannot see it.

    Blocks as long as the storage does.
    """
    place = os.path.join(top, root)
    if not top or not os.path.isdir(place):
        return None
    try:
        os.stat(os.path.join(place, folder, ""))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return None
    return True
