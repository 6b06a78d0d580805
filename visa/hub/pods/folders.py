"""Storage as the hub's own pod sees it, read-only: a folder that is missing is told before anything is started."""

from __future__ import annotations

import os

HOMES = ".homes"
"""Where the homes' claim appears beside the data roots; no data root can have this name."""


def there(top: str, root: str, folder: str) -> bool | None:
    """Whether ``folder`` itself is in data root ``root``; None when the hub cannot see it.

    A link is not: Kubernetes would follow one to another experiment. Blocks as long as the storage does.
    """
    place = os.path.realpath(os.path.join(top, root))
    if not top or not os.path.isdir(place):
        return None
    path = os.path.join(place, folder)
    try:
        os.stat(os.path.join(path, ""))
        if os.path.realpath(path) != path:
            return False
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return None
    return True
