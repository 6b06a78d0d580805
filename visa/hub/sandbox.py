"""VisaSandboxSpawner: instances on one Linux machine."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jupyterhub
from traitlets import Float, Int

import visa
from visa.hub import processes, settings
from visa.hub.admitted import AdmittedSpawner, StartFailed
from visa.hub.processes import Process
from visa.hub.sandboxes import bubblewrap, folders
from visa.hub.sandboxes.bubblewrap import Bind
from visa.hub.sandboxes.folders import Folders
from visa.hub.sandboxes.machine import Machine, SandboxUnavailable, probe
from visa.hub.sandboxes.plan import Plan
from visa.instances.model import InstanceSpec

_MODULE = "visa.hub.sandboxes.supervisor"
_PASSED_ON = ("JUPYTERHUB_", "VISA_SESSION", "VISA_OPEN")


class VisaSandboxSpawner(AdmittedSpawner):
    """A gateway process and, beside it, the environment in bubblewrap; one supervisor for both.

    The supervisor outlives the hub, which finds it again by process id and start time.
    """

    gateway_uid = Int(64917, config=True, help="Account of gateways when the hub runs as root; nobody else's.")
    gateway_ready = Float(30.0, config=True, help="Seconds that a gateway may take to answer.")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._process: Process | None = None
        self._child: subprocess.Popen[bytes] | None = None

    # state

    def get_state(self) -> dict[str, Any]:
        """What a restarted hub needs to find the instance."""
        state: dict[str, Any] = super().get_state()
        if self._process is not None:
            state["supervisor"] = [self._process.pid, self._process.started]
        return state

    def load_state(self, state: dict[str, Any]) -> None:
        """Find it again."""
        super().load_state(state)
        if "supervisor" in state:
            self._process = Process(*state["supervisor"])

    def clear_state(self) -> None:
        """Nothing runs."""
        super().clear_state()
        self._process = None

    @property
    def _folder(self) -> Path:
        return self.hub_settings.state / "instances" / self.instance_id

    # start

    async def start_instance(self, spec: InstanceSpec) -> str:
        """Start the supervisor; return when the gateway answers, long before Jupyter does."""
        try:
            machine = await asyncio.to_thread(probe)
        except SandboxUnavailable as error:
            raise StartFailed(str(error)) from error
        self.report("Preparing your home folder and the experiment's data", 0.2)
        plan = await asyncio.to_thread(self._plan, machine, spec)
        self.report(f"Starting the sandbox ({machine.network()}; {machine.enforced()})", 0.4)
        self._child = await asyncio.to_thread(_launch, plan)
        self._process = Process.of(self._child.pid)
        try:
            port = await asyncio.wait_for(asyncio.to_thread(self._port, self._child), self.gateway_ready)
        except TimeoutError:
            await self.stop_instance(True)
            raise StartFailed(
                "The gateway did not answer in time.", "Try again; operators see why in its log."
            ) from None
        except BaseException:
            await asyncio.shield(self.stop_instance(True))
            raise
        self.report("Starting Jupyter", 0.8)
        return f"http://127.0.0.1:{port}"

    def _plan(self, machine: Machine, spec: InstanceSpec) -> Plan:
        facility = self.hub_settings.facility.current
        local = facility.environments[spec.environment].local
        if local is None or not (local.prefix / "bin" / "jupyter-lab").exists():
            raise StartFailed(
                f"The software of environment '{spec.environment}' is not installed on this machine.",
                f"Choose another environment, or ask {facility.facility.contact}.",
            )
        binds = [Bind(folders.data_source(m, facility), m.target, m.read_only) for m in spec.mounts]
        gid = self.gateway_uid if machine.root else None
        made = folders.prepare(self.hub_settings.state, self.instance_id, spec, gid)
        (made.instance / "instance.json").write_text(json.dumps({"owner": self.user.name, "name": self.name}))
        hidden = [self.hub_settings.state, *(root.local.root for root in facility.data.values() if root.local)]
        variables = self._environment_variables(spec, local.prefix)
        tether = os.environ.get("VISA_TETHER_PID")
        return Plan(
            folder=str(made.instance),
            instance=self.instance_id,
            gateway=bubblewrap.gateway_command(machine, made, self.gateway_uid, self.gateway_uid),
            gateway_variables=self._gateway_variables(spec, machine, made),
            environment=bubblewrap.environment_command(
                machine, made, spec.identity, local.prefix, binds, variables, hidden
            ),
            cgroups={kind: str(folder) for kind, folder in machine.limits.items()},
            cpu=spec.resources.cpu,
            memory=spec.resources.memory,
            pasta=str(machine.pasta) if machine.pasta else None,
            slirp4netns=str(machine.slirp4netns) if machine.slirp4netns else None,
            tether=int(tether) if tether else None,
            scratch=[str(made.scratch)],
        )

    def _gateway_variables(self, spec: InstanceSpec, machine: Machine, made: Folders) -> dict[str, str]:
        own = {name: value for name, value in self.get_env().items() if name.startswith(_PASSED_ON)}
        return {
            **own,
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LANG": "C.UTF-8",
            "HOME": "/tmp",
            "VISA_RUN": "/run/visa" if machine.root else str(made.run),
            "VISA_LISTEN": "127.0.0.1:0",
            "VISA_OPEN": open_path(spec),
            "VISA_SESSION": spec.session,
            "VISA_HUB_VERSION": jupyterhub.__version__,
        }

    def _environment_variables(self, spec: InstanceSpec, prefix: Path) -> dict[str, str]:
        name = spec.identity.username
        threads = str(max(1, math.ceil(spec.resources.cpu)))
        return {
            "PATH": f"{prefix}/bin:/usr/local/bin:/usr/bin:/bin",
            "HOME": f"/home/{name}",
            "USER": name,
            "LOGNAME": name,
            "SHELL": "/bin/bash" if os.path.exists("/bin/bash") else "/bin/sh",
            "LANG": "C.UTF-8",
            "TMPDIR": "/tmp",
            "VISA_RUN": "/run/visa",
            "VISA_BASE_URL": self.server.base_url if self.server else f"/user/{name}/{self.name}/",
            "VISA_EXPERIMENTS": " ".join(spec.experiments),
            "VISA_DATA": "/data",
            "VISA_OPEN": open_path(spec),
            "VISA_SESSION": spec.session,
            "VISA_OWNER_NAME": spec.identity.name,
            **{f"{lib}_NUM_THREADS": threads for lib in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")},
        }

    @staticmethod
    def _port(child: subprocess.Popen[bytes]) -> int:
        """Wait for the gateway's word; the supervisor's end is no word."""
        assert child.stdout is not None
        line = child.stdout.readline()
        child.stdout.close()
        try:
            return int(json.loads(line)["port"])
        except (ValueError, KeyError, TypeError):
            raise StartFailed(
                "The instance ended before it could be reached.", "Operators see why in its log."
            ) from None

    # life

    async def poll(self) -> int | None:
        """None while it runs; afterwards 0 when its end was asked for, else 1 with `failure` in words."""
        if self._child is not None:
            self._child.poll()  # reaps it
        if self._process is not None and self._process.is_alive():
            return None
        ended = await asyncio.to_thread(_read, self._folder / "exit.json")
        if ended is None or ended.get("asked"):
            return 0
        self.failure = self.failure or why(ended)
        return 1

    async def stop_instance(self, now: bool = False) -> None:
        """Ask the supervisor, wait, and only then insist."""
        process = self._process
        if process is None:
            return
        for number, patience in ((signal.SIGUSR1 if now else signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0)):
            process.signal(number)
            if await _gone(process, self._child, patience):
                break
        self._process = None

    @classmethod
    async def sweep(cls, hub: settings.HubSettings, known: Iterable[str], *, grace: float) -> list[str]:
        """End supervisors in this state folder that the hub does not know, however they came to be."""
        keep = set(known)
        ended = []
        for identifier, process in await asyncio.to_thread(_supervisors, hub.state):
            age = time.clock_gettime(time.CLOCK_BOOTTIME) - process.started / os.sysconf("SC_CLK_TCK")
            if identifier in keep or age < grace:
                continue
            process.signal(signal.SIGTERM)
            if not await _gone(process, None, 15.0):
                process.signal(signal.SIGKILL)
            ended.append(identifier)
        return ended


def open_path(spec: InstanceSpec) -> str:
    """Where ``/`` leads: JupyterLab with the starter notebook, its file browser at the experiment's data."""
    if not spec.experiments:
        return "lab"
    first = spec.experiments[0]
    return f"lab/tree/notebooks/{first}.ipynb?file-browser-path=/data/{first}"


