"""``desktop/files/…``: files between the visitor's computer and the environment, when rule and role allow it."""

from __future__ import annotations

from tornado.iostream import IOStream

from visa.instances.access import coded, desktop_rights
from visa.session import run
from visa.session.guard import Admitted, Refused
from visa.session.passing import Session

_BELOW = "desktop/files"
_METHODS = frozenset({"GET", "HEAD", "PUT", "DELETE"})
_RULE = "The facility does not allow files {way} its desktops this way."


class Files(Session):
    """Passed to ``files.sock``, at the pace of the slower side."""

    behind = "The environment"

    async def reach(self, admitted: Admitted) -> IOStream:
        """The environment's own files.py; raise `Refused`, or `NotListening` when it is not there."""
        self._may(admitted)
        return await run.connect(f"{self.gateway.settings.run}/files.sock")

    def _may(self, admitted: Admitted) -> None:
        method = self.request.method or ""
        if method not in _METHODS:
            raise Refused(405, "This cannot be done at this address.")
        rights = desktop_rights(admitted.visitor.role, self.gateway.settings.desktop)
        if rights is None:
            raise Refused(403, "Your role does not allow this.")
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
