"""Members of instances for tests of the hub: put into its store as the portal would, and what they then get."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import websockets.sync.client as websockets
from sqlalchemy.orm import Session
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.services.hub import RunningHub, until
from visa.identifiers import instance_id
from visa.store.sharing import changes
from visa.store.tables import MemberRow, SharingRow

OPTIONS = {"experiments": ["exp-1"], "environment": "scattering", "flavour": "small"}


@dataclass
class Instance:
    """One of Marie's, on exp-1: Rosalind is of its team, Lise and Grace are not."""

    hub: RunningHub
    name: str
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return instance_id("marie", self.name)

    @property
    def url(self) -> str:
        """Of the gateway, with the slash."""
        return f"{self.hub.url}/user/marie/{self.name}/"

    def token(self, who: str) -> str:
        """Hers, made once."""
        if who not in self.tokens:
            self.tokens[who] = self.hub.token(who)
        return self.tokens[who]

    def start(self, **options: Any) -> None:
        """Until it answers its owner."""
        with self.hub.api(self.token("marie")) as api:
            answer = api.post(f"/users/marie/servers/{self.name}", json={**OPTIONS, **options})
            assert answer.status_code in (201, 202), answer.text
        until(lambda: self.get("marie", "api/status").status_code == 200, 60, "Jupyter's answer")

    def remove(self) -> None:
        """With all that belongs to it."""
        with self.hub.api(self.token("marie")) as api:
            api.request("DELETE", f"/users/marie/servers/{self.name}", json={"remove": True})

    # members

    def let_in(self, who: str, role: str | None, **more: Any) -> None:
        """Make her a member, another one, or none."""
        with Session(self.hub.store.engine) as session:
            known = session.get(MemberRow, (self.id, who))
            if known is not None:
                session.delete(known)
                session.flush()
            if role is not None:
                usual = {"way": "team", "granted_by": "marie", "since": datetime.now(UTC), "with_owner": False}
                session.add(MemberRow(instance_id=self.id, username=who, role=role, **{**usual, **more}))
                session.flush()
            changes.count(session, [self.id])
            session.commit()

    def is_member(self, who: str) -> bool:
        with Session(self.hub.store.engine) as session:
            return session.get(MemberRow, (self.id, who)) is not None

    def share(self, **more: Any) -> None:
        """As the owner set it: members come whenever they like, and reach her home."""
        usual = {"presence": "any", "on_leave": "disconnect", "folders": ["home", "shared"], "support": "ask"}
        with Session(self.hub.store.engine) as session:
            session.merge(SharingRow(instance_id=self.id, **{**usual, "approvers": "owner", **more}))
            changes.count(session, [self.id])
            session.commit()

    # what they get

    def get(self, who: str, path: str = "api/status", **more: Any) -> httpx.Response:
        """With her token."""
        headers = {"Authorization": f"token {self.token(who)}"}
        return httpx.get(self.url + path, headers=headers, timeout=30, **more)

    def put(self, who: str) -> int:
        """Write a file."""
        headers = {"Authorization": f"token {self.token(who)}"}
        body = {"type": "file", "format": "text", "content": who}
        return httpx.put(f"{self.url}api/contents/{who}.txt", headers=headers, json=body, timeout=30).status_code

    def enter(self, who: str) -> httpx.Response:
        """Ask the hub for the right to go there."""
        with self.hub.api(self.token(who)) as api:
            return api.post(f"/visa/instances/{self.id}/enter")

    def in_within(self, who: str, seconds: float = 60) -> None:
        """She enters, and is answered."""
        answer = self.enter(who)
        assert answer.status_code == 204, answer.text
        until(lambda: self.get(who).status_code == 200, seconds, f"{who} is in")

    def out_within(self, who: str, seconds: float = 60) -> None:
        """She is refused."""
        until(lambda: self.get(who).status_code in (401, 403), seconds, f"{who} is out")

    @contextmanager
    def kernel(self, who: str) -> Iterator[websockets.ClientConnection]:
        """A kernel's channels, open."""
        headers = {"Authorization": f"token {self.token(who)}"}

        def begun() -> str | None:
            made = httpx.post(f"{self.url}api/kernels", headers=headers, json={}, timeout=30)
            return str(made.json()["id"]) if made.status_code == 201 else None

        kernel = until(begun, 60, f"{who} may act")
        address = f"{self.url}api/kernels/{kernel}/channels".replace("http", "ws", 1)
        with websockets.connect(address, additional_headers=headers) as socket:
            yield socket

    def said(self, action: str, who: str) -> list[Any]:
        """Decisions in the audit trail."""
        entries = [e.decision for e in self.hub.store.audit(limit=500)]
        return [d for d in entries if (d.instance_id, d.action, d.actor) == (self.id, action, who)]


def closed_within(socket: websockets.ClientConnection, seconds: float = 60) -> int | None:
    """The code with which it is closed; whatever comes before is let pass."""
    try:
        while True:
            socket.recv(timeout=seconds)
    except ConnectionClosed as over:
        return over.rcvd.code if over.rcvd else None


def refused(instance: Instance, who: str) -> bool:
    """Whether no websocket opens for her."""
    headers = {"Authorization": f"token {instance.token(who)}"}
    try:
        with websockets.connect(
            f"{instance.url}api/events/subscribe".replace("http", "ws", 1), additional_headers=headers
        ):
            return False
    except InvalidStatus as error:
        return error.response.status_code in (401, 403)


def problem(answer: httpx.Response) -> dict[str, Any]:
    """Of a refusal."""
    return dict(json.loads(answer.text))
