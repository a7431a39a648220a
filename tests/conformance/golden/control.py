"""Golden cases about the control network (``docs/steering.md``, 14 and 19a): ``lan`` leads to it here."""

from __future__ import annotations

from dataclasses import replace

from controller.steering.drops import Drop
from controller.steering.model import (
    Binding,
    BindingKey,
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
    Peer,
    PeerKey,
    Selector,
    Slot,
    Socket,
    Tables,
    Unit,
    Unmatched,
)
from tests.conformance.golden.tables import (
    GATEWAY,
    INPUT0,
    INPUT1,
    SOURCE,
    channel,
    fork,
    from_guest,
    group,
    guest0,
    node,
    steered,
    to_unit,
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
    socket,
)
from tests.conformance.script import HOST, Script, case, ethernet, ip, lost, out

FAR = socket("100.64.0.9", 7000)
"""The control port of an instance on another unit."""
OWN = socket("10.0.3.2", 7001)
"""Guest 0 registered this one."""
SENDER_BURST, DEVICE_BURST = 200, 1000


def _control(destination: Socket, **fields: object) -> Endpoint:
    return node(destination, kind=EndpointKind.CONTROL, **fields)


def _tables() -> Tables:
    """Guest 0 tells guest 1 and an instance elsewhere; its own input hears whoever is told so there."""
    tables = steered(guests=True)
    tables.link[LinkKey(LAN)] = Link(LinkKind.CONTROL, LAN_MAC, Unmatched.HOST)
    tables.binding[BindingKey(LinkKey(VM0), OWN)] = Binding(fork(1))
    for copy, number in enumerate((5, 6)):
        tables.fork[ForkKey(1, copy)] = ForkBranch(number)
        group(tables, number, 16 + copy, Selector.ZERO, Slot(number))
    tables.endpoint[5] = Endpoint(EndpointKind.GUEST, VM1, VM1_MAC, GUEST1_MAC, INPUT1)
    tables.endpoint[6] = _control(FAR, unit=3)
    tables.unit[3] = Unit(True)
    tables.flow[FlowKey(17, INPUT0)] = Flow(channel(7), LinkScope.CONTROL)
    group(tables, 7, 18, Selector.ZERO, Slot(7))
    tables.endpoint[7] = guest0()
    return tables


def _heard(packet: object) -> bytes:
    return ethernet(UNIT_MAC, LAN_MAC, packet)  # type: ignore[arg-type]


@case("D17", "D19", "R6", edge=False)
def control_channels_reach_instances_here_and_over_the_control_network() -> Script:
    script = Script(_tables())
    here = ethernet(VM1_MAC, GUEST1_MAC, ip(OWN, INPUT1, ttl=63))
    script.arrives(
        VM0, from_guest(ip(OWN, GATEWAY)), out(VM1, here, 5), out(LAN, to_unit(ip(OWN, FAR, ttl=63)), 6)
    )
    script.becomes(3, False)
    script.arrives(VM0, from_guest(ip(OWN, GATEWAY)), out(VM1, here, 5), lost(Drop.NO_LIVE_ENDPOINT, 6))
    return script


@case("D17", "D19", "R6", edge=False)
def control_channels_arrive_by_the_control_network_only() -> Script:
    script = Script(_tables())
    arrived = ethernet(VM0_MAC, GUEST0_MAC, ip(FAR, INPUT0, ttl=63))
    script.arrives(LAN, _heard(ip(FAR, INPUT0)), out(VM0, arrived, 7))
    script.arrives(WAN, ethernet(ROUTER_MAC, WAN_MAC, ip(FAR, INPUT0)), lost(Drop.WRONG_LINK))
    return script


@case("D17", "R4", edge=False)
def data_never_enters_by_the_control_network() -> Script:
    tables = _tables()
    tables.flow[FlowKey(17, INPUT0)] = Flow(channel(7), LinkScope.NODE)
    script = Script(tables)
    script.arrives(LAN, _heard(ip(FAR, INPUT0)), lost(Drop.WRONG_LINK))
    return script


