"""Golden cases about ARTP: section 5a of ``docs/steering.md``, and what it does further on."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

from scapy.layers.inet import UDP
from scapy.packet import Packet

from controller.steering.drops import Drop
from controller.steering.model import (
    Address,
    Artp,
    Binding,
    BindingKey,
    Endpoint,
    EndpointKind,
    Flow,
    FlowKey,
    ForkBranch,
    ForkKey,
    LinkKey,
    LinkScope,
    Mac,
    NextHop,
    Override,
    Peer,
    PeerKey,
    Selector,
    Slot,
    Socket,
    Tables,
    Target,
    TargetKind,
)
from tests.conformance.artp_packet import (
    ACK,
    CHOSEN,
    CLOSE,
    CONTROL,
    COOKIE,
    DATA,
    HELLO,
    ORDER,
    PING,
    RESET,
    artp,
)
from tests.conformance.golden.tables import (
    GATEWAY,
    GOOD,
    INPUT0,
    INPUT1,
    INSTANCE,
    LOW,
    PUBLIC,
    PUBLIC6,
    RECEIVER_MAC,
    SOURCE,
    SOURCE6,
    channel,
    fork,
    from_guest,
    from_outside,
    group,
    guest0,
    node,
    receiver,
    steered,
    to_unit,
    with_guests,
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
from tests.conformance.script import Script, case, ethernet, ip, lost, out

BOUND = socket("10.0.3.2", 7001)
"""The output port of guest 0."""
FIRST, SECOND = 1, 2
"""Instances."""


def row(number: int) -> Target:
    return Target(TargetKind.ARTP, number)


def arriving(**fields: object) -> bytes:
    """From outside to the public address."""
    return from_outside(ip(SOURCE, PUBLIC, artp(**fields)))


def leaving(to: Socket, /, **fields: object) -> bytes:
    """To another unit's instance."""
    return to_unit(ip(SOURCE, to, artp(**fields), ttl=63))


def spoken(artp_row: Artp, guests: bool = False) -> Tables:
    """The public address speaks ARTP: row 1."""
    tables = with_guests() if guests else steered()
    tables.flow[FlowKey(17, PUBLIC)] = Flow(row(1), LinkScope.OUTSIDE)
    tables.artp[1] = artp_row
    return tables


def spread(selector: Selector, count: int) -> tuple[Tables, list[Socket]]:
    """Over instances of other units, a slot each."""
    tables = spoken(Artp(channel(1)))
    instances = [socket(f"10.9.0.{10 + i}", 6000) for i in range(count)]
    for i, instance in enumerate(instances):
        tables.endpoint[10 + i] = node(instance)
    group(tables, 1, 32, selector, *(Slot(10 + i) for i in range(count)))
    return tables, instances


@case("R2", "D37", edge=True, artp=True)
def what_is_no_artp_is_dropped_where_artp_is_spoken() -> Script:
    script = Script(spoken(Artp(channel(1))))
    faults: list[dict[str, object]] = [
        {"cut": 39},
        {"cut": 0},
        {"version": 0},
        {"version": 2},
        {"type": 0},
        {"type": 8},
        {"type": 15},
        {"flags": 0x10},
        {"flags": 0x01},
        {"flags": CONTROL | CHOSEN},
        {"count": 5, "length": 130, "body": bytes(200)},
        {"count": 255},
        {"zeros": b"\1\0\0\0\0"},
        {"zeros": b"\0\0\0\0\1"},
        {"length": 39},
        {"length": 57, "destinations": (LOW,)},
        {"length": 209, "body": bytes(300)},
        {"length": 57},
        {"fragments": 0},
        {"fragments": 65},
        {"fragment": 1},
        {"fragment": 3, "fragments": 3},
        {"type": ACK, "fragments": 1},
        {"type": PING, "fragment": 1},
    ]
    faults += [{"flags": CONTROL, "type": kind} for kind in (HELLO, COOKIE, ACK, RESET, PING)]
    for fault in faults:
        script.arrives(WAN, arriving(**fault), lost(Drop.MALFORMED_ARTP))
    right: list[dict[str, object]] = [
        {"length": 40},
        {"length": 56},
        {"length": 208, "body": bytes(156)},
        {"fragment": 63, "fragments": 64},
        {"flags": ORDER, "number": 0xFFFFFFFF, "instance": 0xFFFF},
        {"type": RESET, "cut": 52, "body": b""},
        {"body": b""},
    ]
    for fields in right:
        script.arrives(WAN, arriving(**fields), out(LAN, leaving(INSTANCE, **fields), channel=1))
    return script


