"""Accounts over real gRPC: fed by units, kept across restarts, told to whom they concern."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from controller.server import ControlUnit, Settings
from dipronn.cli.account import to_csv
from dipronn.client import connect
from dipronn.v1 import accounts_pb2, unit_pb2

from .agents import Agent, Cluster, cluster, eventually
from .test_server import tar

TEXT = """
session s {
  owner "=ann";
  input x : udp rate 1Mbps;
  output y to 198.51.100.7:6000;
  program p { bundle "p.tar"; in i; out o; needs cpu 0.5, memory 64MiB; }
  data x -> p.i; data p.o -> y;
}
"""
GIB_SECOND = float(1 << 30)


def channels(node: Cluster, session: int) -> list[int]:
    return [row.channel for row in node["solo"].held[session].tables.channel]


def count(agent: Agent, numbers: list[int], packets: int) -> None:
    counts = {number: unit_pb2.PacketCount(packets=packets, bytes=100 * packets) for number in numbers}
    agent.report(counters=unit_pb2.UnitCounters(channels=counts))


def use(agent: Agent, session: int, cpu_s: float, memory: float) -> None:
    usage = accounts_pb2.VmUsage(
        session=session, vm="p-0", incarnation=5, cpu_ns=int(cpu_s * 1e9), memory_byte_seconds=memory
    )
    agent.report(usage=accounts_pb2.UsageReport(vms=[usage]))


@pytest.mark.req("D32", "A57")
async def test_what_sessions_use_is_kept_also_when_they_are_closed(tmp_path: Path) -> None:
    async with cluster(tmp_path, ("solo",)) as node:
        session = await node.node.establish(TEXT, {"p.tar": tar()})
        numbers = channels(node, session.id)
        count(node["solo"], numbers, 10)
        use(node["solo"], session.id, 1.5, GIB_SECOND)
        count(node["solo"], numbers, 25)
        use(node["solo"], session.id, 2.5, 2 * GIB_SECOND)

        async def told() -> bool:
            (account,) = await node.node.accounts()
            return account.cpu_seconds == 2.5

        await eventually(told)
        (account,) = await node.node.accounts("s")
        assert (account.session, account.owner, account.number) == ("s", "=ann", session.id)
        assert not account.HasField("closed") and account.memory_byte_seconds == 2 * GIB_SECOND
        counted = {one.channel: (one.packets, one.bytes) for one in account.channels}
        assert counted["x -> p.i"] == (25, 2500)
        shown = (await node.node.session("s")).channels
        assert counted == {one.channel: (one.packets, one.bytes) for one in shown}

        # The last of it comes while the session is taken down.
        def last(order: unit_pb2.UnitOrder) -> None:
            if order.WhichOneof("what") == "remove":
                count(node["solo"], numbers, 30)

        node["solo"].on_order = last
        await node.node.close_session("s")
        assert await node.node.accounts("other") == []

    control = ControlUnit(Settings(tmp_path / "state", tmp_path / "c.sock"))
    await control.start()
    try:
        async with connect(f"unix:{tmp_path / 'c.sock'}") as client:
            (account,) = await client.accounts()
    finally:
        await control.stop()
    assert account.HasField("closed") and account.closed.ToNanoseconds() > account.opened.ToNanoseconds()
    assert {one.channel: one.packets for one in account.channels} == {
        name: packets * 30 // 25 for name, (packets, _) in counted.items()
    }

    lines = list(csv.DictReader(io.StringIO(to_csv([account]))))
    assert {line["what"]: line["value"] for line in lines if not line["channel"]} == {
        "cpu_seconds": "2.500000",
        "memory_byte_seconds": str(2 << 30),
    }
    assert {line["channel"]: int(line["value"]) for line in lines if line["what"] == "bytes"} == {
        one.channel: one.bytes for one in account.channels
    }
    assert {line["owner"] for line in lines} == {"'=ann"}, "a spreadsheet takes no formula from users"


async def test_an_active_session_is_counted_on_after_a_restart(tmp_path: Path) -> None:
    async with cluster(tmp_path, ("solo",)) as node:
        session = await node.node.establish(TEXT, {"p.tar": tar()})
        numbers = channels(node, session.id)
        count(node["solo"], numbers, 10)
        use(node["solo"], session.id, 1.0, 1.0)

        async def told() -> bool:
            return (await node.node.accounts())[0].cpu_seconds == 1.0

        await eventually(told)
    async with cluster(tmp_path, ("solo",)) as node:
        # The unit has counted on meanwhile, and tells the sums since its own beginning.
        count(node["solo"], numbers, 12)
        use(node["solo"], session.id, 4.0, 3.0)

        async def told_again() -> bool:
            return (await node.node.accounts())[0].cpu_seconds == 4.0

        await eventually(told_again)
        (account,) = await node.node.accounts()
        shown = (await node.node.session("s")).channels
        assert {one.channel: one.packets for one in account.channels} == {
            one.channel: one.packets for one in shown
        }
