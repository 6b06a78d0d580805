"""What tests of the chart share. Helm comes with the cluster, so all of them are the cluster's."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.services import cluster, facility

CHART = cluster.REPOSITORY / "helm" / "visa"
Object = dict[str, Any]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder are the cluster's."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(600))


def helm(*arguments: str, values: Object | None = None, check: bool = True, seconds: float = 400) -> str:
    """Run helm with ``values``; what it printed. What it says on failure is the error."""
    text = None if values is None else json.dumps(values)
    command = ["helm", *arguments, *(["-f", "-"] if values is not None else [])]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=seconds)
    if check and done.returncode:
        raise AssertionError(f"helm {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout if check else done.stdout + done.stderr


def merged(base: Object, over: Object) -> Object:
    """``over`` into ``base``, mapping by mapping, as helm does."""
    made = dict(base)
    for key, value in over.items():
        made[key] = merged(made[key], value) if isinstance(value, dict) and isinstance(made.get(key), dict) else value
    return made


def minimal(**over: Any) -> Object:
    """The test facility on Kubernetes, and ``over``."""
    document = {**facility.document(), **cluster.parts()}
    base = {"facility": document, "catalogue": facility.CATALOGUE, "images": {"tag": cluster.TAG}}
    return merged(base, over)


def rendered(values: Object, namespace: str = "visa", release: str = "visa", *more: str) -> list[Object]:
    """Every object of ``helm template``."""
    text = helm("template", release, str(CHART), "-n", namespace, *more, values=values)
    return [found for found in yaml.safe_load_all(text) if found]


def one(objects: list[Object], kind: str, name: str) -> Object:
    """The object of that kind and name."""
    (found,) = [o for o in objects if o["kind"] == kind and o["metadata"]["name"] == name]
    return found