@case("R2", "A23", "D52", edge=True, artp=True)
def fragments_and_repetitions_of_a_datagram_meet_one_instance() -> Script:
    tables, instances = spread(Selector.DATAGRAM, 4)
    script = Script(tables)
    for number in (0, 1, 2, 3, 4, 1, 0xFFFFFFFE):
        for fragment in (0, 1, 2, 1):
            fields = {"number": number, "fragment": fragment, "fragments": 3}
            script.arrives(WAN, arriving(**fields), out(LAN, leaving(instances[number % 4], **fields), 1))
        asking = {"type": PING, "number": number}
        script.arrives(WAN, arriving(**asking), out(LAN, leaving(instances[number % 4], **asking), 1))
    greeting = {"type": HELLO, "connection": 0}
    script.arrives(WAN, arriving(**greeting), out(LAN, leaving(instances[0], **greeting), 1))
    return script


@case("R2", edge=True, artp=True)
def weights_hold_by_datagrams_too() -> Script:
    tables, instances = spread(Selector.DATAGRAM, 2)
    group(tables, 1, 32, Selector.DATAGRAM, Slot(10), Slot(10), Slot(10), Slot(11))
    script = Script(tables)
    for number in range(8):
        sent = leaving(instances[number % 4 == 3], number=number)
        script.arrives(WAN, arriving(number=number), out(LAN, sent, 1))
    return script


@case("R2", edge=True, artp=True)
def without_artp_there_is_no_number_to_go_by() -> Script:
    tables, instances = spread(Selector.DATAGRAM, 4)
    tables.flow[FlowKey(17, PUBLIC)] = Flow(channel(1), LinkScope.OUTSIDE)
    script = Script(tables)
    for selector in (Selector.DATAGRAM, Selector.INSTANCE):
        script.tables.channel[1] = replace(script.tables.channel[1], selector=selector)
        for fields in ({"number": 3, "instance": 2}, {"version": 2}):
            script.arrives(WAN, arriving(**fields), out(LAN, leaving(instances[0], **fields), 1))
    return script


@case("R2", "R5", edge=True, artp=True)
def a_packet_goes_to_the_instance_that_it_names() -> Script:
    tables, instances = spread(Selector.DATAGRAM, 4)
    tables.artp[1] = Artp(channel(1), named=channel(3))
    group(tables, 3, 40, Selector.INSTANCE, Slot(12), Slot(11), Slot(10))
    tables.channel[3] = replace(tables.channel[3], mask=3)  # slot 3 is empty
    script = Script(tables)
    for instance, place in ((0, 2), (1, 1), (2, 0), (5, 1)):
        fields = {"flags": CHOSEN, "instance": instance, "number": 3}
        script.arrives(WAN, arriving(**fields), out(LAN, leaving(instances[place], **fields), 3))
    acknowledging = {"type": ACK, "flags": CHOSEN, "instance": 1}
    script.arrives(WAN, arriving(**acknowledging), out(LAN, leaving(instances[1], **acknowledging), 3))
    script.arrives(WAN, arriving(flags=CHOSEN, instance=3), lost(Drop.NO_SUCH_INSTANCE, 3))
    # Without the flag the field says who sent it.
    fields = {"instance": 1, "number": 3}
    script.arrives(WAN, arriving(**fields), out(LAN, leaving(instances[3], **fields), 1))
    return script


@case("R2", edge=True, artp=True)
def where_nobody_can_be_chosen_the_policy_decides() -> Script:
    tables, instances = spread(Selector.DATAGRAM, 4)
    script = Script(tables)
    fields = {"flags": CHOSEN, "instance": 1, "number": 2}
    script.arrives(WAN, arriving(**fields), out(LAN, leaving(instances[2], **fields), 1))
    return script


