"""The made-up facility: people, instruments, proposals and experiments, from one seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

PEOPLE: list[dict[str, Any]] = [
    {
        "username": "marie",
        "name": "Marie Curie",
        "email": "marie@example.org",
        "affiliation": "University of the Demo",
        "uid": 20001,
        "gid": 20001,
        "gids": [30001],
        "roles": ["scientist"],
    },
    {
        "username": "lise",
        "name": "Lise Meitner",
        "email": "lise@example.org",
        "affiliation": "Institute of Examples",
        "uid": 20002,
        "gid": 20002,
        "gids": [30001],
        "roles": ["scientist"],
    },
    {
        "username": "rosalind",
        "name": "Rosalind Franklin",
        "email": "rosalind@example.org",
        "affiliation": "University of the Demo",
        "uid": 20003,
        "gid": 20003,
        "gids": [30001],
        "roles": ["student"],
    },
    {
        "username": "dorothy",
        "name": "Dorothy Hodgkin",
        "email": "dorothy@example.org",
        "affiliation": "Demo Facility",
        "uid": 20004,
        "gid": 20004,
        "gids": [30001],
        "groups": ["sans-staff"],
    },
    {
        "username": "bertram",
        "name": "Bertram Brockhouse",
        "email": "bertram@example.org",
        "affiliation": "Demo Facility",
        "uid": 20005,
        "gid": 20005,
        "gids": [30001],
        "roles": ["it_support"],
    },
    {
        "username": "grace",
        "name": "Grace Hopper",
        "email": "grace@example.org",
        "affiliation": "Demo Facility",
        "uid": 20006,
        "gid": 20006,
        "gids": [30001],
        "roles": ["administrator"],
    },
]

INSTRUMENTS: list[dict[str, Any]] = [
    {
        "id": "sans1",
        "name": "SANS-1",
        "description": "Small-angle neutron scattering, 1 to 300 nm.",
        "scientists": ["dorothy"],
    },
    {"id": "powder2", "name": "POWDER-2", "description": "High-resolution powder diffraction.", "scientists": []},
    {"id": "tomo3", "name": "TOMO-3", "description": "Microtomography with white or pink beam.", "scientists": []},
]

_TOPICS = {
    "sans1": [
        ("Micelle growth in wormlike surfactants", "wormlike micelles"),
        ("Protein corona on silica nanoparticles", "silica nanoparticles"),
        ("Pore structure of cement paste during hydration", "cement paste"),
        ("Vortex lattice in niobium near the upper critical field", "niobium single crystal"),
    ],
    "powder2": [
        ("Oxygen ordering in layered perovskites", "layered perovskite"),
        ("Lithium migration in solid electrolytes", "garnet electrolyte"),
        ("Negative thermal expansion of open frameworks", "zirconium tungstate"),
        ("Magnetic structure of a frustrated spinel", "chromium spinel"),
    ],
    "tomo3": [
        ("Crack growth in additively made titanium", "titanium lattice"),
        ("Water in the roots of drought-stressed barley", "barley root"),
        ("Inside a sealed Roman ink pot", "bronze ink pot"),
        ("Dendrites in a working battery", "pouch cell"),
    ],
}
_STEPS = (
    "first overview",
    "temperature series",
    "high resolution",
    "repeat with a fresh sample",
    "reference and empty cell",
)


@dataclass(frozen=True)
class Run:
    """What an experiment measured, for its data files: ``kind`` is sans, powder or tomography."""

    experiment: str
    proposal: str
    instrument: str
    year: int
    title: str
    sample: str
    start: str
    kind: str
    number: int
    large: bool


def catalogue(seed: int) -> tuple[dict[str, Any], list[Run]]:
    """The catalogue as its YAML holds it, and the runs behind it. The same seed gives the same."""
    chance = random.Random(seed)
    proposals: list[dict[str, Any]] = []
    experiments: list[dict[str, Any]] = []
    runs: list[Run] = []
    plans = [(instrument, topic) for instrument in _TOPICS for topic in _TOPICS[instrument]]
    counts = [4, 4, 4, 4, 3, 3, 3, 3, 3, 3, 3, 3]  # forty experiments in all
    for number, ((instrument, (title, sample)), count) in enumerate(zip(plans, counts, strict=True), 1):
        principal = ("marie", "lise")[number % 2]
        proposal = {"id": f"2{number:03d}-{instrument}", "title": title, "principal": principal}
        proposals.append(proposal)
        team = {principal, *(("marie", "rosalind", "lise")[: number % 3])}
        first = date(2023 + number % 4, 1 + (number * 5) % 9, 2 + number)
        for step in range(count):
            start = first + timedelta(days=40 * step)
            entry, run = _experiment(proposal, instrument, sample, sorted(team), start, len(runs) + 1, step, chance)
            experiments.append(entry)
            runs.append(run)
    document = {"people": PEOPLE, "instruments": INSTRUMENTS, "proposals": proposals, "experiments": experiments}
    return document, runs


def _experiment(
    proposal: dict[str, Any],
    instrument: str,
    sample: str,
    team: list[str],
    start: date,
    number: int,
    step: int,
    chance: random.Random,
) -> tuple[dict[str, Any], Run]:
    identifier = f"{instrument}-{start:%y%m%d}"
    title = f"{proposal['title']}: {_STEPS[step % len(_STEPS)]}"
    entry: dict[str, Any] = {
        "id": identifier,
        "title": title,
        "proposal": proposal["id"],
        "instrument": instrument,
        "start": start.isoformat(),
        "end": (start + timedelta(days=chance.choice((1, 2, 3, 5)))).isoformat(),
        "team": team,
    }
    if number % 4 != 0:
        entry["release"] = (start + timedelta(days=3 * 365)).isoformat()
    if number % 5 == 1:
        entry["release"] = (start + timedelta(days=90)).isoformat()
        entry["doi"] = f"10.5072/demo.{start.year}.{number:03d}"
    kind = {"sans1": "sans", "powder2": "powder", "tomo3": "tomography"}[instrument]
    large = kind == "tomography" and step == 0
    run = Run(
        identifier, proposal["id"], instrument, start.year, title, sample, f"{start}T09:00:00", kind, number, large
    )
    return entry, run
