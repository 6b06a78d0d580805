"""Jupyter's list of a folder: without names that JupyterLab can neither show nor ask for, and with how many there are.

Such a name ends a line, divides a path, turns the direction of what follows, or is not UTF-8 (`places.clean`): the file
browser cannot make an address of it, and the gateway takes none. `lab-unshown.js` says the numbers.
Runs on the environment's own Python (3.8 and later).
"""

import asyncio
import functools
import os

from jupyter_server.services.contents.filemanager import AsyncFileContentsManager
from places import clean


def bound():
    """Change Jupyter."""
    AsyncFileContentsManager._dir_model = _counting(AsyncFileContentsManager._dir_model)


def _counting(make):
    @functools.wraps(make)
    async def made(manager, path, content=True):
        model = await make(manager, path, content)
        if content:
            kept = [one for one in model["content"] if clean(one["name"])]
            os_path = manager._get_os_path(path)
            kinds = await asyncio.get_running_loop().run_in_executor(None, _odd, os_path)
            model["unshown"] = {"names": len(model["content"]) - len(kept), "kinds": kinds}
            model["content"] = kept
        return model

    return made


def _odd(folder):
    """How many entries are neither file nor folder nor link; hidden ones do not count."""
    try:
        with os.scandir(folder) as found:
            return sum(not one.name.startswith(".") and not _usual(one) for one in found)
    except OSError:
        return 0


def _usual(entry):
    return entry.is_symlink() or entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)