def _from_instance() -> Tables:
    """Guest 0 is an instance; its output goes to another unit."""
    tables = with_guests()
    link = LinkKey(VM0)
    tables.link[link] = replace(tables.link[link], instance=FIRST)
    tables.binding[BindingKey(link, BOUND)] = Binding(row(1))
    tables.artp[1] = Artp(channel(2), control=channel(5), everyone=channel(6), named=channel(7))
    tables.endpoint[2] = node(INSTANCE)
    for number in (5, 6, 7):
        group(tables, number, 40 + number, Selector.ZERO, Slot(20 + number))
        tables.endpoint[20 + number] = node(replace(INSTANCE, port=number))
    return tables


def _sent_by_guest(port: int, packet: bytes) -> bytes:
    return to_unit(ip(BOUND, replace(INSTANCE, port=port), packet, ttl=63))


@case("R5", "R6", edge=False, artp=True)
def a_unit_writes_which_instance_sent_a_packet() -> Script:
    script = Script(_from_instance())
    guest = {"number": 5, "fragment": 1, "fragments": 2}
    for written in (0, 9, FIRST):
        sent = from_guest(ip(BOUND, GATEWAY, artp(**guest, instance=written)))
        script.arrives(VM0, sent, out(LAN, _sent_by_guest(6000, artp(**guest, instance=FIRST)), 2))
    choosing = artp(flags=CHOSEN, instance=9)
    script.arrives(VM0, from_guest(ip(BOUND, GATEWAY, choosing)), out(LAN, _sent_by_guest(7, choosing), 7))
    script.arrives(VM0, from_guest(ip(BOUND, GATEWAY, artp(version=3))), lost(Drop.MALFORMED_ARTP))
    return script


@case("R5", "R9", edge=False, artp=True)
def a_checksum_that_was_not_computed_stays_so() -> Script:
    script = Script(_from_instance())

    def without(packet: Packet) -> Packet:
        packet[UDP].chksum = 0
        return packet

    sent = without(ip(BOUND, INSTANCE, artp(instance=FIRST), ttl=63))
    script.arrives(VM0, from_guest(without(ip(BOUND, GATEWAY, artp()))), out(LAN, to_unit(sent), 2))
    return script


@case("R6", "A27", "A28", edge=False, artp=True)
def control_information_of_an_instance_goes_to_its_group() -> Script:
    tables = _from_instance()
    script = Script(tables)
    told = artp(flags=CONTROL, instance=FIRST)
    script.arrives(
        VM0, from_guest(ip(BOUND, GATEWAY, artp(flags=CONTROL))), out(LAN, _sent_by_guest(5, told), 5)
    )
    closing = artp(type=CLOSE, flags=CONTROL, instance=FIRST)
    plain = artp(type=CLOSE, instance=FIRST)
    script.arrives(
        VM0,
        from_guest(ip(BOUND, GATEWAY, artp(type=CLOSE, flags=CONTROL))),
        out(LAN, _sent_by_guest(6, closing), 6),
    )
    script.arrives(
        VM0, from_guest(ip(BOUND, GATEWAY, artp(type=CLOSE))), out(LAN, _sent_by_guest(6000, plain), 2)
    )
    return script


@case("R6", edge=False, artp=True)
def who_is_alone_tells_nobody() -> Script:
    tables = _from_instance()
    tables.artp[1] = Artp(None)
    script = Script(tables)
    script.arrives(VM0, from_guest(ip(BOUND, GATEWAY, artp(flags=CONTROL))), lost(Drop.OWN_CONTROL))
    script.arrives(VM0, from_guest(ip(BOUND, GATEWAY, artp())), lost(Drop.NO_BINDING))
    closing = from_guest(ip(BOUND, GATEWAY, artp(type=CLOSE, flags=CONTROL)))
    script.arrives(VM0, closing, lost(Drop.NO_BINDING))
    return script


@case("R6", "A28", edge=True, artp=True)
def distribution_tells_every_unit_of_the_group() -> Script:
    """What a unit sent up comes down to each, also to the one that it came from."""
    tables = steered()
    group_socket = socket("10.9.0.1", 20001)
    tables.flow[FlowKey(17, group_socket)] = Flow(row(1), LinkScope.NODE)
    tables.artp[1] = Artp(fork(1), fork(1))
    for copy in range(3):
        tables.fork[ForkKey(1, copy)] = ForkBranch(10 + copy)
        group(tables, 10 + copy, 40 + copy, Selector.ZERO, Slot(20 + copy))
        tables.endpoint[20 + copy] = node(socket(f"10.9.0.{10 + copy}", 20001))
    script = Script(tables)
    packet = artp(flags=CONTROL, instance=SECOND)
    ends = [
        out(LAN, to_unit(ip(BOUND, socket(f"10.9.0.{10 + copy}", 20001), packet, ttl=62)), 10 + copy)
        for copy in range(3)
    ]
    script.arrives(LAN, ethernet(UNIT_MAC, LAN_MAC, ip(BOUND, group_socket, packet, ttl=63)), *ends)
    script.arrives(WAN, from_outside(ip(SOURCE, group_socket, packet)), lost(Drop.WRONG_LINK))
    return script


