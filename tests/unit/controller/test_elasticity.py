"""Programs of a variable number of instances: more of them under load, fewer when it has gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.advice import Thresholds, Trend, balanced
from controller.steering import wire
from controller.steering.model import BindingKey
from dipronn.v1 import accounts_pb2, unit_pb2
from dipronn.v1 import session_pb2 as pb

from .agents import Cluster, cluster, eventually, spawn
from .test_server import BUNDLES, TEXT

RANGE = TEXT.replace("parallelizable 2;", "parallelizable 1..3;")
SOON = Thresholds(
    grow_after=0.2, shrink_after=0.2, idle_after=0.2, join_within=600, drain_at_most=600, retry_after=0.2
)
BUSY, IDLE = 3.0, 0.001
"""Cores; an instance of p has 0.5."""


@asynccontextmanager
async def using(node: Cluster, cores: dict[str, float]) -> AsyncIterator[None]:
    """Agents tell what their machines use; of those not named in ``cores`` that they are idle."""

    async def tell() -> None:
        used: dict[str, float] = {}
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.02)  # as agents do each second
            now = time.monotonic()
            for agent in node.agents.values():
                report = accounts_pb2.UsageReport()
                for number, slice_ in agent.held.items():
                    for vm in slice_.vms:
                        used[vm.name] = used.get(vm.name, 0.0) + cores.get(vm.name, IDLE) * (now - last)
                        report.vms.add(
                            session=number, vm=vm.name, incarnation=1, cpu_ns=round(used[vm.name] * 1e9)
                        )
                agent.report(usage=report)
            last = now

    task = spawn(tell())
    try:
        yield
    finally:
        task.cancel()


async def instances(node: Cluster) -> dict[str, str]:
    """Of p: states by index, as a user sees them."""
    session = await node.node.session("s")
    return {
        str(one.index): pb.InstanceState.Name(one.state).removeprefix("INSTANCE_STATE_").lower()
        for one in session.instances
        if one.program == "p"
    }


async def until_there_are(node: Cluster, expected: dict[str, str]) -> None:
    async def met() -> bool:
        return await instances(node) == expected

    await eventually(met)


def receiving(node: Cluster, addresses: dict[str, str]) -> set[str]:
    """The indices of the instances of p that distribution sends to."""
    tables = wire.decode(node["dist"].held[1].tables)
    (channel,) = tables.channel.values()
    members = {slot.endpoint for key, slot in tables.slot.items() if key.group == channel.group}
    found = {str(tables.endpoint[number].destination.address) for number in members}
    return {index for index, address in addresses.items() if address in found}


@pytest.mark.req("D51")
@pytest.mark.req("A22")
async def test_instances_come_under_load_and_go_when_it_has_gone(tmp_path: Path) -> None:
    cores = {"p-0": BUSY}
    async with cluster(tmp_path, elasticity=SOON) as node:
        told: list[str] = []
        await node.node.establish(RANGE, BUNDLES)

        async def watch() -> None:
            async for event in node.node.watch("s"):
                told.append(event.message)

        watching = spawn(watch())
        async with using(node, cores):
            await until_there_are(node, {"0": "running", "1": "running"})
            cores["p-1"] = BUSY
            await until_there_are(node, {"0": "running", "1": "running", "2": "running"})
            session = await node.node.session("s")
            addresses = {str(one.index): one.address for one in session.instances if one.program == "p"}
            assert {one.unit for one in session.instances if one.program == "p"} == {"u1", "u2"}
            assert session.state == pb.SESSION_STATE_ACTIVE
            await eventually(lambda: _is(receiving(node, addresses) == {"0", "1", "2"}))
            cores.clear()
            await until_there_are(node, {"0": "running"})
            await eventually(lambda: _is(receiving(node, addresses) == {"0"}))
        watching.cancel()
        await eventually(lambda: _is(machines(node) == {"p-0", "q-0"}))
        assert all(unit.reserved.cpu <= 0.6 for unit in await node.node.units())
    story = [text for text in told if text.startswith("p")]
    assert "p: 1 instances use" in story[0] and "one more is started" in story[0], story
    assert "p-1 on u2 takes its part" in story or "p-1 on u1 takes its part" in story, story
    assert any("p-2 gets no more packets" in text for text in story), story
    assert any(text.startswith("p-2 on ") and text.endswith("is idle and ends") for text in story), story


@pytest.mark.req("D51")
async def test_a_leaving_instance_works_off_what_it_has(tmp_path: Path) -> None:
    cores = {"p-0": BUSY}
    patient = Thresholds(grow_after=0.2, shrink_after=0.2, idle_after=0.2, join_within=600, drain_at_most=600)
    async with cluster(tmp_path, elasticity=patient) as node:
        await node.node.establish(RANGE, BUNDLES)
        async with using(node, cores):
            await until_there_are(node, {"0": "running", "1": "running"})
            cores |= {"p-0": IDLE, "p-1": 0.1}  # together little, but p-1 is never idle
            await until_there_are(node, {"0": "running", "1": "leaving"})
            session = await node.node.session("s")
            addresses = {str(one.index): one.address for one in session.instances if one.program == "p"}
            await eventually(lambda: _is(receiving(node, addresses) == {"0"}))
            (unit,) = {one.unit for one in session.instances if (one.program, one.index) == ("p", 1)}
            tables = wire.decode(node[unit].held[1].tables)
            tap = next(vm.device for vm in node[unit].held[1].vms if vm.name == "p-1")
            senders = {key.link.device for key in tables.binding if isinstance(key, BindingKey)}
            assert tap in senders, "what it sends still goes on"
            assert await instances(node) == {"0": "running", "1": "leaving"}
            cores["p-1"] = IDLE
            await until_there_are(node, {"0": "running"})


async def test_what_does_not_fit_is_told_and_tried_again(tmp_path: Path) -> None:
    async with cluster(tmp_path, names=("dist", "u1", "agg"), cpu=0.7, elasticity=SOON) as node:
        await node.node.establish(RANGE, BUNDLES)
        refused = asyncio.Event()

        async def watch() -> None:
            async for event in node.node.watch("s"):
                if "p would need one more instance: no unit has room for p-1: u1: cpu 0.7" in event.message:
                    refused.set()

        watching = spawn(watch())
        async with using(node, {"p-0": BUSY}):
            await asyncio.wait_for(refused.wait(), 60)
            refused.clear()
            await asyncio.wait_for(refused.wait(), 60)
        watching.cancel()
        assert await instances(node) == {"0": "running"}
        assert (await node.node.session("s")).state == pb.SESSION_STATE_ACTIVE


async def test_a_newcomer_that_dies_is_given_up_and_harms_nobody(tmp_path: Path) -> None:
    async with cluster(tmp_path, elasticity=SOON, mute={"p-1"}) as node:
        await node.node.establish(RANGE, BUNDLES)
        async with using(node, {"p-0": BUSY}):
            await until_there_are(node, {"0": "running", "1": "starting"})
            session = await node.node.session("s")
            assert session.state == pb.SESSION_STATE_ACTIVE, session.message
            (unit,) = {one.unit for one in session.instances if (one.program, one.index) == ("p", 1)}
            for agent in node.agents.values():
                agent.mute.clear()  # the next one registers
            node[unit].vm_dies(session.id, "p-1")
            await until_there_are(node, {"0": "running", "1": "running"})


@given(st.lists(st.floats(0, 4), min_size=1, max_size=8), st.integers(1, 8), st.integers(0, 7))
def test_advice_is_never_beyond_the_range_and_never_undone_at_once(
    loads: list[float], least: int, more: int
) -> None:
    given_, most, trend = Thresholds(), least + more, Trend()
    first = trend.advice(given_, 0.0, loads, least, most)
    later = trend.advice(given_, 1000.0, loads, least, most)
    assert first == 0
    assert not (later > 0 and not least <= len(loads) < most) and not (later < 0 and len(loads) <= least)
    if later:
        # The same work, spread over the new number, asks for nothing else; unless it still asks for the same.
        spread = [sum(loads) / (len(loads) + later)] * (len(loads) + later)
        after = Trend()
        after.advice(given_, 0.0, spread, least, most)
        assert after.advice(given_, 1000.0, spread, least, most) in (0, later)


@given(st.lists(st.floats(0.3, 3), min_size=2, max_size=6))
def test_weights_make_loads_equal(costs: list[float]) -> None:
    """Each instance needs another effort per packet, as on unequal units."""
    weights = [1] * len(costs)

    def loads() -> list[float]:
        return [cost * weight / sum(weights) for cost, weight in zip(costs, weights, strict=True)]

    before = max(loads())
    for _ in range(20):
        weights = balanced(weights, loads())
    assert max(loads()) <= before * 1.001
    assert all(1 <= weight <= 16 for weight in weights)
    if max(costs) / min(costs) > 2:
        assert max(loads()) < 0.9 * before, "round robin leaves the slowest the most"


@pytest.mark.req("A22")
async def test_least_loaded_sends_less_to_whom_it_costs_more(tmp_path: Path) -> None:
    soon = Thresholds(balance_after=0.1)
    text = TEXT.replace("parallelizable 2;", "parallelizable 2 by least_loaded;")
    async with cluster(tmp_path, elasticity=soon) as node:
        await node.node.establish(text, BUNDLES)

        def slots() -> list[int]:
            tables = wire.decode(node["dist"].held[1].tables)
            (channel,) = tables.channel.values()
            members = [slot.endpoint for key, slot in tables.slot.items() if key.group == channel.group]
            return sorted(members.count(one) for one in set(members))

        assert slots() == [1, 1]
        async with using(node, {"p-0": 0.4, "p-1": 0.1}):
            await eventually(lambda: _is(max(slots()) >= 3 * min(slots())))
        assert (await node.node.session("s")).state == pb.SESSION_STATE_ACTIVE


def machines(node: Cluster) -> set[str]:
    return {vm.name for agent in node.agents.values() for vm in agent.held.get(1, _NOTHING).vms}


async def _is(value: bool) -> bool:
    return value


_NOTHING = unit_pb2.Slice()
