"""docs/operators/images.md against the code: options, findings, sizes, and its example, built."""

from __future__ import annotations

import argparse
import json
import re

import pytest

from tests.conftest import REPOSITORY
from tests.images.engine import Images, image, opened
from tests.images.test_images import MEGABYTES
from visa.cli.check_image import command, findings
from visa.cli.main import main

TEXT = (REPOSITORY / "docs" / "operators" / "images.md").read_text()


def rows(pattern: str) -> list[tuple[str, ...]]:
    """Rows of its tables that begin like this."""
    return re.findall(rf"^\| {pattern}", TEXT, re.M)


def test_options_of_check_image() -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    options = {name for action in parser._actions for name in action.option_strings} - {"-h", "--help"}
    assert {name for name, _ in rows(r"`(--[a-z-]+)( [A-Z]+)?` \|")} == options


def test_options_of_build() -> None:
    script = (REPOSITORY / "images" / "build").read_text()
    letters = re.search(r"getopts (\S+) option", script)
    assert letters
    assert set(rows(r"`-([a-z])` \|")) == set(letters[1].replace(":", "")) - {"h"}
    for name, value in (("registry", "localhost/visa"), ("tag", "dev")):
        assert f"{name}={value}" in script
        assert f"`{value}` |" in TEXT


def test_findings() -> None:
    folder = REPOSITORY / "visa" / "cli" / "check_image"
    made = set(re.findall(r'Finding\(\s*"(\w+)",\s*"([a-z-]+)"', (folder / "findings.py").read_text()))
    listed = {(level, code) for codes, level in rows(r"((?:`[a-z-]+`(?:, )?)+) \| (error|warning|advice) \|")
              for code in re.findall(r"`([a-z-]+)`", codes)}  # fmt: skip
    assert listed == made
    assert f"more than {findings.SLOW:.0f} s" in TEXT


def test_every_image_is_listed_below_its_limit() -> None:
    sizes = {name: int(size) for name, size in rows(r"`([a-z-]+)` \| .+ \| (\d+) \|")}
    assert set(sizes) == set(MEGABYTES)
    for name, size in sizes.items():
        assert size <= MEGABYTES[name] <= size * 1.11, name


def example(number: int) -> str:
    """One of its Containerfiles."""
    blocks = re.findall(r"^    # Containerfile\n((?:    .*\n|\n(?=    ))+)", TEXT, re.M)
    return re.sub(r"^    ", "", blocks[number], flags=re.M)


@pytest.mark.cluster
@pytest.mark.timeout(400)
def test_the_example_on_our_image_is_a_good_one(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    ours = example(0).replace("registry.example.org/visa/notebook:0.1.0", image("notebook"))
    with Images(tmp_path_factory.mktemp("page")) as images:
        made = images.make("page", ours)
        with pytest.raises(SystemExit) as ended:
            main(["check-image", "--json", "--engine", "buildah", made])
        answer = json.loads(capsys.readouterr().out)
        with opened(made) as root:
            software = json.loads((root / "opt/visa/software.json").read_text())
    assert ended.value.code == 0
    # How fast Jupyter starts depends on who else uses the machine.
    assert {finding["code"] for finding in answer["findings"]} - {"slow-start"} == {"not-read-only"}
    assert software["xarray"]
    assert software["jupyterlab"].startswith("4.")


def test_the_example_on_a_conda_image_names_what_is_needed() -> None:
    theirs = example(1)
    for word in (
        "jupyterlab>=4,<5",
        "ipykernel",
        "tini",
        "bash",
        "git",
        "compileall",
        "/opt/visa/software.json",
        "rfc3987",
    ):
        assert word in theirs
