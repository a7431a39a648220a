"""Golden cases about section 9 of ``docs/steering.md``: kernel programs."""

from __future__ import annotations

from controller.steering.drops import Drop
from controller.steering.model import (
    Binding,
    ForkBranch,
    ForkKey,
    PutKey,
    Selector,
    Slot,
    Tables,
    Target,
    kernel_endpoint,
)
from tests.conformance.golden.tables import (
    GOOD,
    GOOD6,
    GOOD_OUT,
    HIGH,
    INPUT0,
    INPUT1,
    INSTANCE6,
    LOW,
    PUBLIC,
    RECEIVER_MAC,
    SOURCE,
    SOURCE6,
    channel,
    fork,
    from_guest,
    from_outside,
    group,
    node,
    receiver,
    steered,
    to_unit,
    with_guests,
)
from tests.conformance.network import (
    GUEST1_MAC,
    LAN,
    VM0,
    VM1,
    VM1_MAC,
    WAN,
    WAN_MAC,
    socket,
)
from tests.conformance.programs import IN, OTHER, OUT
from tests.conformance.script import Script, case, ethernet, ip, lost, out

PASS, TRICKS, COPIES, MISSING = 1, 2, 3, 7
LENGTH = len(GOOD) - 14


def through(tables: Tables, program: int, **puts: Target) -> Tables:
    """Channel 1 leads to a program, whose puts go on to these targets; 8 leads where channel 1 led."""
    tables.endpoint[8] = tables.endpoint[1]
    group(tables, 8, 100, Selector.ZERO, Slot(8))
    tables.endpoint[1] = kernel_endpoint(program, IN)
    numbers = {"out": OUT, "other": OTHER}
    for name, target in (puts or {"out": channel(8)}).items():
        tables.binding[PutKey(program, numbers[name])] = Binding(target)
    return tables


def to_receiver(destination: object) -> bytes:
    return ethernet(WAN_MAC, RECEIVER_MAC, ip(SOURCE, destination, ttl=63))  # type: ignore[arg-type]


@case("R8", edge=False)
def a_program_is_given_the_frame_and_what_it_puts_goes_on() -> Script:
    script = Script(through(steered(), PASS))
    script.arrives(WAN, GOOD, out(LAN, GOOD_OUT, channel=1))
    script.counts(8, LENGTH)
    return script


@case("R8", edge=False)
def a_program_is_given_ipv6_too() -> Script:
    tables = steered()
    tables.endpoint[2] = kernel_endpoint(PASS, IN)
    tables.endpoint[8] = node(INSTANCE6)
    group(tables, 8, 100, Selector.ZERO, Slot(8))
    tables.binding[PutKey(PASS, OUT)] = Binding(channel(8))
    script = Script(tables)
    script.arrives(WAN, GOOD6, out(LAN, to_unit(ip(SOURCE6, INSTANCE6, ttl=63)), channel=2))
    script.counts(8, len(GOOD6) - 14)
    return script


@case("R8", edge=False)
def a_packet_passes_eight_programs_and_no_more() -> Script:
    tables = through(steered(), PASS)
    tables.endpoint[8] = kernel_endpoint(PASS, IN)
    script = Script(tables)
    script.arrives(WAN, GOOD, lost(Drop.CHAIN_TOO_LONG, channel=1))
    for _ in range(8):
        script.counts(8, LENGTH)
    return script


@case("R8", edge=False)
def programs_in_a_chain_each_see_what_the_one_before_put() -> Script:
    """Tricks, then copies; the packet that tricks puts in its eleventh turn is a copy's first."""
    tables = through(steered(), TRICKS, out=channel(9), other=channel(9))
    tables.endpoint[9] = kernel_endpoint(COPIES, IN)
    group(tables, 9, 101, Selector.ZERO, Slot(9))
    tables.endpoint[10], tables.endpoint[11] = receiver(LOW), receiver(HIGH)
    group(tables, 10, 102, Selector.ZERO, Slot(10))
    group(tables, 11, 103, Selector.ZERO, Slot(11))
    tables.binding[PutKey(COPIES, OUT)] = Binding(channel(10))
    tables.binding[PutKey(COPIES, OTHER)] = Binding(channel(11))
    script = Script(tables)
    ends = (Drop.NO_PUT, Drop.RANGE_ERROR, Drop.ARITHMETIC_ERROR, Drop.EMPTY_PACKET, Drop.TARGET_LIMIT)
    for reason in ends:
        script.arrives(WAN, GOOD, lost(reason, channel=1))
    twice = lost(Drop.NOT_REWRITABLE, channel=1), lost(Drop.NOT_REWRITABLE)
    script.arrives(WAN, GOOD, *twice)  # with two headers: copies' turn 0, to both
    for number in (9, 10, 11):
        script.counts(number, len(GOOD))
    script.arrives(WAN, GOOD, lost(Drop.NOT_REWRITABLE, channel=1))  # a byte short; turn 1, to one
    for number in (9, 10):
        script.counts(number, LENGTH - 1)
    return script


@case("R8", "R10", edge=False)
def a_program_drops_for_reasons_with_names() -> Script:
    script = Script(through(steered(), TRICKS))
    for reason in (Drop.NO_PUT, Drop.RANGE_ERROR, Drop.ARITHMETIC_ERROR):
        script.arrives(WAN, GOOD, lost(reason, channel=1))
    script.arrives(WAN, GOOD, lost(Drop.EMPTY_PACKET, channel=1))
    script.arrives(WAN, GOOD, lost(Drop.TARGET_LIMIT, channel=1))
    return script


