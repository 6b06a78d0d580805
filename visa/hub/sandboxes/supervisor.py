"""Runs one instance: its gateway, its sandboxed environment, its network. Outlives the hub.

Started as ``python -I -S supervisor.py RUN_FOLDER`` with the plan as JSON on standard input (it holds
the gateway's token, so neither argv nor environment may carry it). Only the standard library, and no
import of this project: it is small, and a hub that is upgraded while instances run does not touch it.
SIGTERM and SIGINT are blocked for it at first.

It writes one JSON line per event to standard output while somebody reads, and in the run folder
``instance.json`` at its start and ``exit.json`` at its end. SIGTERM ends the instance gently, SIGINT at once.

A gateway that dies is started again, beside an environment that does not notice. What it must find again is held
here meanwhile: the socket on which it listens, so that who asks is kept waiting and nobody else gets the port, and a
file in memory for what it keeps.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

LOG_BYTES = 5_000_000
GENTLE_SECONDS = 5.0
GATEWAY_SECONDS = 2.0
ENVIRONMENT_ADJUST = 300
"""When the machine's memory ends: before the hub and the gateways, after what Jupyter starts (`launch`)."""
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_JOIN_SESSION_KEYRING = {"x86_64": 250, "aarch64": 219}
_ENVIRON = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
_libc = ctypes.CDLL(None, use_errno=True)


class CannotStart(Exception):
    """A part could not be started; the text is for the operator's log and the person's card."""


class Log:
    """A part's output in a file that never grows beyond `LOG_BYTES`: two halves, the older one is dropped."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._size = 0
        self._file = self._open()

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def write(self, data: bytes) -> None:
        if self._size + len(data) > LOG_BYTES // 2:
            os.close(self._file)
            os.replace(self.path, self.path + ".1")
            self._file, self._size = self._open(), 0
        self._size += len(data)
        try:
            os.write(self._file, data)
        except OSError as error:  # disk full: the instance matters more than its log
            print(f"{self.path}: {error}", file=sys.stderr)


@dataclass(frozen=True)
class Given:
    """Descriptors for a part, ``closed`` here after its start or ``kept`` for the next one, and the words for them."""

    words: dict[str, str] = field(default_factory=dict)
    closed: tuple[int, ...] = ()
    kept: tuple[int, ...] = ()


class Restarts:
    """When a part that died is started again: at once, then later and later, and not for ever."""

    def __init__(self, pauses: list[float], well: float) -> None:
        """``well``: seconds after which a part that lives counts as a good one."""
        self.pauses, self.well, self.deaths = pauses, well, 0

    def pause(self, lived: float) -> float | None:
        """Seconds until the next start of a part that lived for ``lived``; None when it dies again and again."""
        if lived >= self.well:
            self.deaths = 0
        if self.deaths == len(self.pauses):
            return None
        self.deaths += 1
        return self.pauses[self.deaths - 1]


class Part:
    """Gateway or environment: a bubblewrap process, the first process of its pid namespace, its output."""

    def __init__(self, name: str, plan: dict[str, Any], run: str) -> None:
        self.name, self.plan = name, plan
        self.log = Log(os.path.join(run, f"{name}.log"))
        self.pid = 0
        self.inner = 0
        self.status: int | None = None
        self.began = 0.0

    def start(self, prefix: list[str], given: Given, adjust: int) -> tuple[int, int]:
        """Start it, perhaps again; the ends of the pipes that carry its output and bubblewrap's status."""
        self.pid, self.inner, self.status, self.began = 0, 0, None, time.monotonic()
        output, output_in = os.pipe2(os.O_CLOEXEC)
        status, status_in = os.pipe2(os.O_CLOEXEC)
        arguments = os.memfd_create("arguments")
        written = [given.words.get(word, word) for word in self.plan["arguments"]]
        text = "\0".join([*written, "--json-status-fd", str(status_in)]) + "\0"
        os.write(arguments, text.encode())
        os.lseek(arguments, 0, os.SEEK_SET)
        argv = [
            *self.plan["scope"],
            *prefix,
            self.plan["bubblewrap"],
            "--args",
            str(arguments),
            "--",
            *self.plan["command"],
        ]
        fds = [arguments, status_in, *given.closed, *self.plan["fds"]]
        try:
            process = subprocess.Popen(
                argv,
                env=_ENVIRON | self.plan["environ"],
                stdin=subprocess.DEVNULL,
                stdout=output_in,
                stderr=output_in,
                pass_fds=[*fds, *given.kept],
                cwd="/",
                preexec_fn=lambda: self._prepare(adjust),
            )
        except (OSError, subprocess.SubprocessError) as error:
            os.close(output)
            os.close(status)
            raise CannotStart(f"the {self.name} could not be started: {error}") from error
        finally:
            for descriptor in [output_in, *fds]:
                os.close(descriptor)
        process.returncode = 0  # reaped by `Supervisor._reap`, not by subprocess
        self.pid = process.pid
        return output, status

    def _prepare(self, adjust: int) -> None:
        """In the child, before bubblewrap (which asks for the same a moment later): die with the supervisor; limits."""
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        for group in self.plan["cgroups"]:
            with open(os.path.join(group, "cgroup.procs"), "w") as file:
                file.write("0")
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if self.plan["memory"] is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (self.plan["memory"],) * 2)
        # Added: where all began higher, as in systemd's user sessions and pods, only root may go below that.
        with open("/proc/self/oom_score_adj", "r+") as file:
            value = max(before := int(file.read()), min(999, before + adjust))
            file.seek(0)
            file.write(str(value))

    def running(self) -> bool:
        return self.pid != 0 and self.status is None

    def ask(self) -> bool:
        """SIGTERM to what runs directly under the namespace's first process, which itself ignores it.

        False: nothing runs there yet.
        """
        try:
            with open(f"/proc/{self.inner}/task/{self.inner}/children") as file:
                children = [int(child) for child in file.read().split()]
        except OSError:
            return False
        for child in children:
            _signal(child, signal.SIGTERM)
        return bool(children)

    def kill(self) -> None:
        """SIGKILL: with its first process the whole pid namespace ends, however deep the tree."""
        for pid in (self.inner, self.pid):
            if pid and self.status is None:
                _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


