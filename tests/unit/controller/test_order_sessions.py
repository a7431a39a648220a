"""Sessions whose outputs keep order, over real gRPC: what units are told, what users see, what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from controller.steering import addressing
from dipronn.errors import Unavailable
from dipronn.v1 import order_pb2, unit_pb2
from dipronn.v1 import session_pb2 as pb

from .agents import cluster, eventually
from .test_server import BUNDLES, TEXT

ORDERED = TEXT.replace(":6000;", ":6000 order window 5ms by rtp;")


def counts(session: int, **losses: int) -> unit_pb2.UnitCounters:
    found = {
        "arrived": 12,
        "released": 10,
        "unordered": 2,
        "depth_before": 3,
        "late_released": 1,
        "delay_ns": 16_000_000,
        "delay_most_ns": 5_000_000,
    }
    output = order_pb2.SequencedOutputCounts(name="y", counts=found)
    report = order_pb2.SequencerReport(
        session=session, running=True, restarts=1, outputs=[output], losses=losses
    )
    return unit_pb2.UnitCounters(sequencers=[report])


@pytest.mark.req("A35")
async def test_an_ordered_output_is_sequenced_where_it_leaves_and_reported(tmp_path: Path) -> None:
    async with cluster(tmp_path) as node:
        session = await node.node.establish(ORDERED, BUNDLES)
        told = {name: agent.held[session.id].HasField("sequencer") for name, agent in node.agents.items()}
        assert [name for name, any_ in told.items() if any_] == ["agg"]
        sequencer = node["agg"].held[session.id].sequencer
        assert sequencer.device == addressing.order_device(session.id)
        assert sequencer.outputs[0].window_ns == 5_000_000 and sequencer.outputs[0].name == "y"
        node["agg"].report(counters=counts(session.id, overrun=4))
        node["u1"].report(counters=counts(session.id + 1))

        async def told_to_users() -> bool:
            return len((await node.node.session("s")).orders) == 1

        await eventually(told_to_users)
        (order,) = (await node.node.session("s")).orders
        assert (order.output, order.unit, order.running, order.restarts) == ("y", "agg", True, 1)
        assert (order.depth_before, order.depth_after) == (3, 0)
        assert order.mean_delay.ToMilliseconds() == 2 and order.longest_delay.ToMilliseconds() == 5
        assert order.counts["late_released"] == 1 and order.counts["overrun"] == 4
        events = node.node.watch("s")
        assert (await anext(events)).session.orders[0] == order
        assert (await node.node.close_session("s")).state == pb.SESSION_STATE_CLOSED and node.nothing_held()


async def test_order_needs_a_unit_that_can_hold_packets(tmp_path: Path) -> None:
    async with cluster(tmp_path, keeps_order=False) as node:
        with pytest.raises(Unavailable, match=r"output `y` asks for order.*a switch cannot"):
            await node.node.establish(ORDERED, BUNDLES)
        assert (await node.node.establish(TEXT, BUNDLES)).state == pb.SESSION_STATE_ACTIVE
