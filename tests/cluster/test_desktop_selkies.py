"""VISA's desktop image with Selkies in a pod: its video through proxy and gateway, and no port of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import websockets.sync.client as websockets
from websockets.exceptions import ConnectionClosed

from tests.cluster.test_desktop import GATEWAY_PORT, LISTENING, inside, programs
from tests.services import cluster, facility
from tests.services.cluster_hub import ClusterBackend
from tests.services.hub import RunningHub, until
from visa.hub.pods.manifest import pod_name
from visa.identifiers import instance_id


class WithVideo(ClusterBackend):
    """A facility whose environment `seen` shows its desktop by Selkies."""

    def facility(self, folder: Path) -> Path:
        """facility.yaml."""
        parts = cluster.parts()
        parts["environments"]["seen"] = {
            "title": "Seen",
            "sessions": ["desktop"],
            "desktop": "selkies",
            "kubernetes": {"image": cluster.image("desktop-selkies")},
        }
        return facility.write(folder / "facility", **parts)


@pytest.fixture(scope="module")
def hub(namespace: cluster.Namespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with WithVideo(namespace).running(tmp_path_factory.mktemp("video")) as made:
        yield made


@pytest.fixture(scope="module")
def video(hub: RunningHub, namespace: cluster.Namespace) -> Iterator[str]:
    """Address of marie's desktop, once Selkies takes connections."""
    token = hub.token("marie")
    with hub.api(token) as api:
        options = {"experiments": ["exp-1"], "environment": "seen", "flavour": "small", "session": "desktop"}
        answer = api.post("/users/marie/servers/video", json=options)
        assert answer.status_code in (201, 202), answer.text
        address = f"{hub.url}/user/marie/video/desktop/"
        shows = lambda: _state(address, token).get("video")  # noqa: E731
        until(shows, 90, lambda: f"the video: {_state(address, token)} {namespace.run('get', 'pods')}")
        yield address
        api.request("DELETE", "/users/marie/servers/video", json={"remove": True})


def _state(address: str, token: str) -> dict[str, object]:
    answer = httpx.get(f"{address}state", headers={"Authorization": f"token {token}"}, timeout=30)
    told: dict[str, object] = answer.json() if answer.status_code == 200 else {}
    return told


def test_pictures_and_another_size_come_through_the_gateway(hub: RunningHub, video: str) -> None:
    headers = {"Authorization": f"token {hub.token('marie')}"}
    address = video.replace("http", "ws", 1) + "selkies"
    with websockets.connect(address, additional_headers=headers, max_size=None) as socket:
        first = _until(socket, lambda message: isinstance(message, bytes))
        assert isinstance(first, bytes)
        assert first[:2] == b"\x04\x11"  # H.264 that needs no picture before it
        socket.send("r,1000x704")
        wanted = {"type": "stream_resolution", "width": 1000, "height": 704}
        _until(socket, lambda message: isinstance(message, str) and message == json.dumps(wanted))
        picture = _until(
            socket, lambda message: isinstance(message, bytes) and message[6:8] == (1000).to_bytes(2, "big")
        )
        assert picture
        socket.send("cmd,xterm")
        with pytest.raises(ConnectionClosed):
            _until(socket, lambda message: False)


def _until(socket: websockets.ClientConnection, wanted: Callable[[str | bytes], bool]) -> str | bytes:
    while True:
        message = socket.recv(timeout=30)
        if isinstance(message, bytes):
            socket.send(f"CLIENT_FRAME_ACK {int.from_bytes(message[2:4], 'big')}")
        if wanted(message):
            return message


def test_only_the_gateway_listens(namespace: cluster.Namespace, video: str) -> None:
    pod = pod_name(instance_id("marie", "video"))
    assert "--unix-socket /run/visa/selkies.sock" in programs(namespace, pod)
    ports = [line.rpartition(":")[2] for line in inside(namespace, pod, LISTENING).split()]
    assert set(ports) == {GATEWAY_PORT}
