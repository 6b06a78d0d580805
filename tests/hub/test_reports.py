"""Where gateways report: what a real hub takes from whom, and which addresses it believes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tornado import web

from tests.services.hub import RunningHub
from visa.hub import settings
from visa.hub.gateways import Gateways, key_of
from visa.hub.pods.certificates import Authority, make_authority
from visa.hub.reports import GatewayHandler, _address
from visa.identifiers import instance_id

PATH = "/visa/gateways/marie/work"
URL = {"url": "http://10.1.2.3:8888"}


@pytest.fixture(scope="module")
def tokens(shared_hub: RunningHub) -> dict[str, str]:
    return {name: shared_hub.token(name) for name in ("marie", "lise", "grace")}


@pytest.fixture(scope="module")
def hub(shared_hub: RunningHub) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{shared_hub.url}/hub/api", timeout=30) as client:
        yield client


def post(hub: httpx.Client, token: str | None, path: str = PATH, **body: Any) -> httpx.Response:
    headers = {"Authorization": f"token {token}"} if token is not None else {}
    return hub.post(path, headers=headers, **body)


# with a hub


@pytest.mark.parametrize("who", ["marie", "lise", "grace", None])
@pytest.mark.parametrize("body", [URL, {"notice": "The memory was full."}])
def test_nobody_but_a_gateway_may_report(
    hub: httpx.Client, tokens: dict[str, str], who: str | None, body: dict[str, str], shared_hub: RunningHub
) -> None:
    """Not the owner, not another, not an administrator: nobody's gateway is expected here."""
    answer = post(hub, tokens[who] if who else None, json=body)
    assert answer.status_code == 403
    assert "certificate" not in answer.text
    assert not [e for e in shared_hub.store.audit(limit=500) if e.decision.action == "notice"]


@pytest.mark.parametrize("token", ["nonsense", "x" * 5000])
def test_a_token_that_is_none_opens_nothing(hub: httpx.Client, token: str) -> None:
    for body in (URL, {"notice": "x"}):
        assert post(hub, token, json=body).status_code in (403, 431)


def test_a_cookie_is_no_token(shared_hub: RunningHub) -> None:
    with shared_hub.login("marie") as browser:
        assert browser.post(f"/hub/api{PATH}", json=URL).status_code == 403
        assert browser.post(f"/hub/api{PATH}", json={"notice": "x"}).status_code == 403


@pytest.mark.parametrize("path", ["/visa/gateways/nobody/work", "/visa/gateways/marie/", "/visa/gateways/marie/a%2Fb"])
def test_names_of_nobody(hub: httpx.Client, tokens: dict[str, str], path: str) -> None:
    for body in (URL, {"notice": "x"}):
        assert post(hub, tokens["marie"], path, json=body).status_code in (403, 404)


def test_a_report_is_short(hub: httpx.Client, tokens: dict[str, str]) -> None:
    assert post(hub, tokens["marie"], content=b"x" * 4097).status_code == 413
    assert post(hub, tokens["marie"], json={"notice": "x" * 4097}).status_code == 413
    assert post(hub, tokens["marie"], json={"notice": "x" * 3000}).status_code == 403, "who asks comes first"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"1", b'"url"', b"\xff\xfe", b"[" * 4000, b'{"url": NaN', b"[" + b"[]," * 99]
)
def test_what_is_no_report_is_refused_in_order(hub: httpx.Client, tokens: dict[str, str], content: bytes) -> None:
    assert post(hub, tokens["marie"], content=content).status_code == 400


@pytest.mark.parametrize("body", [{}, {"url": None}, {"url": [1]}, {"notice": None}, {"notice": {"a": 1}}, {"x": 1}])
def test_wrong_types_are_no_way_round(hub: httpx.Client, tokens: dict[str, str], body: dict[str, Any]) -> None:
    assert post(hub, tokens["marie"], json=body).status_code == 403


def test_other_methods_are_not_there(hub: httpx.Client, tokens: dict[str, str]) -> None:
    for method in ("GET", "PUT", "DELETE"):
        headers = {"Authorization": f"token {tokens['marie']}"}
        assert hub.request(method, PATH, headers=headers).status_code == 405


# the handler on its own: what a real gateway gets


class Handler(GatewayHandler):
    """Without the request around it."""

    def __init__(self, token: str, body: dict[str, Any]) -> None:
        self.token, self.status = token, 200
        self.written: list[Any] = []
        self.request = SimpleNamespace(body=json.dumps(body).encode())

    def get_auth_token(self) -> str:
        return self.token

    def get_json_body(self) -> Any:
        return json.loads(self.request.body)

    def write(self, chunk: Any) -> None:
        self.written.append(chunk)

    def set_status(self, status_code: int, reason: str | None = None) -> None:
        self.status = status_code


