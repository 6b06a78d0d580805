"""``visa check`` and ``visa schema`` as a person runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.services.facility import document, write
from visa.cli.schema import document as schema


def visa(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "visa.cli", *map(str, arguments)], capture_output=True, text=True)


def test_a_good_file_says_so_and_warns_of_what_is_not_here(tmp_path: Path) -> None:
    path = write(tmp_path)
    done = visa("check", path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "good (2 environments" in done.stdout
    assert "warning: environments.scattering.local.prefix" in done.stdout


def test_a_broken_file_says_every_mistake(tmp_path: Path) -> None:
    path = write(tmp_path, environments={"e": {"titel": "x"}}, flavours={"s": {"cpu": "x", "memory": "1Gi"}})
    done = visa("check", path)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"{path}:") for line in lines)
    assert "did you mean 'title'?" in done.stdout
    told = json.loads(visa("check", "--json", path).stdout)
    assert {entry["field"] for entry in told} == {"environments.e.titel", "environments.e.title", "flavours.s.cpu"}


def test_mistakes_in_the_catalogue_file_are_said_too(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "catalogue.yaml").write_text("experiments:\n  - {id: a/b}\n")
    done = visa("check", path)
    assert done.returncode == 1
    assert "catalogue.yaml:2: id: experiment 'a/b' is not valid" in done.stdout


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    done = visa("check", tmp_path / "none.yaml")
    assert done.returncode == 1
    assert done.stdout.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_schema_is_a_schema_that_takes_good_files_and_refuses_bad_ones() -> None:
    printed = json.loads(visa("schema").stdout)
    assert printed == json.loads(json.dumps(schema()))
    jsonschema.Draft202012Validator.check_schema(printed)
    validator = jsonschema.Draft202012Validator(printed)
    validator.validate(yaml.safe_load(yaml.safe_dump(document())))
    bad: list[dict[str, Any]] = [
        {"flavours": {"s": {"cpu": "lots", "memory": "1Gi"}}},
        {"flavours": {"s": {"cpu": 1, "memory": "1 Gigabyte"}}},
        {"environments": {"e": {"title": "x", "locl": {}}}},
        {"catalogue": {"type": "cloud"}},
        {"unknown": 1},
    ]
    for change in bad:
        with pytest.raises(jsonschema.ValidationError):
            validator.validate({**document(), **change})
