"""A placement under change: what costs how much where, and the moves that make it cheaper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from controller.placement.table import Placed, Table

_MOVES = 30
"""Looks at each demand at most; every move makes it cheaper, so this is only against a long tail."""


class State:
    """``room``: what is left of each unit; ``count[u]``: instances there by program; unit -1 is nowhere."""

    def __init__(self, table: Table, placed: Placed | None = None) -> None:
        self.table = table
        self.placed: Placed = [-1] * len(table.near)
        self.room = [list(free) for free in table.free]
        self.count: list[dict[int, int]] = [{} for _ in range(table.units)]
        for demand, unit in enumerate(placed or []):
            self.put(demand, unit)

    def empty(self, unit: int) -> bool:
        return not any(self.count[unit].values())

    def fits(self, demands: Sequence[int], unit: int) -> bool:
        """Whether there is room for all of them together."""
        room = self.room[unit]
        if len(demands) == 1:
            needs = self.table.needs(demands[0], unit)
            return all(amount <= left for amount, left in zip(needs, room, strict=True))
        rows = (self.table.needs(demand, unit) for demand in demands)
        return all(sum(amounts) <= left for amounts, left in zip(zip(*rows, strict=True), room, strict=True))

    def put(self, demand: int, unit: int) -> None:
        self.placed[demand] = unit
        self._charge(demand, unit, 1)

    def put_best(self, demands: Sequence[int]) -> bool:
        """All of them together where they cost least; False if no unit has room."""
        prices = {
            # The roomiest of the cheapest: what follows may want to be there too.
            unit: (sum(self.price(demand, unit) for demand in demands), -self.roominess(unit))
            for unit in range(self.table.units)
            if self.fits(demands, unit)
        }
        if prices:
            unit = min(prices, key=prices.__getitem__)  # keeps the order of the offers among equals
            for demand in demands:
                self.put(demand, unit)
        return bool(prices)

    def take(self, demand: int) -> int:
        unit = self.placed[demand]
        self._charge(demand, unit, -1)
        self.placed[demand] = -1
        return unit

    def _charge(self, demand: int, unit: int, sign: int) -> None:
        room = self.room[unit]
        for resource, amount in enumerate(self.table.needs(demand, unit)):
            room[resource] -= sign * amount
        group = self.table.group[demand]
        self.count[unit][group] = self.count[unit].get(group, 0) + sign

    def price(self, demand: int, unit: int) -> int:
        """What a demand that is nowhere adds to the cost on this unit, but for a constant."""
        table, placed = self.table, self.placed
        kept = table.ties[demand].get(unit, 0)
        kept += sum(bps for other, bps in table.near[demand].items() if placed[other] == unit)
        return table.apart * self.count[unit].get(table.group[demand], 0) - kept

    def roominess(self, unit: int) -> float:
        """How many sessions like this one would find room in what is left here."""
        room = self.room[unit]
        return min((room[resource] / all_ for resource, all_ in self.table.all_needs.items()), default=0.0)

    def added(self, demand: int, unit: int) -> int:
        """What it adds to the cost here, given only those that are placed already."""
        table, placed = self.table, self.placed
        crossing = sum(bps for at, bps in table.ties[demand].items() if at != unit)
        crossing += sum(bps for other, bps in table.near[demand].items() if placed[other] not in (-1, unit))
        return table.apart * self.count[unit].get(table.group[demand], 0) + crossing

    def improve(self, demands: Iterable[int]) -> None:
        """Moves and exchanges of these and of whom they meet, while any helps."""
        waiting = dict.fromkeys(demands)
        for _ in range(_MOVES * len(self.placed)):
            if not waiting:
                return
            demand = next(iter(waiting))
            del waiting[demand]
            if self._better_place(demand):
                waiting.update(dict.fromkeys([demand, *self.table.near[demand]]))

    def _better_place(self, demand: int) -> bool:
        """Move it where it costs less, or exchange it with one that stands in the way."""
        table = self.table
        home = self.take(demand)
        price = self.price(demand, home)
        targets = {*table.ties[demand], *(self.placed[other] for other in table.near[demand])}
        if self.count[home].get(table.group[demand], 0):
            targets |= set(range(table.units))
        gains = {unit: price - self.price(demand, unit) for unit in targets - {home, -1}}
        wanted = sorted((unit for unit, gain in gains.items() if gain > 0), key=lambda unit: -gains[unit])
        for unit in wanted:
            if self.fits([demand], unit):
                self.put(demand, unit)
                return True
        self.put(demand, home)
        return any(
            self._exchange(demand, other, gains[unit])
            for unit in wanted
            for other in [each for each, at in enumerate(self.placed) if at == unit]
        )

    def _exchange(self, one: int, other: int, gain: int) -> bool:
        """Exchange two if that helps; ``gain``: what it helps when only the first one moves."""
        table = self.table
        here, there = self.placed[one], self.placed[other]
        if table.group[one] == table.group[other]:
            return False
        self.take(other)
        # What is between the two crosses before and after.
        gain += self.price(other, there) - self.price(other, here) - 2 * table.near[one].get(other, 0)
        if gain <= 0:
            self.put(other, there)
            return False
        self.take(one)
        if self.fits([one], there) and self.fits([other], here):
            self.put(one, there)
            self.put(other, here)
            return True
        self.put(one, here)
        self.put(other, there)
        return False
