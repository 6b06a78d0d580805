"""``python -m visa.session``: one gateway."""

from __future__ import annotations

import asyncio
import logging
import sys

from visa.logs import without_secrets
from visa.session.app import PortTaken, serve
from visa.session.hub import HubRefused, HubUnavailable
from visa.session.settings import BadSettings, GatewaySettings

PORT_TAKEN = 98
"""Exit code, which the hub knows too (`visa.hub.pods.failures`): starting again does not help."""


def main() -> None:
    """Run until told to end."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    without_secrets()
    try:
        asyncio.run(serve(GatewaySettings.read()))
    except PortTaken as error:
        logging.error("The gateway cannot start: %s", error)
        sys.exit(PORT_TAKEN)
    except BadSettings as error:
        sys.exit(f"The gateway cannot start: {error}")
    except (HubUnavailable, HubRefused) as error:
        sys.exit(f"The hub does not take this gateway's report: {error}")


if __name__ == "__main__":
    main()