class Supervisor:
    """Starts the parts and keeps a gateway there until the environment ends or somebody asks; says why it ended."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.run_folder: str = plan["run"]
        self.environment = Part("environment", plan["environment"], self.run_folder)
        self.gateway = Part("gateway", plan["gateway"], self.run_folder)
        self.selector = selectors.DefaultSelector()
        self.asked: str | None = None
        self.gentle = GENTLE_SECONDS
        self.network_pid = 0
        self.listening: socket.socket | None = None
        self.listened = self.lost = False
        self._kept = os.memfd_create("kept")
        self._restarts = Restarts(plan["restarts"]["pauses"], plan["restarts"]["well"])
        self._oom_at_start = self._oom_kills()

    def run(self) -> int:
        self._watch_signals()
        self._watch_tether()
        self._write("instance.json", {"id": self.plan["id"], "pid": os.getpid(), "at": time.time()})
        problem = None
        try:
            for start in (self._start_gateway, self._start_environment):
                if self.asked is None:
                    start()
            self._tend()
        except CannotStart as error:
            problem = str(error)
        except Exception as error:  # whatever it is, nothing may be left running
            traceback.print_exc()
            problem = f"a fault in the supervisor ({type(error).__name__}), see supervisor.log"
        ending = self._ending(problem)
        self._end_all()
        self._write("exit.json", ending)
        self._say({"event": "end", **ending})
        return 0 if ending["who"] in ("stop", "tether") else 1

    def _ending(self, problem: str | None) -> dict[str, Any]:
        """Who ended first, and how. ``code`` 128+n: by signal n."""
        parts = (self.environment, *([self.gateway] if self.lost else []))
        part = next((p for p in parts if p.pid and not p.running()), None)
        who = "start" if problem else self.asked or (part.name if part else "stop")
        status = part.status if part and who == part.name else None
        return {
            "who": who,
            "code": None if status is None else os.waitstatus_to_exitcode(status),
            "oom": self._oom_kills() > self._oom_at_start,
            "problem": problem,
            "restarts": self._restarts.deaths,
            "at": time.time(),
        }

    def _start_gateway(self) -> None:
        if self.listening is None:
            self.listening = self._listen()
        listening = self.listening.fileno()
        ready, ready_in = os.pipe2(os.O_CLOEXEC)
        words = {"{ready}": str(ready_in), "{listen}": str(listening), "{kept}": f"/proc/self/fd/{self._kept}"}
        try:
            self._follow(self.gateway, [], Given(words, (ready_in,), (listening, self._kept)), 0)
        except CannotStart:
            os.close(ready)
            raise
        self._read(ready, self._on_ready)

    def _on_ready(self, data: bytes) -> None:
        if data.endswith(b"\n") and not self.listened and self.listening is not None:
            self.listened = True
            self._say({"event": "ready", "port": self.listening.getsockname()[1]})

    def _listen(self) -> socket.socket:
        try:
            listening = socket.create_server(tuple(self.plan["listen"]), backlog=1024)
        except OSError as error:
            raise CannotStart(f"the gateway has no port to listen at: {error}") from error
        listening.setblocking(False)
        return listening

    def _tend(self) -> None:
        """Until the end: start a gateway that died again, when it is time for it."""
        due: float | None = None
        while self.asked is None and self.environment.running():
            if self.gateway.running():
                due = None
                self._turn(None)
                continue
            if due is None:
                pause = self._pause()
                if pause is None:
                    self.lost = True
                    return
                due = time.monotonic() + pause
            left = due - time.monotonic()
            if left > 0:
                self._turn(left)
                continue
            due = None
            try:
                self._start_gateway()
            except CannotStart as error:
                print(error, file=sys.stderr, flush=True)
                self.gateway.status = 1 << 8

    def _pause(self) -> float | None:
        """Seconds until the gateway, which died, is started again; None: it is given up."""
        if not self.listened:
            return None  # the start waits for it, and says what it said
        code = os.waitstatus_to_exitcode(self.gateway.status or 0)
        pause = self._restarts.pause(time.monotonic() - self.gateway.began)
        then = "given up" if pause is None else f"started again in {pause:g} s"
        print(f"The gateway ended (code {code}) and is {then}", file=sys.stderr, flush=True)
        return pause

    def _start_environment(self) -> None:
        network = self.plan["network"]
        holder = self._network(network) if network else None
        prefix = [piece.replace("{pid}", str(holder.pid)) for piece in network["enter"]] if holder else []
        self._follow(self.environment, prefix, Given(), ENVIRONMENT_ADJUST)
        while holder and not self.environment.inner and self.environment.running():
            self._turn(None)
        if holder and holder.stdin:
            holder.stdin.close()

    def _follow(self, part: Part, prefix: list[str], given: Given, adjust: int) -> None:
        output, status = part.start(prefix, given, adjust)
        self._read(output, part.log.write)

        said = bytearray()

        def started(data: bytes) -> None:
            said.extend(data)  # bubblewrap may write a line in pieces
            while b"\n" in said:
                line, _, rest = bytes(said).partition(b"\n")
                said[:] = rest
                part.inner = json.loads(line).get("child-pid", part.inner)

        self._read(status, started)
        self._reap()

    def _network(self, plan: dict[str, Any]) -> subprocess.Popen[bytes]:
        """A network namespace with a way out: held by a process until the environment is in it."""
        holder = subprocess.Popen(plan["holder"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=_ENVIRON)
        assert holder.stdin is not None
        assert holder.stdout is not None
        if holder.stdout.readline() != b"held\n":
            raise CannotStart("the kernel refuses a network namespace")
        command = [piece.replace("{pid}", str(holder.pid)) for piece in plan["attach"]]
        log = open(os.path.join(self.run_folder, "network.log"), "wb")  # noqa: SIM115 (given to the child)
        try:
            attached = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_ENVIRON, timeout=20
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CannotStart(f"{plan['name']} could not connect the sandbox's network: {error}") from error
        finally:
            log.close()
        if attached.returncode != 0:
            raise CannotStart(f"{plan['name']} could not connect the sandbox's network (see network.log)")
        with open(plan["pid_file"]) as file:
            self.network_pid = int(file.read())
        holder.stdin.write(plan["routes"].encode() + b"\nend\n")
        holder.stdin.flush()
        if holder.stdout.readline() != b"routed\n":
            raise CannotStart("the sandbox's network could not be closed to this machine's own addresses")
        holder.returncode = 0  # reaped by `_reap`
        return holder

    def _watch_signals(self) -> None:
        for number in (signal.SIGHUP, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: self._ask("stop", GENTLE_SECONDS))
        signal.signal(signal.SIGINT, lambda *_: self._ask("stop", 0.0))
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGINT))
        wake, wake_in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake_in, warn_on_full_buffer=False)
        self._read(wake, lambda _data: None)

    def _ask(self, who: str, gentle: float) -> None:
        self.asked, self.gentle = self.asked or who, min(gentle, self.gentle)

    def _watch_tether(self) -> None:
        if self.plan["tether"] is None:
            return
        pid, started = self.plan["tether"]
        try:
            descriptor = os.pidfd_open(pid)
            with open(f"/proc/{pid}/stat") as file:
                same = int(file.read().rpartition(")")[2].split()[19]) == started
        except OSError:
            same = False
        if not same:
            self._ask("tether", 0.0)
            return

        def ended() -> None:
            self.selector.unregister(descriptor)
            self._ask("tether", 0.0)

        self.selector.register(descriptor, selectors.EVENT_READ, ended)

    def _read(self, descriptor: int, use: Callable[[bytes], None]) -> None:
        def readable() -> None:
            data = os.read(descriptor, 65536)
            if data:
                use(data)
            else:
                self.selector.unregister(descriptor)
                os.close(descriptor)

        self.selector.register(descriptor, selectors.EVENT_READ, readable)

    def _turn(self, seconds: float | None) -> None:
        for key, _events in self.selector.select(seconds):
            key.data()
        self._reap()

    def _reap(self) -> None:
        """Collect every child that ended: parts, and what they left behind (this process is their reaper)."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for part in (self.environment, self.gateway):
                if pid == part.pid:
                    part.status = status

    # the end

    def _end_all(self) -> None:
        self._ask_to_end(self.environment, GENTLE_SECONDS)
        self.environment.kill()
        if self.network_pid:
            _signal(self.network_pid, signal.SIGKILL)
        self._ask_to_end(self.gateway, GATEWAY_SECONDS)
        self.gateway.kill()
        deadline = time.monotonic() + 10
        while self._has_children() and time.monotonic() < deadline:
            self._turn(0.05)
        for group in self.plan["cgroups"]:
            try:
                os.rmdir(group)
            except OSError as error:
                print(f"{group} stays: {error}", file=sys.stderr)

    def _ask_to_end(self, part: Part, seconds: float) -> None:
        """Ask, and wait; `gentle` becomes 0 when the hub loses patience meanwhile."""
        began, asked = time.monotonic(), False
        while part.running() and (left := began + min(seconds, self.gentle) - time.monotonic()) > 0:
            asked = asked or part.ask()
            self._turn(left if asked else min(left, 0.02))

    def _has_children(self) -> bool:
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True

    def _oom_kills(self) -> int:
        """How often the kernel ended a process of the environment because its memory was full."""
        path = self.plan["oom_file"]
        if path is None:
            return 0
        try:
            with open(path) as file:
                return sum(int(line.split()[1]) for line in file if line.startswith("oom_kill "))
        except (OSError, ValueError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            return 0

    def _write(self, name: str, value: dict[str, Any]) -> None:
        path = os.path.join(self.run_folder, name)
        try:
            with open(path + ".new", "w") as file:
                json.dump(value, file)
            os.replace(path + ".new", path)
        except OSError as error:
            print(f"{path}: {error}", file=sys.stderr)

    def _say(self, event: dict[str, Any]) -> None:
        try:
            os.write(1, json.dumps(event).encode() + b"\n")
        except OSError:
            return  # the hub stopped listening after the start, as it does


def main() -> int:
    plan = json.loads(sys.stdin.buffer.read())
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    number = _JOIN_SESSION_KEYRING.get(os.uname().machine)
    if number is not None:  # a keyring of its own: the hub's may hold keys
        _libc.syscall(number, 1, 0)
    os.umask(0o077)
    return Supervisor(plan).run()


if __name__ == "__main__":
    sys.exit(main())
