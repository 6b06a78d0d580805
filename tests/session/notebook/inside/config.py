"""The environment's configuration, and the extension `told_handlers`."""

import os

c = get_config()  # type: ignore[name-defined]  # noqa: F821
load_subconfig(os.environ["VISA_TEST_CONFIG"])  # type: ignore[name-defined]  # noqa: F821
c.ServerApp.jpserver_extensions["told_handlers"] = True
