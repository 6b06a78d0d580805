"""Watches one instance: starts gateway, environment and network, and ends them together.

Run as ``python -S -m visa.hub.sandboxes.supervisor FOLDER`` with a `Plan` on standard input; imports
nothing but the standard library. It belongs to no hub: a hub that restarts finds it again by FOLDER in
its arguments. ``{"port": N}`` on standard output says that the gateway answers; ``exit.json`` in FOLDER
says afterwards who ended and why.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import selectors
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from visa.hub.sandboxes.cgroups import Limits
from visa.hub.sandboxes.plan import Plan

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_LOG_SIZE = 5 * 2**20


class Log:
    """A file that takes at most five megabytes, then begins again with the older half kept beside it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = self._open()

    def _open(self) -> IO[bytes]:
        return open(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600), "ab", 0)

    def write(self, data: bytes) -> None:
        """Append; a full disk loses the log, not the instance."""
        try:
            if self._file.tell() > _LOG_SIZE:
                self._file.close()
                os.replace(self._path, self._path.with_suffix(".old.log"))
                self._file = self._open()
            self._file.write(data)
        except OSError as error:
            print(f"log {self._path}: {error}", file=sys.stderr)


class Supervisor:
    """One instance, from start to end."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.folder = Path(plan.folder)
        self.limits = Limits(plan.cgroups, plan.instance)
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.selector = selectors.DefaultSelector()
        self.inside: int | None = None
        self.ending = False
        self.asked = False

    def run(self) -> None:
        """Until gateway or environment ends, or somebody asks for the end."""
        self._signals()
        self._tether()
        self.limits.make(self.plan.cpu, self.plan.memory)
        try:
            self._start_gateway()
            self._start_environment()
            who, code = self._watch()
            oom = self.limits.oom_kills()
        finally:
            self._end_all()
        self._write("exit.json", {"who": who, "code": code, "oom": oom, "asked": self.asked, "at": time.time()})
        self.limits.remove()
        for folder in self.plan.scratch:
            shutil.rmtree(folder, ignore_errors=True)

    def _signals(self) -> None:
        """Signals arrive as bytes in a pipe, so that they cannot be missed between two looks."""
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGUSR1):
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.selector.register(reading, selectors.EVENT_READ, ("signal", None))

    def _tether(self) -> None:
        if self.plan.tether is None:
            return
        try:
            descriptor = os.pidfd_open(self.plan.tether)
        except ProcessLookupError:
            raise SystemExit("the process this instance is tied to is gone") from None
        self.selector.register(descriptor, selectors.EVENT_READ, ("tether", None))

    def _start_gateway(self) -> None:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        os.set_inheritable(writing, True)
        variables = {**self.plan.gateway_variables, "VISA_READY_FD": str(writing)}
        self._start("gateway", self.plan.gateway, variables, (writing,), enter=False)
        os.close(writing)
        self.selector.register(reading, selectors.EVENT_READ, ("ready", None))

    def _start_environment(self) -> None:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        os.set_inheritable(writing, True)
        command = [part.replace("{info}", str(writing)) for part in self.plan.environment]
        self._start("environment", command, {"PATH": os.environ["PATH"]}, (writing,), enter=True)
        os.close(writing)
        self.selector.register(reading, selectors.EVENT_READ, ("info", None))

    def _start(
        self, name: str, command: list[str], variables: dict[str, str], keep: tuple[int, ...], *, enter: bool
    ) -> None:
        def prepare() -> None:
            # Dies with the supervisor, however that dies.
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGPIPE, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            if enter:
                self.limits.enter()
                if not self.plan.cgroups:
                    resource.setrlimit(resource.RLIMIT_DATA, (self.plan.memory, self.plan.memory))

        child = subprocess.Popen(
            command,
            env=variables,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=keep,
            start_new_session=True,
            preexec_fn=prepare,
        )
        self.children[name] = child
        assert child.stdout is not None
        os.set_blocking(child.stdout.fileno(), False)
        log = Log(self.folder / f"{name}.log")
        self.selector.register(child.stdout.fileno(), selectors.EVENT_READ, ("log", log))

    def _watch(self) -> tuple[str, int]:
        """Who ended first, and its exit code."""
        while True:
            for key, _ in self.selector.select():
                kind, log = key.data
                ended = self._event(kind, key.fd, log)
                if ended is not None:
                    return ended

    def _event(self, kind: str, descriptor: int, log: Log | None) -> tuple[str, int] | None:
        if kind == "tether":
            self.asked = True
            return "tether", 0
        if kind == "signal":
            numbers = os.read(descriptor, 256)
            if signal.SIGTERM in numbers or signal.SIGINT in numbers or signal.SIGUSR1 in numbers:
                self.asked = True
                self._end_environment(0.0 if signal.SIGUSR1 in numbers else self.plan.grace)
                return "asked", 0
            return self._ended()
        data = os.read(descriptor, 65536)
        if not data:
            self.selector.unregister(descriptor)
            os.close(descriptor) if kind in ("ready", "info") else None
        elif kind == "log" and log is not None:
            log.write(data)
        elif kind == "ready":
            self._tell(data)
        elif kind == "info":
            self.inside = int(json.loads(data)["child-pid"])
            self._start_network(self.inside)
        return None

    def _tell(self, data: bytes) -> None:
        """The hub may be gone by now; then nobody listens and that is all."""
        try:
            os.write(1, data)
        except OSError as error:
            print(f"nobody listens for the gateway's address: {error}", file=sys.stderr)

    def _ended(self) -> tuple[str, int] | None:
        for name in ("environment", "gateway"):
            code = self.children[name].poll()
            if code is not None:
                return name, code
        if "network" in self.children:
            self.children["network"].poll()
        while True:  # strays that the sandbox left to us
            try:
                known = {child.pid for child in self.children.values()}
                waiting = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return None
            if waiting is None or waiting.si_pid in known:
                return None
            os.waitpid(waiting.si_pid, os.WNOHANG)

    def _start_network(self, inside: int) -> None:
        """Outgoing connections only, and none to this machine's own loopback."""
        net = f"/proc/{inside}/ns/net"
        user = ["--netns-only"] if os.geteuid() == 0 else ["--userns", f"/proc/{inside}/ns/user"]
        if self.plan.pasta:
            command = [self.plan.pasta, "--foreground", "--quiet", "--config-net", "--no-map-gw"]
            command += ["-t", "none", "-u", "none", "-T", "none", "-U", "none", "--dns-forward", "169.254.1.1"]
            command += [*user, "--netns", net]
        elif self.plan.slirp4netns:
            command = [self.plan.slirp4netns, "--configure", "--mtu=65520", "--disable-host-loopback"]
            command += [] if os.geteuid() == 0 else [f"--userns-path=/proc/{inside}/ns/user"]
            command += [str(inside), "tap0"]
        else:
            return
        self._start("network", command, {"PATH": os.environ["PATH"]}, (), enter=False)

    def _end_environment(self, grace: float) -> None:
        """Ask the session to end, wait a little, then end everything in its process namespace."""
        session = _children(self.inside) if self.inside else []
        child = self.children.get("environment")
        for pid in session if grace else ():
            _signal(pid, signal.SIGTERM)
        end = time.monotonic() + grace
        while child is not None and child.poll() is None and time.monotonic() < end:
            if not any(os.path.exists(f"/proc/{pid}") for pid in session):
                break
            time.sleep(0.02)

    def _end_all(self) -> None:
        for name in ("environment", "network", "gateway"):
            child = self.children.get(name)
            if child is None or child.poll() is not None:
                continue
            child.send_signal(signal.SIGTERM if name == "gateway" else signal.SIGKILL)
            try:
                child.wait(3)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        for _ in range(100):
            left = [pid for pid in self.limits.processes() if pid != os.getpid()]
            for pid in left:
                _signal(pid, signal.SIGKILL)
            if not left:
                break
            time.sleep(0.02)

    def _write(self, name: str, content: dict[str, object]) -> None:
        temporary = self.folder / f"{name}.new"
        try:
            temporary.write_text(json.dumps(content))
            temporary.replace(self.folder / name)
        except OSError as error:
            print(f"{name}: {error}", file=sys.stderr)


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return  # it ended by itself


def main() -> None:
    """Read the plan and supervise."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    plan = Plan.load(sys.stdin.buffer.read())
    Supervisor(plan).run()


if __name__ == "__main__":
    main()
