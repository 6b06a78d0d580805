"""Who may be in other people's instances: ``sharing`` and ``support`` in facility.yaml."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from pydantic import Field

from visa.facility.section import Section
from visa.facility.units import Duration
from visa.identifiers import RoleName

MostRole = Literal["none", "observer", "collaborator"]
_Names = Annotated[tuple[RoleName, ...], Field(json_schema_extra={"uniqueItems": True})]


class Sharing(Section):
    """Who may be a member of other people's instances."""

    members: bool = Field(
        default=True, strict=True, description="`false`: instances are their owners' alone, but for support."
    )
    outsiders: MostRole = Field(
        default="observer",
        description="Most that people outside the teams of the instance's experiments may be.",
        examples=["none"],
    )
    embargoed: MostRole = Field(
        default="none",
        description="The same while the data of any of them is not released; the lower of both counts.",
        examples=["observer"],
    )
    search: bool = Field(default=True, strict=True, description="Whether owners find and add outsiders by name.")
    invitations: bool = Field(default=True, strict=True, description="Whether owners make links for one person.")
    public_links: bool = Field(default=True, strict=True, description="Whether owners make links for many people.")
    longest: Duration = Field(
        default=timedelta(days=30), description="Longest life of a link, and of an outsider's membership."
    )


class Window(Section):
    """Roles that may support instances around the dates of their experiments."""

    roles: _Names = Field(default=(RoleName("instrument_control"),), description="Roles that may.")
    around: Duration = Field(default=timedelta(days=7), description="How long before the first and after the last day.")


class Support(Section):
    """Which staff may help in people's instances. The owner consents, but for `break_glass`."""

    everywhere: _Names = Field(
        default=(RoleName("administrator"), RoleName("it_support")), description="Roles that may support any instance."
    )
    instruments: bool = Field(
        default=True, strict=True, description="Whether an instrument's scientists may support instances on it."
    )
    window: Window = Field(default=Window(), description="Roles that may around an experiment's dates.")
    break_glass: _Names = Field(
        default=(RoleName("administrator"),),
        description="Roles that may enter without consent; the owner is told, the audit trail has it.",
    )
    lasts: Duration = Field(default=timedelta(hours=8), description="How long a consent holds.")
