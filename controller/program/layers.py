"""A session graph in layers from left to right, for the drawing: who stands in which column, and how high.

The usual way (Sugiyama et al., 1981): longest paths give the columns, a line that passes columns gets a bend
in each, sweeps of medians order the columns, and sweeps of means set the heights.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

_SWEEPS = 8
_GAP = 26.0
_BEND_HEIGHT = 10.0
_MOST_BENDS = 20_000
"""Of all lines together; in a graph that wants more, lines go straight."""

Edge = tuple[str, str]
Key = str | tuple[int, int]
"""A box by its name, or the bend of edge i in column c."""


@dataclass
class Layers:
    """``columns``: boxes and bends from top to bottom; ``top``: y of each; ``bends``: those of an edge."""

    columns: list[list[Key]]
    top: dict[Key, float]
    bends: dict[int, list[tuple[int, int]]]


def arrange(heights: Mapping[str, float], edges: Sequence[Edge], last: Iterable[str]) -> Layers:
    """``heights``: of every box, in the order of the text.  ``last``: those that stand in the last column.

    Linear in the graph times its depth; no recursion, the graph is not ours.
    """
    column = _columns(list(heights), edges, set(last))
    depth = max(column.values(), default=0) + 1
    bends: dict[int, list[tuple[int, int]]] = {}
    spans = [abs(column[b] - column[a]) - 1 for a, b in edges]
    columns: list[list[Key]] = [[] for _ in range(depth)]
    for name in heights:
        columns[column[name]].append(name)
    neighbours: dict[Key, list[Key]] = {name: [] for name in heights}
    for index, (source, destination) in enumerate(edges):
        trail: list[Key] = [source]
        if sum(spans) <= _MOST_BENDS and column[destination] > column[source]:
            bends[index] = [(index, at) for at in range(column[source] + 1, column[destination])]
            for bend in bends[index]:
                columns[bend[1]].append(bend)
                neighbours[bend] = []
            trail += bends[index]
        trail.append(destination)
        for one, other in pairwise(trail):
            neighbours[one].append(other)
            neighbours[other].append(one)
    _order(columns, neighbours)
    tall: dict[Key, float] = dict.fromkeys(neighbours, _BEND_HEIGHT)
    tall.update(heights)
    return Layers(columns, _heights(columns, neighbours, tall), bends)


def _columns(names: Sequence[str], edges: Sequence[Edge], last: set[str]) -> dict[str, int]:
    """Longest path from a box that nothing leads to; lines that close a cycle count for nothing."""
    following: dict[str, list[str]] = {name: [] for name in names}
    for source, destination in edges:
        following[source].append(destination)
    order: list[str] = []  # topological, from the end
    state: dict[str, int] = {}
    back: set[Edge] = set()
    for start in names:
        stack = [(start, iter(following[start]))] if start not in state else []
        state.setdefault(start, 1)
        while stack:
            name, rest = stack[-1]
            for successor in rest:
                if successor not in state:
                    state[successor] = 1
                    stack.append((successor, iter(following[successor])))
                    break
                if state[successor] == 1:
                    back.add((name, successor))
            else:
                state[name] = 2
                order.append(name)
                stack.pop()
    column = dict.fromkeys(names, 0)
    for name in reversed(order):
        for successor in following[name]:
            if (name, successor) not in back:
                column[successor] = max(column[successor], column[name] + 1)
    end = max([column[name] for name in names if name not in last], default=-1) + 1
    return {name: max(end, at) if name in last else at for name, at in column.items()}


def _order(columns: list[list[Key]], neighbours: Mapping[Key, Sequence[Key]]) -> None:
    """Fewer crossings: every column by the medians of the one before, to and fro."""
    for sweep in range(_SWEEPS):
        forth = sweep % 2 == 0
        sequence = range(1, len(columns)) if forth else range(len(columns) - 2, -1, -1)
        for at in sequence:
            rank = {key: index for index, key in enumerate(columns[at - 1 if forth else at + 1])}
            weight = {}
            for index, key in enumerate(columns[at]):
                ranks = sorted(rank[other] for other in neighbours[key] if other in rank)
                weight[key] = ranks[len(ranks) // 2] if ranks else float(index)
            columns[at].sort(key=weight.__getitem__)


def _heights(
    columns: list[list[Key]], neighbours: Mapping[Key, Sequence[Key]], tall: Mapping[Key, float]
) -> dict[Key, float]:
    """Every box as near to the middle of its neighbours as its column lets it."""
    top: dict[Key, float] = {}
    for column in columns:
        y = 0.0
        for key in column:
            top[key] = y
            y += tall[key] + _GAP
    for _ in range(_SWEEPS):
        for column in columns:
            wanted = [_middle(key, neighbours[key], top, tall) for key in column]
            _settle(column, wanted, top, tall)
    lowest = min(top.values(), default=0.0)
    return {key: y - lowest for key, y in top.items()}


def _middle(
    key: Key, neighbours: Sequence[Key], top: Mapping[Key, float], tall: Mapping[Key, float]
) -> float:
    if not neighbours:
        return top[key]
    return sum(top[one] + tall[one] / 2 for one in neighbours) / len(neighbours) - tall[key] / 2


def _settle(
    column: Sequence[Key], wanted: Sequence[float], top: dict[Key, float], tall: Mapping[Key, float]
) -> None:
    """The places nearest to those wanted that keep order and gaps: blocks that touch share their mean."""
    blocks: list[tuple[float, int, float]] = []  # sum of wanted starts, members, height so far
    members: list[list[Key]] = []
    for key, y in zip(column, wanted, strict=True):
        blocks.append((y, 1, tall[key] + _GAP))
        members.append([key])
        while (
            len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] + blocks[-2][2] > blocks[-1][0] / blocks[-1][1]
        ):
            total, count, height = blocks.pop()
            above = blocks.pop()
            # Each member of the lower block wants the common start to be higher by what stands above it.
            blocks.append((above[0] + total - count * above[2], above[1] + count, above[2] + height))
            lower = members.pop()
            members[-1] += lower
    for (total, count, _), block in zip(blocks, members, strict=True):
        y = total / count
        for key in block:
            top[key] = y
            y += tall[key] + _GAP
