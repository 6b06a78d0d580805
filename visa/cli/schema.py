"""``visa schema``: the JSON Schema of facility.yaml, so that editors complete it."""

from __future__ import annotations

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of this subcommand: none."""
    parser.epilog = (
        "Keep it beside facility.yaml (visa schema > facility.schema.json) and begin facility.yaml with "
        "'# yaml-language-server: $schema=facility.schema.json'."
    )


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    from visa.facility.schema import document

    print(json.dumps(document(), indent=1))
    return 0
