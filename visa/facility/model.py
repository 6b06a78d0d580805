"""``facility.yaml`` as typed values. Field descriptions are the operator's reference (docs test them)."""

from __future__ import annotations

import difflib
from datetime import date, timedelta, tzinfo
from pathlib import Path
from typing import Annotated, ClassVar, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, HttpUrl, WithJsonSchema, model_validator
from pydantic.config import JsonDict

from visa import clock
from visa.facility.desktop import Desktop
from visa.facility.kubernetes import FlavourOnKubernetes, Homes, ImageEnvironment, Storage
from visa.facility.limits import Limits
from visa.facility.section import Section, Text, one_of, subject_fault
from visa.facility.sharing import Sharing, Support
from visa.facility.units import Cpu, Duration, Memory, PathTemplate, TargetTemplate
from visa.facility.variables import Variables
from visa.identifiers import DataRootId, EnvironmentId, FlavourId, InstrumentId, ProposalId, RoleName, Username

SessionKind = Literal["notebook", "desktop"]
DesktopServer = Literal["tigervnc", "selkies"]

BUILT_IN_ROLES = frozenset(
    {"administrator", "it_support", "instrument_scientist", "instrument_control", "scientist", "student"}
)
"""Roles that VISA itself knows; facility.yaml may declare more under ``people.roles``.

``instrument_scientist`` is given by the catalogue too: to who is named as scientist of an instrument.
"""


def _place(path: Path) -> Path:
    if str(path) in (".", "..") or any(not part.isprintable() for part in path.parts):
        raise ValueError("is not the name of a file or folder; give one, as data/raw")
    return path


def _claim(name: str) -> str:
    if any(not part.strip() for part in name.split(".")):
        raise ValueError("has an empty part; give a claim's name, or a path as realm_access.roles")
    return name


Claim = Annotated[Text, AfterValidator(_claim), Field(json_schema_extra={"pattern": r"^[^.]+(\.[^.]+)*$"})]
"""A claim of the identity provider: its name, or the path to it with dots."""


Place = Annotated[Path, AfterValidator(_place), WithJsonSchema({"type": "string", "minLength": 1})]
"""A file or folder of this machine, absolute or relative to facility.yaml."""


def _time_zone(name: str) -> str:
    known = available_timezones()
    if name not in known:
        close = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean '{close[0]}'?" if close else "give one as Europe/Paris"
        raise ValueError(f"is not a time zone; {hint}")
    return name


TimeZone = Annotated[str, AfterValidator(_time_zone), WithJsonSchema({"type": "string", "minLength": 1})]
"""A name of the IANA time zone database."""

QUERIES = (
    "person",
    "people",
    "instruments",
    "instrument_scientists",
    "experiments",
    "team",
    "experiments_of",
    "open_experiments",
)
"""Names of the queries that a `sql` catalogue asks (visa.catalogue.sql documents them; a test compares)."""


def _query(name: str) -> str:
    if name not in QUERIES:
        close = difflib.get_close_matches(name, QUERIES, 1)
        hint = f"did you mean '{close[0]}'?" if close else f"known are {', '.join(QUERIES)}"
        raise ValueError(f"is not one of the queries; {hint}")
    return name


QueryName = Annotated[str, AfterValidator(_query), WithJsonSchema({"type": "string", "enum": list(QUERIES)})]

Count = Annotated[int, Field(ge=0, le=1_000_000, strict=True)]
Query = Annotated[str, Field(min_length=1)]

_UNIQUE: JsonDict = {"uniqueItems": True}

Roles = Annotated[
    tuple[RoleName, ...],
    Field(
        description="Roles that may use it. Empty or absent: everyone.",
        examples=[["scientist"]],
        json_schema_extra=_UNIQUE,
    ),
]


class About(Section):
    """Who runs this, as people see it."""

    name: str = Field(
        min_length=1, max_length=80, description="Name shown on every page.", examples=["Example Neutron Source"]
    )
    contact: str = Field(
        min_length=1,
        max_length=200,
        description="Whom people turn to: a mail address, phone or page.",
        examples=["user-office@example.org"],
    )
    links: dict[str, HttpUrl] = Field(
        default={},
        description="Links in the page's foot: text to address.",
        examples=[{"User guide": "https://example.org/guide"}],
    )
    colour: str = Field(default="#0b5cad", pattern=r"^#[0-9a-fA-F]{6}$", description="The accent colour, as #rrggbb.")
    time_zone: TimeZone = Field(
        default="UTC",
        description="Where the facility's days begin and end: release dates, beamtime and the catalogue's dates.",
        examples=["Europe/Paris"],
    )

    @property
    def zone(self) -> tzinfo:
        """``time_zone`` as Python has it, daylight saving included."""
        return ZoneInfo(self.time_zone)

    def today(self) -> date:
        """The day it is at the facility."""
        return clock.now().astimezone(self.zone).date()


