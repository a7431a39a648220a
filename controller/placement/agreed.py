"""A placement that was agreed before: still possible, or refused with what came between."""

from __future__ import annotations

from collections.abc import Mapping

from controller.placement.admission import Problem
from dipronn.errors import InsufficientResources


def confirmed(problem: Problem, places: Mapping[str, str]) -> dict[str, str]:
    """The same places, all or none.  Raises InsufficientResources."""
    offers = {offer.unit: offer for offer in problem.offers}
    for demand in problem.demands:
        unit = places[demand.name]
        if unit not in offers:
            raise InsufficientResources(f"{demand.name} was offered on {unit}, which is not there any more")
        if short := offers[unit].lacks(demand):
            raise InsufficientResources(
                f"{demand.name} was offered on {unit}, where others came first:\n  {unit}: {'; '.join(short)}"
            )
        offers[unit] = offers[unit].reserve(demand.needs_on(unit))
    return dict(places)
