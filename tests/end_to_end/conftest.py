"""The demo, as a person runs it."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.services.hub import Site, page_headers
from tests.services.waiting import until
from visa.cli.demo.leftovers import of
from visa.cli.demo.runner import free_ports
from visa.store.store import Store
from visa.store.tables import InstanceRow


@pytest.fixture(scope="session")
def running_demo(tmp_path_factory: pytest.TempPathFactory, environment_prefix: Path) -> Iterator[tuple[str, Path]]:
    """`visa demo` as a person runs it, once for all files that use it: its address and folder."""
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


@pytest.fixture(scope="module")
def demo(running_demo: tuple[str, Path]) -> Iterator[tuple[str, Path]]:
    """The demo's address and folder; no instance and no home is left for the tests of another file."""
    yield running_demo
    url, folder = running_demo
    store = Store(f"sqlite:///{folder / 'state' / 'visa.sqlite'}")
    owners = sorted(set(_instances(store).values()))
    for owner in owners:
        with Site(url).login(owner) as browser:
            headers = page_headers(browser)
            for identifier, name in _instances(store).items():
                if name == owner:
                    answer = browser.delete(f"/services/visa/api/v1/instances/{identifier}", headers=headers)
                    assert answer.status_code == 204, answer.text
    until(lambda: not _instances(store), what=lambda: f"the end of {_instances(store)}")
    store.close()
    for owner in owners:
        shutil.rmtree(folder / "state" / "homes" / owner)


def _instances(store: Store) -> dict[str, str]:
    """Owners by id."""
    with Session(store.engine) as session:
        rows = session.execute(select(InstanceRow.id, InstanceRow.owner)).all()
        return {str(identifier): str(owner) for identifier, owner in rows}
