"""Jupyter's configuration inside the environment. Runs on the environment's own Python (3.8 and later)."""

import base64
import json
import os

from jupyter_server.auth.identity import IdentityProvider, User

c = get_config()  # type: ignore[name-defined]  # noqa: F821


class GatewayIdentity(IdentityProvider):
    """Who is there comes in a header that only the gateway can send: the socket is its alone."""

    @property
    def auth_enabled(self):
        return True

    def get_user(self, handler):
        header = handler.request.headers.get("X-Visa-Identity", "")
        try:
            given = json.loads(base64.b64decode(header)) if header else {}
        except ValueError:
            handler.log.warning("The gateway's identity header cannot be read")
            given = {}
        name = given.get("username") or os.environ.get("USER", "owner")
        shown = given.get("display_name") or os.environ.get("VISA_OWNER_NAME", name)
        return User(
            username=name,
            name=given.get("name") or shown,
            display_name=shown,
            initials=given.get("initials") or None,
            color=given.get("color") or None,
            avatar_url=given.get("avatar_url") or None,
        )


c.ServerApp.identity_provider_class = GatewayIdentity
c.IdentityProvider.token = ""
c.ServerApp.sock = os.environ["VISA_RUN"] + "/jupyter.sock"
c.ServerApp.sock_mode = "0660"
c.ServerApp.base_url = os.environ["VISA_BASE_URL"]
c.ServerApp.allow_remote_access = True
c.ServerApp.trust_xheaders = False
c.ServerApp.open_browser = False
c.ServerApp.quit_button = False
c.ServerApp.root_dir = os.environ["HOME"]
c.ServerApp.default_url = "/lab"
c.ServerApp.terminals_enabled = True
c.ServerApp.iopub_data_rate_limit = 1e9
c.ServerApp.jpserver_extensions = {"jupyter_lsp": False, "notebook_shim": False}
c.ServerApp.tornado_settings = {"headers": {"Content-Security-Policy": "frame-ancestors 'self'"}}
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
c.FileContentsManager.delete_to_trash = False
c.MultiKernelManager.default_kernel_name = "python3"
