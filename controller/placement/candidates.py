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
    asked = [resource for resource in range(len(RESOURCES)) if any(need[resource] for need in needs)]
    total = {resource: sum(need[resource] for need in needs) for resource in asked}
    largest = {resource: max(need[resource] for need in needs) for resource in asked}
    free = {offer.unit: offer.free() for offer in problem.offers}
    share = {unit: min((free[unit][r] / total[r] for r in asked), default=1.0) for unit in free}
    # Units that take any demand come before those that are roomy in the mean only.
    takes_any = {unit: all(free[unit][r] >= largest[r] for r in asked) for unit in free}
    chosen = {unit for _, unit, _ in problem.with_units} & free.keys()
    enough = 0.0
    for unit in sorted(free, key=lambda unit: (takes_any[unit], share[unit]), reverse=True):
        if enough >= _ENOUGH and len(chosen) >= most + _SPARE:
            break
        chosen.add(unit)
        enough += min(share[unit], 1.0)
    return replace(problem, offers=[offer for offer in problem.offers if offer.unit in chosen])
