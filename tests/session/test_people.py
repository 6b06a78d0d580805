"""Who has which role, and for how long: a gateway whose hub says what the tests want, a real Jupyter and X server."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.session import rig
from tests.session.desktop import xvnc
from tests.session.site import Site, closed, running
from visa.identifiers import instance_id
from visa.instances.access import Role
from visa.instances.members import Membership, Sharing
from visa.session import people as module
from visa.session.word import BadWord, Word, read

MINE = instance_id("marie", "work")


@pytest.fixture(scope="module")
def desktop(jupyter: rig.Jupyter) -> Iterator[None]:
    """An X server in Jupyter's run folder."""
    with xvnc.running(jupyter.run):
        yield


@pytest.fixture
async def site(jupyter: rig.Jupyter, desktop: None) -> AsyncIterator[Site]:
    async with running(jupyter.run) as one:
        yield one


async def test_a_member_is_in_and_out_within_seconds(site: Site) -> None:
    assert (await site.ask("lise"))[0] == 403
    site.hub.share("lise", "collaborator")
    await site.until("lise", 200)
    cookie = {"Cookie": "visa-session=" + site.gateway.sessions.open("lise's", "lise")}
    async with site.open("lise") as socket, site.client.get(site.url + "api/status", headers=cookie) as by_cookie:
        assert by_cookie.status == 200
        site.hub.share("lise", None)
        began = time.monotonic()
        assert await closed(socket) == 4403
        assert time.monotonic() - began < 2
    assert (await site.ask("lise"))[0] == 403
    async with site.client.get(site.url + "api/status", headers=cookie) as answer:
        assert answer.status == 403
    with pytest.raises(aiohttp.WSServerHandshakeError):
        await site.open("lise")


async def test_who_joined_a_moment_ago_is_not_refused_before_the_gateway_heard_of_her(site: Site) -> None:
    site.hub.deaf = True  # the question that is held open is not answered
    site.hub.share("lise", "observer")
    assert (await site.ask("lise"))[0] == 200
    assert (await site.ask("pierre"))[0] == 403
    site.hub.share("pierre", "observer")
    async with site.open("pierre") as socket:
        assert (await socket.receive(timeout=5)).data


async def test_strangers_share_one_question_to_the_hub(site: Site) -> None:
    await site.ask("grace")
    asked, began = site.hub.words, time.monotonic()
    answers = await asyncio.gather(*(site.ask("pierre") for _ in range(40)))
    assert {status for status, _ in answers} == {403}
    assert 1 <= site.hub.words - asked <= 2 + 4 * (time.monotonic() - began)


