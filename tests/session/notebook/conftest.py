"""Marie's JupyterLab with an opened folder and others, behind a gateway; pierre watches, claude works there too."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import h5py
import pytest

from tests.services.waiting import eventually, until
from tests.session import rig

INSIDE = Path(__file__).parent / "inside"
NOTEBOOK = {
    "cells": [
        {"cell_type": "code", "id": "a", "metadata": {}, "source": "6 * 7", "outputs": [], "execution_count": None}
    ],
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}


@dataclass
class Place:
    """A running Jupyter whose files are here."""

    jupyter: rig.Jupyter
    shared: Path
    data: Path

    @property
    def home(self) -> Path:
        return self.jupyter.home

    @property
    def opened(self) -> Path:
        """The folder that marie opened: ``shared/e1``."""
        return self.shared / "e1"

    def fill(self) -> None:
        """The files, as they were."""
        for folder in (self.opened / "below", self.shared / "e2", self.data / "e1", self.home / "mine"):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.opened, self.shared / "e2", self.home):
            (folder / "one.ipynb").write_text(json.dumps(NOTEBOOK))
            (folder / "one.txt").write_text("of " + folder.name)
            with h5py.File(folder / "one.h5", "w") as file:
                file["x"] = [1, 2, 3]
        (self.data / "e1" / "raw.txt").write_text("raw")
        links = {
            self.home / "shared": self.shared,
            self.home / "data": self.data,
            self.opened / "out.txt": self.home / "one.txt",
            self.opened / "out.ipynb": self.home / "one.ipynb",
            self.opened / "out.h5": self.home / "one.h5",
            self.opened / "up": self.home,
            self.opened / "within": self.opened / "below",
        }
        for link, target in links.items():
            if not link.is_symlink():
                link.symlink_to(target)


@contextmanager
def running(**more: str) -> Iterator[Place]:
    """A Jupyter of its own; ``more``: its variables."""
    folder = Path(tempfile.mkdtemp(prefix="visa-n-"))
    shared, data = folder / "shared", folder / "data"
    variables = {
        "VISA_CONFIG": str(INSIDE / "config.py"),
        "VISA_TEST_CONFIG": str(rig.FILES / "jupyter_server_config.py"),
        "PYTHONPATH": str(INSIDE),
        "VISA_SHARED": str(shared),
        "VISA_DATA": str(data),
        **more,
    }
    try:
        with rig.jupyter(**variables) as jupyter:
            one = Place(jupyter, shared, data)
            one.fill()
            until(lambda: rig.answers(str(jupyter.run / "files.sock")), 60, "files.py listens")
            yield one
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def place() -> Iterator[Place]:
    """One Jupyter for all tests here."""
    with running() as one:
        yield one


@dataclass
class Three:
    """A gateway, its hub, and what each person asks with."""

    place: Place
    gateway: rig.Gateway
    hub: rig.FakeHub
    marie: aiohttp.ClientSession
    pierre: aiohttp.ClientSession
    claude: aiohttp.ClientSession

    @property
    def url(self) -> str:
        return self.gateway.url

    async def status(self, who: aiohttp.ClientSession, method: str, path: str, **more: Any) -> int:
        async with who.request(method, self.url + path, allow_redirects=False, **more) as answer:
            await answer.read()
            return answer.status

    async def json(self, who: aiohttp.ClientSession, method: str, path: str, **more: Any) -> Any:
        async with who.request(method, self.url + path, **more) as answer:
            assert answer.status < 300, (method, path, answer.status, await answer.text())
            return await answer.json() if answer.status != 204 else None


def client(token: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(headers={"Authorization": f"token {token}"})


@pytest.fixture
async def three(place: Place) -> AsyncIterator[Three]:
    """Fresh files and a fresh gateway."""
    async with three_in(place) as one:
        yield one


@asynccontextmanager
async def three_in(place: Place) -> AsyncIterator[Three]:
    """Three people there, with a gateway of their own."""
    place.fill()
    hub = rig.FakeHub()
    for name, role in (("pierre", "observer"), ("claude", "collaborator")):
        hub.let_in(f"{name}'s", name, display_name=name.title())
        hub.share(name, role)
    hub.share_as(folders=["shared/e1"])
    async with (
        hub.served() as api,
        client("marie's") as marie,
        client("pierre's") as pierre,
        client("claude's") as claude,
    ):
        with rig.gateway(place.jupyter.run, api, VISA_FRESH="1") as gateway:
            one = Three(place, gateway, hub, marie, pierre, claude)
            await becomes(lambda: one.status(pierre, "GET", "api/me"), 200)
            yield one


async def becomes(ask: Any, wanted: Any) -> None:
    """Until ``ask()`` is ``wanted``."""
    found: list[Any] = []

    async def there() -> bool:
        found[:] = [await ask()]
        return bool(found[0] == wanted)

    await eventually(there, lambda: f"{wanted}, not {found}")
