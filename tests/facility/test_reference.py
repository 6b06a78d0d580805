"""The operator's reference says what the models say, and every key is described."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter

from visa.facility import reference
from visa.facility.model import Facility
from visa.facility.reference import BEGIN, END, PAGE, Undescribed, example_of, markdown, page
from visa.facility.section import Section


def test_the_committed_page_is_the_models() -> None:
    committed = PAGE.read_text(encoding="utf-8")
    assert page(committed) == committed, "run python -m visa.facility.reference and commit docs/operators/facility.md"


def _fields(model: type[Section], path: str = "") -> list[tuple[str, Any]]:
    found = []
    for key, field in model.model_fields.items():
        found.append((f"{path}.{key}".lstrip("."), field))
        for inner, where in reference._models(field.annotation, f"{path}.{key}"):
            assert issubclass(inner, Section)
            found += _fields(inner, where)
    return found


ALL = _fields(Facility)


def test_every_key_is_found() -> None:
    names = {path for path, _ in ALL}
    assert {"facility.colour", "catalogue (sql).refresh", "lifetimes.N.extend.auto"} <= names
    assert len(names) > 60


@pytest.mark.parametrize(("path", "field"), ALL, ids=[path for path, _ in ALL])
def test_every_key_is_described_and_its_example_is_good(path: str, field: Any) -> None:
    assert field.description
    assert f"`{path.rsplit('.', 1)[-1]}`" in markdown()
    if list(reference._models(field.annotation, path)):
        return
    example = example_of(path, field)
    assert TypeAdapter(Annotated[field.annotation, Field(), *field.metadata]).validate_python(example) not in (None, "")


class _Undescribed(Section):
    key: str = Field(examples=["x"])


class _WithoutExample(Section):
    key: str = Field(description="A key.")


@pytest.mark.parametrize("model", [_Undescribed, _WithoutExample])
def test_a_key_without_description_or_example_is_refused(model: type[Section]) -> None:
    with pytest.raises(Undescribed, match=r"part\.key has no"):
        list(reference._section(model, "part"))


def test_the_page_keeps_what_is_written_by_hand() -> None:
    made = page(f"before\n{BEGIN}\nfrom before\n{END}\nafter\n")
    assert made.startswith("before\n")
    assert made.endswith(f"{END}\nafter\n")
    assert "from before" not in made
    with pytest.raises(ValueError, match="once each"):
        page("no markers")
