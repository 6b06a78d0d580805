"""Limits by systemd's scopes, with a stand-in for systemd-run: no machine of ours has a user's systemd."""

from __future__ import annotations

from pathlib import Path

import pytest

from visa.hub.sandboxes import machine
from visa.hub.sandboxes.cgroups import ControlGroups, find
from visa.instances.model import Resources

RESOURCES = Resources(cpu=1, memory=1 << 30, gpu=0, scratch=0)
OLD = 'case "$*" in *OOMPolicy*) echo "Unknown assignment" >&2; exit 1;; esac'


@pytest.mark.parametrize(
    ("script", "expected"), [("", ("OOMPolicy=continue",)), (OLD, ()), ("exit 1", None)], ids=["new", "old", "none"]
)
def test_a_scope_goes_on_when_one_in_it_is_ended_for_memory_where_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, expected: tuple[str, ...] | None
) -> None:
    program = tmp_path / "systemd-run"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(machine, "_SYSTEMD", str(tmp_path))
    assert machine.scope_properties() == expected
    control = find(tmp_path, expected, root=tmp_path / "none")
    assert control.kind == ("rlimit" if expected is None else "scope")
    if expected is not None:
        asked = control.limits("0123456789abcdef", RESOURCES).scope
        assert ("--property=OOMPolicy=continue" in asked) is bool(expected)
        assert asked[-1] == "--"


def test_no_systemd_no_scope(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_SYSTEMD", str(tmp_path / "none"))
    assert machine.scope_properties() is None
    assert ControlGroups("rlimit").limits("x", RESOURCES).data == 1 << 30
