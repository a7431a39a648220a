"""What the pipeline does beside steering packets: digests, packets to and from the controller, its limits."""

from __future__ import annotations

import threading

import grpc
import pytest
from finsy.proto import p4r

from controller.drivers.p4runtime.entries import Action, EntryKey, Ports, decode, encode, representable
from controller.drivers.p4runtime.pipeline import encode_number
from controller.drivers.p4runtime.readings import Learnt, read_learnt
from controller.steering.model import (
    Channel,
    Endpoint,
    EndpointKind,
    Flow,
    FlowKey,
    ForkBranch,
    ForkKey,
    LinkKey,
    LinkScope,
    Peer,
    PeerKey,
    Selector,
    Slot,
    SlotKey,
    Tables,
    Target,
    TargetKind,
    Unmatched,
)
from tests.conformance.bmv2 import INSERT, PORTS, Bmv2
from tests.conformance.bmv2_switch import Control
from tests.conformance.golden.tables import GOOD, PUBLIC, SOURCE, from_outside, steered
from tests.conformance.network import LAN, LAN_MAC, ROUTER_MAC, UNIT_MAC, WAN, WAN_MAC, socket
from tests.conformance.plane import Arrival, OraclePlane, check
from tests.conformance.script import ip

pytestmark = pytest.mark.bmv2

NAMES = Ports(PORTS)
OWN_MACS = {LinkKey(WAN): WAN_MAC}


def test_what_is_written_can_be_read_back(plane: Bmv2, control: Control) -> None:
    tables = _forked(20)
    tables.peer[PeerKey(PUBLIC, SOURCE)] = Peer(WAN, 7, WAN_MAC, ROUTER_MAC, socket("192.0.2.9", 1), 1400)
    plane.run(tables, [])
    pipeline, wanted = control.pipeline, encode(tables, NAMES)
    found = control.read(
        p4r.Entity(table_entry=p4r.TableEntry(table_id=table.id)) for table in pipeline.tables.values()
    )
    assert pipeline.entries(iter(found)) == wanted
    assert decode(pipeline.entries(iter(found)), NAMES) == representable(tables)


@pytest.mark.req("A41")
def test_an_unknown_flow_is_reported_where_policy_asks(plane: Bmv2, control: Control) -> None:
    plane.run(steered(Unmatched.REQUEST), [])
    _subscribe(control, "request_t")
    plane.packets.send(PORTS[WAN], from_outside(ip(SOURCE, socket("192.0.2.1", 9))))
    digest = control.receive().digest
    assert digest.digest_id == control.pipeline.digests["request_t"]
    (member,) = digest.data[0].struct.members
    told = 0  # request_t in p4/v1model/digests.p4
    fields = ((1, 0), (9, PORTS[WAN]), (12, 0), (16, 9), (16, SOURCE.port), (128, 0xC0000201))
    for width, value in (*fields, (128, int(SOURCE.address))):
        told = told << width | value
    assert int.from_bytes(member.bitstring, "big") == told


@pytest.mark.req("R5")
def test_a_peer_is_reported_once_a_second(plane: Bmv2, control: Control) -> None:
    plane.run(steered(), [])
    learnt = Learnt(PeerKey(PUBLIC, SOURCE), Peer(WAN, 0, WAN_MAC, ROUTER_MAC))
    for _ in range(50):  # within far less than a second
        plane.packets.send(PORTS[WAN], GOOD)
    for _ in range(50):
        plane.packets.receive()
    assert list(read_learnt(control.receive().digest, NAMES, OWN_MACS)) == [learnt]
    threading.Event().wait(1.1)  # the second is the pipeline's own
    plane.packets.send(PORTS[WAN], GOOD)
    assert list(read_learnt(control.receive().digest, NAMES, OWN_MACS)) == [learnt]
    plane.packets.receive()


def test_a_packet_out_leaves_as_it_is_and_is_not_counted(plane: Bmv2, control: Control) -> None:
    plane.run(steered(), [])
    packet = p4r.PacketOut(payload=b"\xff" * 6 + bytes(6) + b"\x08\x06" + bytes(28))
    for field in control.pipeline.info.controller_packet_metadata[1].metadata:
        value = PORTS[LAN] if field.name == "egress_port" else 0
        packet.metadata.add(metadata_id=field.id, value=encode_number(value))
    control.send(p4r.StreamMessageRequest(packet=packet))
    assert plane.packets.receive() == (PORTS[LAN], packet.payload)
    counters, _ = plane.counters()
    assert (counters.received, counters.sent) == (0, 0)


def test_a_packet_in_tells_its_port(plane: Bmv2, control: Control) -> None:
    plane.run(steered(), [])
    frame = b"\xff" * 6 + ROUTER_MAC.octets + b"\x08\x06" + bytes(28)
    plane.packets.send(PORTS[LAN], frame)
    packet = control.receive().packet
    assert packet.payload == frame
    names = {field.id: field.name for field in control.pipeline.info.controller_packet_metadata[0].metadata}
    values = {names[each.metadata_id]: int.from_bytes(each.value, "big") for each in packet.metadata}
    assert values["ingress_port"] == PORTS[LAN]


def _forked(copies: int) -> Tables:
    """The public address leads to receivers, by turns on two devices."""
    tables = steered()
    tables.flow[FlowKey(17, PUBLIC)] = Flow(Target(TargetKind.FORK, 2), LinkScope.OUTSIDE)
    for copy in range(copies):
        number = 100 + copy
        tables.fork[ForkKey(2, copy)] = ForkBranch(number)
        tables.channel[number] = Channel(Selector.ZERO, 0, number, 1)
        tables.slot[SlotKey(number, 0)] = Slot(number)
        device, own = ((WAN, WAN_MAC), (LAN, LAN_MAC))[copy % 2]
        to = socket("198.51.100.9", 1000 + copy)
        tables.endpoint[number] = Endpoint(EndpointKind.RECEIVER, device, own, UNIT_MAC, to)
    return tables


@pytest.mark.req("R1", "R10")
def test_a_fork_may_have_more_copies_than_a_queue_has_room(plane: Bmv2) -> None:
    tables, events = _forked(120), [Arrival(WAN, GOOD)] * 5
    expected = OraclePlane().run(tables, events)
    assert expected.counters.sent == 600
    check(tables, events, expected, plane.run(tables, events), "bmv2")


def test_a_full_table_takes_no_more(plane: Bmv2, control: Control) -> None:
    plane.run(Tables(), [])
    alive = Action("alive")
    rows = [control.pipeline.message(EntryKey("unit", (unit,)), alive) for unit in range(1, 1025)]
    control.write(INSERT, rows)
    with pytest.raises(grpc.RpcError):  # bmv2 gives no better reason than UNKNOWN
        control.write(INSERT, [control.pipeline.message(EntryKey("unit", (2000,)), alive)])
    table = p4r.TableEntry(table_id=control.pipeline.tables["unit"].id)
    found = control.pipeline.entries(iter(control.read([p4r.Entity(table_entry=table)])))
    assert found == {EntryKey("unit", (unit,)): alive for unit in range(1, 1025)}


def _subscribe(control: Control, name: str) -> None:
    config = p4r.DigestEntry.Config(max_timeout_ns=0, max_list_size=1, ack_timeout_ns=0)
    entry = p4r.DigestEntry(digest_id=control.pipeline.digests[name], config=config)
    control.write(INSERT, [p4r.Entity(digest_entry=entry)])
