"""Golden cases about sections 5 to 8 of ``docs/steering.md``: flows, bindings, forks, channels, answers."""

from __future__ import annotations

import zlib
from dataclasses import replace
from ipaddress import ip_network

from controller.steering.drops import Drop
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
    Peer,
    PeerKey,
    Selector,
    Slot,
    SlotKey,
    Socket,
    Tables,
    Target,
    TargetKind,
    Unit,
    Unmatched,
)
from tests.conformance.golden_frames import (
    GOOD,
    GOOD_OUT,
    INSTANCE,
    PUBLIC,
    PUBLIC6,
    SOURCE,
    SOURCE6,
    from_guest,
    from_outside,
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


# 5. Flows


@case("R4", "D14", edge=True)
def an_exact_flow_goes_before_a_wild_one() -> Script:
    tables = steered()
    tables.flow[FlowKey(17, PUBLIC, SOURCE)] = Flow(channel(3), LinkScope.OUTSIDE)
    group(tables, 3, 16, Selector.ZERO, Slot(3))
    tables.endpoint[3] = node(socket("10.9.0.3", 1))
    script = Script(tables)
    script.arrives(WAN, GOOD, out(LAN, to_unit(ip(SOURCE, socket("10.9.0.3", 1), ttl=63)), channel=3))
    other = replace(SOURCE, port=4001)
    sent = to_unit(ip(other, INSTANCE, ttl=63))
    script.arrives(WAN, from_outside(ip(other, PUBLIC)), out(LAN, sent, channel=1))
    return script


@case("R4", edge=True)
def a_flow_is_valid_from_its_own_kind_of_link_only() -> Script:
    tables = steered()
    tables.flow[FlowKey(17, PUBLIC, SOURCE)] = Flow(channel(1), LinkScope.NODE)
    script = Script(tables)
    script.arrives(WAN, GOOD, lost(Drop.WRONG_LINK))
    script.arrives(WAN, from_outside(ip(SOURCE, PUBLIC), vlan=7), out(LAN, GOOD_OUT, channel=1))
    inside = ethernet(UNIT_MAC, LAN_MAC, ip(SOURCE6, PUBLIC6))
    script.arrives(LAN, inside, lost(Drop.WRONG_LINK))
    tables.flow[FlowKey(17, replace(PUBLIC, port=1))] = Flow(channel(1), LinkScope.OUTSIDE | LinkScope.NODE)
    script.arrives(WAN, from_outside(ip(SOURCE, replace(PUBLIC, port=1))), out(LAN, GOOD_OUT, channel=1))
    both = ethernet(UNIT_MAC, LAN_MAC, ip(SOURCE, replace(PUBLIC, port=1)))
    script.arrives(LAN, both, out(LAN, GOOD_OUT, channel=1))
    return script


@case("D14", edge=True)
def only_permitted_sources_may_use_a_flow() -> Script:
    tables = steered()
    tables.flow[FlowKey(17, PUBLIC)] = Flow(channel(1), LinkScope.OUTSIDE, ip_network("198.51.100.0/29"))
    tables.flow[FlowKey(17, PUBLIC6)] = Flow(channel(2), LinkScope.OUTSIDE, ip_network("2001:db8:2::/47"))
    script = Script(tables)
    script.arrives(WAN, GOOD, out(LAN, GOOD_OUT, channel=1))
    script.arrives(WAN, from_outside(ip(socket("198.51.100.8", 4000), PUBLIC)), lost(Drop.SOURCE_REFUSED))
    script.arrives(WAN, from_outside(ip(SOURCE6, PUBLIC6)), lost(Drop.SOURCE_REFUSED))
    return script


@case("A41", "A53", edge=True)
def an_unknown_flow_is_dropped_or_requested_or_left_to_the_host() -> Script:
    unknown = ip(SOURCE, replace(PUBLIC, port=9))
    script = Script(steered(Unmatched.REQUEST))
    script.arrives(WAN, from_outside(unknown), lost(Drop.REQUESTED))
    script.arrives(WAN, from_outside(unknown, vlan=7), lost(Drop.NO_FLOW))
    script.arrives(LAN, ethernet(UNIT_MAC, LAN_MAC, unknown, vlan=5), HOST)
    script.arrives(LAN, ethernet(UNIT_MAC, LAN_MAC, unknown), lost(Drop.REQUESTED))
    return script


# 6. Forks


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


LOW_OUT = ethernet(WAN_MAC, RECEIVER_MAC, ip(PUBLIC, LOW, ttl=63))
HIGH_OUT = ethernet(WAN_MAC, RECEIVER_MAC, ip(SOURCE, HIGH, ttl=63), vlan=7)


@case("R1", "D23", edge=True)
def a_fork_sends_a_copy_on_each_branch() -> Script:
    script = Script(forked())
    for _ in range(3):
        script.arrives(WAN, GOOD, out(WAN, LOW_OUT, 3), out(WAN, HIGH_OUT, 4), out(LAN, GOOD_OUT, 1))
    return script


@case("R1", edge=True)
def a_lost_copy_does_not_touch_the_others() -> Script:
    tables = forked()
    tables.endpoint[3] = replace(tables.endpoint[3], unit=1)
    tables.endpoint[4] = replace(tables.endpoint[4], mtu=34)
    script = Script(tables)
    ends = (lost(Drop.NO_LIVE_ENDPOINT, 3), lost(Drop.TOO_BIG, 4), out(LAN, GOOD_OUT, 1))
    script.arrives(WAN, GOOD, *ends)
    small = from_outside(ip(SOURCE, PUBLIC, load=b"123456"))
    small_high = ethernet(WAN_MAC, RECEIVER_MAC, ip(SOURCE, HIGH, ttl=63, load=b"123456"), vlan=7)
    small_out = to_unit(ip(SOURCE, INSTANCE, ttl=63, load=b"123456"))
    ends = (lost(Drop.NO_LIVE_ENDPOINT, 3), out(WAN, small_high, 4), out(LAN, small_out, 1))
    script.arrives(WAN, small, *ends)
    script.becomes(1, alive=True)
    script.arrives(WAN, GOOD, out(WAN, LOW_OUT, 3), lost(Drop.TOO_BIG, 4), out(LAN, GOOD_OUT, 1))
    expired = from_outside(ip(SOURCE, PUBLIC, ttl=1))
    script.arrives(WAN, expired, *(lost(Drop.TTL_EXPIRED, number) for number in (3, 4, 1)))
    return script


@case("R1", edge=True)
def a_branch_may_choose_again() -> Script:
    tables = forked()
    group(tables, 4, 32, Selector.COUNTER, Slot(4), Slot(3))
    tables.fork[ForkKey(1, 3)] = ForkBranch(4)
    script = Script(tables)
    ends = [out(WAN, LOW_OUT, 3), out(LAN, GOOD_OUT, 1), out(WAN, HIGH_OUT, 4), out(WAN, LOW_OUT, 4)]
    script.arrives(WAN, GOOD, *ends)
    script.arrives(WAN, GOOD, *ends)
    return script


@case("R1", edge=True)
def a_fork_of_many_branches_to_one_device() -> Script:
    tables = steered()
    tables.flow[FlowKey(17, PUBLIC)] = Flow(fork(2), LinkScope.OUTSIDE)
    ends = []
    for i in range(17):
        number, destination = 100 + i, socket(f"198.51.100.{100 + i}", 6000 + i)
        tables.fork[ForkKey(2, i)] = ForkBranch(number)
        group(tables, number, number, Selector.ZERO, Slot(number))
        tables.endpoint[number] = receiver(destination)
        ends.append(out(WAN, ethernet(WAN_MAC, RECEIVER_MAC, ip(SOURCE, destination, ttl=63)), number))
    script = Script(tables)
    script.arrives(WAN, GOOD, *ends)
    return script


@case("R1", edge=True)
def a_fork_of_one_branch_is_no_copy() -> Script:
    tables = forked()
    del tables.fork[ForkKey(1, 1)]  # a gap: copy 2 is out of reach
    script = Script(tables)
    script.arrives(WAN, GOOD, out(WAN, LOW_OUT, 3))
    return script


@case("R10", edge=True)
def a_row_that_points_to_nothing_costs_the_packet_by_name() -> Script:
    tables = steered()
    for port, target in ((1, channel(77)), (2, fork(77)), (3, channel(3)), (4, channel(4)), (5, channel(5))):
        tables.flow[FlowKey(17, replace(PUBLIC, port=port))] = Flow(target, LinkScope.OUTSIDE)
    tables.channel[3] = Channel(Selector.ZERO, 0, 16, 1)  # no slot
    group(tables, 4, 17, Selector.ZERO, Slot(77))
    tables.channel[5] = Channel(Selector.INSTANCE, 0, 18, 1)
    tables.fork[ForkKey(78, 1)] = ForkBranch(1)  # no branch 0
    tables.flow[FlowKey(17, replace(PUBLIC, port=6))] = Flow(fork(78), LinkScope.OUTSIDE)
    group(tables, 7, 19, Selector.ZERO, Slot(7, backup=77))
    tables.endpoint[7] = node(INSTANCE, unit=9)
    tables.flow[FlowKey(17, replace(PUBLIC, port=7))] = Flow(channel(7), LinkScope.OUTSIDE)
    script = Script(tables)

    def to_port(port: int) -> bytes:
        return from_outside(ip(SOURCE, replace(PUBLIC, port=port)))

    script.arrives(WAN, to_port(1), lost(Drop.NO_RULE))
    script.arrives(WAN, to_port(2), lost(Drop.NO_RULE))
    script.arrives(WAN, to_port(3), lost(Drop.NO_RULE, 3))
    script.arrives(WAN, to_port(4), lost(Drop.NO_RULE, 4))
    script.arrives(WAN, to_port(5), lost(Drop.NO_SUCH_INSTANCE, 5))
    script.arrives(WAN, to_port(6), lost(Drop.NO_RULE))
    script.arrives(WAN, to_port(7), lost(Drop.NO_RULE, 7))
    return script


# 7. Channels


@case("R2", "D52", "A21", edge=True)
def round_robin_takes_the_instances_in_turn() -> Script:
    tables = steered()
    instances = [socket(f"10.9.0.{10 + i}", 6000) for i in range(4)]
    for i, instance in enumerate(instances):
        tables.endpoint[10 + i] = node(instance)
    group(tables, 1, 32, Selector.COUNTER, *(Slot(10 + i) for i in range(4)))
    script = Script(tables)
    for turn in range(9):
        sent = to_unit(ip(SOURCE, instances[turn % 4], ttl=63))
        script.arrives(WAN, GOOD, out(LAN, sent, channel=1))
    return script


@case("R2", "A22", edge=True)
def weights_are_shares_of_the_slots() -> Script:
    tables = steered()
    tables.endpoint[10], tables.endpoint[11] = node(INSTANCE), node(replace(INSTANCE, port=1))
    group(tables, 1, 32, Selector.COUNTER, Slot(10), Slot(10), Slot(10), Slot(11))
    script = Script(tables)
    once = to_unit(ip(SOURCE, replace(INSTANCE, port=1), ttl=63))
    for turn in range(8):
        script.arrives(WAN, GOOD, out(LAN, once if turn % 4 == 3 else GOOD_OUT, channel=1))
    return script


@case("R2", "A20", edge=True)
def a_hash_keeps_a_five_tuple_together() -> Script:
    tables = steered()
    instances = [socket(f"10.9.0.{10 + i}", 6000) for i in range(8)]
    for i, instance in enumerate(instances):
        tables.endpoint[10 + i] = node(instance)
    group(tables, 1, 32, Selector.HASH, *(Slot(10 + i) for i in range(8)))
    script = Script(tables)
    chosen = set()
    for port in (4000, 4001, 4002, 4003, 4000):
        source = replace(SOURCE, port=port)
        addresses = bytes([198, 51, 100, 7, 192, 0, 2, 1])
        index = zlib.crc32(addresses + bytes([17]) + port.to_bytes(2, "big") + (5000).to_bytes(2, "big")) % 8
        chosen.add(index)
        sent = to_unit(ip(source, instances[index], ttl=63))
        script.arrives(WAN, from_outside(ip(source, PUBLIC)), out(LAN, sent, channel=1))
    assert len(chosen) > 1, "the case must tell a hash from a constant"
    return script


@case("R3", "D18", edge=True)
def a_dead_units_backup_takes_over() -> Script:
    tables = steered()
    tables.endpoint[1] = node(INSTANCE, unit=1)
    tables.endpoint[2] = node(replace(INSTANCE, port=2), unit=2)
    tables.slot[SlotKey(1, 0)] = Slot(1, backup=2)
    tables.unit = {1: Unit(True), 2: Unit(True)}
    script = Script(tables)
    backup = to_unit(ip(SOURCE, replace(INSTANCE, port=2), ttl=63))
    script.arrives(WAN, GOOD, out(LAN, GOOD_OUT, channel=1))
    script.becomes(1, alive=False)
    script.arrives(WAN, GOOD, out(LAN, backup, channel=1))
    script.becomes(2, alive=False)
    script.arrives(WAN, GOOD, lost(Drop.NO_LIVE_ENDPOINT, 1))
    script.becomes(1, alive=True)
    script.arrives(WAN, GOOD, out(LAN, GOOD_OUT, channel=1))
    return script


@case("R3", edge=True)
def without_a_backup_a_dead_unit_costs_the_packet() -> Script:
    tables = steered()
    tables.endpoint[1] = node(INSTANCE, unit=5)  # a unit without a row is dead
    script = Script(tables)
    script.arrives(WAN, GOOD, lost(Drop.NO_LIVE_ENDPOINT, 1))
    script.becomes(5, alive=True)
    script.arrives(WAN, GOOD, out(LAN, GOOD_OUT, channel=1))
    return script


@case("R9", edge=True)
def hop_limit_size_and_family_are_checked() -> Script:
    tables = steered()
    tables.endpoint[1] = node(INSTANCE, mtu=35)
    tables.flow[FlowKey(17, PUBLIC6)] = Flow(channel(1), LinkScope.OUTSIDE)
    script = Script(tables)
    script.arrives(WAN, from_outside(ip(SOURCE, PUBLIC, ttl=1)), lost(Drop.TTL_EXPIRED, 1))
    script.arrives(WAN, from_outside(ip(SOURCE, PUBLIC, ttl=0)), lost(Drop.TTL_EXPIRED, 1))
    script.arrives(WAN, GOOD, out(LAN, GOOD_OUT, channel=1))
    last = to_unit(ip(SOURCE, INSTANCE, ttl=1))
    script.arrives(WAN, from_outside(ip(SOURCE, PUBLIC, ttl=2)), out(LAN, last, channel=1))
    big = ip(SOURCE, PUBLIC, load=b"payload+")
    script.arrives(WAN, from_outside(big), lost(Drop.TOO_BIG, 1))
    big_and_old = ip(SOURCE, PUBLIC, load=b"payload+", ttl=1)
    script.arrives(WAN, from_outside(big_and_old), lost(Drop.TTL_EXPIRED, 1))
    script.arrives(WAN, from_outside(ip(SOURCE6, PUBLIC6, ttl=1)), lost(Drop.FAMILY_MISMATCH, 1))
    return script


@case("R4", "D23", edge=True)
def a_source_is_written_where_the_endpoint_states_one() -> Script:
    tables = steered()
    tables.endpoint[1] = receiver(LOW, source=socket("192.0.2.1", 5001))
    script = Script(tables)
    sent = ethernet(WAN_MAC, RECEIVER_MAC, ip(socket("192.0.2.1", 5001), LOW, ttl=63))
    script.arrives(WAN, GOOD, out(WAN, sent, channel=1))
    return script


# Guests: bindings and answers


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
TO_GUEST = ethernet(VM0_MAC, GUEST0_MAC, ip(SOURCE, INPUT0, ttl=63))


@case("R5", "D15", "D16", "D64", edge=False)
def a_program_sends_by_the_port_that_it_bound() -> Script:
    script = Script(with_guests())
    bound = socket("10.0.3.2", 7001)
    sent = ethernet(VM1_MAC, GUEST1_MAC, ip(bound, INPUT1, ttl=63))
    for port in (1, 9, 65535):
        packet = ip(bound, replace(GATEWAY, port=port))
        script.arrives(VM0, from_guest(packet), out(VM1, sent, channel=3))
    script.arrives(VM0, from_guest(ip(bound, replace(GATEWAY, port=7070))), lost(Drop.GUEST_FORBIDDEN))
    script.arrives(VM0, from_guest(ip(replace(bound, port=7002), GATEWAY)), lost(Drop.NO_BINDING))
    script.arrives(VM0, from_guest(ip(socket("10.0.3.3", 7001), GATEWAY)), lost(Drop.NO_BINDING))
    return script


@case("R5", "D27", edge=False)
def a_program_reaches_nobody_past_its_bindings() -> Script:
    script = Script(with_guests())
    bound = socket("10.0.3.2", 7001)
    script.arrives(VM0, from_guest(ip(bound, INPUT1)), lost(Drop.GUEST_FORBIDDEN))
    script.arrives(VM0, from_guest(ip(bound, PUBLIC)), lost(Drop.GUEST_FORBIDDEN))
    script.arrives(VM0, from_guest(ip(bound, SOURCE)), lost(Drop.GUEST_FORBIDDEN))
    spoofed = from_guest(ip(socket("10.0.4.2", 7001), GATEWAY))
    script.arrives(VM0, spoofed, lost(Drop.SPOOFED_ADDRESS))
    return script


@case("R1", "R5", edge=False)
def a_program_may_send_into_a_fork() -> Script:
    tables = with_guests()
    bound = socket("10.0.3.2", 7001)
    tables.binding[BindingKey(LinkKey(VM0), bound)] = Binding(fork(1))
    tables.fork[ForkKey(1, 0)] = ForkBranch(3)
    tables.fork[ForkKey(1, 1)] = ForkBranch(2)
    tables.endpoint[2] = node(INSTANCE)
    script = Script(tables)
    to_guest = ethernet(VM1_MAC, GUEST1_MAC, ip(bound, INPUT1, ttl=63))
    to_node = to_unit(ip(bound, INSTANCE, ttl=63))
    script.arrives(VM0, from_guest(ip(bound, GATEWAY)), out(VM1, to_guest, 3), out(LAN, to_node, 2))
    return script


@case("R5", "D39", edge=False)
def a_program_may_answer_whom_it_heard_for_a_minute() -> Script:
    script = Script(with_guests())
    answer = from_guest(ip(INPUT0, SOURCE))
    answered = ethernet(WAN_MAC, ROUTER_MAC, ip(PUBLIC, SOURCE, ttl=63))
    script.arrives(VM0, answer, lost(Drop.GUEST_FORBIDDEN))
    script.arrives(WAN, GOOD, out(VM0, TO_GUEST, channel=1))
    script.arrives(VM0, answer, out(WAN, answered))
    other_port = from_guest(ip(replace(INPUT0, port=7001), SOURCE))
    script.arrives(VM0, other_port, lost(Drop.GUEST_FORBIDDEN))
    script.arrives(VM0, from_guest(ip(INPUT0, replace(SOURCE, port=1))), lost(Drop.GUEST_FORBIDDEN))
    script.arrives(VM0, from_guest(ip(INPUT0, SOURCE, ttl=1)), lost(Drop.TTL_EXPIRED))
    script.arrives(VM0, from_guest(ip(INPUT0, SOURCE, load=bytes(1473))), lost(Drop.TOO_BIG))
    return script


@case("R5", "D15", "D39", edge=False)
def bindings_and_answers_in_ipv6() -> Script:
    tables = steered(guests=True)
    own, other, gateway = socket("fd00:3::2", 7000), socket("fd00:4::2", 7000), socket("fd00:3::1", 1)
    group(tables, 2, 16, Selector.ZERO, Slot(10))
    tables.endpoint[10] = guest0(public=PUBLIC6, destination=own)
    group(tables, 3, 17, Selector.ZERO, Slot(11))
    tables.endpoint[11] = Endpoint(EndpointKind.GUEST, VM1, VM1_MAC, GUEST1_MAC, other)
    bound = replace(own, port=7001)
    tables.binding[BindingKey(LinkKey(VM0), bound)] = Binding(channel(3))
    script = Script(tables)
    sent = ethernet(VM1_MAC, GUEST1_MAC, ip(bound, other, ttl=63))
    script.arrives(VM0, from_guest(ip(bound, gateway)), out(VM1, sent, channel=3))
    script.arrives(VM0, from_guest(ip(bound, replace(gateway, port=7070))), lost(Drop.GUEST_FORBIDDEN))
    script.arrives(VM0, from_guest(ip(own, gateway)), lost(Drop.NO_BINDING))
    script.arrives(VM0, from_guest(ip(bound, other)), lost(Drop.GUEST_FORBIDDEN))
    script.arrives(VM0, from_guest(ip(socket("fd00:4::2", 7001), gateway)), lost(Drop.SPOOFED_ADDRESS))
    answer = from_guest(ip(own, SOURCE6))
    script.arrives(VM0, answer, lost(Drop.GUEST_FORBIDDEN))
    to_guest = ethernet(VM0_MAC, GUEST0_MAC, ip(SOURCE6, own, ttl=63))
    script.arrives(WAN, from_outside(ip(SOURCE6, PUBLIC6)), out(VM0, to_guest, channel=2))
    script.arrives(VM0, answer, out(WAN, ethernet(WAN_MAC, ROUTER_MAC, ip(PUBLIC6, SOURCE6, ttl=63))))
    return script


@case("R2", "R4", "R5", edge=True)
def flows_hashes_and_answers_in_ipv6() -> Script:
    tables = steered()
    instances = [socket(f"fd00:9::{10 + i}", 6000) for i in range(4)]
    for i, instance in enumerate(instances):
        tables.endpoint[10 + i] = node(instance)
    group(tables, 2, 32, Selector.HASH, *(Slot(10 + i) for i in range(4)))
    exact = replace(SOURCE6, port=1)
    tables.flow[FlowKey(17, PUBLIC6, exact)] = Flow(channel(4), LinkScope.OUTSIDE)
    group(tables, 4, 40, Selector.ZERO, Slot(14))
    tables.endpoint[14] = receiver(socket("2001:db8:9::1", 1), source=socket("2001:db8::2", 2), vlan=7)
    script = Script(tables)
    chosen = set()
    for port in (4000, 4001, 4002, 4003):
        source = replace(SOURCE6, port=port)
        ports = port.to_bytes(2, "big") + (5000).to_bytes(2, "big")
        key = source.address.packed + PUBLIC6.address.packed + bytes([17]) + ports
        index = zlib.crc32(key) % 4
        chosen.add(index)
        sent = to_unit(ip(source, instances[index], ttl=63))
        script.arrives(WAN, from_outside(ip(source, PUBLIC6)), out(LAN, sent, channel=2))
        answered = ethernet(WAN_MAC, ROUTER_MAC, ip(PUBLIC6, source, ttl=63))
        script.arrives(LAN, ethernet(UNIT_MAC, LAN_MAC, ip(PUBLIC6, source)), out(WAN, answered))
    assert len(chosen) > 1, "the case must tell a hash from a constant"
    rewritten = ip(socket("2001:db8::2", 2), socket("2001:db8:9::1", 1), ttl=63)
    sent = ethernet(WAN_MAC, RECEIVER_MAC, rewritten, vlan=7)
    script.arrives(WAN, from_outside(ip(exact, PUBLIC6)), out(WAN, sent, channel=4))
    return script


@case("R5", edge=False)
def what_was_learnt_is_forgotten_after_a_minute() -> Script:
    script = Script(with_guests())
    answer = from_guest(ip(INPUT0, SOURCE))
    answered = out(WAN, ethernet(WAN_MAC, ROUTER_MAC, ip(PUBLIC, SOURCE, ttl=63)))
    script.arrives(WAN, GOOD, out(VM0, TO_GUEST, channel=1))
    script.arrives(VM0, answer, answered, wait=59.5)
    script.arrives(VM0, answer, lost(Drop.GUEST_FORBIDDEN), wait=1.0)
    script.arrives(WAN, GOOD, out(VM0, TO_GUEST, channel=1))
    script.arrives(VM0, answer, answered)
    script.arrives(WAN, GOOD, out(VM0, TO_GUEST, channel=1), wait=30.0)
    script.arrives(VM0, answer, answered, wait=59.5)
    return script


@case("R5", edge=False)
def an_answer_goes_back_the_way_that_the_question_came() -> Script:
    tables = with_guests()
    tables.flow[FlowKey(17, PUBLIC)] = Flow(channel(1), LinkScope.OUTSIDE | LinkScope.NODE)
    script = Script(tables)
    script.arrives(
        LAN, ethernet(UNIT_MAC, LAN_MAC, ip(SOURCE, PUBLIC), vlan=5), out(VM0, TO_GUEST, channel=1)
    )
    back = ethernet(LAN_MAC, UNIT_MAC, ip(PUBLIC, SOURCE, ttl=63), vlan=5)
    script.arrives(VM0, from_guest(ip(INPUT0, SOURCE)), out(LAN, back))
    # From another router within a second: the row stays as it is; later it is learnt anew.
    script.arrives(WAN, GOOD, out(VM0, TO_GUEST, channel=1), wait=0.5)
    script.arrives(VM0, from_guest(ip(INPUT0, SOURCE)), out(LAN, back))
    script.arrives(WAN, GOOD, out(VM0, TO_GUEST, channel=1), wait=0.6)
    answered = ethernet(WAN_MAC, ROUTER_MAC, ip(PUBLIC, SOURCE, ttl=63))
    script.arrives(VM0, from_guest(ip(INPUT0, SOURCE)), out(WAN, answered))
    return script


@case("R5", edge=True)
def an_answer_comes_from_the_links_own_mac() -> Script:
    script = Script(steered())
    broadcast = Mac(b"\xff" * 6)
    question = ethernet(ROUTER_MAC, broadcast, ip(SOURCE, PUBLIC))
    script.arrives(WAN, question, out(LAN, GOOD_OUT, channel=1))
    answered = ethernet(WAN_MAC, ROUTER_MAC, ip(PUBLIC, SOURCE, ttl=63))
    script.arrives(LAN, ethernet(UNIT_MAC, LAN_MAC, ip(PUBLIC, SOURCE)), out(WAN, answered))
    return script


@case("D27", "D64", edge=False)
def a_binding_is_one_links_own() -> Script:
    tables = with_guests()
    tables.link[LinkKey(VM0, 9)] = tables.link[LinkKey(VM0)]
    bound = socket("10.0.3.2", 7001)
    tables.binding = {BindingKey(LinkKey(VM0, 9), bound): Binding(channel(3))}
    script = Script(tables)
    sent = ethernet(VM1_MAC, GUEST1_MAC, ip(bound, INPUT1, ttl=63))
    tagged = ethernet(GUEST0_MAC, VM0_MAC, ip(bound, GATEWAY), vlan=9)
    script.arrives(VM0, tagged, out(VM1, sent, channel=3))
    script.arrives(VM0, from_guest(ip(bound, GATEWAY)), lost(Drop.NO_BINDING))
    return script


@case("R5", edge=False)
def an_input_without_a_public_address_answers_nobody() -> Script:
    tables = with_guests()
    tables.endpoint[10] = guest0(public=None)
    script = Script(tables)
    script.arrives(WAN, GOOD, out(VM0, TO_GUEST, channel=1))
    script.arrives(VM0, from_guest(ip(INPUT0, SOURCE)), lost(Drop.GUEST_FORBIDDEN))
    return script


@case("R5", edge=False)
def an_exact_flow_teaches_nothing() -> Script:
    tables = with_guests()
    tables.flow = {FlowKey(17, PUBLIC, SOURCE): Flow(channel(1), LinkScope.OUTSIDE)}
    script = Script(tables)
    script.arrives(WAN, GOOD, out(VM0, TO_GUEST, channel=1))
    script.arrives(VM0, from_guest(ip(INPUT0, SOURCE)), lost(Drop.GUEST_FORBIDDEN))
    return script


@case("R5", edge=False)
def a_guests_source_is_never_written() -> Script:
    tables = with_guests()
    tables.endpoint[10] = guest0(public=PUBLIC, source=PUBLIC)
    script = Script(tables)
    script.arrives(WAN, GOOD, out(VM0, TO_GUEST, channel=1))
    return script


@case("R5", edge=False)
def a_written_peer_may_always_be_answered() -> Script:
    tables = with_guests()
    feeder = socket("10.0.4.2", 7001)
    tables.peer[PeerKey(INPUT0, feeder)] = Peer(VM1, 0, VM1_MAC, GUEST1_MAC, mtu=36)
    tables.peer[PeerKey(INPUT0, SOURCE)] = Peer(LAN, 5, LAN_MAC, UNIT_MAC, source=INSTANCE)
    script = Script(tables)
    answered = ethernet(VM1_MAC, GUEST1_MAC, ip(INPUT0, feeder, ttl=63))
    script.arrives(VM0, from_guest(ip(INPUT0, feeder)), out(VM1, answered), wait=100.0)
    script.arrives(VM0, from_guest(ip(INPUT0, feeder, load=b"123456789")), lost(Drop.TOO_BIG))
    # It goes before what was learnt of the same source.
    script.arrives(WAN, GOOD, out(VM0, TO_GUEST, channel=1))
    back = ethernet(LAN_MAC, UNIT_MAC, ip(INSTANCE, SOURCE, ttl=63), vlan=5)
    script.arrives(VM0, from_guest(ip(INPUT0, SOURCE)), out(LAN, back))
    return script


@case("R5", edge=True)
def distribution_passes_answers_back_outside() -> Script:
    script = Script(steered())
    answer = ethernet(UNIT_MAC, LAN_MAC, ip(PUBLIC, SOURCE))
    script.arrives(LAN, answer, lost(Drop.NO_FLOW))
    script.arrives(WAN, GOOD, out(LAN, GOOD_OUT, channel=1))
    answered = ethernet(WAN_MAC, ROUTER_MAC, ip(PUBLIC, SOURCE, ttl=63))
    script.arrives(LAN, answer, out(WAN, answered))
    script.arrives(WAN, from_outside(ip(PUBLIC, SOURCE)), lost(Drop.NO_FLOW))
    return script


@case("R5", edge=True)
def distribution_forgets_after_a_minute() -> Script:
    script = Script(steered())
    script.arrives(WAN, GOOD, out(LAN, GOOD_OUT, channel=1))
    answer = ethernet(UNIT_MAC, LAN_MAC, ip(PUBLIC, SOURCE))
    script.arrives(LAN, answer, lost(Drop.NO_FLOW), wait=60.5)
    return script


@case("R5", edge=True)
def a_receiver_is_no_peer() -> Script:
    tables = steered()
    tables.endpoint[1] = receiver(LOW)
    script = Script(tables)
    sent = ethernet(WAN_MAC, RECEIVER_MAC, ip(SOURCE, LOW, ttl=63))
    script.arrives(WAN, GOOD, out(WAN, sent, channel=1))
    script.arrives(LAN, ethernet(UNIT_MAC, LAN_MAC, ip(PUBLIC, SOURCE)), lost(Drop.NO_FLOW))
    return script


@case("R5", edge=True)
def what_came_from_a_unit_is_not_learnt_for_outside() -> Script:
    tables = steered()
    tables.flow[FlowKey(17, PUBLIC)] = Flow(channel(1), LinkScope.NODE)
    script = Script(tables)
    script.arrives(WAN, from_outside(ip(SOURCE, PUBLIC), vlan=7), out(LAN, GOOD_OUT, channel=1))
    script.arrives(LAN, ethernet(UNIT_MAC, LAN_MAC, ip(PUBLIC, SOURCE)), lost(Drop.NO_FLOW))
    return script
