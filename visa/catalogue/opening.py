"""From facility.yaml's `catalogue` section to the source it names."""

from __future__ import annotations

from datetime import UTC, tzinfo

from visa.catalogue.base import Catalogue
from visa.catalogue.file import FileCatalogue
from visa.catalogue.sql import SqlCatalogue
from visa.facility.model import CatalogueSource


def open_catalogue(config: CatalogueSource, zone: tzinfo = UTC) -> Catalogue:
    """The source, whose days are in ``zone``; nothing is read yet.

    Raise ``ValueError`` when its settings contradict one another.
    """
    if config.type == "file":
        return FileCatalogue(config.path, zone)
    return SqlCatalogue(config.url, config.queries, config.refresh, zone)
