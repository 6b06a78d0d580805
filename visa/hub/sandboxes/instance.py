"""From an admitted `InstanceSpec` to a running supervisor: everything that does not need a hub."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import visa
from visa.facility.model import Facility
from visa.hub import inside
from visa.hub.admitted import StartFailed
from visa.hub.sandboxes import bubblewrap, folders, prefix
from visa.hub.sandboxes.cgroups import Limits
from visa.hub.sandboxes.endings import ending_of
from visa.hub.sandboxes.folders import Account, OpenFolder, RunFolder
from visa.hub.sandboxes.machine import Machine
from visa.hub.sandboxes.network import closed_networks
from visa.instances.model import InstanceSpec
from visa.processes import Process

log = logging.getLogger(__name__)

SUPERVISOR = Path(__file__).with_name("supervisor.py")
CONFIGURATION = Path(visa.__file__).parent / "session" / "environment"
# Not by bubblewrap: as root without capabilities it may not enter the person's home.
_AT_HOME = ("/bin/sh", "-c", 'cd "$HOME" && exec "$@"', "sh")
_FOLDER_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Restarts:
    """Of a gateway that dies: the seconds before each, and after how many a gateway that lives counts as a good one.

    After the last pause the instance ends: eight minutes without a gateway that stays.
    """

    pauses: tuple[float, ...] = (0, 0.5, 1, 2, 4, 8, 15, *[30] * 15)
    well: float = 10.0


@dataclass(frozen=True, slots=True)
class Site:
    """What does not change from instance to instance. ``tether``: the process whose end ends all instances."""

    machine: Machine
    state: Path
    gateway_account: Account
    gateway_command: tuple[str, ...] = (sys.executable, "-P", "-m", "visa.session")
    environment_command: tuple[str, ...] = inside.LAUNCH
    configuration: Path = CONFIGURATION
    closed: tuple[str, ...] = ()
    tether: Process | None = None
    restarts: Restarts = Restarts()

    def run_folder(self, identifier: str) -> RunFolder:
        """The run folder of an instance."""
        return RunFolder(self.state / "instances" / identifier)


@dataclass(frozen=True, slots=True)
class Running:
    """A started instance: its supervisor, and where its gateway listens."""

    supervisor: Process
    port: int


@dataclass(frozen=True, slots=True)
class Start:
    """One start: the decision, and what the hub tells the gateway (its token among it)."""

    site: Site
    identifier: str
    spec: InstanceSpec
    facility: Facility
    gateway_environ: Mapping[str, str]
    report: Callable[[str, float], None]

    async def run(self) -> Running:
        """Start; return as soon as the gateway listens. Cancelled or failed, nothing is left."""
        self.report("Preparing your home and the experiment's data", 0.15)
        plan, opened = await self._prepared()
        self.report("Making the sandbox", 0.3)
        return await self._launch(plan, opened)

    # before

    async def _prepared(self) -> tuple[dict[str, Any], list[OpenFolder]]:
        """`_prepare` in a thread: a storage that hangs must not hold up the hub."""
        preparing = asyncio.ensure_future(asyncio.to_thread(self._prepare))
        try:
            done, _ = await asyncio.wait({preparing}, timeout=_FOLDER_SECONDS)
        except asyncio.CancelledError:
            # Started again at once, it would use the same folders: wait, but not for a storage that hangs.
            await asyncio.wait({preparing}, timeout=1.0)
            preparing.add_done_callback(self._drop)
            raise
        if done:
            return preparing.result()
        preparing.add_done_callback(self._drop)
        raise StartFailed(
            "The storage that holds your home or the data does not answer.", "Try again later, or ask an operator."
        )

    def _drop(self, preparing: asyncio.Future[tuple[dict[str, Any], list[OpenFolder]]]) -> None:
        """A preparation that nobody waits for any more."""
        if not preparing.cancelled() and preparing.exception() is None:
            folders.close(preparing.result()[1])
        self.site.machine.control.remove(self.identifier)

    def _prepare(self) -> tuple[dict[str, Any], list[OpenFolder]]:
        site, spec = self.site, self.spec
        environment = self.facility.environments[spec.environment]
        if environment.local is None:
            raise StartFailed(
                f"The environment {environment.title!r} is not offered on this machine.",
                f"An operator has to give it a folder in facility.yaml: environments.{spec.environment}.local.prefix.",
            )
        if site.environment_command == inside.LAUNCH:
            prefix.check_prefix(environment.local.prefix, environment.title)
        software = prefix.needed_folders(environment.local.prefix)
        self._check(software)
        roots = {str(name): root.local.root for name, root in self.facility.data.items() if root.local}
        person = Account(spec.identity.uid, spec.identity.gid) if site.machine.privileged else None
        run = site.run_folder(self.identifier)
        data = folders.open_data(spec.mounts, roots)
        try:
            home = folders.open_home(site.state / "homes", spec.identity.username, person)
            data.append(OpenFolder(home, f"/home/{spec.identity.username}", False))
            run.make(person, site.gateway_account if person else None)
            return self._plan(run, person, software, environment.local.prefix, data), data
        except BaseException:
            folders.close(data)
            raise

    def _check(self, software: list[Path]) -> None:
        site, spec = self.site, self.spec
        roots = [root.local.root for root in self.facility.data.values() if root.local]
        prefix.check_apart([*software, *_gateway_software(site)], [site.state, *roots])
        home = Path(f"/home/{spec.identity.username}")
        if any(folder == home or home in folder.parents for folder in software):
            raise StartFailed(
                f"The environment lies in {home}, where your own home appears.",
                "An operator has to install it somewhere else.",
            )
        if spec.resources.gpu and not _gpus():
            raise StartFailed(
                f"The flavour {spec.flavour!r} has a GPU, but this machine has none.", "Choose another flavour."
            )
        if site.machine.privileged and site.gateway_account.uid == spec.identity.uid:
            raise StartFailed(
                f"Your account has the number {spec.identity.uid}, which is the gateways' own.",
                "An operator has to give the gateways another one: VisaSandboxSpawner.gateway_uid.",
            )

    def _plan(
        self, run: RunFolder, person: Account | None, software: list[Path], chosen: Path, opened: list[OpenFolder]
    ) -> dict[str, Any]:
        site, spec, machine = self.site, self.spec, self.site.machine
        network = machine.network.plan(run.path, machine.privileged, closed_networks(site.closed))
        etc = folders.write_etc(run.etc, spec.identity, f"visa-{self.identifier[:8]}", machine.network.resolver)
        limits = self._limits()
        interior = bubblewrap.Inside(
            hostname=f"visa-{self.identifier[:8]}",
            shared=run.shared,
            scratch=run.scratch,
            etc=run.etc,
            etc_files=tuple(etc),
            configuration=site.configuration,
            software=tuple(software),
            brought=chosen / "share" / "visa",
            home=opened[-1],
            data=tuple(opened[:-1]),
            memory=spec.resources.memory,
            devices=_gpus() if spec.resources.gpu else (),
            environ=self._environ(chosen),
        )
        shown = Account(spec.identity.uid, spec.identity.gid)
        return {
            "id": self.identifier,
            "run": str(run.path),
            "network": network,
            "tether": [site.tether.pid, site.tether.started] if site.tether else None,
            "listen": ["127.0.0.1", 0],
            "restarts": {"pauses": site.restarts.pauses, "well": site.restarts.well},
            "cgroups": limits.all,
            "oom_file": limits.oom_file,
            "environment": {
                **self._part(limits.environment, limits.data, limits.scope),
                "arguments": bubblewrap.environment_arguments(interior, person, network is None, shown),
                "command": [*bubblewrap.become(person, spec.identity.gids), *_AT_HOME, *site.environment_command],
                "fds": [folder.descriptor for folder in opened],
            },
            "gateway": self._gateway(run, limits, person),
        }

    def _gateway(self, run: RunFolder, limits: Limits, person: Account | None) -> dict[str, Any]:
        account = self.site.gateway_account if person else None
        outer = account or Account(os.geteuid(), os.getegid())
        environ = {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.gateway_environ,
            **inside.gateway_variables(self.spec, self.facility),
        }
        return {
            **self._part(limits.gateway, None, ()),
            "arguments": bubblewrap.gateway_arguments(
                run.shared, _gateway_software(self.site), environ, account, outer
            ),
            "command": [*bubblewrap.become(account), *self.site.gateway_command],
            "fds": [],
        }

    def _part(self, groups: tuple[str, ...], memory: int | None, scope: tuple[str, ...]) -> dict[str, Any]:
        kept = {k: os.environ[k] for k in ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS") if scope and k in os.environ}
        bwrap = self.site.machine.bubblewrap
        return {"bubblewrap": bwrap, "scope": scope, "environ": kept, "cgroups": groups, "memory": memory}

    def _limits(self) -> Limits:
        try:
            return self.site.machine.control.limits(self.identifier, self.spec.resources)
        except OSError as error:
            raise StartFailed(
                f"The limits of the flavour could not be set: {error}.", "An operator should look at the hub's log."
            ) from error

    def _environ(self, chosen: Path) -> dict[str, str]:
        return {
            **inside.variables(self.spec, self.facility, self.gateway_environ["JUPYTERHUB_SERVICE_PREFIX"]),
            "PATH": f"{chosen}/bin:/usr/local/bin:/usr/bin:/bin",
            "SHELL": "/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh",
        }

    # the start itself

    async def _launch(self, plan: dict[str, Any], opened: list[OpenFolder]) -> Running:
        run = self.site.run_folder(self.identifier)
        # In a thread: the fork of a large hub takes milliseconds. Shielded: no start may be lost by a cancel.
        spawning = asyncio.ensure_future(asyncio.to_thread(_spawn, run.path, plan, opened))
        try:
            process = await asyncio.shield(spawning)
            port = await self._ready(process)
        except BaseException:
            await asyncio.shield(self._undo(spawning, run))
            raise
        supervisor = Process.of(process.pid)
        _children[process.pid] = process
        if supervisor is None:
            raise StartFailed(ending_of(run.path).sentence)
        return Running(supervisor, port)

    async def _undo(self, spawning: asyncio.Future[subprocess.Popen[bytes]], run: RunFolder) -> None:
        try:
            process = await spawning
        except OSError as error:
            log.warning("Instance %s: its supervisor could not be started: %s", self.identifier, error)
        else:
            await asyncio.to_thread(end, process.pid, Process.of(process.pid), now=True)
            process.poll()
        await asyncio.to_thread(self.clear, run)

    async def _ready(self, process: subprocess.Popen[bytes]) -> int:
        assert process.stdout is not None
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), process.stdout
        )
        try:
            self.report("Starting the session", 0.5)
            line = await reader.readline()
        finally:
            transport.close()
        event = json.loads(line) if line else {}
        if event.get("event") == "ready":
            return int(event["port"])
        raise StartFailed(ending_of(self.site.run_folder(self.identifier).path).sentence)

    def clear(self, run: RunFolder) -> None:
        """Drop what an ended instance leaves, but for its logs."""
        run.clear()
        self.site.machine.control.remove(self.identifier, kill=True)


_children: dict[int, subprocess.Popen[bytes]] = {}


def reap() -> None:
    """Collect supervisors of this process that ended."""
    for pid in [pid for pid, child in list(_children.items()) if child.poll() is not None]:
        _children.pop(pid, None)


def _spawn(run: Path, plan: dict[str, Any], opened: list[OpenFolder]) -> subprocess.Popen[bytes]:
    with contextlib.ExitStack() as stack:
        stack.callback(folders.close, opened)
        output = stack.enter_context(open(run / "supervisor.log", "wb"))
        # Python loses a signal that comes while it imports: it has them once the supervisor can take them.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
        stack.callback(signal.pthread_sigmask, signal.SIG_SETMASK, before)
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(SUPERVISOR), str(run)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            env={},
            cwd="/",
            start_new_session=True,
            pass_fds=plan["environment"]["fds"],
        )
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin:  # it ended at once: its log says why
        process.stdin.write(json.dumps(plan).encode())
    return process


def end(pid: int, supervisor: Process | None, *, now: bool, seconds: float = 15.0) -> None:
    """End an instance and wait until its supervisor is gone. Blocks for at most ``seconds``."""
    if supervisor is None or not supervisor.is_alive():
        return
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        supervisor.signal(signal.SIGINT if now else signal.SIGTERM)
        if not _gone(descriptor, seconds):
            # Everything below dies with it.
            supervisor.signal(signal.SIGKILL)
            _gone(descriptor, 5.0)
    finally:
        os.close(descriptor)


def _gone(descriptor: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _gateway_software(site: Site) -> list[Path]:
    """What the gateway is made of: the hub's own Python, and this package."""
    own = Path(visa.__file__).resolve().parent
    needed = prefix.needed_folders(Path(sys.prefix))
    return [*needed, *([] if any(folder in own.parents for folder in needed) else [own])]


def _gpus() -> tuple[str, ...]:
    found = sorted(str(path) for path in Path("/dev").glob("nvidia*")) + [
        str(p) for p in (Path("/dev/dri"),) if p.is_dir()
    ]
    return tuple(found)
