"""What people may do follows their role, with a real Jupyter and X server behind a gateway whose hub is a fake."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from tests.services.waiting import ENOUGH, eventually
from tests.session import rig
from tests.session.desktop import xvnc
from tests.session.site import Site, closed, running


@pytest.fixture(scope="module")
def desktop(jupyter: rig.Jupyter) -> Iterator[None]:
    """An X server in Jupyter's run folder."""
    with xvnc.running(jupyter.run):
        yield


@pytest.fixture
async def site(jupyter: rig.Jupyter, desktop: None) -> AsyncIterator[Site]:
    async with running(jupyter.run) as one:
        yield one


async def test_a_member_is_in_and_out(site: Site) -> None:
    assert (await site.ask("lise"))[0] == 403
    site.hub.share("lise", "collaborator")
    await site.until("lise", 200)
    cookie = {"Cookie": "visa-session=" + site.gateway.sessions.open("lise's", "lise")}
    async with site.open("lise") as socket, site.client.get(site.url + "api/status", headers=cookie) as by_cookie:
        assert by_cookie.status == 200
        site.hub.share("lise", None)
        assert await closed(socket) == 4403
    assert (await site.ask("lise"))[0] == 403
    async with site.client.get(site.url + "api/status", headers=cookie) as answer:
        assert answer.status == 403
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await site.open("lise")


async def test_a_download_under_way_is_cut_off(site: Site, jupyter: rig.Jupyter) -> None:
    site.hub.share_as(folders=["home"])
    for name, size in (("large", 256 << 20), ("small", 6 << 20)):
        with (jupyter.home / name).open("wb") as file:
            file.truncate(size)
        site.hub.share("lise", "collaborator")
        await site.until("lise", 200)
        headers = {"Authorization": "token lise's"}
        async with rig.narrow() as client, client.get(f"{site.url}files/{name}", headers=headers) as answer:
            assert answer.status == 200
            await answer.content.readany()
            site.hub.share("lise", None)
            await site.until("lise", 403)
            with pytest.raises(aiohttp.ClientPayloadError):
                await rest(answer)
        assert not site.gateway.people.transfers


async def rest(answer: aiohttp.ClientResponse) -> int:
    """Bytes until its end."""
    return sum([len(part) async for part in answer.content.iter_any()])


async def test_an_upload_under_way_is_cut_off_when_the_role_is_narrowed(site: Site, jupyter: rig.Jupyter) -> None:
    site.hub.share_as(folders=["home"])
    site.hub.share("lise", "collaborator")
    await site.until("lise", 200)
    under_way = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b'{"type": "file", "format": "text", "content": "'
        yield b"x" * 1000
        under_way.set()
        await asyncio.Event().wait()  # there is more, which does not come

    upload = asyncio.create_task(site.ask("lise", "api/contents/upload.txt", method="PUT", data=slow()))
    await under_way.wait()
    await eventually(lambda: site.gateway.people.transfers)
    site.hub.share("lise", "observer")
    with pytest.raises(aiohttp.ClientError):
        await upload
    assert not site.gateway.people.transfers
    assert not (jupyter.home / "upload.txt").exists()


async def test_a_changed_role_is_held_at_once(site: Site) -> None:
    site.hub.share_as(folders=["home"])
    site.hub.share("lise", "collaborator")
    await site.until("lise", 200)
    path, body = "api/contents/by-lise.txt", {"type": "file", "format": "text", "content": "x"}
    assert (await site.ask("lise", path, method="PUT", json=body))[0] in (200, 201)
    number = site.gateway.people.number
    site.hub.share("lise", "observer")
    await site.gateway.people.wait(number, ENOUGH)
    assert (await site.ask("lise", path, method="PUT", json=body))[0] == 403
    assert (await site.ask("lise"))[0] == 200
    assert (await site.ask("lise", "anything/else"))[0] == 403


async def test_who_looks_at_the_desktop_is_told_to_the_hub_as_there(site: Site) -> None:
    site.hub.share("lise", "observer")
    await site.until("lise", 200)
    async with site.open("marie"), site.open("lise"), site.open("lise"):
        await site.until_told(("marie", "owner"), ("lise", "observer"))
    (kind,) = {one["session"] for told in site.hub.told for one in told["here"]}
    assert kind == "desktop"
