"""``plan(desired, observed)``: which slices go to and from which units, in which order.  Pure.

Steps of one stage may be done at once; a stage begins when the one before is done.  First processing units,
then aggregation, and at the end distribution, whose flows let packets in.  What goes is removed in the
opposite order, after everything that stays has been applied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from dipronn.v1 import unit_pb2


class Rank(IntEnum):
    """A unit's place on the packets' way, by the last role that it has in the session."""

    PROCESSING = 0
    AGGREGATION = 1
    DISTRIBUTION = 2


@dataclass(frozen=True)
class ApplySlice:
    unit: str
    slice: unit_pb2.Slice
    before: unit_pb2.Slice | None

    def undo(self) -> Step:
        if self.before is None:
            return RemoveSlice(self.unit, self.slice.session, self.slice)
        return ApplySlice(self.unit, self.before, self.slice)


@dataclass(frozen=True)
class RemoveSlice:
    unit: str
    session: int
    before: unit_pb2.Slice

    def undo(self) -> Step:
        return ApplySlice(self.unit, self.before, None)


Step = ApplySlice | RemoveSlice
Stage = list[Step]


def plan(
    desired: Mapping[str, unit_pb2.Slice],
    observed: Mapping[str, unit_pb2.Slice],
    ranks: Mapping[str, Rank],
) -> list[Stage]:
    """Stages from what the units hold of one session to what they must hold; none if that is the same."""
    stages: list[Stage] = []
    for rank in Rank:
        stages.append(
            [
                ApplySlice(unit, slice_, observed.get(unit))
                for unit, slice_ in desired.items()
                if ranks[unit] == rank and not _same(slice_, observed.get(unit))
            ]
        )
    for rank in reversed(Rank):
        stages.append(
            [
                RemoveSlice(unit, slice_.session, slice_)
                for unit, slice_ in observed.items()
                if ranks[unit] == rank and unit not in desired
            ]
        )
    return [stage for stage in stages if stage]


def _same(one: unit_pb2.Slice, other: unit_pb2.Slice | None) -> bool:
    """Generations only count changes: two slices of different ones may ask for the same."""
    if other is None:
        return False
    copy = unit_pb2.Slice()
    copy.CopyFrom(other)
    copy.generation = one.generation
    return copy == one
