"""A placement that was agreed before: still possible, or refused with what came between."""

from __future__ import annotations

from collections.abc import Mapping

from controller.placement.admission import NoRoom, Problem


def confirmed(problem: Problem, places: Mapping[str, str]) -> dict[str, str]:
    """The same places, all or none.  Raises NoRoom."""
    offers = {offer.unit: offer for offer in problem.offers}
    for demand in problem.demands:
        unit = places[demand.name]
        if unit not in offers:
            raise NoRoom(f"{demand.name} was offered on {unit}, which is not there any more", demand.program)
        if short := offers[unit].lacks(demand):
            reason = f"where others came first:\n  {unit}: {'; '.join(short)}"
            raise NoRoom(f"{demand.name} was offered on {unit}, {reason}", demand.program)
        offers[unit] = offers[unit].reserve(demand.needs_on(unit))
    return dict(places)
