"""A placement by OR-Tools CP-SAT within a time limit; it is loaded when first needed, in half a second."""

from __future__ import annotations

from collections import defaultdict
from math import gcd
from typing import TYPE_CHECKING

from controller.placement.table import Placed, Table

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

_WORKERS = 3
"""The third is the one that improves the bound (`core`), which is what proves an optimum here."""
_LARGEST = 40_000
"""Choices of a unit for a demand; what is larger is left to the greedy placement."""


def solve(table: Table, start: Placed | None, seconds: float) -> tuple[Placed | None, bool]:
    """The best within ``seconds``, and whether nothing is better: then None means that nothing fits."""
    if table.units * len(table.near) > _LARGEST:
        return start, False
    from ortools.sat.python import cp_model

    model = _Model(table, start)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = seconds
    solver.parameters.num_workers = _WORKERS
    solver.parameters.cp_model_presolve = False  # it takes longer than the time there is, and finds little
    status = solver.solve(model.model)
    complete = status in (cp_model.OPTIMAL, cp_model.INFEASIBLE)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return start, complete
    found = model.placed(solver)
    if start is not None and table.cost(start) <= table.cost(found):
        return start, complete
    return found, complete


class _Model:
    """``on[d][u]``: demand d is on unit u.  What is maximized is traffic between two on one unit."""

    def __init__(self, table: Table, start: Placed | None) -> None:
        from ortools.sat.python import cp_model

        self.model = cp_model.CpModel()
        self._table = table
        self._start = start
        self.on = [
            {
                unit: self.model.new_bool_var("")
                for unit in range(table.units)
                if table.fits_alone(demand, unit)
            }
            for demand in range(len(table.near))
        ]
        self._kept: list[cp_model.IntVar] = []
        self._worth: list[int] = []
        for choices in self.on:
            self.model.add_exactly_one(choices.values())
        self._capacity()
        self._traffic()
        self._apart(start is None or table.cost(start) >= table.apart)
        unit = gcd(*self._worth) or 1
        self.model.maximize(
            cp_model.LinearExpr.weighted_sum(self._kept, [one // unit for one in self._worth])
        )
        if start is not None:
            for demand, unit in enumerate(start):
                for other, variable in self.on[demand].items():
                    self.model.add_hint(variable, other == unit)

    def placed(self, solver: cp_model.CpSolver) -> Placed:
        return [
            next(unit for unit, variable in choices.items() if solver.boolean_value(variable))
            for choices in self.on
        ]

    def _capacity(self) -> None:
        from ortools.sat.python import cp_model

        for unit in range(self._table.units):
            here = [demand for demand, choices in enumerate(self.on) if unit in choices]
            for resource, free in enumerate(self._table.free[unit]):
                amounts = [self._table.needs(demand, unit)[resource] for demand in here]
                if sum(amounts) > free:
                    variables = [self.on[demand][unit] for demand in here]
                    self.model.add(cp_model.LinearExpr.weighted_sum(variables, amounts) <= free)

    def _traffic(self) -> None:
        for demand, near in enumerate(self._table.near):
            for unit, bps in self._table.ties[demand].items():
                if unit in self.on[demand]:
                    self._count(self.on[demand][unit], bps)
            for other, bps in near.items():
                if other < demand:
                    for unit in self.on[demand].keys() & self.on[other].keys():
                        both = self.model.new_bool_var("")
                        if self._start is not None:
                            self.model.add_hint(both, self._start[demand] == unit == self._start[other])
                        self.model.add_implication(both, self.on[demand][unit])
                        self.model.add_implication(both, self.on[other][unit])
                        self._count(both, bps)

    def _apart(self, together: bool) -> None:
        """The k-th instance of a program on a unit costs k - 1 pairs; if none need be together, none are."""
        groups: dict[int, list[int]] = defaultdict(list)
        for demand, group in enumerate(self._table.group):
            groups[group].append(demand)
        for members in groups.values():
            for unit in range(self._table.units):
                here = [self.on[demand][unit] for demand in members if unit in self.on[demand]]
                if len(here) > 1 and not together:
                    self.model.add_at_most_one(here)
                elif len(here) > 1:
                    more = [self.model.new_bool_var("") for _ in here[1:]]
                    self.model.add(sum(here) <= 1 + sum(more))
                    for pairs, variable in enumerate(more, start=1):
                        self._count(variable, -pairs * self._table.apart)

    def _count(self, variable: cp_model.IntVar, worth: int) -> None:
        self._kept.append(variable)
        self._worth.append(worth)
