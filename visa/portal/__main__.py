"""``python -m visa.portal``: the portal, as a service that JupyterHub runs."""

from __future__ import annotations

import asyncio
import logging

from visa.logs import without_secrets
from visa.portal.app import serve

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s portal: %(message)s")
    without_secrets()
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of every look at the store
    asyncio.run(serve())