async def test_a_hub_that_says_nothing_keeps_a_stranger_waiting_for_a_moment(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.ask("grace")  # who she is takes no question any more
    monkeypatch.setattr(module, "_PATIENCE", 0.3)
    site.hub.silent = True
    began = time.monotonic()
    assert (await site.ask("grace"))[0] == 403
    assert time.monotonic() - began < 2, "the hub holds a question for 50 s"
    for _ in range(200):
        if site.hub.held <= 1:  # that of `follow`
            break
        await asyncio.sleep(0.05)
    assert site.hub.held <= 1, "nobody waits for the answer any more"


class Scripted:
    """A hub that answers ``follow`` and a look with what the test gives, when it gives it."""

    def __init__(self) -> None:
        self.follows, self.looks = asyncio.Queue[Any](), asyncio.Queue[Any]()

    async def people(self, after: int | None, seconds: float = 60) -> Any:
        return await (self.looks if seconds < 60 else self.follows).get()


def word(number: int, *members: str) -> dict[str, Any]:
    fake = rig.FakeHub()
    for name in members:
        fake.share(name, "observer")
    named = list(fake.members.values())
    return {"number": number, "members": named, "sharing": fake.sharing, "requests": [], "help": False}


@contextlib.asynccontextmanager
async def following(site: Site) -> AsyncIterator[tuple[module.People, Scripted]]:
    hub = Scripted()
    people = module.People(site.gateway.settings, cast("Any", hub))
    task = asyncio.create_task(people.follow())
    yield people, hub
    task.cancel()


async def test_a_word_that_was_overtaken_does_not_let_in_who_was_removed(site: Site) -> None:
    async with following(site) as (people, hub):
        await hub.follows.put(word(5))
        await people.wait(0, 10)
        await hub.looks.put(word(7))
        assert await people.role_after_a_look("lise") is Role.NONE
        await hub.follows.put(word(6, "lise"))  # on its way since before she was removed
        await asyncio.sleep(0.2)
        assert hub.follows.empty()
        assert people.role("lise") is Role.NONE
        await hub.follows.put(word(8, "pierre"))
        await asyncio.sleep(0.2)
        assert (people.role("lise"), people.role("pierre")) == (Role.NONE, Role.OBSERVER)


async def test_a_look_that_was_overtaken_does_not_let_in_who_was_removed(site: Site) -> None:
    async with following(site) as (people, hub):
        await hub.follows.put(word(5))
        await people.wait(0, 10)
        look = asyncio.create_task(people.role_after_a_look("lise"))
        await asyncio.sleep(0.1)
        await hub.follows.put(word(7))
        await people.wait(people.number, 10)
        await hub.looks.put(word(6, "lise"))
        assert await look is Role.NONE


async def test_the_word_of_a_restored_backup_counts_though_its_number_is_smaller(site: Site) -> None:
    async with following(site) as (people, hub):
        await hub.follows.put(word(5))
        await people.wait(0, 10)
        await hub.follows.put(word(2, "lise"))
        await people.wait(people.number, 10)
        assert people.role("lise") is Role.OBSERVER


async def test_a_look_after_a_long_silence_finds_who_was_a_member_all_the_time(site: Site) -> None:
    async with following(site) as (people, hub):
        await hub.follows.put(word(5, "lise"))
        await people.wait(0, 10)
        people._heard -= module.STALE
        assert people.role("lise") is Role.NONE
        await hub.looks.put(word(5, "lise"))
        assert await people.role_after_a_look("lise") is Role.OBSERVER


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
                await asyncio.wait_for(rest(answer), 5)
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
        while True:
            yield b"x" * 1000
            under_way.set()
            await asyncio.sleep(0.05)

    upload = asyncio.create_task(site.ask("lise", "api/contents/upload.txt", method="PUT", data=slow()))
    await asyncio.wait_for(under_way.wait(), 5)
    await asyncio.sleep(0.2)
    assert site.gateway.people.transfers
    site.hub.share("lise", "observer")
    with pytest.raises(aiohttp.ClientError):
        await asyncio.wait_for(upload, 5)
    assert not site.gateway.people.transfers
    assert not (jupyter.home / "upload.txt").exists()


async def test_the_right_to_open_the_server_is_no_role(site: Site) -> None:
    """An administrator's, or a share that JupyterHub's own API made; said to the hub once."""
    for _ in range(3):
        status, told = await site.ask("grace")
        assert (status, told["ask"]) == (403, f"/services/visa/instances/{MINE}")
    cookie = {"Cookie": "visa-session=" + site.gateway.sessions.open("grace's", "grace")}
    async with site.client.get(site.url, headers={**cookie, "Sec-Fetch-Mode": "navigate"}) as page:
        assert page.status == 403
        assert f'href="/services/visa/instances/{MINE}"' in await page.text()
    site.hub.let_in("service's", "marie")
    site.hub.people["service's"]["kind"] = "service"
    assert (await site.ask("service"))[0] == 401, "a service of her name is not she"
    await asyncio.sleep(0.5)
    assert [name for told in site.hub.told for name in told["refused"]] == ["grace"]


async def test_a_changed_role_is_held_at_once(site: Site) -> None:
    site.hub.share_as(folders=["home"])
    site.hub.share("lise", "collaborator")
    await site.until("lise", 200)
    path, body = "api/contents/by-lise.txt", {"type": "file", "format": "text", "content": "x"}
    assert (await site.ask("lise", path, method="PUT", json=body))[0] in (200, 201)
    number = site.gateway.people.number
    site.hub.share("lise", "observer")
    await site.gateway.people.wait(number, 5)
    assert (await site.ask("lise", path, method="PUT", json=body))[0] == 403
    assert (await site.ask("lise"))[0] == 200
    assert (await site.ask("lise", "anything/else"))[0] == 403


async def test_a_membership_ends_by_itself(site: Site) -> None:
    site.hub.share("lise", "observer", until=(datetime.now(UTC) + timedelta(seconds=1.5)).isoformat())
    await site.until("lise", 200)
    async with site.open("lise") as socket:
        assert await closed(socket) == 4403
    assert (await site.ask("lise"))[0] == 403


# presence


async def test_with_the_owner_only_while_she_is_there(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEFT", 0.6)
    site.hub.share("lise", "collaborator")
    site.hub.share("grace", "support", way="break-glass")
    site.hub.share_as(presence="with-owner", on_leave="disconnect")
    await site.until("grace", 200)
    status, told = await site.ask("lise")
    assert (status, "only while marie is there" in told["title"]) == (403, True)
    async with site.open("marie"):
        await site.until("lise", 200)
        lise, grace = await site.open("lise"), await site.open("grace")
    began = time.monotonic()
    assert await closed(lise) == 4403
    assert time.monotonic() - began > 0.4, "a page that is loaded anew sends nobody away"
    assert (await site.ask("lise"))[0] == 403
    assert (await site.ask("grace"))[0] == 200
    assert not grace.closed
    await grace.close()


async def test_read_only_until_she_returns_for_those_who_were_there(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEFT", 0.3)
    site.hub.share("lise", "collaborator", with_owner=True)
    site.hub.share("pierre", "collaborator", with_owner=True)
    site.hub.share_as(on_leave="read-only")
    async with site.open("marie"):
        await site.until("lise", 200)
        lise = await site.open("lise")
        await site.until_told(("marie", "owner"), ("lise", "collaborator"))
    assert await closed(lise) == 1012, "she begins anew, as an observer"
    lise = await site.open("lise")
    await site.until_told(("lise", "observer"))
    assert (await site.ask("lise", "api/contents", method="POST", json={}))[0] == 403
    await site.until("pierre", 403)
    await lise.close()
    await site.until_told()
    assert (await site.ask("lise"))[0] == 200, "she loads her page anew"
    async with site.open("marie"), site.open("lise"):
        await site.until("pierre", 200)
        await site.until_told(("marie", "owner"), ("lise", "collaborator"))


# the hub


async def test_a_minute_without_the_hub_leaves_the_owner_alone(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.hub.share("lise", "observer")
    await site.until("lise", 200)
    monkeypatch.setattr(module, "STALE", 1.0)
    monkeypatch.setattr(module, "_PAUSES", (0.1, 0.2))
    async with site.open("lise") as lise, site.open("marie") as marie:
        site.hub.down = True
        await asyncio.sleep(0.5)
        assert (await site.ask("lise"))[0] == 200, "a hub that restarts sends nobody away"
        assert await closed(lise) == 4403
        assert (await site.ask("lise"))[0] == 403
        assert (await site.ask("marie"))[0] == 200
        site.hub.down = False
        site.hub.number += 1
        await site.until("lise", 200)
        assert not marie.closed


async def test_a_word_that_is_none_changes_nothing(site: Site) -> None:
    site.hub.share("lise", "observer")
    await site.until("lise", 200)
    site.hub.share("pierre", "owner")
    await asyncio.sleep(0.5)
    assert (await site.ask("pierre"))[0] == 403
    assert (await site.ask("lise"))[0] == 200


async def test_the_hub_is_told_who_is_here(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEFT", 1.0)
    site.hub.share("lise", "observer")
    await site.until("lise", 200)
    await site.gateway.people.tell_the_end()
    assert site.hub.told == [], "there is nothing to tell before somebody came"
    async with site.open("marie"), site.open("lise"), site.open("lise"):
        await site.until_told(("marie", "owner"), ("lise", "observer"))
    await site.until_told(("marie", "owner"))
    await site.until_told()
    (kind,) = {h["session"] for told in site.hub.told for h in told["here"]}
    assert kind == "desktop"


# the pages


async def test_pages_are_told_who_is_here_and_who_asks(site: Site) -> None:
    request = {"id": 7, "kind": "guest", "username": "pierre", "name": "Pierre Curie", "wanted": "observer"}
    site.hub.requests = [{**request, "reason": "to see", "since": "2026-01-01T00:00:00+00:00"}]
    site.hub.share("lise", "collaborator")
    await site.until("lise", 200)
    _, marie = await site.ask("marie", "_visa/people")
    assert marie["you"] == {"username": "marie", "role": "owner"}
    assert [one["id"] for one in marie["requests"]] == [7]
    assert marie["portal"].endswith(f"/services/visa/instances/{MINE}")
    _, lise = await site.ask("lise", "_visa/people")
    assert (lise["you"]["role"], lise["requests"]) == ("collaborator", [])
    waiting = asyncio.create_task(site.ask("lise", f"_visa/people?after={lise['number']}"))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    site.hub.share_as(approvers="collaborators")
    _, lise = await asyncio.wait_for(waiting, 3)
    assert [one["username"] for one in lise["requests"]] == ["pierre"]
    waiting = asyncio.create_task(site.ask("lise", f"_visa/people?after={lise['number']}"))
    async with site.open("marie"):
        _, lise = await asyncio.wait_for(waiting, 3)
        assert [(one["username"], one["role"], one["session"]) for one in lise["here"]] == [
            ("marie", "owner", "desktop")
        ]
    number = site.gateway.people.number
    waiting = asyncio.create_task(site.ask("lise", f"_visa/people?after={number}"))
    await asyncio.sleep(0.1)
    site.hub.share("lise", None)
    status, told = await asyncio.wait_for(waiting, 3)
    assert (status, "here" in told) == (403, False)


# the word


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
GOOD: dict[str, Any] = {
    "number": 3,
    "members": [
        {"username": "lise", "name": "Lise", "role": "observer", "way": "team", "until": None, "with_owner": True,
         "since": "2026-01-01T00:00:00+00:00"}
    ],
    "sharing": Sharing().told(),
    "requests": [],
    "help": False,
}  # fmt: skip


@given(st.sampled_from(sorted(GOOD)), JSON)
def test_a_word_is_read_or_void(key: str, value: Any) -> None:
    try:
        word = read({**GOOD, key: value}, MINE)
    except BadWord:
        return
    assert isinstance(word, Word)
    assert all(isinstance(member, Membership) for member in word.members.values())


@given(st.sampled_from(sorted(GOOD["members"][0])), JSON)
def test_a_member_is_read_or_all_is_void(key: str, value: Any) -> None:
    try:
        word = read({**GOOD, "members": [{**GOOD["members"][0], key: value}]}, MINE)
    except BadWord:
        return
    (member,) = word.members.values()
    assert member.role in ("observer", "collaborator", "support", "support-view")


@pytest.mark.parametrize("key", sorted(GOOD))
def test_a_word_without_a_part_is_void(key: str) -> None:
    with pytest.raises(BadWord):
        read({k: v for k, v in GOOD.items() if k != key}, MINE)
    assert read(GOOD, MINE).name("lise") == "Lise"