@case("R6", "A27", edge=False, artp=True)
def control_information_does_not_return_to_its_sender() -> Script:
    """A unit delivers to its members; the sender is known by what its own unit wrote."""
    tables = with_guests()
    tables.flow = {FlowKey(17, INSTANCE): Flow(row(1), LinkScope.NODE)}
    tables.artp[1] = Artp(fork(1), fork(1))
    for copy, (number, member) in enumerate(((1, FIRST), (3, SECOND))):
        tables.fork[ForkKey(1, copy)] = ForkBranch(number)
        tables.channel[number] = replace(tables.channel[number], member=member)
    script = Script(tables)
    remote = socket("100.64.0.9", 7000)
    for instance in (FIRST, SECOND, 3):
        packet = artp(flags=CONTROL, instance=instance)
        first = out(VM0, ethernet(VM0_MAC, GUEST0_MAC, ip(remote, INPUT0, packet, ttl=63)), 1)
        second = out(VM1, ethernet(VM1_MAC, GUEST1_MAC, ip(remote, INPUT1, packet, ttl=63)), 3)
        ends = [
            lost(Drop.OWN_CONTROL, 1) if instance == FIRST else first,
            lost(Drop.OWN_CONTROL, 3) if instance == SECOND else second,
        ]
        script.arrives(LAN, ethernet(UNIT_MAC, LAN_MAC, ip(remote, INSTANCE, packet)), *ends)
    return script


@case("R6", "A27", edge=True, artp=True)
def control_information_from_outside_reaches_every_instance() -> Script:
    tables, instances = spread(Selector.DATAGRAM, 4)
    tables.artp[1] = Artp(channel(1), control=fork(1), everyone=fork(1))
    for copy in range(4):
        tables.fork[ForkKey(1, copy)] = ForkBranch(10 + copy)
        group(tables, 10 + copy, 50 + copy, Selector.ZERO, Slot(10 + copy))
    script = Script(tables)
    for kind in (DATA, CLOSE):
        fields = {"type": kind, "flags": CONTROL, "number": 2 * (kind == DATA)}
        copies = [out(LAN, leaving(each, **fields), 10 + i) for i, each in enumerate(instances)]
        script.arrives(WAN, arriving(**fields), *copies)
    script.arrives(WAN, arriving(number=2), out(LAN, leaving(instances[2], number=2), 1))
    script.arrives(WAN, arriving(type=CLOSE), out(LAN, leaving(instances[0], type=CLOSE), 1))
    return script


@case("R1", "R2", edge=True, artp=True)
def datagrams_may_fork_and_each_branch_choose() -> Script:
    tables, instances = spread(Selector.DATAGRAM, 4)
    tables.artp[1] = Artp(fork(1))
    tables.fork[ForkKey(1, 0)] = ForkBranch(1)
    tables.fork[ForkKey(1, 1)] = ForkBranch(3)
    group(tables, 3, 48, Selector.DATAGRAM, Slot(11), Slot(10))
    script = Script(tables)
    for number in range(4):
        first = out(LAN, leaving(instances[number], number=number), 1)
        second = out(LAN, leaving(instances[1 - number % 2], number=number), 3)
        script.arrives(WAN, arriving(number=number), first, second)
    return script


# answers


