"""The demo with many instances: each has a kernel that keeps something in mind, files to ask for, and an observer."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.services.hub import Site, below, made_token
from tests.services.kernel import Kernel
from tests.services.waiting import until
from visa.cli.demo.command import prepare_folder
from visa.cli.demo.facility.write import write_facility
from visa.cli.demo.leftovers import of
from visa.cli.demo.runner import free_ports
from visa.processes import arguments

QUOTA = "{who: everyone, instances: 3, cpu: 6, memory: 12Gi}"
FILES = """
import json, os, numpy, h5py
folder = os.path.expanduser("~/visa-soak")
os.makedirs(folder, exist_ok=True)
with h5py.File(folder + "/large.h5", "w") as file:
    file.create_dataset("large", (40_000, 40_000), "f8", chunks=(200, 200), compression="gzip")
cell = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "x" * 60_000_000}
book = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
open(folder + "/near.ipynb", "w").write(json.dumps(book))
for name, size in (("near.txt", 60_000_000), ("above.txt", 400_000_000), ("above.ipynb", 400_000_000)):
    open(folder + "/" + name, "w").close()
    os.truncate(folder + "/" + name, size)
"""
"""What a kernel runs to make the files that attacks ask for; sparse where they can be."""


@dataclass(frozen=True)
class Running:
    """One instance. ``mind``: what its kernel remembers."""

    id: str
    base: str
    kernel: Kernel
    mind: str

    def remembers(self) -> bool:
        """Whether its kernel lives, with its state."""
        return self.kernel.run_once_back("print(mind)").strip() == self.mind


class Demo(Site):
    """A running demo."""

    def __init__(self, url: str, folder: Path, process: subprocess.Popen[str]) -> None:
        super().__init__(url)
        self.folder, self.process = folder, process

    def token(self, username: str, **body: Any) -> str:
        """A hub token of hers."""
        return made_token(self, username, **body)

    @cached_property
    def owner(self) -> str:
        """Marie's token."""
        return self.token("marie")

    @cached_property
    def observer(self) -> str:
        """Lise's."""
        return self.token("lise")

    def programs(self) -> dict[str, psutil.Process]:
        """Hub, portal and proxy."""
        started = {one.pid: arguments(one.pid) for one in of(self.folder)}
        hub = next(pid for pid, words in started.items() if words[1:3] == ["-m", "jupyterhub"])
        found = {"hub": hub, "portal": below(hub, "visa.portal")}
        found["proxy"] = next(pid for pid, words in started.items() if words[0].endswith("traefik"))
        return {name: psutil.Process(pid) for name, pid in found.items()}

    def gateway(self, instance: Running) -> psutil.Process:
        """The process of an instance's gateway."""
        run = self.folder / "state" / "instances" / instance.id
        (supervisor,) = [one.pid for one in of(self.folder) if str(run) in arguments(one.pid)]
        return psutil.Process(below(supervisor, "visa.session"))

    def start(self, count: int) -> list[Running]:
        """So many instances of Marie's, three at a time."""
        with self.rest(self.owner) as api:
            assert self.observer, "both have logged in, and once"
            experiment = api.get("experiments").json()["experiments"][0]["id"]
        with ThreadPoolExecutor(3) as pool:
            running = list(pool.map(lambda number: self._start(experiment, number), range(count)))
        running[0].kernel.run(FILES, 120)
        return running

    @staticmethod
    def _runs(api: httpx.Client, identifier: str) -> bool:
        return bool(api.get(f"instances/{identifier}").json()["state"] == "running")

    def _let_in(self, base: str) -> bool:
        headers = {"Authorization": f"token {self.observer}"}
        return httpx.get(f"{base}api/status", headers=headers, timeout=60).status_code == 200

    def _start(self, experiment: str, number: int) -> Running:
        options = {"experiments": [experiment], "environment": "scattering", "flavour": "small", "session": "notebook"}
        with self.rest(self.owner) as api:
            answer = api.post("instances", json={**options, "title": f"Soak {number}"})
            assert answer.status_code == 202, answer.text
            made = answer.json()
            until(lambda: self._runs(api, made["id"]), 180, f"the start of instance {number}", pause=0.5)
            shared = api.patch(f"instances/{made['id']}/sharing", json={"presence": "any", "folders": ["home"]})
            assert shared.status_code == 200, shared.text
            added = api.post(f"instances/{made['id']}/members", json={"username": "lise", "role": "observer"})
            assert added.status_code == 201, added.text
        with self.api(self.observer) as api:
            entered = api.post(f"/visa/instances/{made['id']}/enter")
            assert entered.status_code == 204, entered.text
        base = f"{self.url}/user/marie/{made['name']}/"
        kernel, mind = Kernel.begin(base, {"Authorization": f"token {self.owner}"}), f"instance {number}"
        until(lambda: self._let_in(base), 60, "the observer's being let in")
        kernel.run(f"mind = {mind!r}", 120)
        return Running(made["id"], base, kernel, mind)


@contextmanager
def running(folder: Path, environment: Path, quota: int) -> Iterator[Demo]:
    """`visa demo` as a person runs it, but with a quota of so many instances."""
    folder = prepare_folder(folder)
    write_facility(folder, environment)
    facility = folder / "facility.yaml"
    text = facility.read_text()
    assert QUOTA in text
    facility.write_text(
        text.replace(QUOTA, f"{{who: everyone, instances: {quota}, cpu: {quota}, memory: {2 * quota}Gi}}")
    )
    (port,) = free_ports(1)
    # One host for all: tools without a browser need not find the names below localhost.
    command = [sys.executable, "-m", "visa.cli", "demo", "--one-host", "--port", str(port), "--dir", str(folder)]
    process = subprocess.Popen([*command, "--environment", str(environment)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        said = ""
        while "Ctrl-C ends the demo" not in said:
            line = process.stdout.readline()
            assert line, f"the demo ended: {said}"
            said += line
        yield Demo(f"http://127.0.0.1:{port}", folder, process)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(120)
    assert list(of(folder)) == [], "nothing is left"
