"""A real JupyterHub with VISA's defaults, as a process of its own on free ports and in a folder of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Self

import httpx

from tests.services import facility
from tests.services.kernel import Kernel
from tests.services.waiting import until
from visa.addresses import Origins
from visa.cli.demo.leftovers import end_all, of
from visa.cli.demo.runner import free_ports
from visa.identifiers import instance_id
from visa.processes import arguments
from visa.store.store import Store

CONFIG = """\
from visa.hub.defaults import configure
configure(c, facility={facility!r}, state={state!r}, store_url={store!r}, bind_url="http://127.0.0.1:{public}",
          hub_port={hub}, proxy_port={proxy}, portal_port={portal}, authenticator={authenticator!r},
          look_every={look_every}, spawner={spawner!r}, public_url={public_url!r}, instances={instances!r})
c.VisaSandboxSpawner.tether_pid = {tether}
{extra}
"""


class Browser(httpx.Client):
    """Cookies and redirects, as a browser keeps them; may be entered after it was used."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"timeout": 60, **settings})
        self.event_hooks["response"].append(self._loopback_is_secure)

    def _loopback_is_secure(self, response: httpx.Response) -> None:
        """Browsers send cookies marked Secure to 127.0.0.1; Python's cookie jar would not."""
        for cookie in self.cookies.jar:
            cookie.secure = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def page_headers(browser: httpx.Client) -> dict[str, str]:
    """What scripts of the portal's pages send: the token that stands in the page where ``browser`` is logged in."""

    def token() -> str:
        found = re.search(r'name="visa-page" content="([0-9a-f]{64})"', browser.get("/services/visa/").text)
        return found[1] if found else ""

    shown = until(token, 60, "a page of the portal, which may come up after the hub,")
    return {"Origin": str(browser.base_url).rstrip("/"), "X-Visa-Request": "1", "X-Visa-Page": shown}


def log_out(browser: httpx.Client, **settings: Any) -> httpx.Response:
    """The answer to the button of the hub's page."""
    asked = browser.get("/hub/logout", headers={"Accept": "text/html"}, follow_redirects=True)
    found = re.search(r'name="_xsrf" value="([^"]+)"', asked.text)
    assert found, asked.text[:500]
    return browser.post("/hub/logout", data={"_xsrf": found[1]}, **settings)


class Site:
    """What people and programs see of a hub and the portal beside it, at ``url``."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.portal = f"{url}/services/visa/"

    def login(self, username: str, password: str = "visa") -> Browser:
        """A browser's worth of cookies for a demo person."""
        client = Browser(base_url=self.url, follow_redirects=True, timeout=40)
        page = client.get("/hub/login")
        found = re.search(r'name="_xsrf" value="([^"]+)"', page.text)
        assert found, page.text[:500]
        answer = client.post(
            "/hub/login?next=/hub/token", data={"username": username, "password": password, "_xsrf": found[1]}
        )
        assert answer.status_code == 200, (answer.status_code, answer.text[:500])
        return client

    def token(self, username: str, **body: Any) -> str:
        """A hub token of hers."""
        raise TypeError("each kind of site makes its own")

    def api(self, token: str) -> httpx.Client:
        """The hub's REST API with a token."""
        return httpx.Client(base_url=f"{self.url}/hub/api", headers={"Authorization": f"token {token}"}, timeout=60)

    def rest(self, token: str) -> httpx.Client:
        """VISA's REST API with a token."""
        return httpx.Client(base_url=f"{self.portal}api/v1/", headers={"Authorization": f"token {token}"}, timeout=60)


def made_token(site: Site, username: str, **body: Any) -> str:
    """A hub token of a demo person's, made as her browser makes one."""
    with site.login(username) as client:
        xsrf = next(c.value for c in client.cookies.jar if c.name == "_xsrf" and c.path == "/hub/")
        answer = client.post(
            f"/hub/api/users/{username}/tokens", json={"note": "test", **body}, headers={"X-XSRFToken": xsrf or ""}
        )
        assert answer.status_code == 201, answer.text
        return str(answer.json()["token"])


def below(pid: int, word: str) -> int | None:
    """The process below ``pid`` that runs with ``word`` among its arguments, and not only passes them on."""
    left = [pid]
    while left:
        one = left.pop()
        words = arguments(one)
        if word in words and os.path.basename(words[0]).startswith("python"):
            return one
        for tasks in Path(f"/proc/{one}/task").glob("*/children"):
            left += map(int, tasks.read_text().split())
    return None


