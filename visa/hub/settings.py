"""What the hub's plug-ins share: facility, catalogue, store and folders. Made once, by `visa.hub.defaults`."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from visa.addresses import Origins
from visa.catalogue.base import Catalogue
from visa.catalogue.current import CurrentCatalogue
from visa.facility.watch import FacilitySource
from visa.hub.gateways import Gateways
from visa.hub.owed import Owed
from visa.hub.sharing.changes import Changes
from visa.store.admissions import Admissions
from visa.store.memory import CatalogueMemory
from visa.store.people import People
from visa.store.store import Store


class NotConfigured(RuntimeError):
    """A plug-in of VISA runs in a hub whose configuration never called ``visa.hub.defaults.configure``."""


@dataclass
class HubSettings:
    """``holder`` names this run of the hub: reservations of another one are given back.

    ``look_every``: seconds between two looks of the reconciler. ``unanswered``: people about whom the
    identity provider gave no answer when it was last asked; they start nothing.
    ``said``: what was logged about whose claims. ``withdrawals``: how often each account was withdrawn in this run;
    accounts are written under the lock ``accounts``.

    ``origins``: where instances are seen. ``public``: the hub's own origin as people see it, as
    ``https://visa.example.org``; empty where it is taken from each request, which needs instances on the hub's host.
    ``pictures``: the secret of `visa.instances.pictures`, which the portal has too.
    """

    facility: FacilitySource
    store: Store
    state: Path
    look_every: float = 60.0
    holder: str = field(default_factory=lambda: secrets.token_hex(8))
    unanswered: set[str] = field(default_factory=set)
    said: set[tuple[str, str]] = field(default_factory=set)
    withdrawals: Counter[str] = field(default_factory=Counter)
    accounts: asyncio.Lock = field(default_factory=asyncio.Lock)
    gateways: Gateways = field(default_factory=Gateways)
    changes: Changes = field(default_factory=Changes)
    owed: Owed = field(default_factory=Owed)
    mended: asyncio.Event | None = None
    origins: Origins = field(default_factory=Origins)
    public: str = ""
    pictures: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    def __post_init__(self) -> None:
        self.catalogue: Catalogue = CurrentCatalogue(self.facility, CatalogueMemory(self.store))
        self.admissions = Admissions(self.facility, lambda: self.catalogue, self.store)
        self.people = People(self.store)

    async def ready(self) -> None:
        """Wait until the reconciler has put right what a former hub process left.

        Before that, reservations nobody uses any more would count against quotas.
        """
        if self.mended is not None:
            await self.mended.wait()


_settings: HubSettings | None = None


def put(settings: HubSettings) -> None:
    """Make ``settings`` those of this process."""
    global _settings
    _settings = settings


def get() -> HubSettings:
    """The settings of this process; raise `NotConfigured` when there are none."""
    if _settings is None:
        raise NotConfigured("call visa.hub.defaults.configure(c, facility=...) in jupyterhub_config.py")
    return _settings
