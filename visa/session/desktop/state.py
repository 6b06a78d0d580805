"""How the desktop is, who is there, what the visitor may do; and starting it when it does not run."""

from __future__ import annotations

import asyncio
import os
import stat
from dataclasses import asdict
from typing import Any

from visa import clock
from visa.session import headers, run
from visa.session.desktop.rights import needed, rights_of
from visa.session.gateway import Gateway
from visa.session.guard import Admitted, Forbidden, Guard, Refused, refusing
from visa.session.handlers import PATIENCE, HeldOpen

ENDED = "desktop-ended"
WITHOUT = "selkies-ended"
"""There while Selkies is not, and will not be."""
REASONS = frozenset({"logged-out", "server", "missing", "no-session", "killed"})
"""Words that the launcher may leave; any other is taken for ``server``."""
_LOOK = 0.05


def people(gateway: Gateway) -> list[dict[str, str]]:
    """Who looks at the desktop now."""
    return [one.person for one in gateway.viewers]


def measured(gateway: Gateway, sessions: list[str]) -> dict[str, float | None]:
    """The connection of the viewer that one of a browser's ``sessions`` opened last."""
    own = [one for one in gateway.viewers if not set(sessions).isdisjoint(one.session_ids)]
    return own[-1].measure if own else {}


def exists(folder: str) -> bool:
    """Whether the desktop's socket is in the run folder."""
    try:
        return stat.S_ISSOCK(os.lstat(f"{folder}/{run.DESKTOP}").st_mode)
    except OSError:
        return False


def ended(folder: str) -> str | None:
    """Why the desktop does not run any more; None when it never ran, or runs."""
    try:
        word = run.read(f"{folder}/{ENDED}", 32)
    except FileNotFoundError:
        return None
    except OSError:
        return "server"
    text = word.decode("ascii", "replace").strip()
    return text if text in REASONS else "server"


def ready(folder: str, video: bool) -> bool:
    """Whether it takes connections; with ``video``, Selkies too, unless it cannot."""
    if not run.listens(f"{folder}/{run.DESKTOP}"):
        return False
    return not video or run.listens(f"{folder}/{run.SELKIES}") or os.path.lexists(f"{folder}/{WITHOUT}")


async def wait(folder: str, video: bool, seconds: float) -> bool:
    """Until it takes connections, or ended, or ``seconds`` are over."""
    end = clock.elapsed() + seconds
    while not ready(folder, video):
        if clock.elapsed() > end or ended(folder) is not None:
            return False
        await asyncio.sleep(_LOOK)
    return True


class State(HeldOpen):
    """``desktop/state``: asked for by the page every few seconds."""

    @refusing
    async def get(self) -> None:
        """JSON; with ``?wait=1`` as soon as the desktop takes connections."""
        admitted = await self.admit()
        folder, video = self.gateway.settings.run, self.gateway.settings.video
        if self.get_query_argument("wait", "") == "1":
            with self.held_open(admitted.visitor.name):
                open_ = await wait(folder, video, PATIENCE)
        else:
            open_ = ready(folder, video)
        self.set_header("Cache-Control", "no-store")
        viewer = measured(self.gateway, self.values_of(headers.OWN_COOKIE))
        self.finish({**described(self.gateway, admitted, open_), "viewer": viewer})


def described(gateway: Gateway, admitted: Admitted, open_: bool) -> dict[str, Any]:
    """What the page is told."""
    folder, video = gateway.settings.run, gateway.settings.video
    rights = rights_of(gateway, admitted.visitor)
    return {
        "running": open_ or exists(folder),
        "ended": None if open_ else ended(folder),
        "ready": open_,
        "video": video and run.listens(f"{folder}/{run.SELKIES}"),
        "ends": gateway.settings.ends or None,
        "people": people(gateway),
        "rights": asdict(rights) if rights else {},
    }


class Start(Guard):
    """``desktop/start``: for who may act."""

    @refusing
    async def post(self) -> None:
        """202 when the launcher was told."""
        admitted = await self.admit()
        if not needed(self.gateway, admitted.visitor).restart:
            raise Forbidden
        if not run.ask(self.gateway.settings.run, "desktop"):
            raise Refused(503, "The environment does not take requests: it is starting, or too old for desktops.")
        self.gateway.activity.happened()
        self.set_status(202)
        self.finish({"asked": True})
