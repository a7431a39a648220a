"""The node's placer: at once where that is the best, else by the solver, else the best that is known."""

from __future__ import annotations

from controller.placement.admission import NoRoom, Problem
from controller.placement.candidates import narrowed
from controller.placement.exact import search
from controller.placement.greedy import greedy
from controller.placement.recreate import recreate
from controller.placement.refusal import refusal
from controller.placement.solver import solve
from controller.placement.table import Placed, Table

SOLVER_SECONDS = 0.08
SEARCH_SECONDS = 2.0
_SMALL = 400
"""Choices of a unit for a demand that are looked at on the spot."""
_STEPS = 2000
_ROUNDS = 30


class BestPlacer:
    """The cheapest placement: instances of a program apart, then the least traffic between units.

    ``seconds``: the solver's time limit; ``search_seconds``: where nothing is known to fit yet, for a refusal
    deserves a longer look.
    """

    def __init__(self, seconds: float = SOLVER_SECONDS, search_seconds: float = SEARCH_SECONDS) -> None:
        self._seconds = seconds
        self._search_seconds = search_seconds

    def at_once(self, problem: Problem) -> dict[str, str] | None:
        table = Table(problem)
        if len(problem.demands) * table.units > _SMALL:
            return None
        best, proven = search(table, greedy(table), _STEPS)
        return table.named(best) if proven and best is not None else None

    def shortage(self, problem: Problem) -> str:
        return "" if _first(problem)[1] is not None else refusal(problem, proven=False).text

    def place(self, problem: Problem) -> dict[str, str]:
        table, start = _first(problem)
        if start is not None:
            start = recreate(table, start, _ROUNDS)
            if table.cost(start) > table.bound():
                start = solve(table, start, self._seconds)[0] or start
            return table.named(start)
        best, proven = None, True
        if all(table.fits_somewhere(demand) for demand in range(len(table.near))):
            best, proven = solve(table, None, self._search_seconds)
        if best is None:
            why = refusal(problem, proven)
            raise NoRoom(why.text, why.program)
        return table.named(best)


def _first(problem: Problem) -> tuple[Table, Placed | None]:
    """Some placement: on a few roomy units, if they suffice."""
    table = Table(narrowed(problem))
    start = greedy(table)
    if start is None and table.units < len(problem.offers):
        table = Table(problem)
        start = greedy(table)
    return table, start
