"""An ordered output on a real agent: its sequencer outlives the agent and ends with the session."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import struct

import pytest

from controller.steering import addressing, wire
from controller.steering.model import (
    UDP,
    Channel,
    Endpoint,
    EndpointKind,
    Flow,
    FlowKey,
    Link,
    LinkKey,
    LinkKind,
    LinkScope,
    Selector,
    Slot,
    SlotKey,
    Socket,
    Tables,
    Target,
    TargetKind,
)
from dipronn.v1 import order_pb2, session_pb2, unit_pb2
from tests.system.agent.conftest import DEADLINE, Unit, alive, until
from tests.system.agent.session import SESSION, V4, base

pytestmark = [pytest.mark.root, pytest.mark.vm]

DEVICE = addressing.order_device(SESSION)
ORDERED = Socket(V4.public.address, 20002)
WINDOW = 2_000_000_000


def ordered() -> unit_pb2.Slice:
    """Outside → the sequencer → the receiver."""
    mac = addressing.ORDER_MAC
    tables = Tables(
        link={LinkKey(DEVICE): Link(LinkKind.NODE, mac)},
        flow={
            FlowKey(UDP, V4.entrance): Flow(Target(TargetKind.CHANNEL, 1), LinkScope.OUTSIDE),
            FlowKey(UDP, ORDERED): Flow(Target(TargetKind.CHANNEL, 2), LinkScope.NODE),
        },
        channel={number: Channel(Selector.ZERO, 0, number, SESSION) for number in (1, 2)},
        slot={SlotKey(number, 0): Slot(number) for number in (1, 2)},
        endpoint={
            1: Endpoint(EndpointKind.NODE, DEVICE, mac, mac, ORDERED),
            2: Endpoint(EndpointKind.RECEIVER, "", wire.NO_MAC, wire.NO_MAC, V4.receiver, source=V4.public),
        },
    )
    output = order_pb2.SequencedOutput(
        name="y",
        port=ORDERED.port,
        token=session_pb2.ORDER_TOKEN_RTP,
        order=session_pb2.ORDER_WINDOW,
        window_ns=WINDOW,
    )
    sequencer = order_pb2.Sequencer(device=DEVICE, mac=mac.octets, outputs=[output])
    encoded = wire.encode(tables)
    return unit_pb2.Slice(session=SESSION, name="s", generation=1, tables=encoded, sequencer=sequencer)


async def shuffled(unit: Unit, first: int) -> list[int]:
    """Send ten RTP packets out of order; their sequence numbers as the receiver sees them."""
    loop = asyncio.get_running_loop()
    sent = [first + offset for offset in (3, 0, 2, 1, 4, 9, 8, 5, 6, 7)]
    receiver = V4.receiver
    with unit.socket(receiver.address) as source, unit.socket(receiver.address, receiver.port) as sink:
        for sequence in sent:
            packet = struct.pack("!BBHII", 0x80, 96, sequence, 0, 1)
            source.sendto(packet, (str(V4.entrance.address), V4.entrance.port))
        async with asyncio.timeout(DEADLINE):
            found = [await loop.sock_recv(sink, 2048) for _ in sent]
    return [struct.unpack_from("!H", packet, 2)[0] for packet in found]


def process(unit: Unit) -> int:
    """The sequencer's, or 0 while there is none."""
    record = json.loads((unit.state / "order" / f"{SESSION}.json").read_text())
    return int(record["process"]["pid"]) if record["process"] else 0


def counted(report: unit_pb2.UnitReport, name: str, at_least: int) -> bool:
    return any(
        output.counts[name] >= at_least
        for sequencer in report.counters.sequencers
        for output in sequencer.outputs
    )


@pytest.mark.req("A35")
async def test_a_sequencer_outlives_its_agent_and_is_started_again_when_it_dies(unit: Unit) -> None:
    assert (await unit.start()).keeps_order
    assert await unit.control.order(base()) == ""
    order = ordered()
    assert await unit.control.order(order) == ""
    assert await shuffled(unit, 0) == list(range(10))
    found = await unit.control.report(lambda each: counted(each, "released", 10))
    (sequencer,) = found.counters.sequencers
    assert sequencer.session == SESSION and sequencer.running and sequencer.outputs[0].name == "y"
    assert sequencer.outputs[0].counts["depth_before"] == 2
    assert not sequencer.outputs[0].counts["depth_after"] and not any(sequencer.losses.values())

    pid = process(unit)
    await unit.end(signal.SIGKILL)
    assert await shuffled(unit, 10) == list(range(10, 20)), "without an agent, too"
    await unit.start()
    assert await unit.control.order(order) == "" and process(unit) == pid

    os.kill(pid, signal.SIGKILL)
    await until(lambda: process(unit) != pid and alive(process(unit)))
    since = len(unit.control.reports)
    report = await unit.control.report(
        lambda each: any(one.running and one.restarts == 1 for one in each.counters.sequencers), since=since
    )
    assert report.counters.sequencers[0].outputs[0].counts["released"] == 20, "it goes on counting"
    assert await shuffled(unit, 20) == list(range(20, 30))

    pid = process(unit)
    assert await unit.control.order(unit_pb2.RemoveSlice(session=SESSION)) == ""
    assert not alive(pid) and unit.links() == {"lo", "data0"}
    assert not list((unit.state / "order").iterdir()) and not list(unit.pins.glob("order_*"))


async def test_what_is_refused_and_that_removal_takes_sequencers_down(unit: Unit) -> None:
    await unit.start()
    assert await unit.control.order(base()) == ""
    foreign = ordered()
    foreign.sequencer.device = "data0"
    assert "data0" in await unit.control.order(foreign)
    assert unit.links() == {"lo", "data0"}

    assert await unit.control.order(ordered()) == ""
    pid = process(unit)
    assert await unit.remove() == 0
    unit.processes.pop().wait(DEADLINE)
    assert not alive(pid) and unit.links() == {"lo", "data0"}
