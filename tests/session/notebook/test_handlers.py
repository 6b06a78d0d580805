"""Every handler that the running Jupyter registers, its extensions' too, with every method: refused to who only looks
unless somebody has looked at it and put it on the list below."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import aiohttp
import pytest

from tests.session import rig
from tests.session.notebook.conftest import Three

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
READS = {"GET", "HEAD", "OPTIONS"}
FILE = "shared/e1/one.ipynb"

REVIEWED: dict[str, set[str]] = {
    # pages, assets, Jupyter's word on itself
    r"/(?P<mode>lab|doc)(?P<workspace>/workspaces/[a-zA-Z0-9\-\_]+)?(?P<tree>/tree/.*)?$": READS,
    r"/lab/extensions/(.*)$": READS,
    r"/static/lab/(.*)$": READS,
    r"/static/(.*)$": READS,
    r"/(favicon\.ico)$": READS,
    r"/(robots\.txt|favicon\.ico)$": READS,
    r"/lab/api/settings/?$": READS,
    r"/lab/api/settings/(?P<schema_name>.+)$": READS,
    r"/lab/api/translations/?$": READS,
    r"/lab/api/translations/(?P<locale>.*)$": READS,
    r"/lab/api/listings/(.*)$": READS,
    r"/lab/api/themes/(.*)$": READS,
    r"/lab/api/licenses/(.*)$": READS,
    r"/api$": READS,
    r"/api/spec.yaml$": READS,
    r"/api/status$": READS,
    r"/api/me$": READS,
    r"/api/kernelspecs$": READS,
    r"/api/kernelspecs/(?P<kernel_name>[\w\.\-%]+)$": READS,
    r"/kernelspecs/(?P<kernel_name>[\w\.\-%]+)/(?P<path>.*)$": READS,
    r"/api/nbconvert$": READS,
    # answered by the gateway, at least in part: no terminals, what belongs to opened files, no layout of the owner's
    r"/api/terminals$": READS,
    r"/api/sessions$": READS,
    r"/api/sessions/(?P<session_id>\w+-\w+-\w+-\w+-\w+)$": READS,
    r"/api/kernels$": READS,
    r"/api/kernels/(?P<kernel_id>\w+-\w+-\w+-\w+-\w+)$": READS,
    r"/lab/api/build$": {"GET"},
    r"/lab/api/workspaces/?$": set(METHODS),
    r"/lab/api/workspaces/(?P<space_name>.+)$": set(METHODS),
    # files below opened folders
    r"/api/contents(?P<path>(?:(?:/[^/]+)+|/?))$": READS,
    r"/api/contents(?P<path>(?:(?:/[^/]+)+|/?))/checkpoints$": READS,
    r"/api/contents(?P<path>(?:(?:/[^/]+)+|/?))/checkpoints/(?P<checkpoint_id>[\w-]+)$": READS,
    r"/api/contents(?P<path>(?:(?:/[^/]+)+|/?))/trust$": READS,
    r"/files/(.*)$": READS,
    r"/view(?P<path>(?:(?:/[^/]+)+|/?))$": READS,
    r"/nbconvert/(?P<format>\w+)(?P<path>(?:(?:/[^/]+)+|/?))$": READS,
    r"/h5web/attr$": READS,
    r"/h5web/data$": READS,
    r"/h5web/meta$": READS,
    r"/h5web/paths$": READS,
    r"/api/collaboration/session/(.*)$": {"PUT"},
    # websockets whose messages are looked at one by one
    r"/api/kernels/(?P<kernel_id>\w+-\w+-\w+-\w+-\w+)/channels$": {"GET"},
    r"/api/collaboration/room/(.*)$": {"GET"},
    r"/api/events/subscribe$": {"GET"},
    # Jupyter's own 404 and redirects to an address without its last slash, of what is on the list otherwise
    r"/lab/.*$": READS,
    r"/.*/$": READS,
}

SAMPLES = {
    r"/api/contents(?P<path>(?:(?:/[^/]+)+|/?))$": [f"/api/contents/{FILE}", "/api/contents/shared/e1"],
    r"/api/contents(?P<path>(?:(?:/[^/]+)+|/?))/checkpoints$": [f"/api/contents/{FILE}/checkpoints"],
    r"/api/contents(?P<path>(?:(?:/[^/]+)+|/?))/checkpoints/(?P<checkpoint_id>[\w-]+)$": [
        f"/api/contents/{FILE}/checkpoints/0"
    ],
    r"/api/contents(?P<path>(?:(?:/[^/]+)+|/?))/trust$": [f"/api/contents/{FILE}/trust"],
    r"/files/(.*)$": ["/files/shared/e1/one.txt"],
    r"/view(?P<path>(?:(?:/[^/]+)+|/?))$": ["/view/shared/e1/one.txt"],
    r"/nbconvert/(?P<format>\w+)$": ["/nbconvert/html", "/nbconvert/pdf"],
    r"/nbconvert/(?P<format>\w+)(?P<path>(?:(?:/[^/]+)+|/?))$": [f"/nbconvert/html/{FILE}"],
    r"/h5web/attr$": ["/h5web/attr?file=shared/e1/one.h5&path=/x"],
    r"/h5web/data$": ["/h5web/data?file=shared/e1/one.h5&path=/x"],
    r"/h5web/meta$": ["/h5web/meta?file=shared/e1/one.h5&path=/x"],
    r"/h5web/paths$": ["/h5web/paths?file=shared/e1/one.h5"],
    r"/api/collaboration/session/(.*)$": [f"/api/collaboration/session/{FILE}"],
    r"/api/collaboration/timeline/(.*)$": [f"/api/collaboration/timeline/{FILE}?format=json&type=notebook"],
    r"/api/collaboration/fork/(.*)$": ["/api/collaboration/fork/json:notebook:0-1"],
    r"/api/fileid/id$": [f"/api/fileid/id?path={FILE}"],
    r"/api/resolvePath$": ["/api/resolvePath?path=one.txt"],
    r"/lab/api/translations/(?P<locale>.*)$": ["/lab/api/translations/en"],
    r"/api/config/(?P<section_name>\w+)$": ["/api/config/notebook"],
    r"/lab/.*$": ["/lab/anything", "/lab/api/anything"],
    r"/.*/$": ["/anything/", "/api/kernels/", "/terminals/"],
    r"(.*)$": ["/anything", "/user/pierre/work/anything"],
}
_SIMPLER = (
    (r"[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}", "01234567-0123-0123-0123-0123456789ab"),
    (r"(?:/(0|[1-9]\d*).output)?", ""),
    (r"[a-zA-Z0-9_-]+", "x"),
    (r"(?:(?:/[^/]+)+|/?)", "/x"),
    (r"[a-zA-Z0-9\-\_]+", "x"),
    (r"[\w\.\-%]+", "x"),
    (r"[\w-]+", "x"),
    (r"\w+", "x"),
    (".+", "x"),
    (".*", "x"),
    ("/?$", ""),
    ("$", ""),
    ("\\.", "."),
)


def samples(pattern: str) -> list[str]:
    """Addresses that the pattern matches: those above, and a simple one."""
    simple = re.sub(r"\(\?P<\w+>", "(", pattern)
    for what, instead in _SIMPLER:
        simple = simple.replace(what, instead)
    simple = re.sub(r"\((?:\?:)?([^()|]*)(?:\|[^()]*)?\)\??", r"\1", simple)
    assert re.fullmatch(pattern, simple), f"a sample of {pattern} is needed"
    return [*SAMPLES.get(pattern, []), *([simple] if simple.startswith("/") else [])]


async def gateway_refuses(three: Three, method: str, path: str, websocket: bool) -> tuple[bool, str]:
    """Whether the gateway itself answers no, and the first line of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", three.gateway.port)
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    how = f"{upgrade}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" if websocket else "Connection: close\r\n"
    body = "{}" if method in ("POST", "PUT", "PATCH") else ""
    head = f"{method} {rig.SERVER}{path.lstrip('/')} HTTP/1.1\r\nHost: x\r\nAuthorization: token pierre's\r\n{how}"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    try:
        answer = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)).decode().lower()
    except TimeoutError:
        return False, "with nothing"
    finally:
        writer.close()
    line = answer.partition("\r\n")[0]
    refused = line.split()[1] in ("400", "403", "405") and "content-type: application/problem+json" in answer
    return refused, line


