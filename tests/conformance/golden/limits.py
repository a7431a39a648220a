"""Golden cases about limits of devices: 13a and 21a of ``docs/steering.md``."""

from __future__ import annotations

from dataclasses import replace

from scapy.packet import Packet

from controller.steering.drops import Drop
from controller.steering.model import (
    Flow,
    FlowKey,
    ForkBranch,
    ForkKey,
    Limit,
    LinkScope,
    Selector,
    Service,
    Slot,
    Socket,
    Tables,
)
from tests.conformance.golden.tables import (
    GATEWAY,
    GOOD,
    GOOD_OUT,
    INPUT0,
    INPUT1,
    INSTANCE,
    PUBLIC,
    SOURCE,
    channel,
    fork,
    from_guest,
    from_outside,
    group,
    node,
    steered,
    to_unit,
    with_guests,
)
from tests.conformance.network import (
    GUEST0_MAC,
    GUEST1_MAC,
    LAN,
    ROUTER_MAC,
    VM0,
    VM0_MAC,
    VM1,
    VM1_MAC,
    WAN,
    WAN_MAC,
    socket,
)
from tests.conformance.script import Script, case, ethernet, ip, lost, out

SENDING = socket("10.0.3.2", 7001)
LOAD = b"seventy-two bytes are what is left of a hundred, said the IP header."[:72].ljust(72, b".")
"""A packet of 100 bytes: at 8 bit/s it takes a hundred seconds."""


def _sent() -> bytes:
    return from_guest(ip(SENDING, GATEWAY, LOAD))


def _sent_out() -> bytes:
    return ethernet(VM1_MAC, GUEST1_MAC, ip(SENDING, INPUT1, LOAD, ttl=63))


def _in(load: bytes = b"payload") -> bytes:
    return ethernet(VM0_MAC, GUEST0_MAC, ip(SOURCE, INPUT0, load, ttl=63))


@case("A59", "D27", edge=False)
def a_guest_sends_no_more_than_its_limit() -> Script:
    tables = with_guests()
    tables.limit[VM0] = Limit(received=8, burst=200)
    script = Script(tables)
    for _ in range(2):
        script.arrives(VM0, _sent(), out(VM1, _sent_out(), 3))
    script.arrives(VM0, _sent(), lost(Drop.RATE_LIMITED))
    script.arrives(VM0, _sent(), lost(Drop.RATE_LIMITED), wait=99.0)
    script.arrives(VM0, _sent(), out(VM1, _sent_out(), 3), wait=1.0)
    script.arrives(VM0, _sent(), lost(Drop.RATE_LIMITED))
    return script


@case("A59", edge=False)
def what_a_guest_may_not_send_takes_nothing_of_its_limit() -> Script:
    tables = with_guests()
    tables.limit[VM0] = Limit(received=8, burst=100)
    script = Script(tables)
    script.arrives(VM0, from_guest(ip(socket("10.0.3.2", 9), GATEWAY, LOAD)), lost(Drop.NO_BINDING))
    script.arrives(VM0, _sent(), out(VM1, _sent_out(), 3))
    script.arrives(VM0, _sent(), lost(Drop.RATE_LIMITED))
    return script


@case("A59", edge=False)
def answers_of_a_guest_are_within_its_limit_too() -> Script:
    tables = with_guests()
    tables.limit[VM0] = Limit(received=8, burst=100)
    script = Script(tables)
    script.arrives(WAN, GOOD, out(VM0, _in(), 1))
    answer = ip(INPUT0, SOURCE, LOAD)
    script.arrives(
        VM0, from_guest(answer), out(WAN, ethernet(WAN_MAC, ROUTER_MAC, ip(PUBLIC, SOURCE, LOAD, ttl=63)))
    )
    script.arrives(VM0, from_guest(answer), lost(Drop.RATE_LIMITED))
    return script


@case("A59", edge=False)
def a_guest_is_sent_no_more_than_its_limit() -> Script:
    tables = with_guests()
    tables.limit[VM0] = Limit(sent=8, burst=100)
    script = Script(tables)
    script.arrives(WAN, from_outside(ip(SOURCE, PUBLIC, LOAD)), out(VM0, _in(LOAD), 1))
    script.arrives(WAN, from_outside(ip(SOURCE, PUBLIC, LOAD)), lost(Drop.RATE_LIMITED, 1))
    script.arrives(VM0, _sent(), out(VM1, _sent_out(), 3))
    return script


@case("A59", "R10", edge=False)
def a_copy_over_the_limit_does_not_touch_the_others() -> Script:
    tables = with_guests()
    tables.flow[FlowKey(17, PUBLIC)] = Flow(fork(1), LinkScope.OUTSIDE)
    for copy, number in enumerate((1, 4)):
        tables.fork[ForkKey(1, copy)] = ForkBranch(number)
    group(tables, 4, 20, Selector.ZERO, Slot(5))
    tables.endpoint[5] = node(INSTANCE)
    tables.limit[VM0] = Limit(sent=8, burst=35)
    script = Script(tables)
    script.arrives(WAN, GOOD, out(VM0, _in(), 1), out(LAN, GOOD_OUT, 4))
    script.arrives(WAN, GOOD, lost(Drop.RATE_LIMITED, 1), out(LAN, GOOD_OUT, 4))
    return script


def _classes() -> Tables:
    """Ports 5000, 5001 and 5002 lead out by one device, as the classes come one above the other."""
    tables = steered()
    for service in Service:
        number = 30 + service
        tables.flow[FlowKey(17, _public(service))] = Flow(channel(number), LinkScope.OUTSIDE)
        tables.channel[number] = replace(tables.channel[1], service=service)
    tables.limit[LAN] = Limit(sent=8, burst=100)
    return tables


def _public(service: Service) -> Socket:
    return replace(PUBLIC, port=5100 + service)


@case("A58", "A44", edge=False)
def a_class_leaves_a_burst_to_each_above_it() -> Script:
    script = Script(_classes())

    def arrives(service: Service, passes: bool, wait: float = 0.0) -> None:
        packet: Packet = ip(SOURCE, _public(service), LOAD)
        end = out(LAN, to_unit(ip(SOURCE, INSTANCE, LOAD, ttl=63)), 30 + service)
        end = end if passes else lost(Drop.RATE_LIMITED, 30 + service)
        script.arrives(WAN, from_outside(packet), end, wait=wait)

    arrives(Service.BEST_EFFORT, True)
    arrives(Service.BEST_EFFORT, False)
    arrives(Service.ASSURED, True)
    arrives(Service.ASSURED, False)
    arrives(Service.REALTIME, True)
    arrives(Service.REALTIME, False)
    # A hundred seconds make room for one packet, of the highest class only.
    arrives(Service.BEST_EFFORT, False, wait=100.0)
    arrives(Service.ASSURED, False)
    arrives(Service.REALTIME, True)
    arrives(Service.BEST_EFFORT, True, wait=300.0)
    return script
