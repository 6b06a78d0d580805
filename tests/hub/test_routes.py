"""Both proxies lead every spelling of a name to its own instance, and to no other's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import ClientSession, web
from jupyterhub.httpclient import JupyterHubHTTPClient
from yarl import URL

from tests.services import chp
from visa.addresses import Origins, instance_path, part
from visa.cli.demo.runner import free_ports
from visa.hub.chp import VisaHTTPProxy
from visa.hub.proxy import VisaTraefikProxy, settings_for

TAKEN = ["marie", "cy+x", "a@b.example", "Ab.c_d-E", "x+y@z.org", "0", "a.", "a-", "a+", "cy", "cy+", "cyxx", "x" * 128]
"""Of all characters that `Username` takes, and beginnings of one another."""
ODD = [
    "o'neil",
    "DOMAIN\\u",
    "a b",
    "jürgen",
    "cy%2Bx",
    "a`b",
    "a;b,c",
    "(a|b)*",
    "ａ",
    "é",
    "e\u0301",
    '"a"',
    "$a!~:=",
]
"""What a wider `Username` may take."""
PLAIN = "!$&'()*+,;=:@"


@asynccontextmanager
async def targets(count: int) -> AsyncIterator[list[str]]:
    """Addresses that say their own port and the path that was asked for."""

    async def told(request: web.Request) -> web.Response:
        assert request.transport is not None
        return web.Response(text=f"{request.transport.get_extra_info('sockname')[1]} {request.raw_path}")

    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", told)
    runner = web.AppRunner(application)
    await runner.setup()
    for _ in range(count):
        await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield [f"http://127.0.0.1:{port}" for _, port in runner.addresses]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def traefik(folder: Path, own_host: str = "") -> AsyncIterator[tuple[Any, str]]:
    """The demo's proxy and its address."""
    public, api = free_ports(2)
    url = f"http://127.0.0.1:{public}"
    made = {"public_url": url, "log": logging.getLogger("traefik"), "own_host": own_host}
    proxy = VisaTraefikProxy(**made, **settings_for(folder, api, "secret"))
    await proxy.start()
    try:
        yield proxy, url
    finally:
        await proxy.stop()


@asynccontextmanager
async def configurable(folder: Path, own_host: str = "") -> AsyncIterator[tuple[Any, str]]:
    """The chart's proxy and its address."""
    with chp.running(folder, flags=["--host-routing"] if own_host else []) as running:
        given = {"app": SimpleNamespace(), "log": logging.getLogger("chp"), "own_host": own_host}
        made = VisaHTTPProxy(api_url=running.api, auth_token=chp.TOKEN, **given)
        try:
            yield made, running.url
        finally:
            await JupyterHubHTTPClient.instance().close()
            JupyterHubHTTPClient.clear_instance()


def spellings(name: str) -> set[str]:
    """The one that is ours, the one that codes least, and those that code all, in capitals and not."""
    everything = "".join(f"%{byte:02X}" for byte in name.encode())
    return {part(name), quote(name, safe=PLAIN + "~"), everything, everything.lower()}


@pytest.mark.parametrize("kind", [traefik, configurable])
async def test_every_spelling_of_a_name_leads_to_its_own_instance(kind: Any, tmp_path: Path) -> None:
    names = TAKEN + ODD
    wrong = []
    async with kind(tmp_path) as (proxy, url), targets(len(names) + 1) as (rest, *own), ClientSession() as client:
        await proxy.add_route("/", rest, {"hub": True})
        # All at once, as a hub does after its start: Traefik reads each change of the file anew.
        places = [(name, instance_path("/", name, "work"), target) for name, target in zip(names, own, strict=True)]
        await asyncio.gather(*(proxy.add_route(path, target, {"user": name}) for name, path, target in places))

        async def reached(path: str) -> str:
            async with client.get(URL(url + path, encoded=True)) as answer:
                return (await answer.text()).split()[0]

        for name, target in zip(names, own, strict=True):
            for spelling in spellings(name):
                for below in ("/work", "/work/", "/work/lab/tree/a%20b.ipynb"):
                    if await reached(f"/user/{spelling}{below}") != target.rpartition(":")[2]:
                        wrong.append(f"{name}: /user/{spelling}{below}")
            for other in (f"/user/{part(name)}/workshop", f"/user/{part(name)}z/work/", f"/user/{part(name)}"):
                if await reached(other) != rest.rpartition(":")[2]:
                    wrong.append(f"{name}: {other} is not its instance's")
        routes = await proxy.get_all_routes()
    assert not wrong
    assert set(routes) == {"/", *(instance_path("/", name, "work") for name in names)}


HUB = "visa.example.org"


@pytest.mark.parametrize("kind", [traefik, configurable])
async def test_an_instances_host_is_its_own_and_all_else_the_hubs(kind: Any, tmp_path: Path) -> None:
    origins, names = Origins.read(f"https://*.{HUB}"), ["a", "b"]
    hosts = [origins.host("marie", name) for name in names]
    wrong = []
    async with (
        kind(tmp_path, own_host=HUB) as (proxy, url),
        targets(5) as (rest, portal, former, *own),
        ClientSession() as client,
    ):
        await proxy.add_route("/", rest, {"hub": True})
        await proxy.add_route("/services/visa/", portal, {"service": "visa"})
        await proxy.add_route("/user/marie/former/", former, {"user": "marie"})
        for host, target in zip(hosts, own, strict=True):
            await proxy.add_route(f"{host}/", target, {"user": "marie"})

        async def look(host: str, path: str, target: str) -> None:
            async with client.get(URL(url + path, encoded=True), headers={"Host": host}) as answer:
                if (await answer.text()).split()[0] != target.rpartition(":")[2]:
                    wrong.append(host + path)

        paths = ["/", "/hub/token", "/services/visa/", "/services/visa/api/v1/me", "/user/marie/a/lab", "/%2e%2e/hub/"]
        for host, target in zip(hosts, own, strict=True):
            for path in paths:
                await look(host, path, target)
                await look(f"{host}:8443", path, target)
        for other in (f"x.{HUB}", f"x.{hosts[0]}", "127.0.0.1", "evil.example"):
            for path in paths:
                await look(other, path, rest)
        await look(HUB, "/services/visa/api/v1/me", portal)
        await look(f"{HUB}:8443", "/user/marie/former/lab", former)
        await look(HUB, "/user/marie/a/lab", rest)
        await look(HUB, "/hub/", rest)
        routes = await proxy.get_all_routes()
        await proxy.delete_user(
            SimpleNamespace(name="marie", spawners={"a": SimpleNamespace(proxy_spec=f"{hosts[0]}/")}), "a"
        )
        await proxy.delete_route("/services/visa/")
        left = await proxy.get_all_routes()
    assert not wrong
    assert set(routes) == {"/", "/services/visa/", "/user/marie/former/", *(f"{host}/" for host in hosts)}
    assert set(left) == {"/", "/user/marie/former/", f"{hosts[1]}/"}