@case("D17", "R9", edge=False)
def of_the_control_network_the_host_hears_nothing_that_an_instance_sent() -> Script:
    script = Script(_tables())
    host, host6 = socket("10.78.0.3", 7000), socket("fd78::3", 7000)
    script.arrives(LAN, _heard(ip(socket("10.78.0.1", 7000), host)), HOST)
    script.arrives(LAN, _heard(ip(socket("fd78::1", 7000), host6)), HOST)
    script.arrives(LAN, _heard(ip(socket("100.63.255.255", 1), host)), HOST)
    script.arrives(LAN, _heard(ip(socket("100.128.0.0", 1), host)), HOST)
    script.arrives(LAN, _heard(ip(socket("fd64:6970:726f:1::1", 1), host6)), HOST)
    for source, destination in (
        (FAR, host),
        (FAR, socket("10.0.4.9", 1)),
        (socket("100.127.255.255", 1), host),
    ):
        script.arrives(LAN, _heard(ip(source, destination)), lost(Drop.NO_FLOW))
    script.arrives(LAN, _heard(ip(socket("fd64:6970:726f::9", 1), host6)), lost(Drop.NO_FLOW))
    return script


@case("D17", "D27", "R5", edge=False)
def a_control_peer_may_be_answered_and_nobody_else() -> Script:
    tables = _tables()
    peer = Peer(LAN, 0, LAN_MAC, UNIT_MAC, control=True)
    tables.peer[PeerKey(INPUT0, FAR)] = peer
    script = Script(tables)
    script.arrives(VM0, from_guest(ip(INPUT0, FAR)), out(LAN, to_unit(ip(INPUT0, FAR, ttl=63))))
    for other in (replace(FAR, port=7001), socket("100.64.0.8", 7000), socket("10.78.0.1", 7000)):
        script.arrives(VM0, from_guest(ip(INPUT0, other)), lost(Drop.GUEST_FORBIDDEN))
    for _ in range(SENDER_BURST - 1):
        script.arrives(VM0, from_guest(ip(INPUT0, FAR)), out(LAN, to_unit(ip(INPUT0, FAR, ttl=63))))
    script.arrives(VM0, from_guest(ip(INPUT0, FAR)), lost(Drop.CONTROL_RATE))
    script.arrives(VM0, from_guest(ip(INPUT0, FAR)), out(LAN, to_unit(ip(INPUT0, FAR, ttl=63))), wait=0.0007)
    return script


@case("D17", "D27", edge=False)
def an_instance_may_not_flood_the_control_network() -> Script:
    tables = _tables()
    tables.binding[BindingKey(LinkKey(VM0), OWN)] = Binding(channel(6))
    script = Script(tables)
    sent = out(LAN, to_unit(ip(OWN, FAR, ttl=63)), 6)
    for _ in range(SENDER_BURST):
        script.arrives(VM0, from_guest(ip(OWN, GATEWAY)), sent)
    script.arrives(VM0, from_guest(ip(OWN, GATEWAY)), lost(Drop.CONTROL_RATE, 6))
    script.arrives(VM0, from_guest(ip(OWN, GATEWAY)), sent, wait=0.0007)
    script.arrives(VM0, from_guest(ip(OWN, GATEWAY, ttl=1)), lost(Drop.TTL_EXPIRED, 6))
    script.arrives(VM0, from_guest(ip(SOURCE, GATEWAY)), lost(Drop.SPOOFED_ADDRESS))
    return script


@case("D17", "D27", edge=False)
def all_instances_of_a_unit_together_may_not_flood_the_control_network() -> Script:
    tables = _tables()
    senders = range(1, DEVICE_BURST // SENDER_BURST + 2)
    for vlan in senders:
        tables.link[LinkKey(VM0, vlan)] = tables.link[LinkKey(VM0)]
        tables.binding[BindingKey(LinkKey(VM0, vlan), OWN)] = Binding(channel(6))
    script = Script(tables)
    sent = out(LAN, to_unit(ip(OWN, FAR, ttl=63)), 6)
    for vlan in senders[:-1]:
        frame = ethernet(GUEST0_MAC, VM0_MAC, ip(OWN, GATEWAY), vlan)
        for _ in range(SENDER_BURST):
            script.arrives(VM0, frame, sent)
    frame = ethernet(GUEST0_MAC, VM0_MAC, ip(OWN, GATEWAY), senders[-1])
    script.arrives(VM0, frame, lost(Drop.CONTROL_RATE, 6))
    script.arrives(VM0, frame, sent, wait=0.00007)
    return script
