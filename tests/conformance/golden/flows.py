"""Golden cases about sections 5 and 6 of ``docs/steering.md``: flows and forks."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

from controller.steering.drops import Drop
from controller.steering.model import (
    Channel,
    Flow,
    FlowKey,
    ForkBranch,
    ForkKey,
    LinkScope,
    Selector,
    Slot,
    Unmatched,
)
from tests.conformance.golden.tables import (
    GOOD,
    GOOD_OUT,
    HIGH,
    INSTANCE,
    LOW,
    PUBLIC,
    PUBLIC6,
    RECEIVER_MAC,
    SOURCE,
    SOURCE6,
    channel,
    fork,
    forked,
    from_outside,
    group,
    node,
    receiver,
    steered,
    to_unit,
)
from tests.conformance.network import (
    LAN,
    LAN_MAC,
    UNIT_MAC,
    WAN,
    WAN_MAC,
    socket,
)
from tests.conformance.script import HOST, Script, case, ethernet, ip, lost, out

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


@case("A41", edge=True)
def an_unknown_flow_is_dropped_or_requested_or_left_to_the_host() -> Script:
    unknown = ip(SOURCE, replace(PUBLIC, port=9))
    script = Script(steered(Unmatched.REQUEST))
    script.arrives(WAN, from_outside(unknown), lost(Drop.REQUESTED))
    script.arrives(WAN, from_outside(unknown, vlan=7), lost(Drop.NO_FLOW))
    script.arrives(LAN, ethernet(UNIT_MAC, LAN_MAC, unknown, vlan=5), HOST)
    script.arrives(LAN, ethernet(UNIT_MAC, LAN_MAC, unknown), lost(Drop.REQUESTED))
    return script


# 6. Forks


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
