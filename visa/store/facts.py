"""What the catalogue and facility.yaml say now, for decisions in the store."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import date

from visa.catalogue.base import Catalogue, CatalogueUnavailable, Experiment
from visa.facility.watch import FacilitySource
from visa.instances.model import Facts

log = logging.getLogger(__name__)

PATIENCE = 25.0  # seconds that the catalogue may take before nothing new is granted


async def gather(facility: FacilitySource, catalogue: Catalogue, experiments: Sequence[str], today: date) -> Facts:
    """The facts about ``experiments``; stale when the catalogue does not answer."""
    found: Mapping[str, Experiment] = {}
    stale = False
    try:
        answer = await asyncio.wait_for(catalogue.experiments(experiments), PATIENCE)
        found, stale = answer.value, answer.stale
    except (CatalogueUnavailable, TimeoutError) as error:
        log.warning("Nothing new is granted: the catalogue does not answer (%s)", error or "too slow")
        stale = True
    return Facts(facility.current, found, today, stale)