class Store:
    """Remembers."""

    def __init__(self) -> None:
        self.noticed: list[tuple[str, str]] = []
        self.recorded: list[Any] = []

    def notice(self, identifier: str, text: str) -> None:
        self.noticed.append((identifier, text))

    def record(self, decision: Any) -> None:
        self.recorded.append(decision)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = SimpleNamespace(gateways=Gateways(), store=Store())
    monkeypatch.setattr(settings, "_settings", made)
    return made


MARIES = instance_id("marie", "work")


async def test_the_expected_gateway_is_taken(known: Any) -> None:
    url = known.gateways.expect(MARIES, "its own", None)
    handler = Handler("its own", URL)
    await handler.post("marie", "work")
    assert await url == URL["url"]
    assert handler.written == [{}], "no certificate where none is wanted"


async def test_the_gateway_gets_a_certificate_for_its_own_address(known: Any, tmp_path: Path) -> None:
    url = known.gateways.expect(MARIES, "its own", Authority(*make_authority(tmp_path)))
    with pytest.raises(web.HTTPError) as error:
        await Handler("its own", URL).post("marie", "work")
    assert error.value.status_code == 400, "it has to speak TLS"
    assert not url.done()
    handler = Handler("its own", {"url": "https://[fd00::1]:8888"})
    await handler.post("marie", "work")
    assert await url == "https://[fd00::1]:8888"
    (answer,) = handler.written
    assert answer["certificate"].startswith("-----BEGIN CERTIFICATE-----")
    assert "PRIVATE KEY" in answer["key"]


async def test_another_instances_token_is_refused_although_that_one_is_expected_too(known: Any) -> None:
    known.gateways.expect(MARIES, "its own", None)
    other = known.gateways.expect(instance_id("lise", "work"), "hers", None)
    for token, owner in (("hers", "marie"), ("its own", "lise")):
        with pytest.raises(web.HTTPError) as error:
            await Handler(token, URL).post(owner, "work")
        assert error.value.status_code == 403
    assert not other.done()


async def test_a_second_report_changes_nothing(known: Any) -> None:
    """The answer to the first may have been lost."""
    url = known.gateways.expect(MARIES, "its own", None)
    await Handler("its own", URL).post("marie", "work")
    await Handler("its own", {"url": "http://10.9.9.9:1"}).post("marie", "work")
    assert await url == URL["url"]


class Again(Handler):
    """Of an instance that runs at ``server``."""

    def __init__(self, token: str, body: dict[str, Any], server: Any, authority: Any = None) -> None:
        super().__init__(token, body)
        self.spawner = SimpleNamespace(server=server, gateway_authority=lambda: authority)

    def running(self, owner: str, name: str) -> Any:
        return self.spawner


AT = SimpleNamespace(ip="10.1.2.3", port=8888)


async def test_a_gateway_that_was_started_again_is_the_same_instances(known: Any, tmp_path: Path) -> None:
    known.gateways.know(MARIES, key_of("its own"))
    handler = Again("its own", URL, AT)
    await handler.post("marie", "work")
    assert handler.written == [{}]
    authority = Authority(*make_authority(tmp_path))
    handler = Again("its own", {"url": "https://10.1.2.3:8888"}, AT, authority)
    await handler.post("marie", "work")
    assert handler.written[0]["certificate"].startswith("-----BEGIN CERTIFICATE-----")
    six = SimpleNamespace(ip="fd00::1", port=8888)
    await Again("its own", {"url": "https://[fd00:0::1]:8888"}, six, authority).post("marie", "work")


@pytest.mark.parametrize(
    ("token", "url", "server"),
    [
        ("another's", URL["url"], AT),
        ("its own", "http://10.1.2.4:8888", AT),
        ("its own", "http://10.1.2.3:8889", AT),
        ("its own", URL["url"], None),
        ("its own", URL["url"], SimpleNamespace(ip="pod.example.org", port=8888)),
    ],
)
async def test_a_gateway_leads_nobody_elsewhere(known: Any, token: str, url: str, server: Any) -> None:
    known.gateways.know(MARIES, key_of("its own"))
    handler = Again(token, {"url": url}, server)
    with pytest.raises(web.HTTPError) as error:
        await handler.post("marie", "work")
    assert error.value.status_code == 403
    assert handler.written == []


async def test_a_notice_is_kept_and_recorded(known: Any) -> None:
    known.gateways.know(MARIES, key_of("its own"))
    handler = Handler("its own", {"notice": "The memory was full."})
    await handler.post("marie", "work")
    assert handler.status == 204
    assert known.store.noticed == [(MARIES, "The memory was full.")]
    (decision,) = known.store.recorded
    assert (decision.action, decision.detail) == ("notice", {"why": "The memory was full."})


