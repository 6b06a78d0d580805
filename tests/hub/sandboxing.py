"""For tests of sandboxes: a made-up site, and instances of it whose parts are small programs of the test."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.services.waiting import until
from visa.facility.model import Facility
from visa.hub.gateways import Gateways
from visa.hub.sandboxes.folders import Account
from visa.hub.sandboxes.instance import Running, Site, Start, end, reap
from visa.hub.sandboxes.machine import probe
from visa.identifiers import DataRootId, EnvironmentId, ExperimentId, FlavourId, Username
from visa.instances.model import Identity, InstanceSpec, Mount, Resources

UID, GID, GIDS = 20123, 20123, (30001, 30002)
GATEWAY = """
import json, os, signal, sys, time
with os.fdopen(int(os.environ["VISA_READY_FD"]), "w") as ready:
    ready.write(json.dumps({"port": 0}) + "\\n")
signal.pause()
"""


@dataclass
class Place:
    """A state folder, data of two experiments, and how to start an instance there."""

    folder: Path
    steps: list[str] = field(default_factory=list)
    started: list[tuple[str, Running]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.state = self.folder / "state"
        self.state.mkdir(mode=0o711)
        for experiment in ("E1", "E2"):
            data = self.folder / "data" / experiment
            data.mkdir(parents=True)
            (data / "run.txt").write_text(f"counts of {experiment}")
            if os.geteuid() == 0:
                for path in (data, data / "run.txt"):
                    os.chown(path, UID, GID)
        (self.folder / "prefix" / "bin").mkdir(parents=True)
        self.machine = probe(self.state)
        self.gateways = Gateways()

    def facility(self) -> Facility:
        """facility.yaml of this place."""
        return Facility.model_validate(
            {
                "facility": {"name": "Test", "contact": "test@example.org"},
                "catalogue": {"type": "file", "path": "catalogue.yaml"},
                "data": {
                    "raw": {"path": "{experiment}", "local": {"root": str(self.folder / "data")}},
                    "shared": {
                        "path": "{experiment}",
                        "mode": "rw",
                        "target": "/shared/{experiment}",
                        "local": {"root": str(self.folder / "shared")},
                    },
                },
                "environments": {"plain": {"title": "Plain", "local": {"prefix": sys.prefix}}},
                "flavours": {"small": {"cpu": 1, "memory": "256Mi"}},
            }
        )

    def spec(self, **changes: Any) -> InstanceSpec:
        """An admitted request of marie's on E1."""
        experiment = ExperimentId("E1")
        spec = InstanceSpec(
            identity=Identity(Username("marie"), "Marie", UID, GID, GIDS),
            experiments=(experiment,),
            environment=EnvironmentId("plain"),
            flavour=FlavourId("small"),
            session="notebook",
            resources=Resources(cpu=1, memory=256 << 20, gpu=0, scratch=1 << 30),
            mounts=(Mount(DataRootId("raw"), "E1", "/data/E1", True, experiment),),
            scopes=(),
        )
        return replace(spec, **changes)

    def start(self, command: tuple[str, ...], spec: InstanceSpec | None = None, **site: Any) -> Start:
        """An instance whose environment runs ``command``; `Start.run` starts it."""
        values: dict[str, Any] = {
            "machine": self.machine,
            "state": self.state,
            "gateway_account": Account(65500, 65500),
            "gateway_command": (sys.executable, "-c", GATEWAY),
            "environment_command": command,
            "configuration": self.folder / "prefix",
        }
        environ = {"JUPYTERHUB_API_TOKEN": "token-of-the-hub", "JUPYTERHUB_SERVICE_PREFIX": "/user/marie/x/"}
        identifier = uuid.uuid4().hex[:16]
        return Start(
            Site(**values | site),
            identifier,
            spec or self.spec(),
            self.facility(),
            environ,
            lambda step, _f: self.steps.append(step),
        )

    async def run(
        self, command: tuple[str, ...], spec: InstanceSpec | None = None, **site: Any
    ) -> tuple[Path, Running]:
        """Start one; its run folder. Ended by `finish` at the latest."""
        start = self.start(command, spec, **site)
        running = await start.run()
        self.started.append((start.identifier, running))
        return start.site.run_folder(start.identifier).path, running

    def finish(self) -> None:
        """End everything that was started."""
        for identifier, running in self.started:
            end(running.supervisor.pid, running.supervisor, now=True)
            self.machine.control.remove(identifier, kill=True)
        for _controller, parent in self.machine.control.parents:
            parent.rmdir()
        reap()


def open_to_others(folder: Path) -> None:
    """Let other accounts enter ``folder``: pytest makes its temporary folders for one account only."""
    for entered in (folder, folder.parent, folder.parent.parent):
        if entered != Path(tempfile.gettempdir()) and entered.stat().st_uid == os.geteuid():
            entered.chmod(0o755)


@contextmanager
def made_place(folder: Path) -> Iterator[Place]:
    """A place in ``folder``, which other accounts may enter; everything in it ended afterwards."""
    open_to_others(folder)
    place = Place(folder)
    try:
        yield place
    finally:
        place.finish()


def wait_for_file(path: Path) -> str:
    """The text of a file that a program in a sandbox renames into place when it is done."""
    log = path.parent.parent / "environment.log"
    until(path.exists, what=lambda: f"{path} ({log.read_text() if log.exists() else 'no log'})")
    return path.read_text()


def told(run: Path) -> Any:
    """What the program in the sandbox wrote to /run/visa/told."""
    return json.loads(wait_for_file(run / "shared" / "told"))
