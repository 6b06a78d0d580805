"""A facility with 1,000 experiments of one person, and a store full of other people's instances."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from pathlib import Path

import yaml
from sqlalchemy.orm import Session

from tests.services import facility
from visa.catalogue.base import Catalogue
from visa.catalogue.opening import open_catalogue
from visa.clock import now
from visa.facility.watch import FacilitySource
from visa.store.store import Store
from visa.store.tables import InstanceRow, QuotaHoldRow, QuotaUseRow

QUOTAS = [
    {"who": "everyone", "instances": 500, "cpu": 5000},
    {"instrument": "d22", "instances": 20_000, "gpu": 4},
    {"proposal": "p1", "instances": 20_000},
    {"role": "scientist", "shared": True, "cpu": 60_000},
]


def write(folder: Path) -> Path:
    """facility.yaml and a catalogue in which Marie has a thousand experiments."""
    path = facility.write(folder, quotas=QUOTAS)
    base = {"proposal": "p1", "instrument": "d22", "start": "2025-01-01", "team": ["marie"]}
    many = [{**base, "id": f"m-{n:04d}", "title": f"One of many, number {n}"} for n in range(1000)]
    (folder / "catalogue.yaml").write_text(yaml.safe_dump({**facility.CATALOGUE, "experiments": many}))
    return path


def settings_in(folder: Path, url: str) -> tuple[FacilitySource, Store, Catalogue]:
    """The parts that admission needs."""
    source = FacilitySource(write(folder))
    store = Store(url)
    store.upgrade()
    store.put_person(facility.person())
    return source, store, open_catalogue(source.current.catalogue)


def fill(store: Store, count: int) -> None:
    """``count`` running instances of 2,000 people, ten of them Marie's, all on one instrument and proposal."""
    with Session(store.engine) as session:
        for number in range(count):
            owner = "marie" if number < 10 else f"user{number % 2000}"
            session.add(
                InstanceRow(
                    id=f"{number:016x}",
                    owner=owner,
                    name=f"n{number}",
                    title=f"Instance {number}",
                    state="running",
                    experiments=[f"m-{number % 1000:04d}"],
                    environment="scattering",
                    flavour="small",
                    session="notebook",
                    cpu=1.0,
                    memory=2**30,
                    gpu=0,
                    maximum=None,
                    idle=None,
                    holder="filler",
                    created_at=now() - timedelta(minutes=number),
                    started_at=now(),
                    ended_at=None,
                    reason=None,
                )
            )
        session.flush()
        for number in range(count):
            for kind, key in _scopes(number):
                session.add(
                    QuotaHoldRow(instance_id=f"{number:016x}", kind=kind, key=key, millicores=1000, memory=2**30, gpu=0)
                )
        sums = Counter(scope for number in range(count) for scope in _scopes(number))
        for (kind, key), held in sums.items():
            session.add(
                QuotaUseRow(kind=kind, key=key, instances=held, millicores=1000 * held, memory=held * 2**30, gpu=0)
            )
        session.commit()


def _scopes(number: int) -> tuple[tuple[str, str], ...]:
    return (
        ("user", "marie" if number < 10 else f"user{number % 2000}"),
        ("role", "scientist"),
        ("instrument", "d22"),
        ("proposal", "p1"),
    )
