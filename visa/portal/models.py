"""What the REST API takes and gives. Field names are stable from the first release."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from visa.catalogue.base import Scope, Sort
from visa.instances import texts


class Given(BaseModel):
    """A request: unknown fields are errors."""

    model_config = ConfigDict(extra="forbid")


class Answer(BaseModel):
    """A response."""

    model_config = ConfigDict(from_attributes=True)


class MeOut(Answer):
    """Who the token belongs to."""

    username: str
    name: str
    email: str | None
    roles: list[str]
    groups: list[str]
    facility: str = Field(description="Name of the facility")
    contact: str = Field(description="Whom to ask")


class ExperimentQuery(Given):
    """Search one's experiments."""

    text: str = Field(default="", max_length=200, description="Words that must all be found")
    instrument: str | None = Field(default=None, max_length=64)
    year: int | None = Field(default=None, ge=1900, le=2200)
    scope: Scope = Scope.MINE
    sort: Sort = Sort.NEWEST
    offset: int = Field(default=0, ge=0, le=1_000_000)
    limit: int = Field(default=50, ge=1, le=500)


class ExperimentOut(Answer):
    """An experiment that she may use."""

    id: str
    title: str
    proposal: str
    proposal_title: str
    instrument: str
    instrument_name: str
    start: date
    end: date
    release: date | None
    doi: str | None
    team: list[str]


class Choice(Answer):
    """A value to filter by."""

    id: str
    name: str


class ExperimentsOut(Answer):
    """One page of a search."""

    experiments: list[ExperimentOut]
    total: int
    offset: int
    instruments: list[Choice]
    years: list[int]
    stale: bool = Field(description="The catalogue does not answer; this is what was known")
    as_of: datetime


class EnvironmentOut(Answer):
    """An environment; ``refused`` says why not."""

    id: str
    title: str
    description: str
    sessions: list[str]
    software: dict[str, str]
    refused: str | None


class FlavourOut(Answer):
    """A flavour; ``refused`` says why not."""

    id: str
    title: str
    cpu: float
    memory: int = Field(description="bytes")
    gpu: int
    scratch: int = Field(description="bytes")
    refused: str | None


class QuotaOut(Answer):
    """One of her own limits and what she holds of it."""

    resource: Literal["instances", "cpu", "memory", "gpu"]
    allowed: float
    held: float
    source: str


State = Literal["starting", "running", "stopping", "stopped", "failed"]


class WayOut(Answer):
    """A way into an instance."""

    session: str
    url: str


class InstanceOut(Answer):
    """One of her instances."""

    id: str
    name: str = Field(description="JupyterHub's server name")
    title: str
    state: State
    experiments: list[str]
    environment: str
    flavour: str
    session: str
    url: str = Field(description="Where it opens")
    ways: list[WayOut] = Field(description="The kinds that its environment offers, the one asked for first")
    preview: str | None = Field(description="The owner's picture of its running desktop; good for a few minutes")
    created: datetime | None
    started: datetime | None
    ends: datetime | None = Field(description="When its lifetime ends, if nothing changes")
    ends_because: Literal["maximum", "idle"] | None
    reason: str | None = Field(description="Why it ended, when nobody asked for that")
    notice: str | None = Field(description="What was noticed in it since its start, as a kernel ended for memory")


Identifier = Annotated[str, Field(max_length=128)]


def _title(given: str) -> str:
    try:
        return texts.title(given)
    except texts.UnfitText as error:
        raise PydanticCustomError(UNFIT, "{sentence}", {"sentence": error.sentence, "remedy": error.remedy}) from None


UNFIT = "unfit_text"
"""The kind of pydantic's error whose context has our sentence and remedy."""
Title = Annotated[
    str, AfterValidator(_title), Field(json_schema_extra={"minLength": 1, "maxLength": texts.LONGEST_TITLE})
]


class StartIn(Given):
    """Start options, as JupyterHub takes them, and a title."""

    experiments: list[Identifier] = Field(max_length=100)
    environment: Identifier
    flavour: Identifier
    session: Identifier = "notebook"
    title: Title | None = None


class TitleIn(Given):
    """A new title."""

    title: Title


class ProblemOut(Answer):
    """An error, as application/problem+json."""

    type: str
    title: str
    status: int
    detail: str
    reason: str
    remedy: str
    field: str | None


class Nothing(Answer):
    """No content."""


def plain(value: Any) -> Any:
    """A response as JSON-ready values."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return [plain(item) for item in value] if isinstance(value, list) else value
