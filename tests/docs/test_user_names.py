"""The table of user names in docs/operators/login.md: what each becomes, from claim to pod."""

from __future__ import annotations

import asyncio
import html
import re
from pathlib import Path

import pytest

from tests.catalogue.test_file import write
from tests.conftest import REPOSITORY
from tests.services.facility import CATALOGUE, facility
from visa.addresses import instance_path
from visa.catalogue.file import FileCatalogue
from visa.hub import inside
from visa.hub.claims import BadClaims
from visa.hub.people import username_of
from visa.hub.pods.manifest import owner_hash
from visa.identifiers import InvalidIdentifier, Username, instance_id
from visa.instances.model import Identity

PAGE = (REPOSITORY / "docs" / "operators" / "login.md").read_text()
_CELL = re.compile(r"<code>(.*?)</code>|`([^`]*)`")


def rows() -> list[tuple[str, list[str]]]:
    """Name, and the other cells, of each line of the table."""
    table = PAGE[PAGE.index("| name at the source |") :].split("\n\n")[0].splitlines()[2:]
    found = []
    for line in table:
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        found.append((value(cells[0]), cells[1:]))
    return found


def value(cell: str) -> str:
    """The text that stands in code; ``(200 times) a`` repeats."""
    match = _CELL.search(cell)
    assert match, cell
    text = html.unescape(match[1] or match[2])
    times = re.match(r"(\d+) times ", cell)
    return text * int(times[1]) if times else text


TAKEN = [(name, cells) for name, cells in rows() if not cells[0].startswith("refused")]
REFUSED = [(name, cells) for name, cells in rows() if cells[0].startswith("refused")]


def test_each_kind_is_there() -> None:
    names = [name for name, _cells in rows()]
    assert {"jürgen", "o'neil", "DOMAIN\\user", "Marie", "user@example.org", "cy+x", "7of9", "-marie", "marie."} <= {
        *names
    }
    assert any(" " in name for name in names)
    assert any(len(name) == 200 for name in names)
    assert (len(TAKEN), len(REFUSED)) == (10, 8)


@pytest.mark.parametrize(("name", "cells"), TAKEN, ids=[name[:20] for name, _ in TAKEN])
def test_what_is_taken_stays_as_it_is_everywhere(name: str, cells: list[str], tmp_path: Path) -> None:
    people = facility().people
    assert username_of({"preferred_username": name}, people) == name
    assert instance_path("/", name, "one") == value(cells[1])
    identity = Identity(Username(name), "Somebody", 20001, 20001, ())
    assert inside.home(identity) == value(cells[2])
    assert inside.passwd(identity, "/bin/sh").splitlines()[-1].startswith(f"{name}:x:20001:20001:") or (
        f"\n{name}:x:20001:20001:" in "\n" + inside.passwd(identity, "/bin/sh")
    )
    label = owner_hash(Username(name))
    assert re.fullmatch(r"[a-z0-9]{1,63}", label), "Kubernetes takes it, whatever the name has"
    assert re.fullmatch(r"[0-9a-f]{16}", instance_id(name, "one"))
    experiments = [{**CATALOGUE["experiments"][0], "team": [name]}]
    person = {"username": name, "name": "Somebody", "uid": 20001, "gid": 20001}
    catalogue = FileCatalogue(write(tmp_path, people=[*CATALOGUE["people"], person], experiments=experiments))
    found = asyncio.run(catalogue.experiments(["exp-1"])).value["exp-1"]
    assert found.team == {name}
    assert not found.unread


@pytest.mark.parametrize(("name", "cells"), REFUSED, ids=[name[:20] for name, _ in REFUSED])
def test_what_is_refused_is_refused_alone_and_said(name: str, cells: list[str], tmp_path: Path) -> None:
    with pytest.raises(BadClaims, match="is not valid"):
        username_of({"preferred_username": name}, facility().people)
    with pytest.raises(InvalidIdentifier):
        Username(name)
    experiments = [{**CATALOGUE["experiments"][0], "team": [name, "marie"]}]
    person = {"username": name, "name": "Somebody"}
    catalogue = FileCatalogue(write(tmp_path, people=[*CATALOGUE["people"], person], experiments=experiments))

    async def ask() -> tuple[frozenset[str], tuple[str, ...], int, str]:
        one = (await catalogue.experiments(["exp-1"])).value["exp-1"]
        said = "\n".join((await catalogue.health()).left_out)
        return frozenset(map(str, one.team)), one.left_out, len((await catalogue.people()).value), said

    team, left_out, people, said = asyncio.run(ask())
    assert (team, people) == ({"marie"}, len(CATALOGUE["people"]))
    assert left_out == (name.strip()[:200],)
    assert said.count("user name") >= 2, "in people and in the team"
    assert len(cells[3]) > 5, "how to mend it"


def test_no_two_names_share_anything() -> None:
    """What differs at the source is another person: in address, home, label and instance."""
    names = [name for name, _cells in TAKEN]
    for made in (lambda n: instance_path("/", n, "one"), owner_hash, lambda n: instance_id(n, "one")):
        assert len({made(Username(name)) for name in names}) == len(names)
