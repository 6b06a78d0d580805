"""``python -m visa.portal``: the portal, as a service that JupyterHub runs."""

from __future__ import annotations

import asyncio
import logging

from visa.portal.app import WithoutSecrets, serve

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s portal: %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(WithoutSecrets())
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of every look at the store
    asyncio.run(serve())
