"""Reads one long notebook as Jupyter does: checked, brought to today's format, its cells marked as trusted or not.

A process of its own, because that takes some ten times a notebook's size and holds up whoever does it. Reads a question
from its input; answers with a line of JSON, ``{"size": …}`` or ``{"status": …, "sentence": …}``, and the model.
Runs on the environment's own Python (3.8 and later).
"""

import json
import os
import resource
import sys

from jupyter_server.services.contents.filemanager import FileContentsManager
from tornado import web

try:
    from jupyter_client.jsonutil import json_default
except ImportError:
    from jupyter_client.jsonutil import date_default as json_default

PIECE = int(os.environ.get("VISA_PIECE", "") or 2**26)
ROOM = 10 * PIECE + 2**27
"""Memory beyond what it has when it begins."""
_FULL = "Reading this notebook takes more memory than is there for it. Clear outputs, or download it."


def answer(question):
    """The model as JSON; raise tornado's ``HTTPError`` as Jupyter does."""
    manager = FileContentsManager(root_dir=question["root"], allow_hidden=question["allow_hidden"])
    more = {"require_hash": True} if question["hash"] else {}
    model = manager.get(question["path"], content=True, type="notebook", **more)
    return json.dumps(model, default=json_default).encode()


def main():
    question = json.loads(sys.stdin.buffer.readline())
    with open("/proc/self/statm") as file:
        room = int(file.read().split()[0]) * resource.getpagesize() + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (room, room))
    try:
        model, head = answer(question), {}
        head["size"] = len(model)
    except web.HTTPError as error:
        # tornado doubles the sign where nothing is to be put in.
        sentence = (error.log_message or error.reason or "The notebook cannot be read.").replace("%%", "%")
        model, head = b"", {"status": error.status_code, "sentence": sentence}
    except (MemoryError, RecursionError):
        model, head = b"", {"status": 507, "sentence": _FULL}
    out = sys.stdout.buffer
    out.write(json.dumps(head).encode() + b"\n")
    out.write(model)
    out.flush()


if __name__ == "__main__":
    main()