@case("R5", "D39", edge=False, artp=True)
def an_answer_says_which_instance_gave_it() -> Script:
    tables = spoken(Artp(channel(1)), guests=True)
    link = LinkKey(VM0)
    tables.link[link] = replace(tables.link[link], instance=FIRST)
    script = Script(tables)
    asked = ip(SOURCE, INPUT0, artp(number=4), ttl=63)
    script.arrives(WAN, arriving(number=4), out(VM0, ethernet(VM0_MAC, GUEST0_MAC, asked), 1))
    answered = ethernet(WAN_MAC, ROUTER_MAC, ip(PUBLIC, SOURCE, artp(instance=FIRST), ttl=63))
    script.arrives(VM0, from_guest(ip(INPUT0, SOURCE, artp())), out(WAN, answered))
    acknowledged = ip(PUBLIC, SOURCE, artp(type=ACK, flags=CHOSEN), ttl=63)
    script.arrives(
        VM0,
        from_guest(ip(INPUT0, SOURCE, artp(type=ACK, flags=CHOSEN))),
        out(WAN, ethernet(WAN_MAC, ROUTER_MAC, acknowledged)),
    )
    script.arrives(VM0, from_guest(ip(INPUT0, SOURCE)), lost(Drop.MALFORMED_ARTP))
    return script


@case("R5", edge=False, artp=True)
def what_udp_taught_is_answered_by_udp() -> Script:
    tables = with_guests()
    link = LinkKey(VM0)
    tables.link[link] = replace(tables.link[link], instance=FIRST)
    script = Script(tables)
    script.arrives(WAN, GOOD, out(VM0, ethernet(VM0_MAC, GUEST0_MAC, ip(SOURCE, INPUT0, ttl=63)), 1))
    looks_like = ip(PUBLIC, SOURCE, artp(), ttl=63)
    script.arrives(
        VM0, from_guest(ip(INPUT0, SOURCE, artp())), out(WAN, ethernet(WAN_MAC, ROUTER_MAC, looks_like))
    )
    return script


@case("R5", edge=False, artp=True)
def a_written_peer_that_speaks_artp() -> Script:
    tables = with_guests()
    link = LinkKey(VM0)
    tables.link[link] = replace(tables.link[link], instance=SECOND)
    feeder = socket("10.0.4.2", 7001)
    tables.peer[PeerKey(INPUT0, feeder)] = Peer(VM1, 0, VM1_MAC, GUEST1_MAC, artp=True)
    script = Script(tables)
    sent = ethernet(VM1_MAC, GUEST1_MAC, ip(INPUT0, feeder, artp(instance=SECOND), ttl=63))
    script.arrives(VM0, from_guest(ip(INPUT0, feeder, artp())), out(VM1, sent))
    script.arrives(VM0, from_guest(ip(INPUT0, feeder, b"no")), lost(Drop.MALFORMED_ARTP))
    old = from_guest(ip(INPUT0, feeder, b"no", ttl=1))
    script.arrives(VM0, old, lost(Drop.MALFORMED_ARTP))
    script.arrives(VM0, from_guest(ip(INPUT0, feeder, artp(), ttl=1)), lost(Drop.TTL_EXPIRED))
    return script


# destinations


ELSEWHERE = socket("198.51.100.40", 7000)
FAR = socket("203.0.113.80", 7001)


def _hops(*addresses: Address, **fields: object) -> dict[Address, NextHop]:
    """Each by a MAC of its own."""
    return {
        each: replace(NextHop(WAN, 0, WAN_MAC, _mac_of(each)), **fields)  # type: ignore[arg-type]
        for each in addresses
    }


def _mac_of(destination: Address) -> Mac:
    return Mac(b"\2\1" + destination.packed[-4:])


def _output(permitted: str | None) -> Tables:
    """Aggregation: an output with one receiver, which ARTP packets may override."""
    tables = steered()
    tables.flow[FlowKey(17, PUBLIC)] = Flow(row(1), LinkScope.NODE)
    tables.endpoint[1] = receiver(LOW, source=PUBLIC)
    network = ip_network(permitted) if permitted else None
    tables.artp[1] = Artp(channel(1), override=Override(network, 9, PUBLIC))
    tables.channel[9] = replace(tables.channel[1], group=9)
    tables.next_hop = _hops(LOW.address, ELSEWHERE.address, FAR.address)
    return tables


def _output_gets(**fields: object) -> bytes:
    return ethernet(UNIT_MAC, LAN_MAC, ip(SOURCE, PUBLIC, artp(**fields)))


def _receives(who: Socket, source: Socket = PUBLIC, /, **fields: object) -> bytes:
    return ethernet(WAN_MAC, _mac_of(who.address), ip(source, who, artp(**fields), ttl=63))


