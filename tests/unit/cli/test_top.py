"""`dipronn top`: rates from two looks at the node, and what it prints of a real control unit."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest

from dipronn.cli.top import Look, sessions, units
from dipronn.v1 import node_pb2, unit_pb2
from dipronn.v1 import session_pb2 as pb
from tests.unit.controller.agents import cluster
from tests.unit.controller.test_accounts import TEXT
from tests.unit.controller.test_server import tar

pytestmark = pytest.mark.req("D22")


def look(at: float, packets: int, drops: int, state: pb.InstanceState.ValueType) -> Look:
    instance = pb.Instance(program="p", index=0, unit="u", state=state)
    channel = pb.ChannelCounters(channel="x -> p.i", packets=packets, bytes=100 * packets)
    session = pb.Session(name="s", state=pb.SESSION_STATE_ACTIVE, instances=[instance], channels=[channel])
    counters = unit_pb2.UnitCounters(received=packets, sent=packets - drops, drops={"too_big": drops})
    return Look(at, {"s": session}, {"u": node_pb2.UnitStatus(name="u", alive=True, counters=counters)})


def test_rates_are_what_was_counted_between_two_looks() -> None:
    before = look(10.0, 100, 0, pb.INSTANCE_STATE_RUNNING)
    after = look(12.0, 300, 50, pb.INSTANCE_STATE_DEAD)
    (session,) = sessions(before, after)
    (channel,) = session.channels
    assert (channel.packets_per_s, channel.bits_per_s, channel.packets) == (100.0, 80000.0, 300)
    assert session.changes == ["p-0 on u: running -> dead"]
    (unit,) = units(before, after)
    assert (unit.received_per_s, unit.sent_per_s, unit.dropped_per_s) == (100.0, 75.0, {"too_big": 25.0})
    same = look(13.0, 300, 50, pb.INSTANCE_STATE_DEAD)
    assert units(after, same)[0].dropped_per_s == {} and sessions(after, same)[0].changes == []


def test_counters_that_begin_again_show_no_negative_rates() -> None:
    (session,) = sessions(
        look(0, 500, 0, pb.INSTANCE_STATE_RUNNING), look(1, 20, 0, pb.INSTANCE_STATE_RUNNING)
    )
    assert session.channels[0].packets_per_s == 20.0
    assert sessions(Look(0, {}, {}), look(1, 20, 0, pb.INSTANCE_STATE_RUNNING))[0].changes == []


@pytest.mark.parametrize("arguments", [["--json"], []])
async def test_it_prints_so_many_looks_and_ends(tmp_path: Path, arguments: list[str]) -> None:
    async with cluster(tmp_path, ("solo",)) as node:
        await node.node.establish(TEXT, {"p.tar": tar()})
        command = [str(Path(sys.executable).with_name("dipronn")), "--node", f"unix:{tmp_path / 'c.sock'}"]
        process = await asyncio.create_subprocess_exec(
            *command,
            "top",
            "s",
            "--interval",
            "1",
            "--count",
            "2",
            *arguments,
            stdout=asyncio.subprocess.PIPE,
        )
        output = (await process.communicate())[0].decode()
    assert process.returncode == 0
    if arguments:
        first, second = map(json.loads, output.splitlines())
        assert first["sessions"][0]["state"] == second["sessions"][0]["state"] == "active"
        assert [one["unit"] for one in second["units"]] == ["solo"]
    else:
        assert "x -> p.i" in output and "solo" in output
