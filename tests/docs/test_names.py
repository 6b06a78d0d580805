"""What operators' pages name is there: values of the chart, traits, keys of facility.yaml, labels, commands, tables."""

from __future__ import annotations

import importlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from sqlalchemy import Table

from tests.conftest import REPOSITORY
from tests.services import facility
from visa.cli.main import parser
from visa.facility.model import Facility
from visa.hub.pods import manifest
from visa.store.tables import Base

OPERATORS = REPOSITORY / "docs" / "operators"
PAGES = [
    OPERATORS / f"{name}.md"
    for name in ("kubernetes", "storage", "keycloak", "upgrade", "troubleshooting", "z2jh", "sharing")
]
CHART = REPOSITORY / "helm" / "visa"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
OURS = {
    "VisaKubeSpawner": "visa.hub.kubernetes",
    "VisaAuthenticator": "visa.hub.oauth",
    "JupyterHub": "jupyterhub.app",
    "Authenticator": "jupyterhub.auth",
    "KubeSpawner": "kubespawner",
    "Spawner": "jupyterhub.spawner",
    "ConfigurableHTTPProxy": "jupyterhub.proxy",
}
# Values that the page on the other chart names are that chart's.
OF_OUR_CHART = [page for page in PAGES if page.stem != "z2jh"]


def spans(page: Path) -> list[str]:
    """Everything in back quotes, on one line."""
    return re.findall(r"(?<!`)`([^`\n]+)`(?!`)", page.read_text())


def blocks(page: Path) -> Iterator[dict[str, Any]]:
    """Documents of the page's YAML blocks."""
    for text in re.findall(r"^ *```yaml\n(.+?)^ *```", page.read_text(), re.S | re.M):
        lines = text.splitlines()
        margin = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
        yield from yaml.safe_load_all("\n".join(line[margin:] for line in lines))


def has(values: Any, path: list[str]) -> bool:
    """Whether the chart has a value at ``path``; below a value that is free to be anything, all is."""
    for number, key in enumerate(path):
        if not isinstance(values, dict) or (values == {} and number):
            return values in ({}, []) and number > 0
        if key not in values:
            return False
        values = values[key]
    return True


@pytest.mark.parametrize("page", OF_OUR_CHART, ids=lambda page: page.stem)
def test_values_of_the_chart(page: Path) -> None:
    for span in spans(page):
        found = re.match(r"([a-z][A-Za-z]+)(\.[A-Za-z][A-Za-z0-9]*)+(?=$|[:, ])", span)
        if found is None or found[1] not in VALUES or found[1] == "facility" or _in_facility(found[0].split(".")):
            continue
        if found[0].endswith((".sqlite", ".yaml", ".dump")):
            continue
        assert has(VALUES, found[0].split(".")), f"{page.name}: the chart has no value {found[0]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_traits(page: Path) -> None:
    for name, trait in re.findall(r"\b([A-Z][A-Za-z]+)\.([a-z][a-z_]+)\b", page.read_text()):
        if name in OURS:
            found = getattr(importlib.import_module(OURS[name]), name)
            assert trait in found.class_traits(config=True), f"{page.name}: {name} has no trait {trait}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_labels_and_components(page: Path) -> None:
    text = page.read_text()
    made = (REPOSITORY / "visa" / "hub" / "pods" / "manifest.py").read_text()
    made += (REPOSITORY / "visa" / "hub" / "pods" / "volumes.py").read_text()
    chart = "".join(file.read_text() for file in (CHART / "templates").rglob("*.*") if file.is_file())
    for component in re.findall(r"app\.kubernetes\.io/component=([a-z-]+)", text):
        assert f'"{component}"' in made + chart, f"{page.name}: no pod has the component {component}"
    for key in re.findall(r"(?:labels|annotations)\.(visa/[a-z]+)", text):
        assert f'"{key}"' in made or f'f"{key.partition("/")[0]}/{{key}}"' in made, f"{page.name}: no {key}"
    selector = manifest.selector("visa")
    for given in re.findall(r"-l (app\.kubernetes\.io/\S+)", text):
        assert all(part.split("=")[0] in selector for part in given.split(",")), given


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_of_visa(page: Path) -> None:
    for line in re.findall(r"^    (visa .+)$", page.read_text(), re.M):
        parser().parse_args(shlex.split(line)[1:])
    for line in spans(page):
        if re.match(r"visa [a-z]", line):
            command = line.split()[1]
            with pytest.raises(SystemExit) as ended:
                parser().parse_args([command, "--help"])
            assert ended.value.code == 0, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_yaml_blocks_are_facility_values_or_objects(page: Path) -> None:
    schema = Draft202012Validator(json.loads((CHART / "values.schema.json").read_text()))
    for block in blocks(page):
        if "apiVersion" in block:
            assert {"kind", "metadata", "spec"} <= set(block)
        elif set(block) <= set(Facility.model_fields):
            document = facility.document()
            used = {**document, **block}
            flavours = {**document["flavours"], **block.get("flavours", {})}
            data = {**document["data"], **block.get("data", {})}
            environments = {**document["environments"], **block.get("environments", {})}
            Facility.model_validate({**used, "flavours": flavours, "data": data, "environments": environments})
        else:
            assert set(block) <= set(VALUES), block
            given = {"facility": facility.document(), **block}
            faults = [fault.message for fault in schema.iter_errors(given) if fault.path[0] != "facility"]
            assert not faults, f"{page.name}: {faults}"