class FileCatalogue(Section):
    """Experiments and teams from one YAML file, or from a folder of CSV files."""

    type: Literal["file"] = Field(description="`file`.", examples=["file"])
    path: Place = Field(
        description="A .yaml file or a folder of .csv files; relative to facility.yaml.", examples=["catalogue.yaml"]
    )
    believe: str = Field(
        default="",
        max_length=200,
        description="A new text here, such as a day and a reason, says that the source may hold much less than before.",
        examples=["2026-11-29: D22's former years were archived"],
    )


class SqlCatalogue(Section):
    """Experiments and teams from queries on a database."""

    type: Literal["sql"] = Field(description="`sql`.", examples=["sql"])
    url: Text = Field(
        repr=False,
        description="SQLAlchemy URL. `${NAME}` is replaced from the environment (for passwords).",
        examples=["postgresql+psycopg://reader:${CATALOGUE_PASSWORD}@db.example.org/userdb"],
    )
    queries: dict[QueryName, Query] = Field(
        default={},
        description="Queries that replace the documented ones, by name.",
        examples=[{"open_experiments": "SELECT id FROM runs WHERE public_from <= :today"}],
    )
    refresh: Duration = Field(
        default=timedelta(minutes=5), description="How old an answer may be before the source is asked again."
    )
    believe: str = Field(
        default="",
        max_length=200,
        description="A new text here, such as a day and a reason, says that the source may hold much less than before.",
        examples=["2026-11-29: D22's former years were archived"],
    )


CatalogueSource = Annotated[FileCatalogue | SqlCatalogue, Field(discriminator="type")]


class People(Section):
    """How claims of the identity provider become a person."""

    username_claim: Claim = Field(
        default="preferred_username",
        description="Claim with the user name. Of this and each other claim: its name, or the path to it.",
        examples=["voperson_id"],
    )
    name_claim: Claim = Field(default="name", description="Claim with the name people read.")
    email_claim: Claim = Field(default="email", description="Claim with the mail address.")
    uid_claim: Claim | None = Field(
        default=None, description="Claim with the numeric uid; else the catalogue's.", examples=["uidNumber"]
    )
    gid_claim: Claim | None = Field(
        default=None, description="Claim with the numeric gid; else the catalogue's.", examples=["gidNumber"]
    )
    gids_claim: Claim | None = Field(
        default=None, description="Claim with a list of supplementary gids.", examples=["gids"]
    )
    groups_claim: Claim = Field(default="groups", description="Claim with a list of group names.")
    roles_claim: Claim = Field(
        default="roles",
        description="Claim with a list of roles, and of values that `roles` maps.",
        examples=["realm_access.roles"],
    )
    entitlement_claims: tuple[Claim, ...] = Field(
        default=("eduperson_entitlement", "entitlements"),
        description="Claims with entitlements of an AAI (AARC-G002, AARC-G069), read together.",
    )
    assurance_claim: Claim = Field(
        default="eduperson_assurance",
        description="Claim with how sure the provider is of who somebody is; `roles` maps its values.",
    )
    roles: dict[RoleName, tuple[str, ...]] = Field(
        default={},
        description="Role to the values of `roles_claim`, `groups_claim`, `entitlement_claims` or `assurance_claim` "
        "that give it.",
        examples=[{"administrator": ["visa-admins"], "student": ["phd", "trainee"]}],
    )
    allow: tuple[str, ...] = Field(
        default=(),
        description="Roles and groups (`group:NAME`) that may log in. Empty: everyone whom the provider lets in.",
        examples=[["scientist", "group:beamtime"]],
    )
    minimum_uid: int = Field(
        default=1000, ge=1, le=2**31 - 1, strict=True, description="Lowest uid and gid that an instance may run as."
    )
    without_experiment: Roles = Field(
        default=(),
        description="Roles that may start an instance on no experiment at all.",
        examples=[["instrument_scientist"]],
    )
    embargoed_needs: Roles = Field(
        default=(),
        description="Roles, one of which a person needs for data that is not released, besides belonging to it. "
        "Empty: belonging is enough.",
        examples=[["identified"]],
    )
    login_again: Literal["required", "unproven", "off"] = Field(
        default="required",
        description="Whether people log in again before they enter an instance without consent, or make a link for "
        "everybody. `unproven`: also with a provider that does not prove when the login was. `off`: never.",
        examples=["unproven"],
    )
    outage_grace: Duration = Field(
        default=timedelta(hours=12),
        description="How long people stay logged in to running work while the identity provider is down.",
    )


