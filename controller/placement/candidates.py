"""Which units are worth looking at: a session wants few roomy units, and a node may have hundreds."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from controller.placement.admission import RESOURCES, Problem

_ENOUGH = 2.0
"""Room for so many sessions like this one: what more units offer, these offer too."""
_SPARE = 3


def narrowed(problem: Problem) -> Problem:
    """The same problem on fewer units: the roomiest, and those that traffic enters or leaves by."""
    most = max(Counter(one.program for one in problem.demands).values(), default=0)
    if len(problem.offers) <= most + _SPARE:
        return problem
    needs = [one.needs.whole() for one in problem.demands]
    total = [max(1, sum(need[resource] for need in needs)) for resource in range(len(RESOURCES))]
    largest = [max(need[resource] for need in needs) for resource in range(len(RESOURCES))]
    room: dict[str, float] = {}
    for offer in problem.offers:
        share = min(free / all_ for free, all_ in zip(offer.free(), total, strict=True))
        # A unit that takes any demand comes before one that is roomy in the mean only.
        takes_any = all(free >= need for free, need in zip(offer.free(), largest, strict=True))
        room[offer.unit] = min(share, 1.0) + takes_any
    chosen = {unit for _, unit, _ in problem.with_units} & room.keys()
    enough = 0.0
    for unit in sorted(room, key=lambda unit: -room[unit]):
        if enough >= _ENOUGH and len(chosen) >= most + _SPARE:
            break
        chosen.add(unit)
        enough += room[unit] % 1 or 1.0
    return replace(problem, offers=[offer for offer in problem.offers if offer.unit in chosen])
