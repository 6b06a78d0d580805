"""What the gateway says of the people on an instance, said by the tests instead: also what no hub would say in time."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.async_api import Page, Route

MARIE = {
    "username": "marie",
    "name": "Marie Curie",
    "role": "owner",
    "session": "notebook",
    "since": "2026-11-26T01:00:00Z",
}
PIERRE = {
    "username": "pierre",
    "name": "Pierre Curie",
    "role": "observer",
    "session": "notebook",
    "since": "2026-11-26T01:05:00Z",
}
IRENE = {
    "username": "irene",
    "name": "Irène Joliot",
    "role": "collaborator",
    "session": "desktop",
    "since": "2026-11-26T01:06:00Z",
}
ASKS = {
    "id": 7,
    "kind": "guest",
    "username": "lise",
    "name": "Lise Meitner",
    "wanted": "observer",
    "reason": "the peak at 0.3",
}
PORTAL = "/services/visa/instances/0123456789abcdef"


class Word:
    """The answers to one browser page's questions, held until there is something new."""

    def __init__(self, role: str = "owner", *here: dict[str, Any]) -> None:
        self._number = 1
        self._changed = asyncio.Event()
        self.refused = ""
        username = "marie" if role == "owner" else "pierre"
        self.now: dict[str, Any] = {"you": {"username": username, "role": role}, "here": list(here), "requests": []}

    def say(self, **parts: Any) -> None:
        """From now on; who waits is told."""
        self.now |= parts
        self._number += 1
        self._changed.set()
        self._changed = asyncio.Event()

    def refuse(self, sentence: str) -> None:
        """Nothing more is said to this person."""
        self.refused = sentence
        self.say()

    async def attach(self, page: Page) -> None:
        """Answer the page."""
        await page.route("**/_visa/people*", self._answer)

    async def _answer(self, route: Route) -> None:
        after = int(parse_qs(urlsplit(route.request.url).query).get("after", ["0"])[0])
        while after >= self._number and not self.refused:
            await self._changed.wait()
        if self.refused:
            await route.fulfill(status=403, json={"detail": self.refused}, content_type="application/problem+json")
        else:
            await route.fulfill(json={**self.now, "number": self._number, "portal": PORTAL})