class LocalRoot(Section):
    """A data root on this machine."""

    root: Place = Field(
        description="Absolute folder (or relative to facility.yaml) that `path` is under.", examples=["/data/raw"]
    )


class DataRoot(Section):
    """Where the data of experiments lies. At least one of `local` and `kubernetes`."""

    model_config = one_of("anyOf", "local", "kubernetes")

    path: PathTemplate = Field(
        description="Folder of one experiment. `{instrument}`, `{year}`, `{proposal}`, `{experiment}` are replaced; "
        "`{experiment}` or `{proposal}` must be there.",
        examples=["{instrument}/{year}/{proposal}/{experiment}"],
    )
    mode: Literal["ro", "rw"] = Field(default="ro", description="`ro`: nobody can change it; `rw`: the team can.")
    target: TargetTemplate = Field(
        default=TargetTemplate("/data/{experiment}"),
        description="Where it appears: `ro` under /data, `rw` under /shared.",
    )
    local: LocalRoot | None = Field(default=None, description="For one Linux machine.")
    kubernetes: Storage | None = Field(default=None, description="For Kubernetes.")


class LocalEnvironment(Section):
    """An environment on one Linux machine."""

    prefix: Place = Field(
        description="Folder of the Python environment; relative to facility.yaml or absolute.",
        examples=["/opt/environments/scattering"],
    )


class Environment(Section):
    """Software that people choose by name. At least one of `local` and `kubernetes`."""

    model_config = one_of("anyOf", "local", "kubernetes")

    title: str = Field(
        min_length=1, max_length=80, description="What people read in the list.", examples=["Scattering"]
    )
    description: str = Field(
        default="",
        description="One or two sentences: what it is good for.",
        examples=["Reduction and plotting with scipp."],
    )
    sessions: tuple[SessionKind, ...] = Field(
        default=("notebook",), min_length=1, json_schema_extra=_UNIQUE, description="Sessions it offers."
    )
    desktop: DesktopServer = Field(
        default="tigervnc",
        description="What brings its desktop to browsers: `tigervnc` pictures, `selkies` (which it must have) video.",
    )
    software: dict[str, str] = Field(
        default={},
        description="Name to version, shown to people when the environment brings no software.json.",
        examples=[{"scipp": "26.8"}],
    )
    instruments: tuple[InstrumentId, ...] = Field(
        default=(),
        description="Instruments for which it is preselected. Empty: any.",
        examples=[["d22"]],
    )
    variables: Variables = Field(
        default={},
        description="Variables of this environment alone, before those of all. Not for secrets: members can read them.",
        examples=[{"MANTID_FACILITY": "ILL"}],
    )
    roles: Roles = ()
    local: LocalEnvironment | None = Field(default=None, description="For one Linux machine.")
    kubernetes: ImageEnvironment | None = Field(default=None, description="For Kubernetes.")


class Flavour(Section):
    """A size that people choose by name."""

    title: str = Field(
        default="", max_length=80, description="What people read; default: the flavour's name.", examples=["Small"]
    )
    cpu: Cpu = Field(description="Cores, as 2, 0.5 or 500m.")
    memory: Memory = Field(description="Memory, as 4Gi or 512Mi.")
    gpu: Count = Field(default=0, description="Number of GPUs.", examples=[1])
    scratch: Memory = Field(default=Memory("10Gi"), description="Temporary space, as 10Gi.")
    roles: Roles = ()
    kubernetes: FlavourOnKubernetes = Field(default=FlavourOnKubernetes(), description="Placement on Kubernetes.")


