"""A hub on an export of files in which rows are bad for a while, also while it starts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.catalogue.test_faults import as_csv
from tests.services import facility
from tests.services.facility import CATALOGUE
from tests.services.hub import Backend, RunningHub, until
from visa.store.store import Instance

GOOD: dict[str, Any] = {"environment": "scattering", "flavour": "small"}
ASKED_ALWAYS = "c.Authenticator.auth_refresh_age = 1\n"


class Export:
    """The files, as they are and as a test spoils them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        as_csv(folder, CATALOGUE)
        self.whole = {file.name: file.read_bytes() for file in folder.iterdir()}

    def change(self, file: str, before: str, after: str) -> None:
        """Put ``after``, which may have any bytes, in the place of a text."""
        path = self.folder / file
        content = path.read_bytes()
        assert before.encode() in content
        path.write_bytes(content.replace(before.encode(), after.encode("utf-8", "surrogateescape")))

    def mend(self) -> None:
        for name, content in self.whole.items():
            (self.folder / name).write_bytes(content)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Export:
    return Export(tmp_path_factory.mktemp("rows") / "export")


@pytest.fixture(scope="module")
def hub(
    tmp_path_factory: pytest.TempPathFactory, environment_prefix: Path, backend: Backend, export: Export
) -> Iterator[RunningHub]:
    folder = tmp_path_factory.mktemp("bad-rows")
    source = {"type": "file", "path": str(export.folder)}
    path = facility.write(folder / "facility", environment_prefix, catalogue=source)
    made = backend.hub(folder, path, look_every=1.0, extra=ASKED_ALWAYS)
    try:
        made.start()
        yield made
    finally:
        made.end()


@pytest.fixture(autouse=True)
def _mended(export: Export) -> Iterator[None]:
    yield
    export.mend()


def start(hub: RunningHub, who: str, token: str, name: str, experiment: str) -> httpx.Response:
    with hub.api(token) as api:
        return api.post(f"/users/{who}/servers/{name}", json={**GOOD, "experiments": [experiment]})


def instance(hub: RunningHub, who: str, name: str) -> Instance:
    (found,) = [one for one in hub.store.instances_of(who) if one.name == name]
    return found


def remove(hub: RunningHub, who: str, token: str, name: str) -> None:
    with hub.api(token) as api:
        api.request("DELETE", f"/users/{who}/servers/{name}", json={"remove": True})
    until(lambda: not hub.store.holding(), 60, "its end")


BLANK = ("marie,Marie Curie,", "marie, ,")
TORN = ("marie,Marie Curie,", "marie,Marie,Curie,,,")
TWICE = ("marie,Marie Curie,", "marie,Another,,20099,20099,,\r\nmarie,Marie Curie,")


@pytest.mark.parametrize(("change", "logs_in"), [(BLANK, True), (TORN, False), (TWICE, False)])
def test_who_has_a_bad_row_for_a_while_is_not_locked_out_afterwards(
    hub: RunningHub, export: Export, change: tuple[str, str], logs_in: bool
) -> None:
    token = hub.token("marie")
    said = hub.tail(1_000_000).count("Nothing is known about marie")
    export.change("people.csv", *change)
    with hub.api(token) as api:

        def noticed() -> bool:
            assert api.get("/users/marie").status_code == 200
            person = hub.store.person("marie")
            assert person is not None
            return (
                person.name == "marie" if logs_in else hub.tail(1_000_000).count("Nothing is known about marie") > said
            )

        until(noticed, 60, "the hub's look at her row")
    if logs_in:
        assert hub.token("marie")
    else:
        refused = start(hub, "marie", token, "blank", "exp-1")
        assert refused.json()["reason"] in ("person-not-verified", "catalogue-unavailable"), refused.text
    person = hub.store.person("marie")
    assert person is not None
    assert person.active, "nothing is known against her"
    export.mend()
    answer = start(hub, "marie", token, "mended", "exp-1")
    assert answer.status_code in (201, 202), answer.text
    assert hub.token("marie")
    remove(hub, "marie", token, "mended")


def test_a_hub_that_starts_with_bad_rows_lets_everybody_else_in(hub: RunningHub, export: Export) -> None:
    tokens = {who: hub.token(who) for who in ("lise", "rosalind")}
    assert start(hub, "lise", tokens["lise"], "before", "exp-3").status_code in (201, 202)
    hub.kill()
    export.change("people.csv", "marie,Marie Curie,", "m\udcfcrie,Marie,Curie,,,,,,")
    export.change("people.csv", "dorothy,Dorothy Hodgkin", "o'neil,Dorothy Hodgkin")
    export.change("experiments.csv", "exp-2,", "\x00,")
    hub.start()
    assert hub.token("rosalind")
    assert hub.token("lise")
    assert start(hub, "lise", tokens["lise"], "after", "exp-4").status_code in (201, 202)
    assert start(hub, "rosalind", tokens["rosalind"], "too", "exp-1").status_code in (201, 202)
    assert instance(hub, "lise", "before").state == "running"
    assert "people.csv:2: people: has another number of columns" in hub.tail(200_000)
    for who, name in (("lise", "before"), ("lise", "after"), ("rosalind", "too")):
        with hub.api(tokens[who]) as api:
            api.request("DELETE", f"/users/{who}/servers/{name}", json={"remove": True})
    until(lambda: not hub.store.holding(), 60, "the end of all")


def test_an_export_that_lost_its_teams_while_the_hub_was_down_ends_nobody_until_it_is_said_to_be_so(
    hub: RunningHub, export: Export
) -> None:
    token = hub.token("rosalind")
    assert start(hub, "rosalind", token, "goes-on", "exp-1").status_code in (201, 202)
    hub.kill()
    for team in ('"marie,rosalind"', ",marie\r\n", ",lise\r\n"):
        export.change("experiments.csv", team, ",\r\n" if team.endswith("\r\n") else "")
    hub.start()
    said = "Running instances are not compared with the catalogue"
    doubted = "team members: there were 5, now 0, which is not believed"
    until(lambda: hub.tail(200_000).count(said) >= 3 and doubted in hub.tail(200_000), 60, "three looks that doubt")
    assert instance(hub, "rosalind", "goes-on").state == "running"
    refused = start(hub, "rosalind", token, "another", "exp-4")
    assert refused.status_code >= 400, "nothing new is granted"
    source = {"type": "file", "path": str(export.folder), "believe": "it is so"}
    document = yaml.safe_load(hub.facility.read_text())
    hub.facility.write_text(facility.dump({**document, "catalogue": source}))
    until(lambda: instance(hub, "rosalind", "goes-on").state == "stopped", 60, "the end, twice said")
    assert "exp-1 is not one of yours any more" in (instance(hub, "rosalind", "goes-on").reason or "")