def why(ended: dict[str, Any]) -> str:
    """An end that nobody asked for, in words."""
    if ended.get("oom"):
        return "The instance needed more memory than its flavour has. Start it again with a larger one."
    if ended.get("who") == "environment":
        return (
            f"Jupyter ended by itself (exit code {ended.get('code')}). Start the instance again; your files are kept."
        )
    return "The instance's gateway ended. Start the instance again; your files are kept."


def _launch(plan: Plan) -> subprocess.Popen[bytes]:
    package = str(Path(visa.__file__).parents[1])
    variables = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "PYTHONPATH": package, "LANG": "C.UTF-8"}
    with open(Path(plan.folder) / "supervisor.log", "ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-S", "-m", _MODULE, plan.folder],
            env=variables,
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    assert child.stdin is not None
    with child.stdin:
        child.stdin.write(plan.dump())
    return child


def _supervisors(state: Path) -> list[tuple[str, Process]]:
    """Every supervisor whose run folder lies in ``state``."""
    found = []
    for pid in processes.all_pids():
        arguments = processes.arguments(pid)
        if _MODULE not in arguments:
            continue
        folder = Path(arguments[arguments.index(_MODULE) + 1])
        process = Process.of(pid)
        if folder.parent == state / "instances" and process is not None:
            found.append((folder.name, process))
    return found


async def _gone(process: Process, child: subprocess.Popen[bytes] | None, patience: float) -> bool:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if child is not None:
            child.poll()
        if not process.is_alive():
            return True
        await asyncio.sleep(0.02)
    return False


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
