"""A session of one machine, as a control unit would order it, and packets through it."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from ipaddress import ip_address

from controller.steering import wire
from controller.steering.model import (
    UDP,
    Address,
    Binding,
    BindingKey,
    Channel,
    Endpoint,
    EndpointKind,
    Flow,
    FlowKey,
    Link,
    LinkKey,
    LinkKind,
    LinkScope,
    Mac,
    Selector,
    Slot,
    SlotKey,
    Socket,
    Tables,
    Target,
    TargetKind,
)
from controller.steering.model import Unit as UnitRow
from dipronn.v1 import unit_pb2
from tests.system.agent.conftest import DEADLINE, Unit

SESSION, TAP = 7, "dt2"
HOST, GUEST = Mac.parse("02:64:69:70:00:01"), Mac.parse("02:64:64:40:00:02")


@dataclass(frozen=True)
class Family:
    """The session's addresses in one IP family."""

    gateway: Address
    guest: Address
    entrance: Socket
    public: Socket
    receiver: Socket


V4 = Family(
    ip_address("100.64.0.1"),
    ip_address("100.64.0.2"),
    Socket(ip_address("192.0.2.1"), 20000),
    Socket(ip_address("192.0.2.1"), 20001),
    Socket(ip_address("192.0.2.10"), 6000),
)
V6 = Family(
    ip_address("fd64:6970:726f::1"),
    ip_address("fd64:6970:726f::2"),
    Socket(ip_address("2001:db8:1::1"), 20000),
    Socket(ip_address("2001:db8:1::1"), 20001),
    Socket(ip_address("2001:db8:1::10"), 6000),
)


def base() -> unit_pb2.Slice:
    """The node's own rows."""
    return unit_pb2.Slice(session=0, name="node", tables=wire.encode(Tables(unit={1: UnitRow(False)})))


def starting(unit: Unit, family: Family = V4) -> unit_pb2.Slice:
    """The first order: the machine, before any name is registered."""
    return _slice(unit, Tables(), family, generation=1)


def steered(
    unit: Unit, incoming: int, outgoing: int, family: Family = V4, receiver: Socket | None = None
) -> unit_pb2.Slice:
    """Outside → the program → a receiver whose next hop is the unit's to find."""
    guest = Socket(family.guest, incoming)
    numbers = (1, 2)
    tables = Tables(
        flow={FlowKey(UDP, family.entrance): Flow(Target(TargetKind.CHANNEL, 1), LinkScope.OUTSIDE)},
        binding={
            BindingKey(LinkKey(TAP), Socket(family.guest, outgoing)): Binding(Target(TargetKind.CHANNEL, 2))
        },
        channel={number: Channel(Selector.ZERO, 0, number, SESSION) for number in numbers},
        slot={SlotKey(number, 0): Slot(number) for number in numbers},
        endpoint={
            1: Endpoint(EndpointKind.GUEST, TAP, HOST, GUEST, guest, public=family.entrance),
            2: Endpoint(
                EndpointKind.RECEIVER,
                "",
                wire.NO_MAC,
                wire.NO_MAC,
                receiver or family.receiver,
                source=family.public,
            ),
        },
    )
    return _slice(unit, tables, family, generation=2)


def _slice(unit: Unit, tables: Tables, family: Family, generation: int) -> unit_pb2.Slice:
    tables.link[LinkKey(TAP)] = Link(
        LinkKind.GUEST,
        HOST,
        slice=SESSION,
        guest_mac=GUEST,
        addresses=(family.guest,),
        gateways=(family.gateway,),
    )
    program = unit_pb2.VmProgram(
        name="echo", bundle_sha256=hashlib.sha256(unit.echo).digest(), inputs=["in"], outputs=["out"]
    )
    machine = unit_pb2.Vm(
        name="echo-0",
        device=TAP,
        host_mac=HOST.octets,
        mac=GUEST.octets,
        addresses=[str(family.guest)],
        gateways=[str(family.gateway)],
        mtu=1500,
        cpu=0.5,
        memory_bytes=128 << 20,
        programs=[program],
    )
    return unit_pb2.Slice(
        session=SESSION, name="s", generation=generation, vms=[machine], tables=wire.encode(tables)
    )


async def established(unit: Unit, family: Family = V4) -> unit_pb2.Slice:
    """A session that is up to its end; the order that made it."""
    since = len(unit.control.reports)
    assert await unit.control.order(base()) == ""
    assert await unit.control.order(starting(unit, family)) == ""
    return await names_bound(unit, since, family)


async def names_bound(unit: Unit, since: int, family: Family = V4) -> unit_pb2.Slice:
    """Await the names, in reports from number ``since`` on, and order the rows that they allow."""
    incoming = await unit.control.name("echo/in", since)
    order = steered(unit, incoming, await unit.control.name("echo/out", since), family)
    assert await unit.control.order(order) == ""
    return order


async def exchange(unit: Unit, data: bytes, family: Family = V4) -> Socket:
    """Send a datagram into the session until it reaches the receiver; the source that the receiver sees."""
    loop = asyncio.get_running_loop()
    with unit.socket(family.receiver.address) as source, unit.socket(*_pair(family.receiver)) as receiver:
        async with asyncio.timeout(DEADLINE):
            while True:
                source.sendto(data, (str(family.entrance.address), family.entrance.port))
                try:
                    got, sender = await asyncio.wait_for(loop.sock_recvfrom(receiver, 65536), 1)
                except TimeoutError:
                    continue
                assert got == data
                return Socket(ip_address(sender[0]), sender[1])


def tell(unit: Unit, data: bytes, family: Family = V4) -> None:
    """Send a datagram into the session to which nothing is answered."""
    with unit.socket(family.receiver.address) as source:
        source.sendto(data, (str(family.entrance.address), family.entrance.port))


def machine(unit: Unit) -> int:
    """The process of the session's machine."""
    (vm,) = unit.described["vms"]
    pid = vm["pid"]
    assert isinstance(pid, int)
    return pid


def _pair(socket: Socket) -> tuple[Address, int]:
    return socket.address, socket.port
