"""Requests to Jupyter: the owner's pass as they are; everybody else's reach only files that the owner opened.

Links are followed by the environment's files.py before a request about a file is passed on, and what a body names is
looked at like the address. What an observer's JupyterLab asks for by itself is answered here, so that it works.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from visa.instances.access import PERMISSIONS, Action, Role
from visa.session import upstream
from visa.session.guard import SAFE_METHODS, Admitted, Refused
from visa.session.notebook.folders import leads_to
from visa.session.notebook.places import NOWHERE, Place
from visa.session.notebook.requests import LARGEST_BODY, Asked, Unclear, asked, rewritten, shown
from visa.session.passing import Session

_BODY = 30.0
"""Seconds in which a body that is held has to be here."""
_NOT_OPEN = "The owner has not opened this folder to you."
_UNKNOWN = "Where files of this instance lead cannot be told now, so only its owner reaches them."
_WORKSPACE = re.compile(r"lab/api/workspaces(?:/(.*))?", re.DOTALL)
_BUILD = "lab/api/build"
_LISTED = re.compile(r"api/(sessions|kernels|terminals)(?:/([^/]+))?")


def acts(role: Role) -> bool:
    """Whether the role may run and change things."""
    return Action.EXECUTE in PERMISSIONS[role]


class Notebook(Session):
    """Everything that is not the gateway's own."""

    def initialize(self) -> None:
        """Nothing is held back."""
        super().initialize()
        self._held: Admitted | None = None
        self._body = b""

    async def before(self, admitted: Admitted) -> Admitted | None:
        """Decide by what the request is about."""
        role, method, path = admitted.visitor.role, self.request.method or "", admitted.path
        if role is Role.OWNER:
            return admitted
        workspace = _WORKSPACE.fullmatch(path)
        if workspace:
            self._tell_workspace(method, workspace[1])
            return None
        if path == _BUILD:
            self.answer_with(200, {"status": "stable", "message": ""})
            return None
        listed = _LISTED.fullmatch(path)
        if listed and method == "GET" and not acts(role):
            self.answer_with(*await self._list(listed[1], listed[2]))
            return None
        query = admitted.uri.partition("?")[2]
        try:
            about = asked(method, path, query)
        except Unclear as error:
            raise Refused(400, f"The request is not accepted: {error}.") from None
        return admitted if about is None else await self._about(admitted, about, query)

    def _tell_workspace(self, method: str, name: str | None) -> None:
        """The layout of JupyterLab's windows is kept for the owner; others begin with an empty one."""
        if method not in SAFE_METHODS:
            self.answer_with(204, None)
        elif name:
            self.answer_with(200, {"data": {}, "metadata": {"id": name}})
        else:
            self.answer_with(200, {"workspaces": {"ids": [], "values": []}})

    async def _list(self, what: str, one: str | None) -> tuple[int, Any]:
        """What runs, for who may only look: no terminals, and of the rest what belongs to opened files."""
        found = [] if what == "terminals" else await self._running(what)
        if one is None:
            return 200, found
        known = next((entry for entry in found if entry.get("id") == one), None)
        return (404, {"message": "There is nothing of this name that you may see."}) if known is None else (200, known)

    async def _running(self, what: str) -> list[dict[str, Any]]:
        places = self.gateway.places
        if what == "sessions":
            return await places.sessions()
        _, kernels = await places.jupyter("api/kernels")
        known = await places.kernels()
        found = kernels if isinstance(kernels, list) else []
        return [one for one in found if isinstance(one, dict) and one.get("id") in known]

    async def _about(self, admitted: Admitted, about: Asked, query: str) -> Admitted | None:
        method = self.request.method or ""
        if method == "GET" and admitted.path.partition("/")[0] == "api" and len(about.paths) == 1 and not about.body:
            return await self._look(admitted, about.paths[0], query)
        if about.bare and self.has_body:
            raise Refused(400, "This address takes no content.")
        if about.identifier is not None:
            about = replace(about, paths=(await self._file(about.identifier),))
        await self._check(about.paths, changes=method not in SAFE_METHODS and method != "POST")
        if about.query is not None:
            admitted = replace(admitted, uri=f"{admitted.uri.partition('?')[0]}?{about.query}")
        if about.body and method in ("POST", "PATCH", "PUT"):
            self._held = admitted
            self.body_within(_BODY)
            return None
        return admitted

    async def _file(self, identifier: str) -> str:
        """The path of a file in Jupyter's index; raise `Refused` when it has none."""
        path = await self.gateway.places.file_of(identifier)
        if path is None:
            raise Refused(403, _NOT_OPEN)
        return path

    async def _check(self, paths: tuple[str, ...], *, changes: bool) -> None:
        """Raise `Refused` when one is not in an opened folder. Who changes a name changes the folder around it."""
        parents = {path.rpartition("/")[0] for path in paths} if changes else set()
        places = self.gateway.places
        if not all(await asyncio.gather(*(places.is_open(path) for path in {*paths, *parents}))):
            raise Refused(403, _NOT_OPEN)

    async def _look(self, admitted: Admitted, path: str, query: str) -> Admitted | None:
        """A folder's list with what is opened, or a file below an opened folder."""
        places, role = self.gateway.places, admitted.visitor.role
        place, keep = await places.listed(path)
        if place == NOWHERE:
            raise Refused(403, _UNKNOWN if not path else _NOT_OPEN)
        if not place.folder:
            await self._check((path,), changes=False)
        elif path and not leads_to(place.place, places.folders()):
            raise Refused(403, _NOT_OPEN)
        # A file's own content is passed on as it comes: JupyterLab asks for what it shows of it without.
        if not place.folder and (acts(role) or parse_qs(query).get("content") != ["0"]):
            return admitted
        await self._show(admitted, query, place, keep)
        return None

    async def _show(self, admitted: Admitted, query: str, place: Place, keep: Any) -> None:
        status, model = await self.gateway.places.jupyter(admitted.path, query, admitted.identity)
        if status != 200:
            raise Refused(status if 400 <= status < 500 else 502, "Jupyter does not tell what is there.")
        try:
            self.answer_with(200, shown(model, keep, writable=acts(admitted.visitor.role)))
        except Unclear:
            raise Refused(502, "Jupyter's answer is not understood.") from None

    async def data_received(self, chunk: bytes) -> None:
        """A body that names files is held until it is here as a whole."""
        if self._held is None:
            await super().data_received(chunk)
        elif len(self._body) + len(chunk) > LARGEST_BODY:
            self._held = None
            self.set_header("Connection", "close")
            self.refuse(Refused(413, "The request's content is too large."))
        else:
            self._body += chunk

    async def complete(self) -> None:
        """Look at the body, and pass on what was read of it."""
        if self._held is None:
            return
        admitted, self._held = self._held, None
        method = self.request.method or ""
        try:
            body, named = rewritten(method, self._body)
            await self._check(named, changes=method == "PATCH")
            await self._connect(admitted, body)
        except Unclear as error:
            self._instead = partial(self.refuse, Refused(400, f"The request is not accepted: {error}."))
        except Refused as error:
            self._instead = partial(self.refuse, error)
        except upstream.NotListening:
            self._instead = self.wait
