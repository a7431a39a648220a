"""The best placement of a small problem, by branch and bound: no library to load, no thread to wait for."""

from __future__ import annotations

from controller.placement.state import State
from controller.placement.table import Placed, Table


def search(table: Table, start: Placed | None, steps: int) -> tuple[Placed | None, bool]:
    """The best that so many steps find, and whether nothing is better; ``start``: one that is known."""
    search = _Search(table, start, steps)
    complete = search.cost == search.goal or search.descend(0, 0)
    return search.best, complete


class _Search:
    def __init__(self, table: Table, start: Placed | None, steps: int) -> None:
        self.table = table
        self.best = start
        self.cost = table.cost(start) if start is not None else 1 << 100
        self.goal = table.bound()
        self.steps = steps
        self.state = State(table)
        self.order = sorted(range(len(table.near)), key=lambda demand: -len(table.near[demand]))
        known = {unit for ties in table.ties for unit in ties} | table.special_units()
        self.kind = [("", unit) if unit in known else free for unit, free in enumerate(table.free)]
        """Units of one kind are interchangeable as long as they are empty."""

    def descend(self, depth: int, cost: int) -> bool:
        """Whether everything below was seen or need not be."""
        if depth == len(self.order):
            self.best, self.cost = list(self.state.placed), cost
            return True
        demand = self.order[depth]
        empty: set[object] = set()
        for unit in range(self.table.units):
            if self.state.empty(unit):
                if self.kind[unit] in empty:
                    continue
                empty.add(self.kind[unit])
            self.steps -= 1
            if self.steps < 0:
                return False
            more = cost + self.state.added(demand, unit)
            if more >= self.cost or not self.state.fits([demand], unit):
                continue
            self.state.put(demand, unit)
            complete = self.descend(depth + 1, more)
            self.state.take(demand)
            if not complete:
                return False
            if self.cost == self.goal:
                return True
        return True
