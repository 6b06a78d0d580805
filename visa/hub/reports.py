"""Where gateways report: that they listen, and what they notice later. Only with the server's own token."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
from typing import Any

from jupyterhub.apihandlers.base import APIHandler
from tornado import web

from visa.hub import settings
from visa.hub.admitted import StartFailed
from visa.hub.pods.certificates import Authority
from visa.identifiers import instance_id
from visa.store.store import Decision

log = logging.getLogger(__name__)

LONGEST_NOTICE = 300
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_URL = re.compile(r"(?P<scheme>https?)://(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<four>[0-9.]+)):(?P<port>[0-9]{1,5})/?")


class FromGateway(APIHandler):  # type: ignore[misc]
    """Asked by a gateway with its server's own token, which is known by its hash.

    A thousand gateways ask all the time, so JupyterHub's own look at who asks, with its database, is left out.
    """

    largest = 4096
    """Bytes of a body."""

    async def prepare(self) -> None:
        """Nobody is logged in here: each method looks at the gateway itself."""
        self.expanded_scopes: set[str] = set()
        self.parsed_scopes: dict[str, Any] = {}
        self._jupyterhub_user = None
        if len(self.request.body) > self.largest:
            raise web.HTTPError(413, f"A gateway's report has at most {self.largest // 1024} KiB")

    def check_xsrf_cookie(self) -> None:
        """Tokens only: no cookie is looked at."""

    def _gateway(self, owner: str, name: str) -> str:
        """The instance's id when its gateway asks; raise 403."""
        identifier = instance_id(owner, name)
        if not settings.get().gateways.speaks(identifier, self.get_auth_token()):
            raise web.HTTPError(403, "This gateway is not known")
        return identifier


class GatewayHandler(FromGateway):
    """``POST /hub/api/visa/gateways/<owner>/<server name>``."""

    async def post(self, owner: str, name: str) -> None:
        """``{"url": …}``: it listens, ``{"notice": …}``: it noticed something. Both only from the gateway itself."""
        body = self.get_json_body()
        if not isinstance(body, dict):
            raise web.HTTPError(400, "Give an object with url or notice")
        if "notice" in body:
            await self._notice(owner, name, body["notice"])
        else:
            self._listens(owner, name, body.get("url"))

    def _listens(self, owner: str, name: str, url: object) -> None:
        expected = settings.get().gateways.expected(instance_id(owner, name), self.get_auth_token())
        if expected is None:
            self._listens_again(owner, name, url)
            return
        scheme = "https" if expected.authority else "http"
        address, port = _address(url, scheme)
        if not expected.url.done():
            host = f"[{address}]" if address.version == 6 else str(address)
            expected.url.set_result(f"{scheme}://{host}:{port}")
        self._certify(address, expected.authority)

    def _listens_again(self, owner: str, name: str, url: object) -> None:
        """A gateway was started again in the pod of a running instance: it has the same address, or is another's."""
        self._gateway(owner, name)
        spawner = self.running(owner, name)
        server = spawner.server if spawner is not None else None
        if server is None:
            raise web.HTTPError(403, "This gateway is not expected")
        try:
            authority = spawner.gateway_authority()
        except StartFailed as error:
            raise web.HTTPError(503, str(error.message)) from error
        address, port = _address(url, "https" if authority else "http")
        if (str(address), port) != (_plain(server.ip), server.port):
            raise web.HTTPError(403, "This instance is reached elsewhere")
        log.warning("The gateway of %s was started again; its instance goes on", f"{owner}/{name}")
        self._certify(address, authority)

    def running(self, owner: str, name: str) -> Any:
        """The spawner of an instance, None when there is none."""
        user = self.find_user(owner)
        return user.spawners[name] if user is not None and name in user.spawners else None

    def _certify(self, address: Address, authority: Authority | None) -> None:
        issued = authority.issue(str(address)) if authority else None
        self.write({"certificate": issued.certificate, "key": issued.key} if issued else {})

    async def _notice(self, owner: str, name: str, notice: object) -> None:
        identifier, store = self._gateway(owner, name), settings.get().store
        text = notice if isinstance(notice, str) else ""
        if not text or len(text) > LONGEST_NOTICE or not text.isprintable():
            raise web.HTTPError(400, f"notice must be a line of text, at most {LONGEST_NOTICE} characters")
        await asyncio.to_thread(store.notice, identifier, text)
        decision = Decision("visa", owner, "notice", True, identifier, None, {"why": text})
        await asyncio.to_thread(store.record, decision)
        self.set_status(204)


def _plain(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return ""


def _address(url: object, scheme: str) -> tuple[Address, int]:
    """The pod's address and port in ``url``; nothing else is taken."""
    found = _URL.fullmatch(url) if isinstance(url, str) and len(url) < 100 else None
    if found is None or found["scheme"] != scheme or not 0 < int(found["port"]) < 65536:
        raise web.HTTPError(400, f"url must be {scheme}://<address of the pod>:<port>")
    try:
        address: Address = ipaddress.ip_address(found["six"] or found["four"])
    except ValueError:
        raise web.HTTPError(400, f"url must be {scheme}://<address of the pod>:<port>") from None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        raise web.HTTPError(400, "url must name the pod's own address")
    return address, int(found["port"])
