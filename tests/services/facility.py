"""A small facility in a folder: enough for every rule, quick to write."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import yaml

from visa.catalogue.base import Experiment
from visa.facility.model import Facility
from visa.identifiers import ExperimentId, InstrumentId, ProposalId, Username
from visa.instances.model import Person

PEOPLE: list[dict[str, Any]] = [
    {"username": "marie", "name": "Marie Curie", "uid": 20001, "gid": 20001, "gids": [30001], "roles": ["scientist"]},
    {"username": "lise", "name": "Lise Meitner", "uid": 20002, "gid": 20002, "gids": [30001], "roles": ["scientist"]},
    {"username": "rosalind", "name": "Rosalind Franklin", "uid": 20003, "gid": 20003, "roles": ["student"]},
    {"username": "dorothy", "name": "Dorothy Hodgkin", "uid": 20004, "gid": 20004},
    {"username": "grace", "name": "Grace Hopper", "uid": 20006, "gid": 20006, "roles": ["administrator"]},
]
CATALOGUE: dict[str, Any] = {
    "people": PEOPLE,
    "instruments": [
        {"id": "d22", "name": "D22", "scientists": ["dorothy"]},
        {"id": "id10", "name": "ID10", "scientists": []},
    ],
    "proposals": [
        {"id": "p1", "title": "Micelles and more", "principal": "marie"},
        {"id": "p2", "title": "Membranes", "principal": "lise"},
    ],
    "experiments": [
        {"id": "exp-1", "title": "Micelles at rest", "proposal": "p1", "instrument": "d22", "start": "2025-02-01",
         "end": "2025-02-03", "team": ["marie", "rosalind"]},
        {"id": "exp-2", "title": "Micelles in flow", "proposal": "p1", "instrument": "d22", "start": "2025-05-01",
         "end": "2025-05-02", "team": ["marie"]},
        {"id": "exp-3", "title": "Membranes of lipids", "proposal": "p2", "instrument": "id10", "start": "2024-05-01",
         "end": "2024-05-02", "team": ["lise"]},
        {"id": "exp-4", "title": "Open membranes", "proposal": "p2", "instrument": "id10", "start": "2020-05-01",
         "end": "2020-05-02", "team": ["lise"], "release": "2023-05-01", "doi": "10.5072/open.4"},
    ],
}  # fmt: skip


def document(prefix: Path | str = "environment") -> dict[str, Any]:
    """facility.yaml's content."""
    return {
        "facility": {"name": "Test Facility", "contact": "help@example.org"},
        "catalogue": {"type": "file", "path": "catalogue.yaml"},
        "people": {"minimum_uid": 1000},
        "data": {
            "raw": {"path": "{instrument}/{year}/{proposal}/{experiment}", "local": {"root": "data/raw"}},
            "shared": {
                "path": "{proposal}",
                "mode": "rw",
                "target": "/shared/{experiment}",
                "local": {"root": "data/shared"},
            },
        },
        "environments": {
            "scattering": {"title": "Scattering", "local": {"prefix": str(prefix)}, "instruments": ["d22"]},
            "staff": {"title": "Staff only", "roles": ["instrument_scientist"], "local": {"prefix": str(prefix)}},
        },
        "flavours": {
            "small": {"cpu": 1, "memory": "1Gi"},
            "large": {"cpu": 4, "memory": "8Gi", "roles": ["scientist", "instrument_scientist"]},
        },
        "quotas": [{"who": "everyone", "instances": 5}, {"role": "student", "instances": 1}],
        "lifetimes": [{"who": "everyone", "maximum": "14d", "idle": "4d"}],
    }


class _Plain(yaml.SafeDumper):
    """Without anchors, which facility.yaml does not take."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def dump(content: dict[str, Any]) -> str:
    """YAML as facility.yaml takes it."""
    return yaml.dump(content, Dumper=_Plain)


def write(folder: Path, prefix: Path | str = "environment", **changed: Any) -> Path:
    """facility.yaml, catalogue.yaml and data folders; ``changed`` replaces top-level parts."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "facility.yaml"
    path.write_text(dump({**document(prefix), **changed}))
    (folder / "catalogue.yaml").write_text(yaml.safe_dump(CATALOGUE))
    for entry in CATALOGUE["experiments"]:
        year = str(entry["start"])[:4]
        data = folder / "data" / "raw" / entry["instrument"] / year / entry["proposal"] / entry["id"]
        data.mkdir(parents=True, exist_ok=True)
        (data / "run.txt").write_text(f"data of {entry['id']}\n")
        shared = folder / "data" / "shared" / entry["proposal"]
        shared.mkdir(parents=True, exist_ok=True)
        shared.chmod(0o2777)
    return path


def facility(**changed: Any) -> Facility:
    """The model, without files."""
    return Facility.model_validate({**document(), **changed})


def person(username: str = "marie", **changed: Any) -> Person:
    """Marie, a scientist, or as ``changed``."""
    values: dict[str, Any] = {
        "username": Username(username),
        "name": username.title(),
        "uid": 20001,
        "gid": 20001,
        "gids": (30001,),
        "roles": frozenset({"scientist"}),
    }
    return Person(**{**values, **changed})


def experiment(identifier: str = "exp-1", **changed: Any) -> Experiment:
    """One of Marie's experiments, or as ``changed``."""
    values: dict[str, Any] = {
        "id": ExperimentId(identifier),
        "title": "A title",
        "proposal": ProposalId("p1"),
        "proposal_title": "A proposal",
        "instrument": InstrumentId("d22"),
        "instrument_name": "D22",
        "start": date(2025, 2, 1),
        "end": date(2025, 2, 3),
        "team": frozenset({Username("marie")}),
    }
    return Experiment(**{**values, **changed})
