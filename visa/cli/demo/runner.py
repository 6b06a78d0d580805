"""Runs the demo: data, hub, and the end of everything that was started.

The hub is a child that dies with this process; instances are tied to this process by its pid
(`VisaSandboxSpawner.tether_pid`), so that nothing outlives the demo, however it ends. A hub that crashes is started
again, and finds its instances.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from visa.cli.demo.facility.people import PEOPLE
from visa.cli.demo.facility.write import DemoDataFailed, write_data, write_facility
from visa.cli.demo.leftovers import end_all
from visa.cli.demo.trouble import DemoTrouble

_PR_SET_PDEATHSIG = 1
_SPACE = 500 * 2**20  # bytes that the demo wants free
_CRASHES = 5  # within a minute, then the demo gives up
_BOOT = 90.0  # seconds that the hub may take to answer

CONFIG = """\
from visa.hub.defaults import configure

configure(
    c,
    facility={facility!r},
    state={state!r},
    bind_url="http://127.0.0.1:{port}",
    hub_port={hub},
    proxy_port={proxy},
    portal_port={portal},
    authenticator="visa-demo",
)
c.VisaSandboxSpawner.tether_pid = {tether}
"""


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the folder; raise `DemoTrouble` when another demo holds it."""
    with open(folder / "lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            where = lock.read().strip() or "somewhere"
            raise DemoTrouble(
                f"A demo runs in {folder} already ({where}); stop it with Ctrl-C, or give another --dir and --port."
            ) from None
        lock.truncate(0)
        yield


class Demo:
    """One run of the demo."""

    def __init__(self, folder: Path, port: int, environment: Path) -> None:
        self.folder, self.port, self.environment = folder, port, environment
        self.state = folder / "state"
        self.hub: subprocess.Popen[bytes] | None = None
        self.ended = False

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def run(self) -> int:
        """Until Ctrl-C or SIGTERM."""
        self._refuse_what_cannot_work()
        with only_one(self.folder):
            (self.folder / "lock").write_text(f"{self.url}, process {os.getpid()}")
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, self._end)
            try:
                return self._run()
            except KeyboardInterrupt:
                return 0
            finally:
                self._stop_hub()

    def _end(self, number: int, frame: object) -> None:
        """A signal: the first ends the demo in order, a second one changes nothing."""
        if not self.ended:
            self.ended = True
            raise KeyboardInterrupt

    def _run(self) -> int:
        print("Preparing the made-up facility ...", flush=True)
        try:
            runs = write_facility(self.folder, self.environment)
            write_data(self.folder, self.environment / "bin" / "python", runs)
        except DemoDataFailed as error:
            raise DemoTrouble(str(error)) from error
        self._config()
        crashes: list[float] = []
        while True:
            self._start_hub()
            self._wait_until_it_answers()
            if not crashes:
                self._welcome()
            code = self.hub.wait() if self.hub else 0
            crashes = [at for at in crashes if time.monotonic() - at < 60] + [time.monotonic()]
            if len(crashes) >= _CRASHES:
                raise DemoTrouble(f"The hub ended {_CRASHES} times within a minute; see {self._log()}.")
            print(f"The hub ended (code {code}) and is started again; running notebooks go on.", flush=True)

    def _refuse_what_cannot_work(self) -> None:
        self.sandbox = _sandbox(self.state)
        free = shutil.disk_usage(self.folder).free
        if free < _SPACE:
            raise DemoTrouble(
                f"Only {free // 2**20} MB are free in {self.folder}; the demo wants {_SPACE // 2**20} MB."
            )
        if not os.access(self.folder, os.W_OK):
            raise DemoTrouble(f"{self.folder} cannot be written; give another folder with --dir.")
        with socket.socket() as probe_socket:
            probe_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe_socket.bind(("127.0.0.1", self.port))
            except OSError:
                raise DemoTrouble(
                    f"Port {self.port} is in use; give another with --port (make demo PORT=...)."
                ) from None

    def _config(self) -> None:
        """Inner ports stay the same as long as they are free: JupyterHub keeps some in its database."""
        path = self.folder / "jupyterhub_config.py"
        hub, proxy, portal = free_ports(3)
        path.write_text(
            CONFIG.format(
                facility=str(self.folder / "facility.yaml"),
                state=str(self.state),
                port=self.port,
                hub=hub,
                proxy=proxy,
                portal=portal,
                tether=os.getpid(),
            )
        )

    def _log(self) -> Path:
        return self.folder / "hub.log"

    def _start_hub(self) -> None:
        def prepare() -> None:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

        variables = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTERHUB_")}
        command = [sys.executable, "-m", "jupyterhub", "-f", str(self.folder / "jupyterhub_config.py")]
        with open(self._log(), "ab") as log:
            self.hub = subprocess.Popen(
                command,
                cwd=self.folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=prepare,
            )

    def _wait_until_it_answers(self) -> None:
        end = time.monotonic() + _BOOT
        while time.monotonic() < end:
            if self.hub is not None and self.hub.poll() is not None:
                raise DemoTrouble(f"The hub does not start: {last_words(self._log())} (all of it in {self._log()}).")
            try:
                with urllib.request.urlopen(f"{self.url}/hub/login", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise DemoTrouble(f"The hub did not answer within {_BOOT:.0f} seconds; see {self._log()}.")

    def _welcome(self) -> None:
        people = "\n".join(f"  {p['username']:<9} {p['name']:<20} {_role(p)}" for p in PEOPLE)
        print(
            f"""
VISA's demo is at  {self.url}

Log in with a user name and the password visa:
{people}

Try: log in as marie, "New instance", search "micelle", tick an experiment, Start.
In the notebook: run all cells; then try to write under /data.
{self.sandbox}
State, log and facility.yaml: {self.folder}
Ctrl-C ends the demo and every notebook in it; files are kept. --reset forgets them.
""",
            flush=True,
        )

    def _stop_hub(self) -> None:
        """End the hub, its proxy and portal, and every instance; nothing is left behind."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if self.hub is None:
            return
        print("\nEnding the demo ...", flush=True)
        if self.hub.poll() is None:
            self.hub.terminate()
            try:
                self.hub.wait(15)
            except subprocess.TimeoutExpired:
                self.hub.kill()
                self.hub.wait()
        end_all(self.state)
        print("Ended. Files are kept; the same command starts it again.", flush=True)


def _sandbox(state: Path) -> str:
    """What the sandbox can do on this machine, in words; raise `DemoTrouble` when there is none."""
    command = [sys.executable, "-m", "visa.hub.sandboxes.machine", str(state)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise DemoTrouble(last_line(done.stderr))
    return done.stdout.strip()


def _role(person: dict[str, object]) -> str:
    roles = person.get("roles") or ["instrument_scientist"]
    return ", ".join(str(role).replace("_", " ") for role in roles) if isinstance(roles, list) else ""


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody uses now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def last_words(log: Path) -> str:
    """The last line of the hub's log that says something."""
    return last_line(log.read_text(errors="replace"))


def last_line(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
