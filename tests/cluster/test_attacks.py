"""Attacks that would matter, made for real: as an administrator, as another gateway, and from inside a pod."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.services import cluster
from tests.services.cluster_hub import ClusterBackend
from tests.services.hub import until
from tests.services.release import Release

EVIL = r"""
import os, socket
path = os.environ["VISA_RUN"] + "/jupyter.sock"
os.unlink(path)
server = socket.socket(socket.AF_UNIX)
server.bind(path)
os.chmod(path, 0o666)
server.listen(20)
print("ready", flush=True)
cookies = ["jupyterhub-session-id=evil; Path=/", "JUPYTERHUB-hub-login=evil; Path=/hub/", "visa-session=evil",
           "=jupyterhub-hub-login=evil; Path=/", "own=1; Path=/hub/", "two=1; PATH =/", "three=1; Domain=.example.org"]
head = ["HTTP/1.1 200 OK", *(f"Set-Cookie: {cookie}" for cookie in cookies), "Clear-Site-Data: \"*\"",
        "Service-Worker-Allowed: /", "Strict-Transport-Security: max-age=99", "Content-Length: 2", "", "ok"]
while True:
    client, _ = server.accept()
    asked = client.recv(65536)
    open("/tmp/asked", "ab").write(asked)
    client.sendall("\r\n".join(head).encode())
    client.close()
"""


@pytest.fixture(scope="module")
def pods(release: Release) -> Iterator[dict[str, str]]:
    """Running instances of two people; their pods."""
    for username in ("marie", "lise"):
        release.remove(username)
    yield {username: release.start(username, "attacked") for username in ("marie", "lise")}
    for username in ("marie", "lise"):
        release.remove(username)


def own_token(release: Release, pod: str) -> str:
    """The token of an instance's own gateway, as an operator of the cluster could see it."""
    variables = "{.spec.containers[?(@.name=='gateway')].env}"
    known = json.loads(release.namespace.run("get", "pod", pod, "-o", f"jsonpath={variables}"))
    return next(str(found["value"]) for found in known if found["name"] == "JUPYTERHUB_API_TOKEN")


def opened(release: Release, token: str, path: str = "marie/attacked/api/contents") -> int:
    headers = {"Authorization": f"token {token}"}
    return httpx.get(f"{release.url}/user/{path}", headers=headers, timeout=30).status_code


@pytest.mark.parametrize("scopes", [None, ["access:servers!server=marie/attacked"]])
def test_an_administrator_makes_no_token_of_somebody_else(
    release: Release, pods: dict[str, str], scopes: list[str] | None
) -> None:
    with release.api(release.token("grace")) as grace:
        answer = grace.post("/users/marie/tokens", json={"scopes": scopes} if scopes else {})
        if answer.status_code == 201:
            made = answer.json()
            status = opened(release, made["token"])
            grace.delete(f"/users/marie/tokens/{made['id']}")
            pytest.fail(f"an administrator made a token of Marie's; her instance answers it with {status}")
    assert answer.status_code in (403, 404)
    assert opened(release, release.token("marie")) == 200


def test_an_administrator_does_not_become_somebody_else(release: Release, pods: dict[str, str]) -> None:
    """By a new name, in the place of a person who is away."""
    with release.api(release.token("grace")) as grace:
        answer = grace.patch("/users/grace", json={"name": "visa-nobody"})
        if answer.status_code == 200:
            grace.patch("/users/visa-nobody", json={"name": "grace"})
    assert answer.status_code in (400, 403, 404)


def test_an_administrator_sees_no_login_of_somebody_else(release: Release, pods: dict[str, str]) -> None:
    with release.api(release.token("grace")) as grace:
        shown = grace.get("/users/marie").json()
    assert not shown.get("auth_state"), sorted(shown["auth_state"])


def test_an_administrator_with_a_scope_for_the_instance_is_refused(release: Release, pods: dict[str, str]) -> None:
    with release.api(release.token("grace")) as grace:
        answer = grace.post("/users/grace/tokens", json={"scopes": ["access:servers!server=marie/attacked"]})
        if answer.status_code == 201:
            assert opened(release, answer.json()["token"]) == 403
            grace.delete(f"/users/grace/tokens/{answer.json()['id']}")


def test_reports_of_others_are_refused(release: Release, pods: dict[str, str]) -> None:
    address = f"{release.url}/hub/api/visa/gateways/marie/attacked"
    reports = ({"url": "https://10.1.2.3:8888"}, {"notice": "not from the gateway"})
    tokens = [own_token(release, pods["lise"]), *(release.token(name) for name in ("marie", "lise", "grace")), ""]
    for token in tokens:
        headers = {"Authorization": f"token {token}"} if token else {}
        assert [httpx.post(address, json=body, headers=headers, timeout=60).status_code for body in reports] == [
            403,
            403,
        ]
    late = httpx.post(
        address, json=reports[0], headers={"Authorization": f"token {own_token(release, pods['marie'])}"}, timeout=60
    )
    assert late.status_code == 403, "its start is over: no certificate any more"
    assert opened(release, own_token(release, pods["marie"]), "lise/attacked/api/contents") in (401, 403)


