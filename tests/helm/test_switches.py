"""Every switch of the chart, alone and with those of its section: helm takes it, and nothing that it needs is missing.

The list is made from the schema, so a new switch is here too. What the API server says is `test_templates.py`'s.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.helm.conftest import CHART, Object, helm, merged, minimal, rendered
from tests.helm.test_hooks import needs, pod_of

Path = tuple[str, ...]

COMPANIONS: dict[Path, Object] = {
    ("httpRoute", "enabled"): {"httpRoute": {"gateway": {"name": "g"}}},
    ("proxy", "https", "enabled"): {"proxy": {"https": {"secret": {"name": "tls"}}}},
}
"""What a switch cannot do without; helm refuses it alone, with a sentence."""

WORKLOADS = ("Deployment", "DaemonSet", "Job", "StatefulSet")


def switches(node: Any, path: Path = ()) -> Iterator[Path]:
    """Every value that is on or off, but facility.yaml's."""
    if node.get("$ref", "").endswith("/flag") or node.get("type") == "boolean":
        yield path
    for name, child in node.get("properties", {}).items():
        if (*path, name) != ("facility",):
            yield from switches(child, (*path, name))


SWITCHES = sorted(switches(json.loads((CHART / "values.schema.json").read_text())))
VALUES: Object = yaml.safe_load((CHART / "values.yaml").read_text())
PAIRS = [pair for pair in itertools.combinations(SWITCHES, 2) if pair[0][0] == pair[1][0]] + [
    (("imagePullSecret", "create"), ("scheduling", "podPriority", "enabled")),
    (("hub", "serviceAccount", "create"), ("rbac", "create")),
    (("networkPolicy", "enabled"), ("monitoring", "serviceMonitor", "enabled")),
]


def flipped(path: Path) -> Object:
    """The value that is not the default's, as values."""
    value: Any = VALUES
    for name in path:
        value = value[name]
    found: Any = not value
    for name in reversed(path):
        found = {name: found}
    return merged(dict(found), COMPANIONS.get(path, {}))


def whole(objects: list[Object], given: set[str]) -> None:
    """Assert that all names are there, and that what pods need is; ``given``: what the operator says is there."""
    names = [(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects]
    assert len(names) == len(set(names)), "no object twice"
    there = {(kind, name) for kind, _, name in names}
    for found in objects:
        if found["kind"] in WORKLOADS:
            missing = {need for need in needs(pod_of(found)) - there if need[1] not in given}
            missing -= {("Secret", "visa-image-pull-hook")}  # a hook's: test_hooks.py
            assert not missing, (found["metadata"]["name"], missing)


def test_the_list_is_made() -> None:
    assert ("prePuller", "hook", "enabled") in SWITCHES
    assert len(SWITCHES) > 15


@pytest.mark.parametrize("path", SWITCHES, ids=".".join)
def test_alone(path: Path) -> None:
    whole(rendered(minimal(**flipped(path))), {"default"})


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: " ".join(map(".".join, pair)))
def test_with_another(pair: tuple[Path, Path]) -> None:
    whole(rendered(minimal(**merged(flipped(pair[0]), flipped(pair[1])))), {"default"})


@pytest.mark.parametrize("path", COMPANIONS, ids=".".join)
def test_one_that_cannot_be_alone_says_what_it_needs(path: Path) -> None:
    alone: Any = True
    for name in reversed(path):
        alone = {name: alone}
    said = helm("template", "visa", str(CHART), values=minimal(**alone), check=False)
    assert f"{'.'.join(path[:-1])} is enabled: give " in said
