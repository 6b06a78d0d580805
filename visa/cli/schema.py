"""``visa schema``: the JSON Schema of facility.yaml, so that editors complete it."""

from __future__ import annotations

import argparse
import json
from typing import Any

from visa.facility.model import Facility


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def document() -> dict[str, Any]:
    """JSON Schema 2020-12."""
    schema = Facility.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "facility.yaml", **schema}


def run(arguments: argparse.Namespace) -> int:
    """Print it."""
    print(json.dumps(document(), indent=1))
    return 0
