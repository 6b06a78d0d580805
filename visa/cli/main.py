"""The command ``visa``. What is heavy is imported by the subcommand that uses it: ``visa check`` is quick."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import visa
from visa.cli import check, schema
from visa.cli.api import command as api
from visa.cli.check_image import command as check_image
from visa.cli.demo import command as demo


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(prog="visa", description="Notebooks and desktops on an experiment's data.")
    top.add_argument("--version", action="version", version=f"visa {visa.__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module, what in (
        ("demo", demo, "run everything on this machine with a made-up facility"),
        ("check", check, "check facility.yaml and say every mistake"),
        ("check-image", check_image, "say what an image lacks for VISA"),
        ("api", api, "use the portal's API: instances, members, links, requests"),
        ("schema", schema, "print the JSON Schema of facility.yaml"),
    ):
        sub = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    return top


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it; the exit code is the subcommand's."""
    given = parser().parse_args(arguments)
    try:
        code = given.run(given)
        sys.stdout.flush()
    except BrokenPipeError:  # as in `visa schema | head`; Python would complain about it once more at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)
