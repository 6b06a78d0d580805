"""Account files and variables inside: a person's name can add neither a line nor a field."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hub.pods.making import HUBS, IDENTITIES, MARIE, on_kubernetes, spec
from tests.services import cluster
from visa.facility.desktop import Desktop
from visa.hub import inside
from visa.identifiers import ExperimentId, Username
from visa.instances.access import DesktopRules, Role, Way
from visa.instances.model import Identity, Resources
from visa.session.settings import GatewaySettings

NASTY = st.one_of(
    st.text(),
    st.text(st.sampled_from(":\n\r\x00\x0b\x85\u2028 ax")),
    st.sampled_from(["x:0:0::/:/bin/sh", "x\nroot::0:0::/:/bin/sh", "Marie\u2028eve:x:0:0", "\ud800"]),
)


def named(name: str) -> Identity:
    return Identity(MARIE.username, name, MARIE.uid, MARIE.gid, MARIE.gids)


@given(NASTY)
def test_a_name_adds_nothing_to_passwd(name: str) -> None:
    text = inside.passwd(named(name), "/bin/bash")
    assert text.endswith("\n")
    lines = text[:-1].split("\n")
    assert lines == text.splitlines(), "whatever counts as the end of a line"
    fields = [line.split(":") for line in lines]
    assert [len(parts) for parts in fields] == [7, 7, 7]
    assert [parts[0] for parts in fields] == ["root", "marie", "nobody"]
    assert fields[1][2:4] == ["20001", "20001"]
    assert fields[1][5:] == ["/home/marie", "/bin/bash"]
    assert "\0" not in text
    text.encode()


@given(IDENTITIES)
def test_every_group_has_one_line(identity: Identity) -> None:
    text = inside.group(identity)
    fields = [line.split(":") for line in text.splitlines()]
    assert text.count("\n") == len(fields)
    assert {len(parts) for parts in fields} == {4}
    numbers = [int(parts[2]) for parts in fields]
    assert set(numbers) == {0, 65534, identity.gid, *identity.gids}
    members = {int(parts[2]): parts[3] for parts in fields}
    assert all(members[gid] == identity.username for gid in identity.gids)
    assert members[0] == ""


def test_names_people_have_stay_readable() -> None:
    assert ":Irène Joliot-Curie, Łódź:" in inside.passwd(named("Irène Joliot-Curie, Łódź"), "/bin/sh")


@given(IDENTITIES, st.sampled_from(["notebook", "desktop"]), st.floats(0.01, 512))
def test_variables_are_text_and_none_is_the_hubs(identity: Identity, session: str, cpu: float) -> None:
    wanted = spec(identity=identity, session=session, resources=Resources(cpu, 1, 0, 0))
    made = inside.variables(wanted, on_kubernetes(), "/user/x/y/")
    assert all(type(name) is str and isinstance(value, str) and value.isprintable() for name, value in made.items())
    assert not [name for name in made if name.startswith("JUPYTERHUB")]
    assert made["HOME"] == f"/home/{identity.username}"
    assert int(made["OMP_NUM_THREADS"]) >= max(1, cpu)


def test_a_facilitys_variables_and_an_environments_own() -> None:
    made = inside.variables(spec(), on_kubernetes(), "/")
    assert made["HDF5_USE_FILE_LOCKING"] == "FALSE", "who reads stops nobody from writing"
    environments = cluster.parts()["environments"]
    environments["scattering"] |= {"variables": {"A": "its own", "OMP_NUM_THREADS": "1"}}
    everywhere = {"A": "all", "B": "all", "HDF5_USE_FILE_LOCKING": "BEST_EFFORT"}
    made = inside.variables(spec(), on_kubernetes(variables=everywhere, environments=environments), "/")
    assert (made["A"], made["B"], made["OMP_NUM_THREADS"]) == ("its own", "all", "1")
    assert made["HDF5_USE_FILE_LOCKING"] == "BEST_EFFORT"
    assert made["HOME"] == "/home/marie"


def test_the_first_page() -> None:
    assert inside.opening(spec(session="desktop")) == "desktop/"
    assert inside.opening(spec(experiments=())) == "lab"
    two = spec(experiments=(ExperimentId("e-1"), ExperimentId("e-2")))
    assert inside.opening(two) == "lab/tree/notebooks/e-1.ipynb?file-browser-path=/data/e-1"
    assert inside.variables(two, on_kubernetes(), "/")["VISA_EXPERIMENTS"] == "e-1 e-2"


def test_mail_addresses_are_homes() -> None:
    assert inside.home(Identity(Username("m.c+x@example.org"), "", 1, 1, ())) == "/home/m.c+x@example.org"


def told(facility_desktop: Desktop, maximum: timedelta | None = None) -> GatewaySettings:
    """What the gateway makes of it."""
    facility = on_kubernetes().model_copy(update={"desktop": facility_desktop})
    hubs = {**HUBS, "JUPYTERHUB_API_URL": "http://hub:1/hub/api", "JUPYTERHUB_CLIENT_ID": "x"}
    hubs["JUPYTERHUB_OAUTH_ACCESS_SCOPES"] = '["access:servers"]'
    return GatewaySettings.read({**hubs, **inside.gateway_variables(spec(maximum=maximum), facility)})


def test_the_gateway_reads_the_facilitys_rules() -> None:
    ways = {Role.OWNER: Way.BOTH, Role.COLLABORATOR: Way.BOTH, Role.SUPPORT: Way.NONE, Role.OBSERVER: Way.NONE}
    assert told(Desktop()).desktop == DesktopRules(ways, 2**20, Way.BOTH, True)
    given = {"clipboard": {"owner": "out"}, "clipboard_limit": "2Mi", "files": "in", "preview": False}
    rules = told(Desktop.model_validate(given)).desktop
    assert (rules.clipboard[Role.OWNER], rules.clipboard_limit, rules.files, rules.preview) == (
        Way.OUT,
        2**21,
        Way.IN,
        False,
    )


def test_the_gateway_is_told_what_is_offered_and_until_when() -> None:
    assert told(Desktop()).ends == ""
    assert told(Desktop()).sessions == {"notebook"}
    ends = datetime.fromisoformat(told(Desktop(), timedelta(days=2)).ends)
    assert timedelta(days=2) - timedelta(seconds=60) < ends - datetime.now(UTC) <= timedelta(days=2)


def test_a_clipboard_has_a_limit() -> None:
    with pytest.raises(ValueError, match="clipboard_limit"):
        Desktop.model_validate({"clipboard_limit": "17Mi"})
