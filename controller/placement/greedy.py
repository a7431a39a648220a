"""A good placement in milliseconds, made in several ways; moves and swaps improve each.

It is what the solver starts from, and what is taken where the solver finds nothing better in time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from controller.placement.state import State
from controller.placement.table import Placed, Table


def greedy(table: Table) -> Placed | None:
    """The best of several; None if none of them finds room for all."""
    best: Placed | None = None
    goal = table.bound()
    for placed in _attempts(table):
        state = State(table, placed)
        state.improve(range(len(placed)))
        if best is None or table.cost(state.placed) < table.cost(best):
            best = state.placed
        if table.cost(best) == goal:
            break
    return best


def _attempts(table: Table) -> Iterator[Placed]:
    demands = range(len(table.near))
    singles = [[demand] for demand in demands]
    for clusters in (
        singles,  # as the session states them
        _by_size(table, _clusters(table)),
        _by_size(table, singles),
    ):
        placed = _put(table, clusters)
        if placed is not None:
            yield placed


def _put(table: Table, clusters: Sequence[Sequence[int]]) -> Placed | None:
    """One cluster after the other, whole where it costs least; one that fits nowhere is taken apart."""
    state = State(table)
    for cluster in clusters:
        if not state.put_best(cluster) and not all(state.put_best([demand]) for demand in cluster):
            return None
    return state.placed


def _clusters(table: Table) -> list[list[int]]:
    """Those that exchange most come together first, as long as some unit could take them all."""
    members = {demand: [demand] for demand in range(len(table.near))}
    cluster = list(members)
    heaviest = sorted(
        (
            (bps, one, other)
            for one, near in enumerate(table.near)
            for other, bps in near.items()
            if one < other
        ),
        reverse=True,
    )
    empty = State(table)
    for _, one, other in heaviest:
        mine, theirs = members[cluster[one]], members[cluster[other]]
        if mine is theirs or {table.group[each] for each in mine} & {table.group[each] for each in theirs}:
            continue
        together = mine + theirs
        if any(empty.fits(together, unit) for unit in range(table.units)):
            members[cluster[one]] = together
            del members[cluster[other]]
            for each in theirs:
                cluster[each] = cluster[one]
    return list(members.values())


def _by_size(table: Table, clusters: Sequence[Sequence[int]]) -> list[Sequence[int]]:
    """The largest first, measured by the resource that it takes most of."""

    def share(cluster: Sequence[int]) -> float:
        needs = [table.needs(demand, -1) for demand in cluster]
        shares = (sum(each[r] for each in needs) / all_ for r, all_ in table.all_needs.items())
        return max(shares, default=0.0)

    return sorted(clusters, key=share, reverse=True)