@case("R8", edge=False)
def what_is_no_plain_udp_any_more_is_not_sent() -> Script:
    script = a_program_drops_for_reasons_with_names()
    script.arrives(WAN, GOOD, lost(Drop.NOT_REWRITABLE, channel=1))
    script.counts(8, len(GOOD))
    script.arrives(WAN, GOOD, lost(Drop.NOT_REWRITABLE, channel=1))
    script.counts(8, LENGTH - 1)
    script.arrives(WAN, GOOD, out(LAN, GOOD_OUT, channel=1))  # a VLAN tag goes, since the endpoint has none
    script.counts(8, LENGTH)
    script.arrives(WAN, GOOD, out(LAN, GOOD_OUT, channel=1))  # another MAC is rewritten
    script.counts(8, LENGTH)
    script.arrives(WAN, GOOD, lost(Drop.NO_BINDING, channel=1))  # to a stream that leads nowhere
    script.arrives(WAN, GOOD, lost(Drop.NO_BINDING, channel=1))
    script.arrives(WAN, GOOD, out(LAN, GOOD_OUT, channel=1))
    script.counts(8, LENGTH)
    return script


@case("R8", "R1", "R10", edge=False)
def several_puts_are_copies() -> Script:
    tables = through(steered(), COPIES, out=channel(8), other=channel(9))
    tables.endpoint[9] = receiver(HIGH)
    group(tables, 9, 101, Selector.ZERO, Slot(9))
    script = Script(tables)
    first, second = out(LAN, GOOD_OUT, channel=1), out(WAN, to_receiver(HIGH), channel=9)
    again = out(LAN, GOOD_OUT, channel=8)
    script.arrives(WAN, GOOD, first, second)
    script.arrives(WAN, GOOD, first)
    script.arrives(WAN, GOOD, first, lost(Drop.EMPTY_PACKET))
    script.arrives(WAN, GOOD, first, lost(Drop.EMPTY_PACKET), lost(Drop.TARGET_LIMIT), again)
    for _ in range(4):
        script.counts(8, LENGTH)
    return script


@case("R8", "R1", edge=False)
def a_put_may_lead_to_a_fork_and_a_fork_to_a_program() -> Script:
    tables = through(steered(), PASS, out=fork(1))
    for copy, number in enumerate((9, 10, 11)):
        tables.fork[ForkKey(1, copy)] = ForkBranch(number)
        group(tables, number, 100 + number, Selector.ZERO, Slot(number))
    tables.endpoint[9], tables.endpoint[10] = receiver(LOW), receiver(HIGH)
    tables.endpoint[11] = kernel_endpoint(COPIES, IN)
    group(tables, 12, 120, Selector.ZERO, Slot(8))
    tables.binding[PutKey(COPIES, OUT)] = Binding(channel(12))
    tables.binding[PutKey(COPIES, OTHER)] = Binding(channel(12))
    script = Script(tables)
    script.arrives(
        WAN,
        GOOD,
        out(WAN, to_receiver(LOW), channel=1),
        out(WAN, to_receiver(HIGH), channel=9),
        out(LAN, GOOD_OUT, channel=10),
        out(LAN, GOOD_OUT, channel=11),
    )
    script.counts(12, LENGTH)
    script.counts(12, LENGTH)
    return script


@case("R8", edge=False)
def a_program_that_is_not_there_is_no_rule() -> Script:
    script = Script(through(steered(), MISSING))
    script.arrives(WAN, GOOD, lost(Drop.NO_RULE, channel=1))
    return script


@case("R8", edge=False)
def a_program_stands_between_guests() -> Script:
    tables = with_guests()
    tables.endpoint[12] = tables.endpoint[11]
    group(tables, 4, 104, Selector.ZERO, Slot(12))
    tables.endpoint[11] = kernel_endpoint(PASS, IN)
    tables.binding[PutKey(PASS, OUT)] = Binding(channel(4))
    script = Script(tables)
    sender, gateway = socket("10.0.3.2", 7001), socket("10.0.3.1", 1)
    packet = from_guest(ip(sender, gateway))
    arriving = ethernet(VM1_MAC, GUEST1_MAC, ip(sender, INPUT1, ttl=63))
    script.arrives(VM0, packet, out(VM1, arriving, channel=3))
    script.counts(4, len(packet) - 14)
    return script


@case("R5", "R8", edge=False)
def sources_behind_a_program_are_not_learnt() -> Script:
    """A program may have written any source, so the guest behind it answers nobody by that."""
    tables = with_guests()
    through(tables, PASS)
    tables.endpoint[1], tables.endpoint[10] = tables.endpoint[10], kernel_endpoint(PASS, IN)
    group(tables, 8, 100, Selector.ZERO, Slot(1))
    script = Script(tables)
    guest0_gets = ethernet(
        tables.endpoint[1].source_mac, tables.endpoint[1].destination_mac, ip(SOURCE, INPUT0, ttl=63)
    )
    script.arrives(WAN, from_outside(ip(SOURCE, PUBLIC)), out(VM0, guest0_gets, channel=1))
    script.counts(8, LENGTH)
    script.arrives(VM0, from_guest(ip(INPUT0, SOURCE)), lost(Drop.GUEST_FORBIDDEN))
    return script