async def handlers(three: Three, h5web: bool = True) -> list[dict[str, Any]]:
    """What Jupyter has registered, patterns without the instance's path."""
    if h5web:
        await three.json(three.marie, "GET", "h5web/paths?file=one.h5")  # from the first question on
    found = await three.json(three.marie, "GET", "told-handlers")
    for one in found:
        one["pattern"] = (
            one["pattern"].replace(rig.SERVER.rstrip("/"), "", 1).replace(re.escape(rig.SERVER)[:-1], "", 1)
        )
    # Of these Jupyter sees nothing: the first is the test's, the second ends the visitor's own login at the gateway.
    return [one for one in found if one["pattern"] not in ("/told-handlers$", "/logout$")]


async def unreviewed(three: Three, patterns: list[str], reviewed: dict[str, set[str]]) -> list[str]:
    """What the gateway passes on of who only looks though it is not among ``reviewed``, in words."""
    gate, wrong = asyncio.Semaphore(4), []

    async def one(pattern: str, method: str, path: str, websocket: bool = False) -> None:
        async with gate:
            refused, line = await gateway_refuses(three, method, path, websocket)
        if not refused:
            wrong.append(f"{method} {path} ({pattern}) is answered {line}")

    # What is on the list may be answered as it likes, by Jupyter: some of it with nothing, for as long as one waits.
    unseen = [
        (pattern, method) for pattern in patterns for method in METHODS if method not in reviewed.get(pattern, ())
    ]
    asked = [(pattern, method, path) for pattern, method in unseen for path in samples(pattern)]
    await asyncio.gather(*(one(*each) for each in asked))
    await asyncio.gather(*(one(*each, websocket=True) for each in asked if each[1] == "GET"))
    return wrong


