"""VISA's desktop image in a pod: read-only, without rights, and silx view on a NeXus file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.services import cluster, facility
from tests.services.cluster_hub import ClusterBackend
from tests.services.hub import RunningHub, until
from visa.hub.pods.manifest import pod_name
from visa.identifiers import instance_id

WRITE = (
    "import h5py; file = h5py.File('/tmp/run.nxs', 'w'); group = file.create_group('entry');"
    "group.attrs['NX_class'] = 'NXentry'; group['counts'] = range(100)"
)
LISTENING = (
    "cat /proc/net/tcp /proc/net/tcp6 | while read -r n own other state rest; do [ $state != 0A ] || echo $own; done"
)
SESSION = "for p in /proc/[0-9]*; do [ \"$(cat $p/comm)\" = xfwm4 ] && tr '\\0' '\\n' <$p/environ; done"
GATEWAY_PORT = "22B8"
REACH = (Path(__file__).parents[1] / "services" / "reach.py").read_text()


class WithDesktop(ClusterBackend):
    """A facility whose environment `seen` has both kinds of session."""

    def facility(self, folder: Path) -> Path:
        """facility.yaml."""
        parts = cluster.parts()
        parts["environments"]["seen"] = {
            "title": "Seen",
            "sessions": ["desktop", "notebook"],
            "kubernetes": {"image": cluster.image("desktop")},
        }
        return facility.write(folder / "facility", **parts)


@pytest.fixture(scope="module")
def hub(namespace: cluster.Namespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with WithDesktop(namespace).running(tmp_path_factory.mktemp("desktop")) as made:
        yield made


@pytest.fixture(scope="module")
def pod(hub: RunningHub) -> Iterator[str]:
    """Of marie's desktop."""
    with hub.api(hub.token("marie")) as api:
        options = {"experiments": ["exp-1"], "environment": "seen", "flavour": "small", "session": "desktop"}
        answer = api.post("/users/marie/servers/seen", json=options)
        assert answer.status_code in (201, 202), answer.text
        until(lambda: _ready(api), 90, "the start")
        yield pod_name(instance_id("marie", "seen"))
        api.request("DELETE", "/users/marie/servers/seen", json={"remove": True})


def _ready(api: httpx.Client) -> bool:
    return bool(api.get("/users/marie").json()["servers"].get("seen", {}).get("ready"))


def inside(namespace: cluster.Namespace, pod: str, command: str) -> str:
    """What a command in the environment says."""
    return namespace.run("exec", pod, "-c", "environment", "--", "/bin/sh", "-c", command, check=False)


def on_the_desktop(namespace: cluster.Namespace, pod: str, command: str) -> str:
    """What a command says that has the session's variables."""
    wanted = "grep -E '^(DISPLAY|DBUS_SESSION_BUS_ADDRESS|XDG_[A-Z_]+)='"
    return inside(namespace, pod, f"env $({SESSION} | {wanted}) {command}")


def windows(namespace: cluster.Namespace, pod: str) -> str:
    """Names of the windows that are open."""
    return on_the_desktop(namespace, pod, "xwininfo -root -tree 2>&1")


def programs(namespace: cluster.Namespace, pod: str) -> str:
    """Command lines of all that runs there."""
    return inside(namespace, pod, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")


def test_xfce_runs_with_the_file_manager_on_the_experiment(namespace: cluster.Namespace, pod: str) -> None:
    until(
        lambda: "exp-1 - Thunar" in windows(namespace, pod),
        180,
        "the file manager, of an image read for the first time",
    )
    running = programs(namespace, pod)
    for program in ("Xvnc", "xfwm4", "xfce4-panel", "xfdesktop"):
        assert program in running, program
    assert inside(namespace, pod, "touch /usr/x /etc/x 2>&1").count("Read-only") == 2


def test_only_the_gateway_listens_and_reaches_the_socket(namespace: cluster.Namespace, pod: str) -> None:
    ports = [line.rpartition(":")[2] for line in inside(namespace, pod, LISTENING).split()]
    assert set(ports) == {GATEWAY_PORT}
    connect = "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/visa/desktop.sock'); print(s.recv(12))"
    said = namespace.run("exec", pod, "-c", "gateway", "--", "/opt/visa/bin/python", "-c", connect, check=False)
    assert "RFB 003.008" in said


def test_another_persons_pod_reaches_no_x_server(namespace: cluster.Namespace, pod: str, hub: RunningHub) -> None:
    address = namespace.run("get", "pod", pod, "-o", "jsonpath={.status.podIP}")
    own = json.loads(namespace.inside(pod, "python3", "-c", REACH, f"{address}:0"))
    assert "/run/visa/desktop.sock" in own, "it finds what there is"
    assert not [one for one in own if ":" in one], "no TCP port"
    with hub.api(hub.token("lise")) as api:
        options = {"experiments": ["exp-3"], "environment": "seen", "flavour": "small", "session": "notebook"}
        answer = api.post("/users/lise/servers/seen", json=options)
        assert answer.status_code in (201, 202), answer.text
        until(lambda: api.get("/users/lise").json()["servers"].get("seen", {}).get("ready"), 90, "the start")
        theirs = pod_name(instance_id("lise", "seen"))
        assert json.loads(namespace.inside(theirs, "python3", "-c", REACH, f"{address}:0")) == []
        api.request("DELETE", "/users/lise/servers/seen", json={"remove": True})


def test_a_nexus_file_opens_in_silx_view(namespace: cluster.Namespace, pod: str) -> None:
    assert inside(namespace, pod, f'python -c "{WRITE}" 2>&1') == ""
    # What a double click does; it goes on for as long as the viewer.
    on_the_desktop(namespace, pod, "xdg-open /tmp/run.nxs >/dev/null 2>&1 &")
    until(lambda: "Silx viewer" in windows(namespace, pod), 60, lambda: windows(namespace, pod))


def test_the_notebook_is_there_when_it_is_asked_for(namespace: cluster.Namespace, pod: str) -> None:
    assert "jupyter-lab" not in programs(namespace, pod)
    inside(namespace, pod, "echo notebook >/run/visa/ask")
    until(lambda: "yes" in inside(namespace, pod, "[ -S /run/visa/jupyter.sock ] && echo yes"), 60, "Jupyter")
    assert "Xvnc" in programs(namespace, pod)
