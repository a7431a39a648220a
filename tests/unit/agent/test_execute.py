"""Orders that fail and agents that are killed, at every boundary between two steps, over real files."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from controller.steering.model import Limit
from dipronn.v1 import unit_pb2
from tests.unit.agent import orders
from tests.unit.agent.fakes import OWN, Crash, Failure, FakeUnit, World, order

Order = unit_pb2.Slice | unit_pb2.RemoveSlice

CHANGES: dict[str, tuple[unit_pb2.Slice | None, Order]] = {
    "machine": (None, orders.starting(7, 2)),
    "whole": (None, orders.steered(7, 2)),
    "names": (orders.starting(7, 2), orders.steered(7, 2)),
    "rows": (orders.steered(7, 2), orders.steered(7, 2, generation=2)),
    "bigger": (orders.steered(7, 2), orders.starting(7, 2, memory=256 << 20)),
    "moved": (orders.steered(7, 2), orders.steered(7, 3)),
    "removed": (orders.steered(7, 2), unit_pb2.RemoveSlice(session=7)),
}
BOUNDARIES = range(1, 60)
"""More than any of these changes has calls; the loop ends with the first that is not reached."""


async def prepared(folder: Path, monkeypatch: pytest.MonkeyPatch, former: unit_pb2.Slice | None) -> FakeUnit:
    """A unit that holds the base, another session, and the former slice."""
    unit = FakeUnit(folder, monkeypatch)
    agent = await unit.started()
    for each in (orders.base(), orders.steered(8, 9), former):
        assert each is None or await order(agent, each) == ""
    unit.world.calls.clear()
    return unit


async def outcome(
    folder: Path, monkeypatch: pytest.MonkeyPatch, former: unit_pb2.Slice | None, change: Order
) -> tuple[tuple[object, ...], tuple[object, ...]]:
    """The world before and after a change in which nothing fails."""
    unit = await prepared(folder, monkeypatch, former)
    before = unit.world.snapshot()
    agent = await unit.started()
    assert await order(agent, change) == ""
    return before, unit.world.snapshot()


def fail(world: World, boundary: int, after: bool, error: type[BaseException]) -> None:
    world.calls.clear()
    world.fail_at, world.after, world.error = boundary, after, error


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("change", CHANGES)
async def test_a_failed_order_leaves_the_former_state(
    change: str, after: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    former, wanted = CHANGES[change]
    unit = await prepared(tmp_path, monkeypatch, former)
    saved = unit.save()
    reached = 0
    for boundary in BOUNDARIES:
        unit.restore(saved)
        agent = await unit.started()
        before, stored = unit.world.snapshot(), unit.store.slices()
        fail(unit.world, boundary, after, Failure)
        answer = await order(agent, wanted)
        if boundary > len(unit.world.calls):
            assert answer == ""
            break
        reached += 1
        assert answer == unit.world.calls[boundary - 1]
        assert unit.world.snapshot() == before, unit.world.calls
        assert unit.store.slices() == stored
        # The next order finds a unit that works.
        assert await order(agent, wanted) == ""
    assert reached >= 2


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("change", CHANGES)
async def test_a_killed_agent_is_repaired_by_the_next(
    change: str, after: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    former, wanted = CHANGES[change]
    before, done = await outcome(tmp_path / "whole", monkeypatch, former, wanted)
    unit = await prepared(tmp_path / "unit", monkeypatch, former)
    saved = unit.save()
    reached = 0
    for boundary in BOUNDARIES:
        unit.restore(saved)
        agent = await unit.started()
        fail(unit.world, boundary, after, Crash)
        try:
            await order(agent, wanted)
        except Crash:
            reached += 1
        else:
            break
        unit.world.agent_died()
        unit.world.fail_at = 0
        await unit.started()
        held = unit.store.slices().get(7)
        assert unit.world.snapshot() == (done if held == wanted or held is None else before)
    assert reached >= 2


async def test_an_order_is_carried_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = await prepared(tmp_path, monkeypatch, orders.steered(7, 2))
    agent = await unit.started()
    unit.world.calls.clear()
    assert await order(agent, orders.steered(7, 2)) == ""
    assert await order(agent, unit_pb2.RemoveSlice(session=99)) == ""
    assert unit.world.calls == []


async def test_a_unit_without_work_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = await prepared(tmp_path, monkeypatch, orders.steered(7, 2))
    agent = await unit.started()
    for session in (7, 8):
        assert await order(agent, unit_pb2.RemoveSlice(session=session)) == ""
    rows, attached, machines, taps = unit.world.snapshot()
    assert isinstance(rows, dict)
    assert {table for table, _ in rows} == {"unit", "link", "limit"}, "the unit's own"
    assert (attached, machines, taps) == ({OWN}, {}, set())
    assert set(unit.store.slices()) == {0}


async def test_a_row_of_another_session_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = await prepared(tmp_path, monkeypatch, None)
    agent = await unit.started()
    before = unit.world.snapshot()
    stolen = orders.steered(7, 2)
    stolen.tables.flow[0].destination.port = 20009
    assert "belongs to session 8" in await order(agent, stolen)
    assert unit.world.snapshot() == before
    assert 7 not in unit.store.slices()


async def test_on_a_full_disk_nothing_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = await prepared(tmp_path, monkeypatch, orders.starting(7, 2))
    agent = await unit.started()
    before, stored = unit.world.snapshot(), unit.store.slices()

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        assert "No space left on device" in await order(agent, orders.steered(7, 2))
    assert unit.world.snapshot() == before
    assert unit.store.slices() == stored
    assert await order(agent, orders.steered(7, 2)) == ""


@pytest.mark.req("D27")
async def test_a_tap_of_another_session_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = await prepared(tmp_path, monkeypatch, None)
    agent = await unit.started()
    before = unit.world.snapshot()
    stealing = orders.steered(7, 2, device="dt9")  # session 8 has that one
    assert "names dt9" in await order(agent, stealing)
    assert unit.world.snapshot() == before


@pytest.mark.req("D18")
async def test_fail_over_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = await prepared(tmp_path, monkeypatch, None)
    agent = await unit.started()
    assert await order(agent, unit_pb2.SetAlive(unit=2, alive=False)) == ""
    assert not unit.world.rows.unit[2].alive
    await unit.started()
    assert not unit.world.rows.unit[2].alive
    assert "no row" in await order(agent, unit_pb2.SetAlive(unit=77, alive=True))


async def test_a_broken_file_of_one_session_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = await prepared(tmp_path, monkeypatch, orders.steered(7, 2))
    (tmp_path / "slices" / "8.pb").write_bytes(b"\xff\xff")
    await unit.started()
    assert set(unit.world.vms) == {"7.echo-0"}
    assert (tmp_path / "slices" / "8.bad").exists()


@pytest.mark.req("A44")
async def test_a_link_is_held_to_its_rate_also_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = await prepared(tmp_path, monkeypatch, None)
    kept = Limit(sent=1_000_000_000, burst=1_250_000)
    assert unit.world.rows.limit == {OWN: kept}
    await unit.started()
    assert unit.world.rows.limit == {OWN: kept}