def test_a_notice_with_markup_is_text(release: Release, pods: dict[str, str]) -> None:
    address = f"{release.url}/hub/api/visa/gateways/marie/attacked"
    headers = {"Authorization": f"token {own_token(release, pods['marie'])}"}
    notice = "<img src=x onerror=alert(1)> {{7*7}}"
    assert httpx.post(address, json={"notice": notice}, headers=headers, timeout=60).status_code == 204
    with release.login("marie") as browser:
        page = browser.get("/services/visa/").text
    assert "&lt;img src=x onerror=alert(1)&gt; {{7*7}}" in page
    assert "<img src=x" not in page


def test_an_environment_in_jupyters_place_gets_no_secret_and_no_cookie_of_the_host(
    release: Release, pods: dict[str, str]
) -> None:
    pod, token = pods["lise"], release.token("lise")
    release.namespace.inside(pod, "sh", "-c", f"cat >/tmp/evil.py <<'END'\n{EVIL}\nEND")
    release.namespace.inside(pod, "sh", "-c", "nohup python3 /tmp/evil.py >/tmp/evil.log 2>&1 &")
    until(lambda: "ready" in release.namespace.inside(pod, "cat", "/tmp/evil.log"), 60, "the evil Jupyter")
    given = {
        "Authorization": f"token {token}",
        "Cookie": "jupyterhub-session-id=secret-1; jupyterhub-hub-login=secret-2; visa-session=secret-3; own=1",
        "X-Visa-Identity": "secret-4",
        "X_Visa_Identity": "secret-5",
        "Proxy-Authorization": "secret-6",
    }
    answer = httpx.get(f"{release.url}/user/lise/attacked/page?token=secret-7", headers=given, timeout=60)
    assert answer.text == "ok"
    prefix = "/user/lise/attacked/"
    kept = answer.headers.get_list("set-cookie")
    assert [cookie.partition("=")[0] for cookie in kept] == ["own", "two", "three"]
    assert all(cookie.split("Path=")[-1] == prefix and "omain" not in cookie for cookie in kept)
    assert not {"clear-site-data", "service-worker-allowed", "strict-transport-security"} & set(answer.headers)
    asked = release.namespace.inside(pod, "cat", "/tmp/asked")
    assert "own=1" in asked
    assert "secret-" not in asked
    assert token not in asked


def test_nothing_is_written_where_it_must_not_be(release: Release, pods: dict[str, str]) -> None:
    script = (
        "for place in /data/* /etc/visa /etc/passwd /opt /usr; do"
        ' (echo x >"$place/evil") 2>/dev/null && echo "$place"; (echo x >>"$place") 2>/dev/null && echo "$place"; done;'
        " unshare -Ur true 2>/dev/null && echo user namespace; mknod /tmp/block b 8 0 2>/dev/null && echo device;"
        " [ -e /var/run/secrets ] && echo secrets; env | grep -i -E 'token|jupyterhub_'; true"
    )
    assert release.namespace.inside(pods["marie"], "sh", "-c", script) == ""


@pytest.fixture(scope="module")
def linked() -> Iterator[cluster.Namespace]:
    """A storage on which somebody put links to another proposal in the place of folders."""
    with cluster.namespace("visa-linked") as made:
        made.script(
            "links",
            "cd /claims/raw/facility/d22/2025/p1; rm -r exp-2; ln -s ../../../id10/2024/p2/exp-3 exp-2;"
            " cat exp-2/run.txt;"
            " cd /claims/shared; rm -r p1; ln -s p2 p1; echo private >p2/private.txt",
        )
        yield made


@pytest.mark.parametrize(
    ("experiment", "file"), [("exp-2", "/data/exp-2/run.txt"), ("exp-1", "/shared/exp-1/private.txt")]
)
def test_a_link_in_a_folders_place_shows_nothing_of_another_experiment(
    linked: cluster.Namespace, tmp_path: Path, experiment: str, file: str
) -> None:
    """Kubernetes follows a link within a volume at the end of a subPath."""
    with ClusterBackend(linked).running(tmp_path) as hub, hub.api(hub.token("marie")) as marie:
        options = {"experiments": [experiment], "environment": "scattering", "flavour": "small"}
        marie.post("/users/marie/servers/linked", json=options)
        until(
            lambda: not marie.get("/users/marie").json()["servers"].get("linked", {}).get("pending"), 60, "an outcome"
        )
        for pod in linked.instances():
            shown = linked.inside(pod["metadata"]["name"], "sh", "-c", f"cat {file} 2>/dev/null || true")
            assert shown == ""
