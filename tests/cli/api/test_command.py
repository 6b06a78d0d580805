"""``visa api`` against a real portal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.services.hub import RunningHub
from visa.cli.main import main
from visa.portal.api import OPERATIONS


class Shell:
    """Runs ``visa api`` as somebody."""

    def __init__(self, hub: RunningHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.hub, self.monkeypatch, self.capsys = hub, monkeypatch, capsys

    def __call__(self, *words: str, who: str = "marie", url: str = "") -> tuple[int, str, str]:
        """The exit code and what was printed."""
        token = self.hub.token(who) if who else ""
        self.monkeypatch.setenv("VISA_TOKEN", token)
        with pytest.raises(SystemExit) as ended:
            main(("api", "--url", url or self.hub.url, *words))
        said = self.capsys.readouterr()
        assert not token or token not in said.out + said.err
        return int(ended.value.code or 0), said.out, said.err

    def done(self, *words: str, who: str = "marie") -> Any:
        """The answer when it was done."""
        code, out, err = self(*words, who=who)
        assert (code, err) == (0, "")
        return json.loads(out) if out else None


@pytest.fixture
def shell(shared_hub: RunningHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(shared_hub, monkeypatch, capsys)


def test_all_that_the_portal_offers_is_there_without_a_token(shell: Shell) -> None:
    code, out, _ = shell(who="")
    assert code == 0
    assert {line.split()[0] for line in out.splitlines()} == {o.run.__name__.replace("_", "-") for o in OPERATIONS}
    assert "add-member id username role [until] [with_owner]" in out


def test_an_instance_and_its_people(shell: Shell) -> None:
    made = shell.done("create", "experiments=exp-1", "environment=scattering", "flavour=small", "title=Null = 0")
    try:
        assert made["title"] == "Null = 0"
        assert [one["id"] for one in shell.done("instances")].count(made["id"]) == 1
        who = (f"id={made['id']}", "username=rosalind")
        shell.done("add-member", *who, "role=observer", "until=null", "with_owner=true")
        member = next(one for one in shell.done("members", who[0]) if one["username"] == "rosalind")
        assert (member["username"], member["role"], member["with_owner"]) == ("rosalind", "observer", True)
        assert shell.done("change-member", *who, "role=collaborator")["role"] == "collaborator"
        assert [one["id"] for one in shell.done("shared", who="rosalind")] == [made["id"]]
        assert shell.done("share", who[0], "folders=shared, home")["folders"] == ["home", "shared"]
        assert shell.done("share", who[0], 'folders=["shared"]')["folders"] == ["shared"]
        assert shell.done("remove-member", *who) is None
        assert "rosalind" not in [one["username"] for one in shell.done("members", who[0])]
        assert shell("members", who[0], who="lise")[:2] == (1, "")
        assert '"running"' in shell("events", who[0])[1]
    finally:
        shell.done("delete", f"id={made['id']}")


def test_a_search_is_sent_as_it_is(shell: Shell) -> None:
    found = shell.done("experiments", "text=flow & more=1", "limit=1")
    assert found["total"] == 0
    assert shell.done("experiments", "text=flow", "limit=1")["total"] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "There is no 'nothing'. `visa api` alone lists what there is."),
        (["members"], "members needs id."),
        (["members", "id"], "'id' is not understood: members takes id, each as FIELD=VALUE."),
        (["me", "x=1"], "'x=1' is not understood: me takes nothing, each as FIELD=VALUE."),
        (["members", "id=1", "id=2"], "id is given twice."),
        (["experiments", "year=late"], "year: 'late' is no integer or null, written as in JSON."),
        (
            ["add-member", "id=1", "username=x", "role=observer", "with_owner=maybe"],
            "with_owner: 'maybe' is no boolean",
        ),
    ],
)
def test_a_wrong_question_names_the_field(shell: Shell, words: list[str], said: str) -> None:
    code, out, err = shell(*words)
    assert (code, out) == (2, "")
    assert err.startswith(said)


def test_the_portal_s_own_words_are_told(shell: Shell) -> None:
    code, out, err = shell("create", "experiments=exp-3", "environment=scattering", "flavour=small")
    assert (code, out) == (1, "")
    assert "exp-3" in err
    code, _, err = shell("experiments", "limit=1000000")
    assert code == 1
    assert "limit" in err


def test_a_value_stays_in_its_place_of_the_path(shell: Shell) -> None:
    code, out, err = shell("members", "id=../me")
    assert (code, out) == (1, "")
    assert err


def test_no_address_and_no_token(shell: Shell) -> None:
    assert shell("me", who="")[0] == 2
    assert shell("me", url="ftp://x")[0] == 2
    code, _, err = shell("me", url="http://127.0.0.1:1")
    assert (code, "does not answer" in err) == (1, True)
    code, _, err = shell("me", url=f"{shell.hub.url}/hub")
    assert (code, "is no portal of VISA's" in err) == (2, True)
