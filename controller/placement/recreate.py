"""Ruin and recreate (Schrimpf et al., 2000): two units are emptied and filled anew, again and again."""

from __future__ import annotations

from random import Random

from controller.placement.state import State
from controller.placement.table import Placed, Table


def recreate(table: Table, start: Placed, rounds: int) -> Placed:
    """The best of so many rounds; the same for the same problem."""
    random = Random(len(start))
    best, cost, goal = start, table.cost(start), table.bound()
    for _ in range(rounds):
        if cost == goal:
            break
        placed = _round(table, best, random)
        if placed is not None and (its_cost := table.cost(placed)) <= cost:
            best, cost = placed, its_cost
    return best


def _round(table: Table, placed: Placed, random: Random) -> Placed | None:
    demand = random.randrange(len(placed))
    others = [placed[near] for near in table.near[demand] if placed[near] != placed[demand]]
    pair = {placed[demand], random.choice(others) if others else random.randrange(table.units)}
    out = [each for each, unit in enumerate(placed) if unit in pair]
    state = State(table, placed)
    for each in out:
        state.take(each)
    random.shuffle(out)
    if not all(state.put_best([each]) for each in out):
        return None
    state.improve(out)
    return state.placed
