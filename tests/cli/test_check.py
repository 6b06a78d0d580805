"""``visa check``: what it prints, how it ends, and that it is quick."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.catalogue.test_sql import execute, make
from tests.facility.example import SMALL
from tests.services import facility as good
from visa.cli.main import main


def check(*arguments: str | Path) -> int:
    """The exit code of ``visa check``."""
    with pytest.raises(SystemExit) as ended:
        main(["check", *map(str, arguments)])
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture
def facility(tmp_path: Path) -> Path:
    """A facility.yaml all of whose folders and files are there."""
    path = good.write(tmp_path)
    (tmp_path / "environment" / "bin").mkdir(parents=True)
    (tmp_path / "environment" / "bin" / "jupyter-lab").touch()
    return path


def test_a_good_file(facility: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(facility) == 0
    note, said = capsys.readouterr().out.splitlines()
    assert note.startswith("note: --instances is not given")
    assert said == f"{facility}: OK (2 data roots, 2 environments, 2 flavours, 2 quotas, 1 lifetime)"


def test_what_is_lost_where_instances_have_no_hosts_of_their_own(
    facility: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check(facility) == 0
    assert "a page that somebody left in an instance can act in all other instances" in capsys.readouterr().out
    assert check(facility, "--instances", "https://*.visa.example.org") == 0
    assert "note:" not in capsys.readouterr().out
    monkeypatch.setenv("VISA_INSTANCES", "https://*.visa.example.org:8443")
    assert check(facility) == 0
    assert "note:" not in capsys.readouterr().out
    assert check(facility, "--instances", "visa.example.org") == 1
    assert "'visa.example.org' is not like https://*.visa.example.org" in capsys.readouterr().out


def test_every_mistake_is_a_line_and_the_end_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "facility.yaml"
    path.write_text(SMALL.replace("cpu: 1", "cpu: lots").replace("contact", "contakt"))
    assert check(path) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"{path}:1: facility.contact: is missing; add it",
        f"{path}:1: facility.contakt: is not known here; did you mean 'contact'?",
        f"{path}:8: flavours.small.cpu: 'lots' is not a number of cores; give 2, 0.5 or 500m",
    ]


@pytest.mark.parametrize("rule", ["off", "unproven"])
def test_grave_acts_without_a_proven_login_are_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rule: str
) -> None:
    path = good.write(tmp_path, people={"login_again": rule})
    assert check(path) == 0
    assert f"warning: people.login_again is {rule}" in capsys.readouterr().out


def test_what_is_not_on_this_machine_is_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "facility.yaml"
    path.write_text(SMALL)
    assert check(path) == 0
    *warnings, note, last = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in warnings] == ["warning"] * 3
    assert "catalogue.path" in warnings[0]
    assert "data.raw.local.root" in warnings[1]
    assert "environments.one.local.prefix" in warnings[2]
    assert note.startswith("note: ")
    assert "OK" in last


def test_what_is_left_out_of_the_catalogues_file_is_said_and_no_mistake(
    facility: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue = facility.parent / "catalogue.yaml"
    catalogue.write_text(catalogue.read_text().replace("instrument: id10", "instrument: id99"))
    assert check(facility) == 0
    *lines, note, last = capsys.readouterr().out.splitlines()
    assert note.startswith("note: ")
    assert len(lines) == 2
    assert all(line.startswith(f"left out: {catalogue}:") and "instrument: 'id99'" in line for line in lines)
    assert "OK" in last
    assert check("--strict", facility) == 1


def test_a_catalogues_file_that_cannot_be_read_is_a_mistake(facility: Path, capsys: pytest.CaptureFixture[str]) -> None:
    catalogue = facility.parent / "catalogue.yaml"
    catalogue.write_text("people: [")
    assert check(facility) == 1
    assert capsys.readouterr().out.startswith(f"{catalogue}:")


def test_a_database_is_read_when_that_is_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"sqlite:///{tmp_path}/catalogue.sqlite"
    make(url)
    execute(url, "INSERT INTO people (username, name) VALUES ('jürgen', 'Jürgen')")
    path = tmp_path / "facility.yaml"
    path.write_text(SMALL.replace("{type: file, path: catalogue.yaml}", f"{{type: sql, url: '{url}'}}"))
    assert check("--catalogue", path) == 0
    printed = capsys.readouterr().out
    assert "left out: people" in printed
    assert "jürgen" in printed
    assert check("--catalogue", "--strict", path) == 1
    assert check("--strict", path) == 0, "it was not asked"


def test_a_database_that_does_not_answer_is_a_mistake_when_it_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "facility.yaml"
    url = f"sqlite:///{tmp_path}/empty.sqlite"
    path.write_text(SMALL.replace("{type: file, path: catalogue.yaml}", f"{{type: sql, url: '{url}'}}"))
    assert check("--catalogue", path) == 1
    assert f"{path}:2: catalogue: does not answer" in capsys.readouterr().out


@pytest.mark.parametrize("url", ["nothing://host/name", "sqlite+nothing:///x", "postgresql://host:port:port/name"])
def test_a_database_address_that_cannot_be_opened(tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "facility.yaml"
    path.write_text(SMALL.replace("{type: file, path: catalogue.yaml}", f"{{type: sql, url: '{url}'}}"))
    assert check(path) == 1
    assert f"{path}:2: catalogue.url: cannot be opened here; give an SQLAlchemy URL" in capsys.readouterr().out


def test_a_database_is_not_asked(tmp_path: Path) -> None:
    path = tmp_path / "facility.yaml"
    path.write_text(
        SMALL.replace("{type: file, path: catalogue.yaml}", "{type: sql, url: 'sqlite:///catalogue.sqlite'}")
    )
    assert check(path) == 0
    assert not (tmp_path / "catalogue.sqlite").exists()


def test_as_json(tmp_path: Path, facility: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--json", facility, "--instances", "https://*.visa.example.org") == 0
    assert json.loads(capsys.readouterr().out) == {
        "file": str(facility),
        "ok": True,
        "problems": [],
        "left_out": [],
        "warnings": [],
        "notes": [],
    }
    facility.write_text(SMALL.replace("cpu: 1", "cpu: lots"))
    assert check("--json", facility) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    assert answer["problems"] == [
        {
            "file": str(facility),
            "line": 8,
            "column": 16,
            "field": "flavours.small.cpu",
            "wrong": "'lots' is not a number of cores",
            "right": "give 2, 0.5 or 500m",
        }
    ]


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path / "nothing.yaml") == 1
    assert "no such file" in capsys.readouterr().out


def test_it_imports_nothing_heavy(facility: Path) -> None:
    """An operator waits for it at every edit: no database, web server, hub or catalogue of another kind."""
    code = """
import sys
from visa.cli.main import main
try:
    main(["check", sys.argv[1]])
except SystemExit as ended:
    assert ended.code == 0
print(sorted({name.split(".")[0] for name in sys.modules} & {"sqlalchemy", "jupyterhub", "tornado", "aiohttp"}))
"""
    done = subprocess.run([sys.executable, "-c", code, str(facility)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_reader_that_leaves_is_no_fault() -> None:
    """As in ``visa schema | head -1``."""
    command = [sys.executable, "-c", "from visa.cli.main import main; main(['schema'])"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdout is not None
    running.stdout.close()
    _, errors = running.communicate(timeout=30)
    assert errors == b""
