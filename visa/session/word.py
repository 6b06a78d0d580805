"""The hub's word on who may be here, read. Whatever in it is not as agreed makes all of it void."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from visa.instances.members import Membership, Sharing, membership, sharing


class BadWord(Exception):
    """The hub's answer is not what docs/developers/people.md says."""


@dataclass(frozen=True, slots=True)
class Word:
    """What a gateway knows of its instance; ``number`` is the store's, which grows with every change.

    ``pictures``: the instance's key of `visa.instances.pictures`.
    """

    number: int
    members: Mapping[str, Membership]
    names: Mapping[str, str]
    sharing: Sharing
    requests: tuple[Mapping[str, Any], ...]
    help: bool
    look: tuple[int, float] | None = None
    """Of start-up files, that the owner asked for: its number, and since when, in seconds since 1970."""
    pictures: str = ""

    def name(self, username: str) -> str:
        """What a member is called."""
        return self.names.get(username, username)


_MOST = 1000
_LONGEST = 2000


def read(answer: Mapping[str, Any], instance_id: str) -> Word:
    """The hub's answer about the instance; raise `BadWord`."""
    try:
        listed = _bounded(answer["members"])
        members = [membership(instance_id, one) for one in listed]
        return Word(
            number=int(answer["number"]),
            members={member.username: member for member in members},
            names={str(one["username"]): str(one.get("name") or one["username"]) for one in listed},
            sharing=sharing(answer["sharing"]),
            requests=tuple(_request(one) for one in _bounded(answer["requests"])),
            help=answer["help"] is True,
            look=_look(answer.get("look")),
            pictures=str(answer.get("pictures", "")),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadWord(f"{type(error).__name__}: {error}") from None


def _bounded(given: Any) -> list[Any]:
    if not isinstance(given, list) or len(given) > _MOST:
        raise ValueError("not a list, or too long")
    return given


def _look(given: Any) -> tuple[int, float] | None:
    return None if given is None else (int(given["number"]), datetime.fromisoformat(given["since"]).timestamp())


def _request(one: Any) -> Mapping[str, Any]:
    """Those fields that pages show."""
    texts = {key: str(one[key])[:_LONGEST] for key in ("kind", "username", "name", "wanted", "reason", "since")}
    return {"id": int(one["id"]), **texts}
