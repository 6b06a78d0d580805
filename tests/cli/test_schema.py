"""``visa schema`` and what all subcommands share."""

from __future__ import annotations

import json

import pytest
import yaml
from jsonschema import Draft202012Validator

import visa
from tests.facility.example import EXAMPLE
from visa.cli.demo.facility.write import FACILITY as DEMO
from visa.cli.main import main


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What ``visa`` prints when it ends well."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_it_prints_a_schema_that_takes_our_files(capsys: pytest.CaptureFixture[str]) -> None:
    schema = json.loads(printed(capsys, "schema"))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for text in (EXAMPLE, DEMO):
        assert [error.message for error in validator.iter_errors(yaml.safe_load(text))] == []
    assert not validator.is_valid(yaml.safe_load(EXAMPLE.replace("cpu: 500m", "cpu: lots")))


def test_defaults_and_descriptions_are_as_operators_write_them(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "schema")
    people = json.loads(text)["$defs"]["People"]["properties"]
    assert people["outage_grace"]["default"] == "12h"
    assert people["roles"]["description"]
    assert '"null"' not in text
    assert 'default": null' not in text


def test_the_help_says_how_editors_use_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert "yaml-language-server: $schema=" in " ".join(printed(capsys, "schema", "--help").split())


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "--version") == f"visa {visa.__version__}\n"
    shown = printed(capsys, "--help")
    assert all(name in shown for name in ("demo", "check", "schema"))


def test_no_subcommand_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert "COMMAND" in capsys.readouterr().err
