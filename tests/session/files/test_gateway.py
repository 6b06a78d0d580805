"""Files through a real gateway: large ones whole, rules and roles, and words when the environment cannot."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import psutil

from tests.session import rig
from tests.session.files.conftest import Environment
from tests.session.site import Site, running

ID = "fedcba9876543210fedcba98"
SIZE = 500 * 10**6
BLOCK = bytes(range(251)) * 4000


async def _blocks() -> AsyncIterator[bytes]:
    left = SIZE
    while left:
        yield BLOCK[:left]
        left -= min(left, len(BLOCK))


async def test_500_mb_in_and_out_whole_with_little_memory(environment: Environment) -> None:
    wanted = hashlib.sha256()
    async for block in _blocks():
        wanted.update(block)
    fake = rig.FakeHub()
    async with fake.served() as api, aiohttp.ClientSession(headers=rig.MARIE) as client:
        with rig.gateway(environment.run, api) as gateway:
            url = f"{gateway.url}desktop/files/home/large.h5"
            query = {"offset": "0", "size": str(SIZE), "upload": ID}
            length = {"Content-Length": str(SIZE)}
            async with client.put(url, params=query, data=_blocks(), headers=length) as answer:
                assert (answer.status, await answer.json()) == (201, {"received": SIZE})
            got = hashlib.sha256()
            async with client.get(url) as answer:
                assert answer.headers["Content-Disposition"] == "attachment"
                async for block in answer.content.iter_chunked(2**20):
                    got.update(block)
            assert got.digest() == wanted.digest()
            assert gateway.memory() < 70
    assert hashlib.sha256((environment.home / "large.h5").read_bytes()).digest() == wanted.digest()
    (environment.home / "large.h5").unlink()
    served = [p for p in psutil.process_iter(["cmdline"]) if str(rig.FILES / "files.py") in (p.info["cmdline"] or [])]
    assert all(p.memory_info().rss < 60e6 for p in served)


async def _statuses(site: Site, headers: dict[str, str]) -> list[int]:
    found = []
    url = f"{site.url}desktop/files/home/rule"
    put = f"{url}?offset=0&size=1&upload={ID}&replace=1"
    async with aiohttp.ClientSession(headers=headers) as client:
        for method, address in (("GET", f"{site.url}desktop/files/home?list=1"), ("PUT", put), ("GET", url)):
            async with client.request(method, address, data=b"x" if method == "PUT" else None) as answer:
                found.append(answer.status)
    return found


async def test_the_facilitys_rule_and_the_role(environment: Environment) -> None:
    expected = {
        "both": [200, 201, 200],
        "in": [200, 201, 403],
        "out": [200, 403, 200],
        "none": [403, 403, 403],
    }
    for rule, wanted in expected.items():
        async with running(environment.run, VISA_DESKTOP=json.dumps({"files": rule})) as site:
            assert await _statuses(site, rig.MARIE) == wanted, rule
            assert await _statuses(site, {"Authorization": "token pierre's"}) == [403, 403, 403]
            assert await _statuses(site, {}) == [401, 401, 401]


async def test_without_python_it_is_said(tmp_path: Path) -> None:
    async with running(tmp_path) as site:
        status, told = await site.ask("marie", "desktop/files/home?list=1")
        assert (status, "python3" in told["detail"]) == (503, True)
        assert (await site.ask("marie", "desktop/files/home/x", method="POST"))[0] == 405