def test_keys_of_facility_yaml() -> None:
    """``flavours.X.kubernetes.reserved`` and the like, on every page."""
    for page in PAGES:
        for span in spans(page):
            found = re.fullmatch(r"(data|flavours|environments|homes|people)((?:\.[A-Za-z_]+)+)", span)
            if found is None:
                continue
            keys = found[0].split(".")
            assert _in_facility(keys) or has(VALUES, keys), f"{page.name}: facility.yaml has no {span}"


def _in_facility(keys: list[str]) -> bool:
    schema = Facility.model_json_schema()

    def step(node: dict[str, Any], key: str) -> dict[str, Any] | None:
        for option in (node, *node.get("anyOf", ()), *node.get("allOf", ())):
            inner = option
            while "$ref" in inner:
                inner = schema["$defs"][inner["$ref"].rpartition("/")[2]]
            if key in inner.get("properties", {}):
                return dict(inner["properties"][key])
            entries = [inner.get("additionalProperties"), *inner.get("patternProperties", {}).values()]
            if key == "X" and (entry := next((e for e in entries if isinstance(e, dict)), None)) is not None:
                return dict(entry)
            if inner is not node and (found := step(inner, key)) is not None:
                return found
        return None

    node: dict[str, Any] | None = schema
    for key in keys:
        node = step(node, key) if node is not None else None
    return node is not None


def test_tables_and_columns() -> None:
    text = "".join(page.read_text() for page in PAGES)
    queries = re.findall(r"SELECT (.+?) FROM ([a-z_]+) WHERE ([a-z_]+)", text)
    assert queries
    for columns, table, where in queries:
        found: Table = Base.metadata.tables[table]
        for column in [*columns.split(", "), where]:
            assert column in found.c, f"table {table} has no column {column}"


def test_objects_of_the_chart_are_named_right() -> None:
    """``visa-hub``, ``visa-secrets`` and so on: a component or a name in the chart's templates."""
    chart = "".join(file.read_text() for file in (CHART / "templates").rglob("*.*") if file.is_file())
    own = {"visa-login", "visa-restore", "visa-raw", "visa-shared", "visa-raw-ceph", "visa-raw-reader"}
    own |= {"visa-dedicated", "visa-admins"}
    for page in OF_OUR_CHART:
        for name in re.findall(r"(?<![\w/.-])visa-([a-z]+(?:-[a-z]+)*)(?![\w/.-])", page.read_text()):
            if f"visa-{name}" in own or name == "id":
                continue
            known = re.search(rf'(component|name)" "{name}"|"%s-{name}"|Name }}}}-{name}', chart)
            assert known, f"{page.name}: the chart makes no visa-{name}"
