"""Names of claims in facility.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.services import facility
from visa.facility.load import load
from visa.facility.problems import FacilityProblems


@pytest.mark.parametrize("name", ["roles", "realm_access.roles", "https://ill.eu/roles", "resource_access.a-b.roles"])
def test_names_and_paths_are_taken(tmp_path: Path, name: str) -> None:
    assert load(facility.write(tmp_path, people={"roles_claim": name})).people.roles_claim == name


@pytest.mark.parametrize("key", ["roles_claim", "groups_claim", "username_claim", "uid_claim", "name_claim"])
@pytest.mark.parametrize("name", ["realm_access..roles", ".roles", "roles.", "."])
def test_a_path_with_an_empty_part_is_refused(tmp_path: Path, key: str, name: str) -> None:
    """It would never find anything."""
    with pytest.raises(FacilityProblems) as refused:
        load(facility.write(tmp_path, people={key: name}))
    (problem,) = refused.value.problems
    assert problem.field == f"people.{key}"
    assert "empty part" in problem.wrong
    assert "realm_access.roles" in problem.right
