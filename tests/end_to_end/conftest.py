"""The demo, as a person runs it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from visa.cli.demo.leftovers import of
from visa.cli.demo.runner import free_ports


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, environment_prefix: Path) -> Iterator[tuple[str, Path]]:
    """`visa demo` as a person runs it: its address and folder."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "visa.cli", "demo", "--port", str(port), "--dir", str(folder)]
    process = subprocess.Popen([*command, "--environment", str(environment_prefix)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = ""
    while "Ctrl-C ends the demo" not in said:
        line = process.stdout.readline()
        assert line, f"the demo ended: {said}"
        said += line
    yield f"http://127.0.0.1:{port}", folder
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert list(of(folder)) == [], "nothing is left"
