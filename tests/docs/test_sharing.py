"""docs/operators/sharing.md: its values are the defaults, its roles, keys, actions and causes those of the code."""

from __future__ import annotations

import importlib.util
import re

import yaml

from tests.conftest import REPOSITORY
from visa.facility.sharing import Sharing, Support
from visa.instances.access import Role

PAGE = (REPOSITORY / "docs" / "operators" / "sharing.md").read_text()
STARTUP = REPOSITORY / "visa" / "session" / "environment" / "startup.py"
CODE = "".join(file.read_text() for file in (REPOSITORY / "visa" / "store").rglob("*.py"))


def test_the_values_are_the_defaults() -> None:
    members, support = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.+?)```", PAGE, re.S))
    assert Sharing.model_validate(members["sharing"]) == Sharing()
    assert Support.model_validate(support["support"]) == Support()
    assert set(members["sharing"]) == set(Sharing.model_fields)
    assert set(support["support"]) == set(Support.model_fields)


def test_every_role_and_key_has_a_line() -> None:
    lines = set(re.findall(r"^\| `([a-z_-]+)` \|", PAGE, re.M))
    assert {role.value for role in Role if role is not Role.NONE} <= lines
    assert set(Sharing.model_fields) | set(Support.model_fields) <= lines


def test_every_action_and_cause_is_there() -> None:
    table = PAGE[PAGE.index("| action | when |") :]
    listed = set(re.findall(r"`([a-z-]+)`", table))
    acts = set(re.findall(r'perform\(\s*\w+, "([a-z-]+)"', CODE)) | {"member-leave", "member-remove"}
    acts |= set(re.findall(r'Decision\([^)]*?, "([a-z-]+)", True, row\.id', CODE))
    causes = set(re.findall(r'(?:_members|ends\.member)\(.+?, "([a-z-]+)"', CODE)) | {"removed", "left"}
    assert {"member-add", "visit-end", "break-glass"} <= acts
    assert {"experiments-changed", "link-withdrawn", "expired"} <= causes
    assert acts | causes <= listed, (acts | causes) - listed


def test_every_start_up_file_has_its_reason() -> None:
    spec = importlib.util.spec_from_file_location("visa_startup", STARTUP)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    table = PAGE[PAGE.index("| below home") : PAGE.index("## In the audit trail")]
    listed = {
        place: row[2].strip()
        for row in re.findall(r"^(\| (`.+`) \| (.+) \|)$", table, re.M)
        for place in re.findall("`(.+?)`", row[1])
    }
    assert listed == dict(module.TABLE)
