"""From facility.yaml's `catalogue` section to the source it names."""

from __future__ import annotations

from visa.catalogue.base import Catalogue
from visa.catalogue.file import FileCatalogue
from visa.catalogue.sql import SqlCatalogue
from visa.facility.model import CatalogueSource


def open_catalogue(config: CatalogueSource) -> Catalogue:
    """The source; nothing is read yet. ``ValueError`` when its settings contradict one another."""
    if config.type == "file":
        return FileCatalogue(config.path)
    return SqlCatalogue(config.url, config.queries, config.refresh)
