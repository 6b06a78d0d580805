"""Jupyter's configuration inside the environment. Runs on the environment's own Python (3.8 and later).

Nothing here is of JupyterHub: Jupyter is plain and reachable by the gateway's unix socket only.
"""

import atexit
import base64
import functools
import hashlib
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

from jupyter_server.auth.identity import IdentityProvider, User
from jupyter_server.base.handlers import AuthenticatedFileHandler

# When memory ends the system ends the process with the highest value, and its share of the memory counts besides. What
# Jupyter starts (kernels, terminals, language servers) goes before Jupyter, the largest of them first. Anybody may
# raise the value of their own processes.
FIRST_TO_GO = "1000"


def first_to_go(pid="self"):
    """Mark a process; one that ended meanwhile needs no mark."""
    try:
        with open(f"/proc/{pid}/oom_score_adj", "w") as file:
            file.write(FIRST_TO_GO)
    except OSError:
        pass


def mark_children():
    """Mark whatever this process starts: by subprocess, or by a fork, as terminals are."""
    begin = subprocess.Popen.__init__

    @functools.wraps(begin)
    def begun(self, *arguments, **named):
        begin(self, *arguments, **named)
        first_to_go(self.pid)

    subprocess.Popen.__init__ = begun
    os.register_at_fork(after_in_child=first_to_go)


mark_children()

# Beside this file; Jupyter's own Python does not look here.
sys.path.append(os.path.dirname(os.path.abspath(__file__)))

c = get_config()  # type: ignore[name-defined]  # noqa: F821


def given_identity(handler):
    """What the gateway says of the visitor; empty when it says nothing that can be read."""
    try:
        given = json.loads(base64.b64decode(handler.request.headers.get("X-Visa-Identity", "") or "e30="))
    except ValueError:
        handler.log.warning("The gateway's identity header cannot be read")
        return {}
    return given if isinstance(given, dict) else {}


class GatewayIdentity(IdentityProvider):
    """Who is there comes in a header that only the gateway can send: the socket is its alone."""

    @property
    def auth_enabled(self):
        return True

    def get_user(self, handler):
        given = given_identity(handler)
        name = given.get("username") or os.environ.get("USER") or "owner"
        shown = given.get("display_name") or name
        return User(
            username=name,
            name=given.get("name") or shown,
            display_name=shown,
            initials=given.get("initials") or None,
            color=given.get("color") or None,
            avatar_url=given.get("avatar_url") or None,
        )

    def is_owner(self, handler):
        """Whether the visitor is the instance's owner."""
        return given_identity(handler).get("role") == "owner"

    def is_token_authenticated(self, handler):
        # A program with a hub token has no cookies, so Jupyter's XSRF check has nothing to protect.
        return given_identity(handler).get("by") == "token"

    def should_check_origin(self, handler):
        return not self.is_token_authenticated(handler)


c.ServerApp.identity_provider_class = GatewayIdentity
# The hub says who is who.
c.IdentityProvider.updatable_fields = []
c.IdentityProvider.token = ""
c.ServerApp.sock = os.environ["VISA_RUN"] + "/jupyter.sock"
c.ServerApp.sock_mode = "0660"
c.ServerApp.base_url = os.environ["VISA_BASE_URL"]
# The gateway looks at Host and Origin; Jupyter compares the two once more by itself.
c.ServerApp.allow_remote_access = True
c.ServerApp.trust_xheaders = False
# Who one is inside is the sandbox's or the pod's decision, and root there is nobody outside.
c.ServerApp.allow_root = True
c.ServerApp.open_browser = False
c.ServerApp.quit_button = False
c.ServerApp.root_dir = os.environ["HOME"]
c.ServerApp.terminals_enabled = True
# tornado from 6.6 on downloads no file behind a link out of the root, and the experiment's folders are such links.
AuthenticatedFileHandler._resolve_symlink_target = lambda self, absolute_path, *more: absolute_path
# hdf5.py, beside this file, stands in for h5web until somebody opens a file with it.
extensions = {"hdf5": True, "jupyterlab_h5web": False, "jupyter_lsp": False, "notebook": False, "notebook_shim": False}
c.ServerApp.jpserver_extensions = extensions
c.ZMQChannelsWebsocketConnection.iopub_data_rate_limit = 1e9
c.ZMQChannelsWebsocketConnection.iopub_msg_rate_limit = 1e5
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
# The software is mounted read-only: nothing can be installed from the browser, and there is nothing to build.
c.LabApp.extension_manager = "readonly"
c.ServerApp.tornado_settings = {"page_config_data": {"buildAvailable": False, "buildCheck": False}}
importlib.import_module("pieces").bound(c.ServerApp)
importlib.import_module("space").bound()
importlib.import_module("listing").bound()
importlib.import_module("holding").bound()
c.FileContentsManager.delete_to_trash = False
c.ContentsManager.allow_hidden = False


def lab_extension():
    """A folder with the extension that shows who is here; None when it cannot be made.

    The files lie beside this one, in one folder as a ConfigMap has them; JupyterLab wants a tree.
    """
    here = os.path.dirname(os.path.abspath(__file__))
    try:
        found = {}
        for name in sorted(os.listdir(here)):
            if name.startswith("lab") and name.endswith((".js", ".css")):
                with open(os.path.join(here, name), "rb") as file:
                    found[name] = file.read()
        # In the address, so that no browser keeps an older version.
        version = hashlib.sha256(b"".join(found.values())).hexdigest()[:12]
        folder = tempfile.mkdtemp(prefix="visa-lab-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        static = os.path.join(folder, "visa", "static", version)
        os.makedirs(static)
        for name, content in found.items():
            with open(os.path.join(static, name), "wb") as file:
                file.write(content)
        about = {"_build": {"load": f"static/{version}/lab.js", "extension": "./extension"}}
        # Its links hold a token that there is none of here; sharing is the portal's.
        about["disabledExtensions"] = ["@jupyter/collaboration-extension:shared-link"]
        with open(os.path.join(folder, "visa", "package.json"), "w") as file:
            json.dump({"name": "visa", "version": "1.0.0", "description": "Who is here.", "jupyterlab": about}, file)
    except OSError as error:
        print(f"visa: who is here cannot be shown in JupyterLab: {error}", flush=True)
        return None
    return folder


extension = lab_extension()
if extension:
    c.LabApp.extra_labextensions_path = [extension]

# Several people in one document, where the environment has jupyter-collaboration. Its notes are this session's own: the
# home folder may be full, or shared with other instances whose SQLite would get in the way.
notes = os.environ.get("JUPYTER_RUNTIME_DIR") or os.environ["VISA_RUN"]
os.makedirs(notes, mode=0o700, exist_ok=True)
c.BaseFileIdManager.db_path = notes + "/files.db"
c.SQLiteYStore.db_path = notes + "/edits.db"
c.YDocExtension.session_store_path = notes + "/collaboration.json"
