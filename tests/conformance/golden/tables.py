"""Tables and frames that golden cases start from."""

from __future__ import annotations

from dataclasses import replace

from scapy.packet import Packet

from controller.steering.model import (
    Binding,
    BindingKey,
    Channel,
    Endpoint,
    EndpointKind,
    Flow,
    FlowKey,
    ForkBranch,
    ForkKey,
    LinkKey,
    LinkScope,
    Mac,
    Selector,
    Slot,
    SlotKey,
    Socket,
    Tables,
    Target,
    TargetKind,
    Unmatched,
)
from tests.conformance.network import (
    GUEST0_MAC,
    GUEST1_MAC,
    LAN,
    LAN_MAC,
    ROUTER_MAC,
    UNIT_MAC,
    VM0,
    VM0_MAC,
    VM1,
    VM1_MAC,
    WAN,
    WAN_MAC,
    links,
    socket,
)
from tests.conformance.script import ethernet, ip

SOURCE = socket("198.51.100.7", 4000)
PUBLIC = socket("192.0.2.1", 5000)
INSTANCE = socket("10.9.0.2", 6000)
SOURCE6 = socket("2001:db8:1::7", 4000)
PUBLIC6 = socket("2001:db8::1", 5000)
INSTANCE6 = socket("fd00:9::2", 6000)
BROADCAST = "ff:ff:ff:ff:ff:ff"


def steered(unmatched: Unmatched = Unmatched.DROP, guests: bool = False) -> Tables:
    """A flow of each family from outside to another unit: channels 1 (IPv4) and 2 (IPv6)."""
    tables = Tables(link=links(unmatched, guests))
    for number, public, instance in ((1, PUBLIC, INSTANCE), (2, PUBLIC6, INSTANCE6)):
        tables.flow[FlowKey(17, public)] = Flow(Target(TargetKind.CHANNEL, number), LinkScope.OUTSIDE)
        tables.channel[number] = Channel(Selector.ZERO, 0, number, 1)
        tables.slot[SlotKey(number, 0)] = Slot(number)
        tables.endpoint[number] = Endpoint(EndpointKind.NODE, LAN, LAN_MAC, UNIT_MAC, instance)
    return tables


def from_outside(packet: Packet, vlan: int | None = None) -> bytes:
    return ethernet(ROUTER_MAC, WAN_MAC, packet, vlan)


def to_unit(packet: Packet) -> bytes:
    return ethernet(LAN_MAC, UNIT_MAC, packet)


GOOD = from_outside(ip(SOURCE, PUBLIC))
GOOD_OUT = to_unit(ip(SOURCE, INSTANCE, ttl=63))
GOOD6 = from_outside(ip(SOURCE6, PUBLIC6))


def from_guest(packet: Packet) -> bytes:
    return ethernet(GUEST0_MAC, VM0_MAC, packet)


LOW = socket("198.51.100.20", 6000)
HIGH = socket("198.51.100.21", 6001)
RECEIVER_MAC = Mac.parse("02:00:00:00:01:20")
INPUT0 = socket("10.0.3.2", 7000)
INPUT1 = socket("10.0.4.2", 7000)


def channel(number: int) -> Target:
    return Target(TargetKind.CHANNEL, number)


def fork(number: int) -> Target:
    return Target(TargetKind.FORK, number)


def node(destination: Socket, **fields: object) -> Endpoint:
    return replace(Endpoint(EndpointKind.NODE, LAN, LAN_MAC, UNIT_MAC, destination), **fields)  # type: ignore[arg-type]


def receiver(destination: Socket, **fields: object) -> Endpoint:
    row = Endpoint(EndpointKind.RECEIVER, WAN, WAN_MAC, RECEIVER_MAC, destination)
    return replace(row, **fields)  # type: ignore[arg-type]


def guest0(public: Socket | None = None, **fields: object) -> Endpoint:
    row = Endpoint(EndpointKind.GUEST, VM0, VM0_MAC, GUEST0_MAC, INPUT0, public=public)
    return replace(row, **fields)  # type: ignore[arg-type]


def group(tables: Tables, number: int, first: int, selector: Selector, *slots: Slot) -> None:
    """Channel ``number`` over the slots from ``first`` on."""
    tables.channel[number] = Channel(selector, len(slots) - 1, first, 1)
    tables.slot |= {SlotKey(first, index): slot for index, slot in enumerate(slots)}


def forked() -> Tables:
    """Copies of one flow: to a receiver, twice to the one device, and to another unit."""
    tables = steered()
    tables.flow[FlowKey(17, PUBLIC)] = Flow(fork(1), LinkScope.OUTSIDE)
    for copy, number in enumerate((3, 4, 1)):
        tables.fork[ForkKey(1, copy)] = ForkBranch(number)
    group(tables, 3, 16, Selector.ZERO, Slot(3))
    group(tables, 4, 17, Selector.ZERO, Slot(4))
    tables.endpoint[3] = receiver(LOW, source=PUBLIC)
    tables.endpoint[4] = receiver(HIGH, vlan=7)
    return tables


def with_guests() -> Tables:
    """Guest 0 has an input that the public address feeds; it sends from port 7001 to guest 1."""
    tables = steered(guests=True)
    group(tables, 1, 16, Selector.ZERO, Slot(10))
    tables.endpoint[10] = guest0(public=PUBLIC)
    group(tables, 3, 17, Selector.ZERO, Slot(11))
    tables.endpoint[11] = Endpoint(EndpointKind.GUEST, VM1, VM1_MAC, GUEST1_MAC, INPUT1)
    tables.binding[BindingKey(LinkKey(VM0), socket("10.0.3.2", 7001))] = Binding(channel(3))
    return tables


GATEWAY = socket("10.0.3.1", 1)