@case("R7", "D64", "D66", "D67", edge=True, artp=True)
def destinations_take_the_place_of_receivers() -> Script:
    script = Script(_output("198.51.100.0/24"))
    without = ethernet(WAN_MAC, RECEIVER_MAC, ip(PUBLIC, LOW, artp(), ttl=63))
    script.arrives(LAN, _output_gets(), out(WAN, without, 1))
    wanted = (ELSEWHERE, LOW, replace(ELSEWHERE, port=1), ELSEWHERE)
    for count in (1, 2, 3, 4):
        fields = {"destinations": wanted[:count], "number": count}
        ends = [out(WAN, _receives(each, **fields), 9) for each in wanted[:count]]
        script.arrives(LAN, _output_gets(**fields), *ends)
    return script


@case("R7", edge=True, artp=True)
def no_destination_outside_what_is_permitted() -> Script:
    script = Script(_output("198.51.100.0/24"))
    for wanted in ((FAR,), (LOW, FAR), (LOW, LOW, LOW, FAR), (FAR, LOW), (PUBLIC6,)):
        script.arrives(LAN, _output_gets(destinations=wanted), lost(Drop.OVERRIDE_REFUSED))
    # What stands behind the destinations is none.
    fields = {"destinations": (LOW,), "body": artp(destinations=(FAR,))}
    script.arrives(LAN, _output_gets(**fields), out(WAN, _receives(LOW, **fields), 9))
    return script


@case("R7", edge=True, artp=True)
def an_output_that_permits_nothing_is_no_relay() -> Script:
    script = Script(_output(None))
    script.arrives(LAN, _output_gets(destinations=(LOW,)), lost(Drop.OVERRIDE_REFUSED))
    without = ethernet(WAN_MAC, RECEIVER_MAC, ip(PUBLIC, LOW, artp(), ttl=63))
    script.arrives(LAN, _output_gets(), out(WAN, without, 1))
    return script


@case("R7", edge=True, artp=True)
def destinations_pass_unread_before_aggregation() -> Script:
    script = Script(spoken(Artp(channel(1))))
    fields = {"destinations": (FAR, LOW)}
    script.arrives(WAN, arriving(**fields), out(LAN, leaving(INSTANCE, **fields), 1))
    return script


@case("R7", "R9", edge=True, artp=True)
def each_destination_has_a_fate_of_its_own() -> Script:
    tables = _output("0.0.0.0/0")
    tables.next_hop |= _hops(FAR.address, mtu=138, vlan=7)
    del tables.next_hop[ELSEWHERE.address]
    script = Script(tables)
    fields: dict[str, object] = {"destinations": (ELSEWHERE, LOW, FAR)}
    script.arrives(
        LAN,
        _output_gets(**fields),
        lost(Drop.NO_NEXT_HOP, 9),
        out(WAN, _receives(LOW, **fields), 9),
        out(WAN, ethernet(WAN_MAC, _mac_of(FAR.address), ip(PUBLIC, FAR, artp(**fields), ttl=63), vlan=7), 9),
    )
    fields["body"] = b"body+"  # one byte too many for one of them
    script.arrives(
        LAN,
        _output_gets(**fields),
        lost(Drop.NO_NEXT_HOP, 9),
        out(WAN, _receives(LOW, **fields), 9),
        lost(Drop.TOO_BIG, 9),
    )
    old = ethernet(UNIT_MAC, LAN_MAC, ip(SOURCE, PUBLIC, artp(destinations=(LOW, LOW)), ttl=1))
    script.arrives(LAN, old, lost(Drop.TTL_EXPIRED, 9), lost(Drop.TTL_EXPIRED, 9))
    return script


@case("R7", edge=True, artp=True)
def destinations_in_ipv6_and_of_the_other_family() -> Script:
    tables = _output("2001:db8::/32")
    tables.flow[FlowKey(17, PUBLIC6)] = Flow(row(1), LinkScope.NODE)
    tables.artp[1] = Artp(None, override=replace(tables.artp[1].override, source=None))  # type: ignore[type-var]
    far = socket("2001:db8:9::1", 9)
    tables.next_hop = _hops(far.address, PUBLIC6.address)
    script = Script(tables)
    fields = {"destinations": (far, PUBLIC6)}
    arriving6 = ethernet(UNIT_MAC, LAN_MAC, ip(SOURCE6, PUBLIC6, artp(**fields)))
    ends = [out(WAN, _receives(each, SOURCE6, **fields), 9) for each in (far, PUBLIC6)]
    script.arrives(LAN, arriving6, *ends)
    script.arrives(LAN, _output_gets(destinations=(far,)), lost(Drop.FAMILY_MISMATCH, 9))
    script.arrives(LAN, _output_gets(destinations=(far, LOW)), lost(Drop.OVERRIDE_REFUSED))
    script.arrives(LAN, _output_gets(), lost(Drop.NO_BINDING))
    return script


