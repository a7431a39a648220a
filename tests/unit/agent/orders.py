"""Slices as a control unit orders them: one machine each, fed from outside, sending two copies on."""

from __future__ import annotations

import hashlib
from ipaddress import IPv4Address, ip_address

from controller.steering import wire
from controller.steering.model import (
    UDP,
    Binding,
    BindingKey,
    Channel,
    Endpoint,
    EndpointKind,
    Flow,
    FlowKey,
    ForkBranch,
    ForkKey,
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
    Unit,
)
from dipronn.v1 import unit_pb2

HOST = Mac.parse("02:64:69:70:00:01")
GATEWAY = ip_address("100.64.0.1")
OUTSIDE = Mac.parse("02:00:00:00:00:99")
BUNDLE = b"what a bundle contains is the driver's business"
BUNDLE_NAME = hashlib.sha256(BUNDLE).digest()


def tap(number: int) -> str:
    return f"dt{number}"


def guest_mac(number: int) -> Mac:
    return Mac(bytes([2, 0x64, 0, 0, 0, number]))


def guest_address(number: int) -> IPv4Address:
    return IPv4Address(f"100.64.0.{number}")


def base(alive: bool = True) -> unit_pb2.Slice:
    """The node's own rows."""
    tables = Tables(unit={1: Unit(False), 2: Unit(alive)})
    return unit_pb2.Slice(session=0, name="", generation=1, tables=wire.encode(tables))


def machine(number: int, *, memory: int = 128 << 20, name: str = "echo-0") -> unit_pb2.Vm:
    return unit_pb2.Vm(
        name=name,
        device=tap(number),
        host_mac=HOST.octets,
        mac=guest_mac(number).octets,
        addresses=[str(guest_address(number))],
        gateways=[str(GATEWAY)],
        mtu=1500,
        cpu=0.5,
        memory_bytes=memory,
        programs=[
            unit_pb2.VmProgram(
                name="echo",
                bundle_sha256=BUNDLE_NAME,
                environment={"DIPRONN_PARAM_GAIN": "3"},
                inputs=["in"],
                outputs=["out"],
            )
        ],
    )


def guest_link(number: int, session: int) -> tuple[LinkKey, Link]:
    return LinkKey(tap(number)), Link(
        LinkKind.GUEST,
        HOST,
        slice=session,
        guest_mac=guest_mac(number),
        addresses=(guest_address(number),),
        gateways=(GATEWAY,),
    )


def starting(session: int, number: int, *, memory: int = 128 << 20) -> unit_pb2.Slice:
    """The first order of a session: its machine, with no name registered yet."""
    tables = Tables(link=dict([guest_link(number, session)]))
    return unit_pb2.Slice(
        session=session, name=f"s{session}", vms=[machine(number, memory=memory)], tables=wire.encode(tables)
    )


def steered(
    session: int, number: int, *, generation: int = 1, device: str = "lo", port: int = 5000
) -> unit_pb2.Slice:
    """The whole order; the copies leave by ``device``. Numbers of rows grow with ``number``."""
    address = guest_address(number)
    first = number * 10
    tables = Tables(
        link=dict([guest_link(number, session)]),
        flow={
            FlowKey(UDP, Socket(ip_address("192.0.2.1"), 20000 + number)): Flow(
                Target(TargetKind.CHANNEL, first), LinkScope.OUTSIDE
            )
        },
        binding={
            BindingKey(LinkKey(tap(number)), Socket(address, port + 1)): Binding(
                Target(TargetKind.FORK, number)
            )
        },
        fork={ForkKey(number, copy): ForkBranch(first + 1 + copy) for copy in range(2)},
        channel={first + i: Channel(Selector.ZERO, 0, first + i, session) for i in range(3)},
        slot={SlotKey(first + i, 0): Slot(first + i) for i in range(3)},
        endpoint={
            first: Endpoint(
                EndpointKind.GUEST,
                tap(number),
                HOST,
                guest_mac(number),
                Socket(address, port),
            ),
            **{
                first + 1 + copy: Endpoint(
                    EndpointKind.NODE,
                    device,
                    OUTSIDE,
                    OUTSIDE,
                    Socket(ip_address("198.51.100.7"), 6000 + copy + generation),
                )
                for copy in range(2)
            },
        },
    )
    order = starting(session, number)
    order.generation = generation
    order.tables.CopyFrom(wire.encode(tables))
    return order
