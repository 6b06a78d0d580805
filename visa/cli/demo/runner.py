"""Runs the demo: data, hub, and the end of everything that was started.

The hub is a child that dies with this process; instances are tied to this process by its pid
(`VisaSandboxSpawner.tether_pid`); what remains, the proxy, is ended by the keeper. So nothing outlives the demo,
however it ends. A hub that crashes is started again, and finds its instances.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from visa.cli.demo import keeper
from visa.cli.demo.facility.people import PEOPLE
from visa.cli.demo.facility.write import DemoDataFailed, write_data, write_facility
from visa.cli.demo.hub import Hub, last_line
from visa.cli.demo.leftovers import end_all
from visa.cli.demo.terminal import Ending, say
from visa.cli.demo.trouble import DemoTrouble
from visa.clock import elapsed
from visa.facility.load import load
from visa.facility.problems import FacilityProblems

_SPACE = 500 * 2**20  # bytes that the demo wants free
_CRASHES = 5  # within a minute, then the demo gives up
_PAUSE = 0.5  # seconds before the second start of a hub; twice as long before every further one

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
    public_url={public!r},
    instances={instances!r},
)
c.VisaSandboxSpawner.tether_pid = {tether}
"""


class Demo:
    """One run of the demo, in a folder that it holds by ``lock``."""

    def __init__(
        self, folder: Path, port: int, environment: Path, lock: int, ending: Ending, *, one_host: bool = False
    ) -> None:
        self.folder, self.port, self.environment, self.lock, self.ending = folder, port, environment, lock, ending
        self.one_host = one_host
        self.state = folder / "state"
        self.sandbox = ""
        self.hub = Hub(folder, self.url)

    @property
    def url(self) -> str:
        """Where it is; an address, not ``localhost``: no name below that can set a cookie for it."""
        return f"http://127.0.0.1:{self.port}"

    def run(self) -> int:
        """Until Ctrl-C or SIGTERM: 0. Raise `DemoTrouble` when it cannot run, or no longer."""
        self._refuse_what_cannot_work()
        guard = keeper.start(self.folder, self.lock)
        try:
            self._prepare()
            self._supervise()
        except KeyboardInterrupt:
            say("\nEnding the demo ...")
        finally:
            self.ending.begins()
            self.hub.end()
            end_all(self.folder)
            keeper.dismiss(guard)
        say("Ended. Files are kept; the same command starts it again.")
        return 0

    def _refuse_what_cannot_work(self) -> None:
        free = shutil.disk_usage(self.folder).free
        if free < _SPACE:
            raise DemoTrouble(
                f"Only {free // 2**20} MB are free in {self.folder}; the demo wants {_SPACE // 2**20} MB."
            )
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", self.port))
            except OSError:
                raise DemoTrouble(
                    f"Port {self.port} is in use; give another with --port (make demo PORT=...)."
                ) from None
        self.sandbox = _sandbox(self.state)

    def _prepare(self) -> None:
        say("Preparing the made-up facility ...")
        try:
            runs = write_facility(self.folder, self.environment)
            self._check_facility()
            write_data(self.folder, self.environment / "bin" / "python", runs)
        except DemoDataFailed as error:
            raise DemoTrouble(str(error)) from error
        self._config()

    def _check_facility(self) -> None:
        """A former demo's facility.yaml may have been edited, or speak of an environment that was moved."""
        path = self.folder / "facility.yaml"
        try:
            facility = load(path)
        except FacilityProblems as error:
            raise DemoTrouble(
                f"{error.problems[0]} ({len(error.problems)} mistake(s) in all: visa check {path})."
            ) from error
        for environment in facility.environments.values():
            prefix = Path(environment.local.prefix) if environment.local else self.environment
            if not (prefix / "bin" / "jupyter-lab").exists():
                raise DemoTrouble(
                    f"{path} names an environment that is not there, {prefix}: write {self.environment} there, "
                    "or start anew with --reset."
                )

    def _config(self) -> None:
        inner = [self.port]
        while self.port in inner:
            inner = free_ports(3)
        (self.folder / "jupyterhub_config.py").write_text(
            CONFIG.format(
                facility=str(self.folder / "facility.yaml"),
                state=str(self.state),
                port=self.port,
                hub=inner[0],
                proxy=inner[1],
                portal=inner[2],
                tether=os.getpid(),
                # Browsers lead all names below localhost to this machine, and keep each from setting another's cookies.
                public="" if self.one_host else self.url,
                instances="" if self.one_host else f"http://*.localhost:{self.port}",
            )
        )

    def _supervise(self) -> None:
        """Keep a hub running; raise `DemoTrouble` when the first does not start, or when too many end."""
        self.hub.start()
        self.hub.wait_until_it_answers()
        self._welcome()
        crashes: list[float] = []
        while True:
            code = self.hub.wait()
            crashes = [at for at in crashes if elapsed() - at < 60] + [elapsed()]
            if len(crashes) >= _CRASHES:
                raise DemoTrouble(
                    f"The hub ended {_CRASHES} times within a minute, last with: {self.hub.last_words()} "
                    f"(all of it in {self.hub.log})."
                )
            say(f"The hub ended (code {code}) and is started again; running notebooks go on.")
            time.sleep(_PAUSE * 2 ** (len(crashes) - 1))
            self.hub.start()

    def _welcome(self) -> None:
        people = "\n".join(f"  {p['username']:<9} {p['name']:<20} {_role(p)}" for p in PEOPLE)
        say(
            f"""
VISA's demo is at  {self.url}

Log in with a user name and the password visa:
{people}

Try: log in as marie, "New instance", search "micelle", tick an experiment, Start.
In the notebook: run all cells; then try to write under /data.
{self.sandbox}
State, log and facility.yaml: {self.folder}
Ctrl-C ends the demo and every notebook in it; files are kept. --reset forgets them.
"""
        )


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
    """Ports on loopback that nobody uses now, and that this process did not give out before."""
    sockets: list[socket.socket] = []
    found: list[int] = []
    try:
        while len(found) < count:
            one = socket.socket()
            sockets.append(one)
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
            if port not in _given:
                found.append(port)
    finally:
        for one in sockets:
            one.close()
    _given.update(found)
    return found


_given: set[int] = set()
