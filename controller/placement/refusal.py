"""Why a session does not fit: which resource, on which unit, how much is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from controller.placement.admission import RESOURCES, UNLIMITED, Demand, Offer, Problem, spelled

_SHOWN = 20
"""Units in a refusal; a node may have hundreds."""


@dataclass(frozen=True)
class Refusal:
    """``program``: whose instance found no room; empty if it was none in particular."""

    text: str
    program: str


def refusal(problem: Problem, proven: bool) -> Refusal:
    """The arithmetic of the first demand that finds no room; ``proven``: no placement at all exists."""
    for demand in problem.demands:
        if not any(_fits(demand, offer) for offer in problem.offers):
            return Refusal("\n".join(_about(demand, problem.offers)), demand.program)
    program = ""
    offers = {offer.unit: offer for offer in problem.offers}
    placed: dict[str, str] = {}
    lines: list[str] = []
    for demand in problem.demands:
        fitting = [offer for offer in offers.values() if _fits(demand, offer)]
        if not fitting:
            lines, program = _about(demand, list(offers.values())), demand.program
            break
        chosen = fitting[0]
        offers[chosen.unit] = chosen.reserve(demand.needs_on(chosen.unit))
        placed[demand.name] = chosen.unit
    if not lines:
        lines = [f"no placement of all {len(problem.demands)} instances was found"]
    if placed:
        mine = ", ".join(f"{name} on {unit}" for name, unit in list(placed.items())[:_SHOWN])
        mine += ", …" if len(placed) > _SHOWN else ""
        lines.append(f"  reserved counts this session's own: {mine}")
    lines += _in_all(problem)
    if not proven:
        lines.append("  other placements were not all tried; a smaller session or fewer instances may fit")
    return Refusal("\n".join(lines), program)


def _about(demand: Demand, offers: Sequence[Offer]) -> list[str]:
    lines = [f"no unit can take {demand.name}, which needs {demand.needs}:"]
    for offer in offers[:_SHOWN]:
        lines.append(f"  {offer.unit}: {'; '.join(offer.lacks(demand))}")
    if len(offers) > _SHOWN:
        lines.append(f"  and {len(offers) - _SHOWN} more units")
    if not offers:
        lines.append("  no processing unit is alive")
    return lines


def _in_all(problem: Problem) -> list[str]:
    """Resources of which all units together have too little."""
    short: Mapping[str, tuple[int, int]] = {
        resource: (
            sum(demand.needs.whole()[index] for demand in problem.demands),
            sum(offer.free()[index] for offer in problem.offers),
        )
        for index, resource in enumerate(RESOURCES)
    }
    return [
        f"  in all: {resource} {spelled(resource, free)} free < {spelled(resource, needed)} needed"
        for resource, (needed, free) in short.items()
        if free < min(needed, UNLIMITED)
    ]


def _fits(demand: Demand, offer: Offer) -> bool:
    return not offer.lacks(demand)