class Quota(Section):
    """How much may be held at once by starting and running instances. Exactly one of the first six keys."""

    subjects: ClassVar = ("who", "user", "role", "group", "instrument", "proposal")
    model_config = one_of("oneOf", *subjects)

    who: Literal["everyone"] | None = Field(default=None, description="`everyone`: each person.", examples=["everyone"])
    user: Username | None = Field(
        default=None, description="One person; replaces what role and everyone give.", examples=["marie"]
    )
    role: RoleName | None = Field(
        default=None, description="Each person of the role; replaces `everyone`.", examples=["student"]
    )
    group: Text | None = Field(
        default=None, description="All members of the group together.", examples=["external-companies"]
    )
    instrument: InstrumentId | None = Field(
        default=None, description="All instances on its experiments together.", examples=["d22"]
    )
    proposal: ProposalId | None = Field(
        default=None, description="All instances on its experiments together.", examples=["p-2026-017"]
    )
    shared: bool | None = Field(
        default=None,
        strict=True,
        description="role, group: whether the limit is one for all together (group's default) or each.",
        examples=[True],
    )
    instances: Count | None = Field(default=None, description="Number of instances.", examples=[5])
    cpu: Cpu | None = Field(default=None, description="Cores.")
    memory: Memory | None = Field(default=None, description="Memory.")
    gpu: Count | None = Field(default=None, description="GPUs.", examples=[4])

    @model_validator(mode="after")
    def _one_subject(self) -> Quota:
        if fault := subject_fault([key for key in self.subjects if getattr(self, key) is not None], self.subjects):
            raise ValueError(fault)
        return self


class Extend(Section):
    """How a lifetime may be made longer."""

    by: Duration = Field(description="How much one extension adds, as 7d.")
    at_most: Duration = Field(description="Longest lifetime with all extensions, as 60d.")
    auto: tuple[RoleName, ...] = Field(
        default=(), description="Roles whose extension is granted without asking.", examples=[["instrument_scientist"]]
    )


class Lifetime(Section):
    """How long an instance may live. Exactly one of `who`, `role`; what a role's rule says replaces everyone's."""

    subjects: ClassVar = ("who", "role")
    model_config = one_of("oneOf", *subjects)

    who: Literal["everyone"] | None = Field(default=None, description="`everyone`.", examples=["everyone"])
    role: RoleName | None = Field(default=None, description="People of this role.", examples=["student"])
    maximum: Duration | None = Field(default=None, description="Longest life, as 14d.")
    idle: Duration | None = Field(default=None, description="Longest time without activity, as 4d.")
    warn: tuple[Duration, ...] = Field(
        default=(), description="How long before the end people are told (not acted on yet)."
    )
    extend: Extend | None = Field(
        default=None, description="Whether and how people may ask for more (not acted on yet)."
    )

    @model_validator(mode="after")
    def _one_subject(self) -> Lifetime:
        if fault := subject_fault([key for key in self.subjects if getattr(self, key) is not None], self.subjects):
            raise ValueError(fault)
        return self


class Facility(Section):
    """The whole of facility.yaml."""

    facility: About = Field(description="Who runs this.")
    catalogue: CatalogueSource = Field(description="Where experiments and their teams come from.")
    people: People = Field(default=People(), description="From the identity provider's claims to a person.")
    data: dict[DataRootId, DataRoot] = Field(description="Data roots by name.")
    homes: Homes = Field(default=Homes(), description="Where home folders lie.")
    desktop: Desktop = Field(default=Desktop(), description="What may pass between a desktop and a browser.")
    limits: Limits = Field(default=Limits(), description="What one person may take of an instance at once.")
    sharing: Sharing = Field(default=Sharing(), description="Who may be a member of other people's instances.")
    support: Support = Field(default=Support(), description="Which staff may help in people's instances.")
    variables: Variables = Field(
        default={},
        description="Variables of all environments, text in quotes. Not for secrets: members can read them. "
        '`HDF5_USE_FILE_LOCKING` is `"FALSE"` unless it is here: who reads a file then stops nobody from writing it.',
        examples=[{"HDF5_USE_FILE_LOCKING": "BEST_EFFORT", "HTTPS_PROXY": "http://proxy.example.org:3128"}],
    )
    environments: dict[EnvironmentId, Environment] = Field(min_length=1, description="Environments by name.")
    flavours: dict[FlavourId, Flavour] = Field(min_length=1, description="Flavours by name.")
    quotas: tuple[Quota, ...] = Field(default=(), description="Limits on what is held at once.")
    lifetimes: tuple[Lifetime, ...] = Field(default=(), description="Limits on time.")