@case("R2", "R7", edge=True, artp=True)
def rows_of_artp_that_are_missing() -> Script:
    tables = _output("0.0.0.0/0")
    del tables.channel[9]
    tables.flow[FlowKey(17, INSTANCE)] = Flow(row(2), LinkScope.NODE)
    script = Script(tables)
    script.arrives(LAN, _output_gets(destinations=(LOW,)), lost(Drop.NO_RULE))
    script.arrives(LAN, _output_gets(destinations=(LOW, LOW)), lost(Drop.NO_RULE), lost(Drop.NO_RULE))
    script.arrives(LAN, ethernet(UNIT_MAC, LAN_MAC, ip(SOURCE, INSTANCE)), lost(Drop.NO_RULE))
    return script


@case("R5", "R6", edge=False, artp=True)
def artp_in_ipv6() -> Script:
    tables = steered(guests=True)
    link = LinkKey(VM0)
    tables.link[link] = replace(tables.link[link], instance=FIRST)
    own, other, gateway = socket("fd00:3::2", 7000), socket("fd00:4::2", 7000), socket("fd00:3::1", 1)
    tables.flow[FlowKey(17, PUBLIC6)] = Flow(row(1), LinkScope.OUTSIDE)
    tables.artp[1] = Artp(channel(2))
    group(tables, 2, 16, Selector.DATAGRAM, Slot(10), Slot(11))
    tables.endpoint[10] = guest0(public=PUBLIC6, destination=own)
    tables.endpoint[11] = Endpoint(EndpointKind.GUEST, VM1, VM1_MAC, GUEST1_MAC, other)
    tables.binding[BindingKey(link, own)] = Binding(row(2))
    tables.artp[2] = Artp(control=channel(3))
    group(tables, 3, 20, Selector.ZERO, Slot(11))
    script = Script(tables)
    for number, (device, mine, theirs, to) in enumerate(
        ((VM0, VM0_MAC, GUEST0_MAC, own), (VM1, VM1_MAC, GUEST1_MAC, other))
    ):
        packet = artp(number=number)
        sent = ethernet(mine, theirs, ip(SOURCE6, to, packet, ttl=63))
        script.arrives(WAN, from_outside(ip(SOURCE6, PUBLIC6, packet)), out(device, sent, 2))
    answered = ip(PUBLIC6, SOURCE6, artp(instance=FIRST), ttl=63)
    script.arrives(
        VM0, from_guest(ip(own, SOURCE6, artp())), out(WAN, ethernet(WAN_MAC, ROUTER_MAC, answered))
    )
    told = ethernet(VM1_MAC, GUEST1_MAC, ip(own, other, artp(flags=CONTROL, instance=FIRST), ttl=63))
    script.arrives(VM0, from_guest(ip(own, gateway, artp(flags=CONTROL))), out(VM1, told, 3))
    script.arrives(WAN, from_outside(ip(SOURCE6, PUBLIC6)), lost(Drop.MALFORMED_ARTP))
    return script


@case("R5", edge=True, artp=True)
def distribution_learns_that_a_source_speaks_artp() -> Script:
    script = Script(spoken(Artp(channel(1))))
    script.arrives(WAN, arriving(), out(LAN, leaving(INSTANCE), 1))
    back = ethernet(WAN_MAC, ROUTER_MAC, ip(PUBLIC, SOURCE, artp(type=ACK, instance=5), ttl=63))
    answer = ip(PUBLIC, SOURCE, artp(type=ACK, instance=5))
    script.arrives(LAN, ethernet(UNIT_MAC, LAN_MAC, answer), out(WAN, back))
    script.arrives(LAN, ethernet(UNIT_MAC, LAN_MAC, ip(PUBLIC, SOURCE)), lost(Drop.MALFORMED_ARTP))
    return script
