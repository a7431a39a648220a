"""A placement problem in numbers: demands and units by their index, costs as integers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property

from controller.placement.admission import RESOURCES, UNLIMITED, Problem

_NOWHERE = (2 * UNLIMITED,) * 4
"""What a demand takes of a unit on which it may not be."""

Placed = list[int]
"""The unit of every demand."""


class Table:
    """``needs[d][u]`` and ``free[u]``: whole amounts.  ``near[d]``: demands that it sends to or hears, bit/s.

    ``ties[d][u]``: bit/s between a demand and a unit outside of what is placed; ``group[d]``: its program.
    The cost of a placement: pairs of instances of one program on one unit first, then bit/s that cross.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.units = len(problem.offers)
        self.free = [offer.free() for offer in problem.offers]
        names = [offer.unit for offer in problem.offers]
        unit_index = {name: index for index, name in enumerate(names)}
        demand_index = {one.name: index for index, one in enumerate(problem.demands)}
        groups: dict[str, int] = {}
        self.group = [groups.setdefault(one.program, len(groups)) for one in problem.demands]
        self.groups = len(groups)
        self._plain = [one.needs_on("").whole() for one in problem.demands]
        self._special = [
            {
                unit_index[source]: one.needs_on(source).whole()
                for source, _ in one.inflow
                if source in unit_index
            }
            for one in problem.demands
        ]
        for special, demand_ in zip(self._special, problem.demands, strict=True):
            for index, offer in enumerate(problem.offers):
                if demand_.held & offer.unheld.keys():
                    special[index] = _NOWHERE
        self.near: list[dict[int, int]] = [defaultdict(int) for _ in problem.demands]
        for one, other, bps in problem.between:
            first, second = demand_index[one], demand_index[other]
            if first != second:
                self.near[first][second] += bps
                self.near[second][first] += bps
        self.ties: list[dict[int, int]] = [defaultdict(int) for _ in problem.demands]
        self.fixed_cost = 0
        """Bit/s that cross wherever a demand is: from and to units that process nothing."""
        for demand, unit, bps in problem.with_units:
            if unit in unit_index:
                self.ties[demand_index[demand]][unit_index[unit]] += bps
            else:
                self.fixed_cost += bps

    def needs(self, demand: int, unit: int) -> tuple[int, int, int, int]:
        return self._special[demand].get(unit) or self._plain[demand]

    def fits_alone(self, demand: int, unit: int) -> bool:
        needs = self.needs(demand, unit)
        return all(amount <= free for amount, free in zip(needs, self.free[unit], strict=True))

    def fits_somewhere(self, demand: int) -> bool:
        return any(self.fits_alone(demand, unit) for unit in range(self.units))

    def special_units(self) -> set[int]:
        """Units on which some demand takes another amount than elsewhere."""
        return {unit for special in self._special for unit in special}

    @cached_property
    def all_needs(self) -> dict[int, int]:
        """Of all demands together, by the index of the resource; what nobody needs is not there."""
        sums = {resource: sum(needs[resource] for needs in self._plain) for resource in range(len(RESOURCES))}
        return {resource: amount for resource, amount in sums.items() if amount}

    @cached_property
    def apart(self) -> int:
        """The cost of one pair on one unit: more than all traffic together."""
        return (
            1 + sum(sum(near.values()) for near in self.near) // 2 + sum(sum(t.values()) for t in self.ties)
        )

    def cost(self, placed: Placed) -> int:
        total = 0
        shared: dict[tuple[int, int], int] = defaultdict(int)
        for demand, unit in enumerate(placed):
            here = self.group[demand], unit
            total += self.apart * shared[here]
            shared[here] += 1
            total += sum(
                bps for other, bps in self.near[demand].items() if other < demand and placed[other] != unit
            )
            total += sum(bps for at, bps in self.ties[demand].items() if at != unit)
        return total

    def fits(self, placed: Placed) -> bool:
        room = [list(free) for free in self.free]
        for demand, unit in enumerate(placed):
            for resource, amount in enumerate(self.needs(demand, unit)):
                room[unit][resource] -= amount
        return all(left >= 0 for unit in room for left in unit)

    def bound(self) -> int:
        """No placement costs less.

        A demand is on one unit, and with it at most one instance of each neighbouring program as long as
        those are kept apart; what it exchanges with the others crosses.  Of ties at most one is kept.
        """
        total = 0
        lines: dict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0])
        size = [self.group.count(group) for group in range(self.groups)]
        if not self.units:
            return 0
        if max(size, default=0) > self.units:
            # Some are together, and what traffic that saves is not known.
            return self.apart * sum(_pairs(count, self.units) for count in size)
        for demand, near in enumerate(self.near):
            by_group: dict[int, list[int]] = defaultdict(list)
            for other, bps in near.items():
                by_group[self.group[other]].append(bps)
            for group, rates in by_group.items():
                mine = self.group[demand]
                side = lines[min(mine, group), max(mine, group)]
                side[mine > group] += sum(rates) - max(rates)
            ties = self.ties[demand].values()
            total += sum(ties) - max(ties, default=0)
        for (one, other), sides in lines.items():
            total += sides[0] // 2 if one == other else max(sides)
        return total

    def named(self, placed: Sequence[int]) -> dict[str, str]:
        offers = self.problem.offers
        return {one.name: offers[unit].unit for one, unit in zip(self.problem.demands, placed, strict=True)}


def _pairs(count: int, units: int) -> int:
    """Pairs on one unit when so many are spread as evenly as can be."""
    each, rest = divmod(count, units)
    return rest * each * (each + 1) // 2 + (units - rest) * each * (each - 1) // 2