@pytest.mark.parametrize(
    "notice", ["", "x" * 301, "two\nlines", "\x1b[2J", "left\u202eright", None, 1, ["x"], {"a": "b"}, True]
)
async def test_a_notice_is_a_line_of_text(known: Any, notice: Any) -> None:
    known.gateways.know(MARIES, key_of("its own"))
    with pytest.raises(web.HTTPError) as error:
        await Handler("its own", {"notice": notice}).post("marie", "work")
    assert error.value.status_code == 400
    assert known.store.noticed == []


@pytest.mark.parametrize(("owner", "name", "token"), [
    ("marie", "work", "another"), ("marie", "work", ""), ("marie", "other", "its own"), ("lise", "work", "its own"),
])  # fmt: skip
async def test_a_notice_comes_from_the_instance_itself(known: Any, owner: str, name: str, token: str) -> None:
    known.gateways.know(MARIES, key_of("its own"))
    with pytest.raises(web.HTTPError) as error:
        await Handler(token, {"notice": "x"}).post(owner, name)
    assert error.value.status_code == 403
    assert known.store.noticed == []


async def test_an_instance_that_does_not_run_has_no_token(known: Any) -> None:
    known.gateways.know(MARIES, key_of("its own"))
    known.gateways.know(MARIES, "")
    for token in ("", "its own"):
        with pytest.raises(web.HTTPError) as error:
            await Handler(token, {"notice": "x"}).post("marie", "work")
        assert error.value.status_code == 403


# addresses


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://10.1.2.3:8888", "10.1.2.3"),
        ("http://10.1.2.3:8888/", "10.1.2.3"),
        ("http://[fd00::1]:8888", "fd00::1"),
        ("http://[FD00:0::1]:1", "fd00::1"),
        ("http://192.168.0.1:65535", "192.168.0.1"),
    ],
)
def test_an_address_of_a_pod_is_taken(url: str, address: str) -> None:
    assert str(_address(url, "http")[0]) == address


REFUSED = [
    None,
    1,
    [],
    {},
    "",
    "10.1.2.3:8888",
    "http://10.1.2.3",
    "http://10.1.2.3:",
    "http://10.1.2.3:99999",
    "http://10.1.2.3:x",
    "http://:8888",
    "https://10.1.2.3:8888",
    "ftp://10.1.2.3:8888",
    "unix+http://10.1.2.3:8888",
    "http://127.0.0.1:8888",
    "http://127.9.9.9:8888",
    "http://[::1]:8888",
    "http://169.254.169.254:80",
    "http://[fe80::1]:8888",
    "http://[fe80::1%25eth0]:8888",
    "http://224.0.0.1:8888",
    "http://0.0.0.0:8888",
    "http://[::]:8888",
    "http://localhost:8888",
    "http://hub:8081",
    "http://2130706433:8888",
    "http://0x7f.1:8888",
    "http://127.1:8888",
    "http://marie@10.1.2.3:8888",
    "http://marie:secret@10.1.2.3:8888",
    "http://@10.1.2.3:8888",
    "http://10.1.2.3:8888/hub/api",
    "http://10.1.2.3:8888/?x=1",
    "http://10.1.2.3:8888#x",
    "http://10.1.2.3:8888" + "/" * 200,
]


@pytest.mark.parametrize("url", REFUSED)
def test_anything_else_is_refused(url: Any) -> None:
    with pytest.raises(web.HTTPError) as error:
        _address(url, "http")
    assert error.value.status_code == 400


CRAFTY = [
    ("http://[::ffff:127.0.0.1]:8888", "loopback, mapped into IPv6"),
    ("http://[::ffff:169.254.169.254]:80", "link-local, mapped into IPv6"),
    ("http://[fd00::1%25eth0]:8888", "a zone"),
    ("http://10.1.2.3:0", "no port"),
    ("http://10.1.2.3:8888?", "an empty query"),
    ("http://10.1.2.3:8888\n", "white space"),
    ("ht\ttp://10.1.2.3:8888", "white space"),
    (" http://10.1.2.3:8888", "white space"),
    ("http://[10.1.2.3:8888", "no address"),
    ("http://[nonsense]:8888", "no address"),
]


@pytest.mark.parametrize(("url", "what"), CRAFTY)
def test_what_looks_like_an_address_is_refused_too(url: str, what: str) -> None:
    with pytest.raises(web.HTTPError) as error:
        _address(url, "http")
    assert error.value.status_code == 400


@example("http://[")
@given(
    st.one_of(st.text(), st.text().map(lambda text: f"http://{text}"), st.text().map(lambda t: f"http://1.2.3.4:{t}"))
)
def test_whatever_is_taken_is_the_address_of_a_pod(url: str) -> None:
    try:
        taken, _port = _address(url, "http")
    except web.HTTPError:
        return
    assert not any((taken.is_loopback, taken.is_link_local, taken.is_multicast, taken.is_unspecified))
    assert url.isprintable()
