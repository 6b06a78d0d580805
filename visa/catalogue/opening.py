"""From facility.yaml's `catalogue` section to the source it names."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, tzinfo

from sqlalchemy.engine import make_url

from visa.catalogue.base import Catalogue
from visa.catalogue.file import FileCatalogue
from visa.catalogue.shrinking import Belief, Memory
from visa.catalogue.sql import SqlCatalogue
from visa.facility.model import CatalogueSource


def open_catalogue(config: CatalogueSource, zone: tzinfo = UTC, memory: Memory | None = None) -> Catalogue:
    """The source, whose days are in ``zone``; nothing is read yet. ``memory``: of how much it held before.

    Raise ``ValueError`` when its settings contradict one another.
    """
    belief = Belief(source_of(config), memory)
    if config.type == "file":
        return FileCatalogue(config.path, zone, belief)
    return SqlCatalogue(config.url, config.queries, config.refresh, zone, belief)


def source_of(config: CatalogueSource) -> str:
    """32 hexadecimal digits for what is asked: the same after a new password, another after a new ``believe``."""
    if config.type == "file":
        what: list[object] = [str(config.path)]
    else:
        what = [make_url(config.url).set(password=None).render_as_string(), sorted(config.queries.items())]
    told = json.dumps([config.type, config.believe, *what])
    return hashlib.sha256(told.encode()).hexdigest()[:32]
