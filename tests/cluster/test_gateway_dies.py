"""A gateway dies in the release: the kubelet starts it again and its session goes on, unless a program of the person's

is at its port first (both containers share the pod's network): that gets nothing, and the instance ends.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.services.hub import until
from tests.services.kernel import Kernel
from tests.services.release import Release

IMPOSTER = """
import http.server, socket, socketserver, ssl, subprocess, sys, threading, time
tls = sys.argv[1] == "tls"
if tls:
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "/tmp/k", "-out", "/tmp/c",
                    "-days", "2", "-subj", "/CN=gateway", "-addext", f"subjectAltName=IP:{sys.argv[2]}"], check=True)
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        open("/tmp/stolen", "a").write(str(self.headers))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"imposter")
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
print("ready", flush=True)
while True:
    try:
        server = Server(("0.0.0.0", 8888), Answer)
    except OSError:
        continue
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain("/tmp/c", "/tmp/k")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    open("/tmp/bound", "w").write("bound")
    print("bound", flush=True)
    server.serve_forever()
"""


@pytest.fixture(params=["plain", "tls"])
def instance(request: pytest.FixtureRequest, release: Release) -> Iterator[tuple[str, str]]:
    """An instance of Marie's whose environment waits for the gateway's port; its pod, and the kind of imposter."""
    release.remove("marie")
    pod = release.start("marie", "dies")
    yield pod, str(request.param)
    release.remove("marie")


def test_an_imposter_gets_nothing_and_the_instance_ends(release: Release, instance: tuple[str, str]) -> None:
    pod, kind = instance
    namespace, token = release.namespace, release.token("marie")
    address = namespace.run("get", "pod", pod, "-o", "jsonpath={.status.podIP}")
    namespace.inside(pod, "sh", "-c", f"cat >/tmp/imposter.py <<'END'\n{IMPOSTER}\nEND")
    command = f"nohup python3 /tmp/imposter.py {kind} {address} >/tmp/imposter.log 2>&1 &"
    namespace.inside(pod, "sh", "-c", command)
    until(lambda: "ready" in namespace.inside(pod, "cat", "/tmp/imposter.log"), 60, "the imposter")

    answers: list[tuple[int, str]] = []
    over = threading.Event()

    def ask() -> None:
        with httpx.Client(headers={"Authorization": f"token {token}"}, timeout=5) as client:
            while not over.is_set():
                try:
                    answer = client.get(f"{release.url}/user/marie/dies/api/status")
                    answers.append((answer.status_code, answer.text))
                except httpx.HTTPError as error:
                    answers.append((0, str(error)))

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        until(lambda: any(status == 200 for status, _ in answers), 60, "an answer")
        watching = threading.Thread(target=_end_gateway, args=(release, pod))
        watching.start()
        with release.api(token) as api:
            until(lambda: "dies" not in api.get("/users/marie").json()["servers"], 30, "the end")
        watching.join()
        heard = len(answers)
        until(lambda: len(answers) > heard + 10, 60, "answers after the end")
    finally:
        over.set()
        asking.join()
    assert not any("imposter" in text for _, text in answers)
    with release.rest(token) as rest:
        (mine,) = [found for found in rest.get("instances").json() if found["name"] == "dies"]
    assert mine["state"] == "failed"
    assert "taken the gateway's port" in mine["reason"]


def test_a_session_goes_on_with_its_certificate_renewed(release: Release) -> None:
    release.remove("marie")
    pod, token = release.start("marie", "lives"), release.token("marie")
    kernel = Kernel.begin(f"{release.url}/user/marie/lives/", {"Authorization": f"token {token}"})
    kernel.run("kept = 6 * 7")
    _end_gateway(release, pod)
    until(lambda: _restarts(release, pod)["gateway"] == 1, 60, "the kubelet's restart")
    assert kernel.run_once_back("print(kept)") == "42\n"
    assert _restarts(release, pod) == {"gateway": 1, "environment": 0}
    with release.rest(token) as rest:
        (mine,) = [found for found in rest.get("instances").json() if found["name"] == "lives"]
    assert mine["state"] == "running"
    release.remove("marie")


def test_an_environment_that_ends_is_not_begun_again(release: Release) -> None:
    release.remove("marie")
    pod, token = release.start("marie", "ends"), release.token("marie")
    Kernel.begin(f"{release.url}/user/marie/ends/", {"Authorization": f"token {token}"})
    script = "kill -SEGV $(cat /tmp/jupyter-runtime/jpserver-*.json | sed -n 's/.*\"pid\": \\([0-9]*\\).*/\\1/p')"
    release.namespace.inside(pod, "sh", "-c", script, check=False)
    with release.rest(token) as rest:

        def ended() -> dict[str, str] | None:
            (mine,) = [found for found in rest.get("instances").json() if found["name"] == "ends"]
            return mine if mine["state"] == "failed" else None

        assert "The session ended" in until(ended, 60, "the end")["reason"]
    until(lambda: pod not in {one["metadata"]["name"] for one in release.namespace.instances()}, 60, "the pod's end")
    release.remove("marie")


def _restarts(release: Release, pod: str) -> dict[str, int]:
    (found,) = [one for one in release.namespace.instances() if one["metadata"]["name"] == pod]
    return {one["name"]: one["restartCount"] for one in found["status"]["containerStatuses"]}


def _end_gateway(release: Release, pod: str) -> None:
    code = "import os, signal; os.kill(1, signal.SIGTERM)"
    release.namespace.inside(pod, "/opt/visa/bin/python", "-c", code, container="gateway", check=False)
