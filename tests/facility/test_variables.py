"""Variables of environments: names and values that can be, none that VISA sets itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.facility.example import only
from tests.facility.test_rules import _added


@pytest.mark.parametrize(
    ("written", "field", "said"),
    [
        ("{HOME: /tmp}", "variables.HOME", "set by VISA itself"),
        ("{PATH: /bin}", "variables.PATH", "set by VISA itself"),
        ("{VISA_RUN: /tmp}", "variables.VISA_RUN", "set by VISA itself"),
        ("{JUPYTERHUB_API_TOKEN: x}", "variables.JUPYTERHUB_API_TOKEN", "set by VISA itself"),
        ('{"A B": x}', "variables.A B", "letters, digits"),
        ("{1A: x}", "variables.1A", "letters, digits"),
        ("{A: 1}", "variables.A", ""),
        ('{A: "one\\nline"}', "variables.A", "one line"),
    ],
)
def test_what_cannot_be_a_variable_is_said(tmp_path: Path, written: str, field: str, said: str) -> None:
    problem = only(tmp_path, _added(f"variables: {written}"))
    assert problem.field.startswith(field)
    assert said in f"{problem.wrong} {problem.right}"
