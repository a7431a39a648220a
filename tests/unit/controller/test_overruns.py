"""A program that exceeds its bandwidth is limited on its unit, and named to who watches its session."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from controller.overruns import QUIET_SECONDS, Overruns, Refused
from controller.steering.wire import decode
from dipronn.v1 import unit_pb2

from .agents import cluster
from .test_server import tar

TEXT = """
session s {
  owner "ann";
  input x : udp rate 1Mbps;
  output y to 198.51.100.7:6000;
  program loud { bundle "p.tar"; in i; out o; needs bandwidth 80Mbps; }
  program free { bundle "p.tar"; in i; out o; }
  data x -> loud.i; data loud.o -> free.i; data free.o -> y;
}
"""


@pytest.mark.req("A59", "D60")
async def test_a_program_that_is_held_to_its_bandwidth_is_named_in_watch(tmp_path: Path) -> None:
    async with cluster(tmp_path, ("solo",)) as node:
        agent = node["solo"]
        session = await node.node.establish(TEXT, {"p.tar": tar()})
        slice_ = agent.held[session.id]
        (limit,) = decode(slice_.tables).limit.items()
        machine = next(vm for vm in slice_.vms if vm.name == "loud-0")
        assert limit[0] == machine.device, "and nobody who stated none has one"
        assert (limit[1].received, limit[1].sent) == (80_000_000, 80_000_000)
        assert limit[1].burst == 2_500_000  # a quarter of a second

        told = asyncio.Queue[str]()

        async def watch() -> None:
            async for event in node.node.watch("s"):
                told.put_nowait(event.message)

        watching = asyncio.create_task(watch())
        try:
            async with asyncio.timeout(60):
                await told.get()  # the present state: from now on nothing is missed
                refused = unit_pb2.Refused(received=312, sent=7)
                agent.report(counters=unit_pb2.UnitCounters(refused={machine.device: refused}))
                assert await told.get() == (
                    "loud-0 on solo is held to its bandwidth: 312 packets that it sent and 7 packets for it "
                    "dropped (rate_limited)"
                )
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


def test_events_are_few_and_lose_no_packet() -> None:
    """What came within the quiet time is told with the next; a limit that was set anew counts from zero."""
    now = 100.0
    overruns = Overruns(lambda: now)

    def new(received: int) -> list[tuple[str, Refused]]:
        refused = {"dt1": unit_pb2.Refused(received=received)} if received >= 0 else {}
        return overruns.new("u1", unit_pb2.UnitCounters(refused=refused))

    assert new(10) == [("dt1", Refused(10, 0))]
    assert new(15) == []
    now += QUIET_SECONDS
    assert new(16) == [("dt1", Refused(6, 0))]
    now += QUIET_SECONDS
    assert new(16) == [], "nothing was dropped since"
    assert new(4) == [("dt1", Refused(4, 0))], "another machine's limit"
    assert new(-1) == []
    now += QUIET_SECONDS
    assert new(4) == [("dt1", Refused(4, 0))], "the device went and came again"
