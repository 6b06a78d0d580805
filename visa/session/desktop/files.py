"""``desktop/files/…``: files between the visitor's computer and the environment, when rule and role allow it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tornado.httputil import HTTPHeaders
from tornado.iostream import IOStream

from visa.instances.access import Role, coded
from visa.instances.members import opened
from visa.session import run, upstream
from visa.session.desktop.rights import needed
from visa.session.guard import Admitted, Refused
from visa.session.notebook.folders import leads_to
from visa.session.notebook.places import LARGEST
from visa.session.passing import Session

_BELOW = "desktop/files"
_METHODS = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_NOT_OPEN = "The owner has not opened this folder to you."
_RULE = "The facility does not allow files {way} its desktops this way."


class Files(Session):
    """Passed to ``files.sock``, at the pace of the slower side."""

    behind = "The environment"

    async def before(self, admitted: Admitted) -> Admitted | None:
        """Everybody but the owner reaches what the owner opened, links followed."""
        if admitted.visitor.role is Role.OWNER:
            return admitted
        self._may(admitted)
        places, folders = self.gateway.places, self.gateway.places.folders()
        path = admitted.path.removeprefix(f"{_BELOW}/").strip("/")
        if self.request.method == "GET" and self.get_query_argument("list", "") == "1":
            place = await places.where(path, links=True)
            if not leads_to(place.place, folders):
                raise Refused(403, _NOT_OPEN)
            whole = opened(place.place, folders)
            keep = lambda name: leads_to(place.links.get(name, f"{place.place}/{name}"), folders)  # noqa: E731
            await self._list(admitted, keep, whole)
            return None
        around = path.rpartition("/")[0] if self.request.method in ("PUT", "DELETE") else path
        for one in {path, around}:
            if not opened((await places.where(one)).place, folders):
                raise Refused(403, _NOT_OPEN)
        return admitted

    async def _list(self, admitted: Admitted, keep: Callable[[str], bool], whole: bool) -> None:
        try:
            stream = await self.reach(admitted)
            status, body = await upstream.ask(stream, self.uri(admitted), HTTPHeaders({"Host": "visa"}), LARGEST)
            told: dict[str, Any] = json.loads(body)
            if status == 200:
                told["entries"] = [one for one in told["entries"] if keep(one["name"])]
                if not whole:  # what has no name here is not told to who sees a part only
                    told.pop("unshown", None)
        except (upstream.Broken, ValueError, KeyError, TypeError):
            raise Refused(502, "The environment does not tell what is there.") from None
        self.answer_with(status, told)

    async def reach(self, admitted: Admitted) -> IOStream:
        """The environment's own files.py; raise `Refused`, or `NotListening` when it is not there."""
        self._may(admitted)
        return await run.connect(f"{self.gateway.settings.run}/files.sock")

    def _may(self, admitted: Admitted) -> None:
        method = self.request.method or ""
        if method not in _METHODS:
            raise Refused(405, "This cannot be done at this address.")
        rights = needed(self.gateway, admitted.visitor)
        if method in ("PUT", "DELETE"):
            allowed, way = rights.files.into, "into"
        elif self.get_query_argument("list", "") == "1" or self.get_query_arguments("upload"):
            allowed, way = rights.files.into or rights.files.out, "into or out of"
        else:
            allowed, way = rights.files.out, "out of"
        if not allowed:
            raise Refused(403, _RULE.format(way=way))

    def uri(self, admitted: Admitted) -> str:
        """Without the instance's own path."""
        _, mark, query = admitted.uri.partition("?")
        return coded(admitted.path.removeprefix(_BELOW)) + mark + query

    def wait(self) -> None:
        """It is starting, or cannot be there."""
        sentence = "No files can be passed now: the environment is starting, or it has no python3 (3.9 or later)."
        self.refuse(Refused(503, sentence))