class RunningHub(Site):
    """One hub. `start` may be called again after `kill`."""

    spawner = "visa-sandbox"
    spawner_class = "visa.hub.sandbox.VisaSandboxSpawner"

    def __init__(
        self,
        folder: Path,
        facility_file: Path,
        *,
        store_url: str | None = None,
        authenticator: str = "visa-demo",
        extra: str = "",
        variables: dict[str, str] | None = None,
        look_every: float = 60.0,
        own_origins: bool = False,
    ) -> None:
        """``own_origins``: each instance has a host of its own, else all share the hub's."""
        self.folder, self.facility = folder, facility_file
        self.state = (folder / "state").resolve()
        folder.mkdir(parents=True, exist_ok=True)
        public, hub, proxy, portal = free_ports(4)
        self.hub_port = hub
        super().__init__(f"http://127.0.0.1:{public}")
        self.log = folder / "hub.log"
        self.config = folder / "jupyterhub_config.py"
        self.variables = variables or {}
        self.config.write_text(
            CONFIG.format(
                facility=str(facility_file),
                state=str(self.state),
                store=store_url,
                public=public,
                hub=hub,
                proxy=proxy,
                portal=portal,
                authenticator=authenticator,
                tether=os.getpid(),
                spawner=self.spawner,
                extra=self.backend() + extra,
                look_every=look_every,
                public_url=self.url if own_origins else "",
                instances=f"http://*.localhost:{public}" if own_origins else "",
            )
        )
        self.origins = Origins.read(f"http://*.localhost:{public}" if own_origins else "")
        self.store_url = store_url or f"sqlite:///{self.state / 'visa.sqlite'}"
        self.process: subprocess.Popen[bytes] | None = None

    def see_instances_at(self, public: str, instances: str) -> None:
        """As jupyterhub_config.py says it from the next start on; empty: on the hub's host."""
        settings = f"public_url={public!r}, instances={instances!r})"
        self.config.write_text(re.sub(r"public_url=.*?, instances=.*?\)", lambda _: settings, self.config.read_text()))
        self.origins = Origins.read(instances)

    def backend(self) -> str:
        """What jupyterhub_config.py says of the backend."""
        return ""

    def end_gateway(self, owner: str, name: str) -> None:
        """SIGKILL to the gateway of an instance, once there is one; what started it is left alone."""
        run = self.state / "instances" / instance_id(owner, name)
        (supervisor,) = [pid for pid in self.processes() if str(run) in arguments(pid)]
        gateway = until(lambda: below(supervisor, "visa.session"), 60, "a gateway")
        os.kill(gateway, signal.SIGKILL)

    def alive(self) -> set[str]:
        """Ids of instances of which something runs."""
        folder = self.state / "instances"
        return {Path(a).name for pid in self.processes() for a in arguments(pid) if Path(a).parent == folder}

    @property
    def store(self) -> Store:
        """A look into the hub's store."""
        return Store(self.store_url)

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it serves its login page."""
        variables = {k: v for k, v in os.environ.items() if not k.startswith("JUPYTERHUB_")}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "-f", str(self.config)],
                cwd=self.folder,
                env={**variables, **self.variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if wait:
            self.wait()

    def wait(self, seconds: float = 120) -> None:
        """Until hub and portal answer."""
        assert self.process is not None
        until(self.is_up, seconds, lambda: f"the hub's answer ({self.tail()})", self.process)

    def is_up(self) -> bool:
        """Whether hub and portal answer and the hub says that it runs."""
        if "is now running" not in self.tail(200_000):
            return False  # not asked before: who asks all the time keeps it from its start
        try:
            pages = [httpx.get(address, timeout=5) for address in self.answering()]
        except httpx.HTTPError:
            return False
        return all(page.status_code == 200 for page in pages)

    def answering(self) -> list[str]:
        """Addresses that answer when it is up."""
        return [f"{self.url}/hub/health", f"{self.portal}accent.css"]

    def tail(self, length: int = 3000) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-length:] if self.log.exists() else ""

    def kill(self) -> None:
        """SIGKILL: no time to clean up."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End it in order; instances and proxy go on."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()

    def processes(self) -> list[int]:
        """Everything that was started for this hub's state folder."""
        return [process.pid for process in of(self.state)]

    def end(self) -> None:
        """End it and everything that it started."""
        self.stop()
        end_all(self.state)

    def token(self, username: str, **body: Any) -> str:
        """A hub token of hers."""
        return made_token(self, username, **body)


@contextmanager
def started(hub: RunningHub) -> Iterator[RunningHub]:
    """``hub`` runs for the length of the block."""
    try:
        hub.start()
        yield hub
    finally:
        hub.end()


class Backend:
    """Where hubs of tests start their instances: on this machine. The same tests run on `tests.cluster`'s too."""

    hub: type[RunningHub] = RunningHub

    def __init__(self, prefix: Path) -> None:
        self._prefix = prefix

    def facility(self, folder: Path) -> Path:
        """facility.yaml of the test facility."""
        return facility.write(folder / "facility", self._prefix)

    def running(self, folder: Path, **settings: Any) -> AbstractContextManager[RunningHub]:
        """A hub on the test facility for the length of a block."""
        return started(self.hub(folder, self.facility(folder), **settings))


def run_in(hub: RunningHub, token: str, path: str, code: str, seconds: float = 60.0) -> str:
    """Run Python in a new kernel of the instance at ``path`` (``user/name``); what it printed."""
    kernel = Kernel.begin(f"{hub.url}/user/{path}/", {"Authorization": f"token {token}"})
    printed = kernel.run(code, seconds)
    kernel.end()
    return printed
