"""The pages against the code: what they list is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from visa.instances.model import Reason
from visa.portal.api import OPERATIONS
from visa.portal.problems import REASONS
from visa.store.admissions import HTTP_STATUS

DOCS = REPOSITORY / "docs"
PAGES = [REPOSITORY / "README.md", *sorted(DOCS.rglob("*.md")), REPOSITORY / "benchmarks" / "README.md"]


def test_every_reason_of_admission_is_listed_with_its_status() -> None:
    text = (DOCS / "developers" / "admission.md").read_text()
    listed = {reason: int(status) for reason, status in re.findall(r"^\| `([a-z-]+)` \| (\d+) \|", text, re.M)}
    assert listed == {reason.value: HTTP_STATUS[reason] for reason in Reason}


def test_every_operation_and_reason_of_the_api_is_listed() -> None:
    text = (DOCS / "developers" / "api.md").read_text()
    assert set(re.findall(r"^\| `([A-Z]+ [^`]+)` \|", text, re.M)) == {f"{o.method} {o.path}" for o in OPERATIONS}
    assert dict(re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", text, re.M)) == REASONS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{page.name} leads to {target}, which is not there"