async def test_what_who_only_looks_asks_of_each_handler(three: Three) -> None:
    found = await handlers(three)
    assert len(found) > 60
    patterns = [one["pattern"] for one in found]
    assert {"/api/shutdown$", "/api/collaboration/room/(.*)$", r"/terminals/websocket/(\w+)$"} <= set(patterns)
    wrong = await unreviewed(three, patterns, REVIEWED)
    assert not wrong, "\n".join(wrong)


async def test_what_is_on_the_list_is_there_and_works(three: Three) -> None:
    """So that the list holds nothing that is not needed, and who only looks really sees something."""
    patterns = {one["pattern"] for one in await handlers(three)}
    assert set(REVIEWED) <= patterns, set(REVIEWED) - patterns
    for path in (
        "lab",
        "lab/tree/shared/e1/one.ipynb",
        "doc/tree/shared/e1/one.ipynb",
        "lab/api/settings",
        "lab/api/settings/@jupyterlab/apputils-extension:themes",
        "lab/api/translations/",
        "lab/api/themes/@jupyterlab/theme-light-extension/index.css",
        "api/status",
        "api/me",
        "api/kernelspecs",
        "kernelspecs/python3/logo-64x64.png",
        "api/terminals",
        "api/sessions",
        "api/kernels",
        "static/favicons/favicon.ico",
    ):
        assert await three.status(three.pierre, "GET", path) == 200, path


async def test_a_new_extension_s_address_is_the_owner_s_alone(three: Three) -> None:
    assert await three.status(three.marie, "GET", "told-handlers") == 200
    for who in (three.pierre, three.claude):
        assert await three.status(who, "GET", "told-handlers") == 403


async def test_who_works_there_too_neither_stops_the_server_nor_extends_it(three: Three) -> None:
    for method, path in (
        ("POST", "api/shutdown"),
        ("POST", "lab/api/extensions"),
        ("GET", "lab/api/extensions"),
        ("POST", "lab/api/build"),
        ("POST", "lab/api/plugins"),
        ("PATCH", "api/me"),
        ("GET", "metrics"),
        ("POST", "login"),
    ):
        assert await three.status(three.claude, method, path, json={}) == 403, path
    assert await three.status(three.claude, "GET", "api/fileid/id?path=shared/e1/one.ipynb") in (200, 404)
    assert (await three.json(three.claude, "POST", "api/terminals"))["name"]
    assert await three.json(three.pierre, "GET", "api/terminals") == []


async def test_nothing_is_to_be_built(three: Three) -> None:
    """JupyterLab asks at its start."""
    for who in (three.pierre, three.claude):
        assert await three.json(who, "GET", "lab/api/build") == {"status": "stable", "message": ""}


async def test_terminals_are_nobody_s_who_only_looks(three: Three) -> None:
    name = (await three.json(three.marie, "POST", "api/terminals"))["name"]
    for path in (f"api/terminals/{name}", f"terminals/websocket/{name}"):
        assert await three.status(three.pierre, "GET", path) == 403
    for path in (f"terminals/websocket/{name}", f"terminals%2Fwebsocket/{name}", f"terminals/websocket/{name}/"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await three.pierre.ws_connect(three.url + path)
        assert refused.value.status in (400, 403)
    assert await three.status(three.marie, "DELETE", f"api/terminals/{name}") == 204
