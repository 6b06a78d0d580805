"""The chart's schema and its page agree with what they are made from; helm is not needed for that."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
from typing import Any

import yaml

from tests.helm.conftest import CHART, Object
from tests.services import cluster


def test_the_schema_is_made_of_its_sources() -> None:
    loader = importlib.machinery.SourceFileLoader("chart_schema", str(cluster.REPOSITORY / "tools" / "chart-schema"))
    module: Any = importlib.util.module_from_spec(importlib.util.spec_from_loader("chart_schema", loader))  # type: ignore[arg-type]
    loader.exec_module(module)
    kept = json.loads((CHART / "values.schema.json").read_text())
    assert kept == module.schema(), "run .venv/bin/python tools/chart-schema"


def test_every_value_has_a_default_and_a_schema() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())

    def compare(known: Object, given: Object, path: str) -> None:
        if known.get("additionalProperties") is not False or not given:
            return
        assert set(known["properties"]) - {"claims", "limits"} >= set(given), path
        for key, value in given.items():
            if isinstance(value, dict) and "properties" in known["properties"][key]:
                compare(known["properties"][key], value, f"{path}.{key}")

    assert set(schema["properties"]) == set(values)
    compare(schema, values, "values")


def test_the_page_for_operators_lists_every_value() -> None:
    page = (cluster.REPOSITORY / "docs" / "operators" / "helm.md").read_text()
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    known = [key if not isinstance(value, dict) or not value else f"{key}." for key, value in values.items()]
    assert [key for key in known if f"`{key}" not in page] == []
