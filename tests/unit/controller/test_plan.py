"""The order of steps, and that whatever fails is undone."""

from __future__ import annotations

import asyncio

import pytest

from controller.execute import execute
from controller.plan import ApplySlice, Rank, RemoveSlice, Stage, Step, plan
from dipronn.errors import Unavailable
from dipronn.v1 import unit_pb2

RANKS = {"dist": Rank.DISTRIBUTION, "u1": Rank.PROCESSING, "u2": Rank.PROCESSING, "agg": Rank.AGGREGATION}


def slices(*units: str, name: str = "s", generation: int = 1) -> dict[str, unit_pb2.Slice]:
    return {unit: unit_pb2.Slice(session=1, name=name, generation=generation) for unit in units}


def shape(stages: list[Stage]) -> list[list[str]]:
    return [
        [f"{'apply' if isinstance(step, ApplySlice) else 'remove'} {step.unit}" for step in stage]
        for stage in stages
    ]


def test_packets_are_let_in_last_and_kept_out_first() -> None:
    everywhere = slices("dist", "u1", "agg", "u2")
    assert shape(plan(everywhere, {}, RANKS)) == [["apply u1", "apply u2"], ["apply agg"], ["apply dist"]]
    assert shape(plan({}, everywhere, RANKS)) == [["remove dist"], ["remove agg"], ["remove u1", "remove u2"]]


def test_only_what_differs_is_touched_and_what_goes_goes_last() -> None:
    held = slices("dist", "u1", "u2")
    assert plan(held, held, RANKS) == []
    assert plan(slices("dist", "u1", "u2", generation=9), held, RANKS) == [], (
        "a generation alone changes nothing"
    )
    wanted = {**slices("dist", name="t"), **slices("u1")}
    assert shape(plan(wanted, held, RANKS)) == [["apply dist"], ["remove u2"]]


def test_every_step_can_be_undone() -> None:
    (old,), (new,) = slices("u1").values(), slices("u1", name="t").values()
    assert ApplySlice("u1", new, None).undo() == RemoveSlice("u1", 1, new)
    assert ApplySlice("u1", new, old).undo() == ApplySlice("u1", old, new)
    assert RemoveSlice("u1", 1, old).undo() == ApplySlice("u1", old, None)


class World:
    """Holds slices and fails at one step."""

    def __init__(self, fails_at: int, error: BaseException) -> None:
        self.held: dict[str, unit_pb2.Slice] = {}
        self.steps = 0
        self.fails_at = fails_at
        self.error = error

    async def perform(self, step: Step) -> None:
        self.steps += 1
        if self.steps == self.fails_at:
            raise self.error
        await asyncio.sleep(0)
        if isinstance(step, ApplySlice):
            self.held[step.unit] = step.slice
        else:
            self.held.pop(step.unit, None)


@pytest.mark.parametrize("error", [Unavailable("gone"), asyncio.CancelledError()])
@pytest.mark.parametrize("fails_at", [1, 2, 3, 4])
async def test_a_failure_at_any_step_leaves_nothing(fails_at: int, error: BaseException) -> None:
    world = World(fails_at, error)
    with pytest.raises(type(error)):
        await execute(plan(slices("dist", "u1", "agg", "u2"), {}, RANKS), world.perform)
    assert world.held == {}


async def test_a_failure_while_changing_brings_back_what_was() -> None:
    world = World(0, Unavailable(""))
    before = slices("dist", "u1", "agg")
    await execute(plan(before, {}, RANKS), world.perform)
    world.fails_at = world.steps + 3
    with pytest.raises(Unavailable):
        await execute(plan(slices("dist", "u1", "agg", name="t"), before, RANKS), world.perform)
    assert world.held == before
