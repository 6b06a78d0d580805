"""A page that an environment serves, in the browsers of all who opened it: each attack gets nothing and does nothing.

An attack is a script of ``attacks``: ``begin`` runs in the page, ``look`` when all that it opened has loaded; what they
give, and all that the environment is ever sent, is what the attacker has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser as Chromium

from tests.services.hub import RunningHub
from tests.soak.hostile.place import HERE, PEOPLE, Place, found_in, hostile, settled

ATTACKS = sorted(path.stem for path in (HERE / "attacks").glob("*.js"))


@pytest.fixture(scope="module")
def place(shared_hub: RunningHub, browser: Chromium) -> Iterator[Place]:
    with hostile(shared_hub, browser) as made:
        yield made


@pytest.mark.parametrize("who", PEOPLE)
@pytest.mark.parametrize("attack", ATTACKS)
def test_the_attacker_gets_nothing_and_does_nothing(place: Place, attack: str, who: str) -> None:
    visitor, before = place.visitors[who], place.state()
    told, script = place.told(visitor), (HERE / "attacks" / f"{attack}.js").read_text()
    try:
        # Most have a window of their own; one looks at the way here.
        page = visitor.context.pages[0] if attack == "history" else visitor.at(f"{place.own}lab")
        got = [settled(page, lambda: page.evaluate(f"told => (window.attack = {script}).begin(told)", told))]
        got.append(page.evaluate("told => window.attack.look?.(told)", told))
        for one in visitor.context.pages[1:]:
            one.close()
        assert found_in(json.dumps(got), visitor) == []
        assert found_in(place.came(), visitor) == []
        assert place.state() == before
        assert place.logged_in(visitor)
        assert visitor.logins() >= visitor.logins(visitor.cookies)
    finally:
        visitor.restore()
