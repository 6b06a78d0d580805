"""Who has which role, and for how long: a gateway and a hub that says what the tests want, on a clock of their own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from tests.services.waiting import eventually
from tests.session import rig
from tests.session.site import still
from visa import clock
from visa.identifiers import instance_id
from visa.instances.access import Role
from visa.session import people as module
from visa.session.hub import HubLost
from visa.session.settings import GatewaySettings

pytestmark = pytest.mark.looptime

MINE = instance_id("marie", "work")
LEFT, STALE, PATIENCE = 15, 60, 20
approx = partial(pytest.approx, abs=0.1)


async def test_a_member_is_in_and_out_at_once(tmp_path: Path) -> None:
    async with still(tmp_path) as site:
        assert (await site.ask("lise"))[0] == 403
        shared = clock.elapsed()
        site.hub.share("lise", "collaborator")
        await site.until("lise", 200)
        assert clock.elapsed() - shared < 0.3, "the hub is asked about strangers four times a second"
        async with site.present("lise") as lise:
            removed = clock.elapsed()
            site.hub.share("lise", None)
            assert (await lise).code == 4403
            assert lise.result().at == approx(removed)
        assert (await site.ask("lise"))[0] == 403


async def test_who_joined_a_moment_ago_is_not_refused_before_the_gateway_heard_of_her(tmp_path: Path) -> None:
    async with still(tmp_path) as site:
        site.hub.deaf = True  # the question that is held open is not answered
        site.hub.share("lise", "observer")
        assert (await site.ask("lise"))[0] == 200
        assert (await site.ask("pierre"))[0] == 403
        await asyncio.sleep(0.05)
        site.hub.share("pierre", "observer")
        async with site.present("pierre") as pierre:
            assert not pierre.done()


async def test_strangers_share_one_question_to_the_hub(tmp_path: Path) -> None:
    async with still(tmp_path) as site:
        await site.ask("pierre")
        await asyncio.sleep(1)
        asked = site.hub.words
        answers = await asyncio.gather(*(site.ask("pierre") for _ in range(40)))
        assert {status for status, _ in answers} == {403}
        assert site.hub.words - asked == 1


async def test_strangers_who_come_one_after_another_have_four_questions_a_second(tmp_path: Path) -> None:
    async with still(tmp_path) as site:
        await site.ask("pierre")
        await asyncio.sleep(1)
        asked, asking = site.hub.words, []
        for _ in range(40):
            asking.append(asyncio.create_task(site.ask("pierre")))
            await asyncio.sleep(0.05)
        await asyncio.gather(*asking)
        assert site.hub.words - asked == 9, "at once, and each quarter of the two seconds"


async def test_a_hub_that_says_nothing_keeps_a_stranger_waiting_for_two_seconds(tmp_path: Path) -> None:
    async with still(tmp_path) as site:
        await site.ask("grace")  # who she is takes no question any more
        await asyncio.sleep(1)
        site.hub.silent = True
        began = clock.elapsed()
        assert (await site.ask("grace"))[0] == 403
        assert clock.elapsed() - began == approx(2), "the hub holds a question for 50 s"
        await eventually(lambda: site.hub.held <= 1, "only `follow` waits for the answer still")


class Scripted:
    """A hub that answers ``follow`` and a look with what the test gives, when it gives it; an exception is raised."""

    def __init__(self) -> None:
        self.follows, self.looks = asyncio.Queue[Any](), asyncio.Queue[Any]()

    async def people(self, after: int | None, seconds: float = 60) -> Any:
        answer = await (self.looks if seconds < 60 else self.follows).get()
        if isinstance(answer, Exception):
            raise answer
        return answer


def word(number: int, *members: str) -> dict[str, Any]:
    fake = rig.FakeHub()
    for name in members:
        fake.share(name, "observer")
    named = list(fake.members.values())
    return {"number": number, "members": named, "sharing": fake.sharing, "requests": [], "help": False}


@contextlib.asynccontextmanager
async def following() -> AsyncIterator[tuple[module.People, Scripted]]:
    hub = Scripted()
    settings = GatewaySettings.read(rig.variables(Path("/nowhere"), "http://127.0.0.1:1/hub/api"))
    people = module.People(settings, cast("Any", hub))
    task = asyncio.create_task(people.follow())
    yield people, hub
    task.cancel()


async def test_a_word_that_was_overtaken_does_not_let_in_who_was_removed() -> None:
    async with following() as (people, hub):
        await hub.follows.put(word(5))
        await people.wait(0, 10)
        await hub.looks.put(word(7))
        assert await people.role_after_a_look("lise") is Role.NONE
        await hub.follows.put(word(6, "lise"))  # on its way since before she was removed
        await asyncio.sleep(10)
        assert hub.follows.empty()
        assert people.role("lise") is Role.NONE
        await hub.follows.put(word(8, "pierre"))
        await asyncio.sleep(10)
        assert (people.role("lise"), people.role("pierre")) == (Role.NONE, Role.OBSERVER)


async def test_a_look_that_was_overtaken_does_not_let_in_who_was_removed() -> None:
    async with following() as (people, hub):
        await hub.follows.put(word(5))
        await people.wait(0, 10)
        look = asyncio.create_task(people.role_after_a_look("lise"))
        await asyncio.sleep(10)
        await hub.follows.put(word(7))
        await people.wait(people.number, 10)
        await hub.looks.put(word(6, "lise"))
        assert await look is Role.NONE


async def test_the_word_of_a_restored_backup_counts_though_its_number_is_smaller() -> None:
    async with following() as (people, hub):
        await hub.follows.put(word(5))
        await people.wait(0, 10)
        await hub.follows.put(word(2, "lise"))
        await people.wait(people.number, 10)
        assert people.role("lise") is Role.OBSERVER


async def test_a_look_after_a_long_silence_finds_who_was_a_member_all_the_time() -> None:
    async with following() as (people, hub):
        await hub.follows.put(word(5, "lise"))
        await people.wait(0, 10)
        await asyncio.sleep(STALE - 1)
        assert people.role("lise") is Role.OBSERVER
        await asyncio.sleep(1)
        assert people.role("lise") is Role.NONE
        await hub.looks.put(word(5, "lise"))
        assert await people.role_after_a_look("lise") is Role.OBSERVER


async def test_a_hub_that_went_away_lived_for_as_long_as_it_held_the_question() -> None:
    async with following() as (people, hub):
        await hub.follows.put(word(5, "lise"))
        await asyncio.sleep(50)
        await hub.follows.put(HubLost())
        await asyncio.sleep(STALE - 1)
        assert people.role("lise") is Role.OBSERVER
        await asyncio.sleep(1)
        assert people.role("lise") is Role.NONE


async def test_a_hub_that_went_away_is_not_thought_to_have_held_the_question_for_longer_than_hubs_do() -> None:
    async with following() as (people, hub):
        await hub.follows.put(word(5, "lise"))
        await asyncio.sleep(58)
        await hub.follows.put(HubLost())
        await asyncio.sleep(STALE - 58 + 54)
        assert people.role("lise") is Role.OBSERVER
        await asyncio.sleep(1)
        assert people.role("lise") is Role.NONE


async def test_the_right_to_open_the_server_is_no_role(tmp_path: Path) -> None:
    """An administrator's, or a share that JupyterHub's own API made; said to the hub every ten minutes."""
    async with still(tmp_path) as site:
        for _ in range(3):
            status, told = await site.ask("grace")
            assert (status, told["ask"]) == (403, f"/services/visa/instances/{MINE}")
        cookie = {"Cookie": "visa-session=" + site.gateway.sessions.open("grace's", "grace")}
        async with site.client.get(
            site.url, headers={**cookie, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        ) as page:
            assert page.status == 403
            assert f'href="/services/visa/instances/{MINE}"' in await page.text()
        site.hub.let_in("service's", "marie")
        site.hub.people["service's"]["kind"] = "service"
        assert (await site.ask("service"))[0] == 401, "a service of her name is not she"

        def refused() -> list[str]:
            return [name for told in site.hub.told for name in told["refused"]]

        await asyncio.sleep(590)
        await site.ask("grace")
        await asyncio.sleep(5)
        assert refused() == ["grace"]
        await asyncio.sleep(5)
        await site.ask("grace")
        await asyncio.sleep(5)
        assert refused() == ["grace", "grace"]


async def test_a_membership_ends_by_itself(tmp_path: Path, virtual_wall: datetime) -> None:
    async with still(tmp_path) as site:
        site.hub.share("lise", "observer", until=(virtual_wall + timedelta(seconds=95)).isoformat())
        await site.until("lise", 200)
        async with site.present("lise") as lise:
            assert (await lise).code == 4403
            assert lise.result().at == approx(95), "not at the next look, which is every 10 s"
        assert (await site.ask("lise"))[0] == 403


# presence


async def test_with_the_owner_only_while_she_is_there(tmp_path: Path) -> None:
    async with still(tmp_path) as site:
        site.hub.share("lise", "collaborator")
        site.hub.share("grace", "support", way="break-glass")
        site.hub.share_as(presence="with-owner", on_leave="disconnect")
        await site.until("grace", 200)
        status, told = await site.ask("lise")
        assert (status, "only while marie is there" in told["title"]) == (403, True)
        async with contextlib.AsyncExitStack() as others:
            async with site.present("marie"):
                await site.until("lise", 200)
                lise = await others.enter_async_context(site.present("lise"))
                grace = await others.enter_async_context(site.present("grace"))
            await asyncio.sleep(LEFT - 1)
            assert (await site.ask("lise"))[0] == 200
            async with site.present("marie"):  # she loads her page anew
                await asyncio.sleep(2 * LEFT)
                assert not lise.done()
            left = clock.elapsed()
            assert (await lise).code == 4403
            assert lise.result().at - left == approx(LEFT)
            assert (await site.ask("lise"))[0] == 403
            await asyncio.sleep(2 * LEFT)
            assert (await site.ask("grace"))[0] == 200
            assert not grace.done()


async def test_read_only_until_she_returns_for_those_who_were_there(tmp_path: Path) -> None:
    async with still(tmp_path) as site, contextlib.AsyncExitStack() as others:
        site.hub.share("lise", "collaborator", with_owner=True)
        site.hub.share("pierre", "collaborator", with_owner=True)
        site.hub.share_as(on_leave="read-only")
        async with site.present("marie"):
            await site.until("lise", 200)
            lise = await others.enter_async_context(site.present("lise"))
            await site.until_told(("marie", "owner"), ("lise", "collaborator"))
        left = clock.elapsed()
        assert (await lise).code == 1012, "she begins anew, as an observer"
        assert lise.result().at - left == approx(LEFT)
        async with site.present("lise"):
            await site.until_told(("lise", "observer"))
            assert (await site.ask("lise", "api/contents", method="POST", json={}))[0] == 403
            assert (await site.ask("pierre"))[0] == 403
        await site.until_told()
        assert (await site.ask("lise"))[0] == 200, "she loads her page anew"
        async with site.present("marie"), site.present("lise"):
            await site.until("pierre", 200)
            await site.until_told(("marie", "owner"), ("lise", "collaborator"))


# the hub


async def test_a_minute_without_the_hub_leaves_the_owner_alone(tmp_path: Path) -> None:
    async with still(tmp_path) as site:
        site.hub.share("lise", "observer")
        await site.until("lise", 200)
        heard = clock.elapsed()
        await asyncio.sleep(7)  # her websocket is looked at every 10 s anyway, so not a minute from now
        async with site.present("lise") as lise, site.present("marie") as marie:
            await asyncio.sleep(13)
            site.hub.down = True
            await asyncio.sleep(STALE - 21)
            assert (await site.ask("lise"))[0] == 200, "a hub that restarts sends nobody away"
            assert (await lise).code == 4403
            assert lise.result().at - heard == approx(STALE)
            assert (await site.ask("lise"))[0] == 403
            assert (await site.ask("marie"))[0] == 200
            await asyncio.sleep(300)
            site.hub.number += 1
            site.hub.down = False
            await asyncio.sleep(6.6)  # 5 s, a little more or less
            assert site.gateway.people.role("lise") is Role.OBSERVER
            assert not marie.done()


async def test_a_hub_with_nothing_new_to_say_is_no_hub_that_is_away(tmp_path: Path) -> None:
    async with still(tmp_path) as site:
        site.hub.share("lise", "observer")
        await site.until("lise", 200)
        async with site.present("lise") as lise:
            await asyncio.sleep(10 * STALE)
            assert not lise.done()
        assert site.hub.words <= 2, "but for the first, each question named the number that is known"


async def test_a_word_that_is_none_changes_nothing(tmp_path: Path) -> None:
    async with still(tmp_path) as site:
        site.hub.share("lise", "observer")
        await site.until("lise", 200)
        site.hub.share("pierre", "owner")
        await asyncio.sleep(STALE / 2)
        assert (await site.ask("pierre"))[0] == 403
        assert (await site.ask("lise"))[0] == 200


async def test_the_hub_is_told_who_is_here(tmp_path: Path) -> None:
    async with still(tmp_path) as site:
        site.hub.share("lise", "observer")
        await site.until("lise", 200)
        await site.gateway.people.tell_the_end()
        assert site.hub.told == [], "there is nothing to tell before somebody came"
        async with site.present("marie"), site.present("lise"), site.present("lise"):
            await asyncio.sleep(1)
            assert site.told() == [("lise", "observer"), ("marie", "owner")]
        await asyncio.sleep(1)
        assert site.told() == [("marie", "owner")]
        await asyncio.sleep(LEFT)
        assert site.told() == []
        count = len(site.hub.told)
        await asyncio.sleep(600)
        assert len(site.hub.told) - count in (9, 10), "every minute, and what settles"
        (kind,) = {one["session"] for told in site.hub.told for one in told["here"]}
        assert kind == "notebook"


# the pages


async def test_pages_are_told_who_is_here_and_who_asks(tmp_path: Path) -> None:
    async with still(tmp_path) as site:
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
        await asyncio.sleep(PATIENCE - 1)
        assert not waiting.done()
        site.hub.share_as(approvers="collaborators")
        _, lise = await waiting
        assert [one["username"] for one in lise["requests"]] == ["pierre"]
        waiting = asyncio.create_task(site.ask("lise", f"_visa/people?after={lise['number']}"))
        async with site.present("marie"):
            _, lise = await waiting
            assert [(one["username"], one["role"], one["session"]) for one in lise["here"]] == [
                ("marie", "owner", "notebook")
            ]
        await asyncio.sleep(LEFT + 1)  # the owner's leaving is a change too
        unchanged = clock.elapsed()
        _, again = await site.ask("lise", f"_visa/people?after={site.gateway.people.number}")
        assert clock.elapsed() - unchanged == approx(PATIENCE)
        assert again["number"] == site.gateway.people.number
        number = site.gateway.people.number
        waiting = asyncio.create_task(site.ask("lise", f"_visa/people?after={number}"))
        await asyncio.sleep(PATIENCE - 1)
        site.hub.share("lise", None)
        status, told = await waiting
        assert (status, "here" in told) == (403, False)
