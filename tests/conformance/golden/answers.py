"""Golden cases about bindings and return traffic: sections 5, 7 and 8 of ``docs/steering.md``."""

from __future__ import annotations

import zlib
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
    LinkKey,
    LinkScope,
    Mac,
    Peer,
    PeerKey,
    Selector,
    Slot,
)
from tests.conformance.golden.tables import (
    GATEWAY,
    GOOD,
    GOOD_OUT,
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


@case("R5", edge=False)
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


@case("R5", "D15", edge=False)
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
