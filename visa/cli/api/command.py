"""``visa api [NAME [FIELD=VALUE ...]]``: what the portal's REST API offers, by the names in its own description.

Instances, members, links, requests, support and the rest from a shell, without a list of them here: the command asks
the portal for its openapi.json. The token comes from the variable VISA_TOKEN, which no other user's ``ps`` shows.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from visa.cli.api.description import NotUnderstood

_API = "/services/visa/api/v1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of this subcommand."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="what to do; without it, all that there is")
    parser.add_argument("given", nargs="*", metavar="FIELD=VALUE", help="lists and objects as JSON")
    parser.add_argument("--url", default=os.environ.get("VISA_URL", ""), help="of the hub; usually in VISA_URL")


def run(arguments: argparse.Namespace) -> int:
    """0 when it was done, 1 when the portal refused or cannot be reached, 2 when the question was wrong."""
    # Not before it is needed: the other subcommands are quick.
    import aiohttp

    from visa.cli.api import client

    url, token = arguments.url.rstrip("/"), os.environ.get("VISA_TOKEN", "")
    try:
        if not url.startswith(("http://", "https://")):
            raise NotUnderstood("Say where the hub is: --url https://visa.example.org, or the variable VISA_URL.")
        if not token.isascii() or not token.isprintable() or (arguments.name and not token):
            raise NotUnderstood("Put a token of the hub's token page into the variable VISA_TOKEN.")
        return asyncio.run(client.call(url + _API, token, arguments.name, arguments.given))
    except NotUnderstood as error:
        print(error, file=sys.stderr)
        return 2
    except (aiohttp.ClientError, TimeoutError) as error:
        print(f"{url} does not answer: {error or type(error).__name__}", file=sys.stderr)
        return 1
