"""What a websocket's visitor is told when it ends for her."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.services.waiting import ENOUGH
from tests.session import rig
from tests.session.site import running
from tests.session.test_roles import desktop

__all__ = ["desktop"]


@pytest.mark.usefixtures("desktop")
async def test_who_is_sent_away_is_told_why_in_the_words_of_her_page(jupyter: rig.Jupyter) -> None:
    async with running(jupyter.run) as site:
        site.hub.share("lise", "observer")
        await site.until("lise", 200)
        async with site.open("lise") as socket, asyncio.timeout(ENOUGH):
            site.hub.share("lise", None)
            while (message := await socket.receive()).type is not aiohttp.WSMsgType.CLOSE:
                pass
            assert (message.data, message.extra) == (4403, "It is not shared with you; you can ask to come in.")
        status, told = await site.ask("lise", "desktop/state")
        assert status == 403
        assert message.extra in told["detail"]
