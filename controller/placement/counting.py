"""How many instances of each program the node can offer, between what a session needs and what it takes.

First all programs grow alike, each by the same part of its span; then each in turn takes what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dipronn.v1 import session_pb2 as pb

Shortage = Callable[[Mapping[str, int]], str]
"""Why so many instances do not fit; empty if they do."""


@dataclass(frozen=True)
class Counted:
    """``counts``: instances by program.  ``cuts``: why a program that takes more does not get it."""

    counts: dict[str, int]
    cuts: dict[str, str]


def count(program: pb.Program, shortage: Shortage) -> Counted | None:
    """None if not even the least that the session needs fits."""
    spans = {one.name: (one.min_instances, one.max_instances) for one in program.programs}
    counts = {name: least for name, (least, _) in spans.items()}
    if shortage(counts):
        return None
    widest = max((most - least for least, most in spans.values()), default=0)

    def alike(steps: int) -> dict[str, int]:
        return {name: least + (most - least) * steps // widest for name, (least, most) in spans.items()}

    if widest:
        counts = alike(_most(0, widest, lambda steps: not shortage(alike(steps))))
    for name, (_, most) in spans.items():
        counts[name] = _most(counts[name], most, _fits(shortage, dict(counts), name))
    cuts = {
        name: shortage({**counts, name: counts[name] + 1})
        for name, (_, most) in spans.items()
        if counts[name] < most
    }
    return Counted(counts, cuts)


def with_counts(program: pb.Program, counts: Mapping[str, int]) -> pb.Program:
    """The same session with every number of instances fixed."""
    fixed = pb.Program()
    fixed.CopyFrom(program)
    for active in fixed.programs:
        active.min_instances = active.max_instances = counts[active.name]
        del active.weights[counts[active.name] :]
    return fixed


def _fits(shortage: Shortage, counts: Mapping[str, int], name: str) -> Callable[[int], bool]:
    return lambda number: not shortage({**counts, name: number})


def _most(fits: int, most: int, good: Callable[[int], bool]) -> int:
    """The largest number that is good, by halving; ``fits`` is."""
    if good(most):
        return most
    too_many = most
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if good(middle):
            fits = middle
        else:
            too_many = middle
    return fits
