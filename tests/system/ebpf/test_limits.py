"""Guests that send all they can, beside one that keeps to what it reserved."""

from __future__ import annotations

import fcntl
import os
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address

import pytest

from controller.steering.drops import Drop
from controller.steering.model import (
    Binding,
    BindingKey,
    Limit,
    Link,
    LinkKey,
    LinkKind,
    Mac,
    Service,
    Socket,
)
from ebpf.loader import Refused, SteeringProgram
from tests.system.ebpf.rig import (
    OWN,
    Rig,
    add_channel,
    datagram,
    host_of,
    receiver,
    settled,
    tables_for,
    target,
)

pytestmark = [pytest.mark.root]

GATEWAY = "100.64.0.1"
NOISY, QUIET = "tap1", "tap2"
PAYLOAD = bytes(972)
"""Of packets of 1000 bytes."""
FLOOD, SHARE = 3000, 100
RATE = 8_000
"""bit/s: a packet a second. A test that takes a minute lets sixty pass, of thousands."""


def host(tap: str) -> int:
    return int(tap[3:])


def mac(tap: str) -> Mac:
    return Mac(bytes([2, 0x64, 0, 0, 0, host(tap)]))


class Guest:
    """The guest's end of a tap, which must be there before rows name it."""

    def __init__(self, rig: Rig, tap: str) -> None:
        self._tap = tap
        self._file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self._file, 0x400454CA, struct.pack("16sH22x", tap.encode(), 0x1002))
        rig.run("ip", "link", "set", tap, "address", str(OWN), "up")

    def send(self, count: int) -> None:
        source = f"100.64.0.{host(self._tap)}"
        ether = (mac(self._tap), OWN)
        frame = datagram(1, PAYLOAD, source=source, source_port=9000, destination=GATEWAY, ether=ether)
        for _ in range(count):
            os.write(self._file, frame)

    def close(self) -> None:
        os.close(self._file)


@pytest.fixture
def guests(unit: Rig) -> Iterator[dict[str, Guest]]:
    """Two, which send to receivers of their own behind one wire."""
    unit.veth("lan")
    made = {tap: unit.inside(lambda tap=tap: Guest(unit, tap)) for tap in (NOISY, QUIET)}  # type: ignore[misc]
    yield made
    for guest in made.values():
        guest.close()


def loaded(unit: Rig, limits: dict[str, Limit], services: dict[str, Service]) -> SteeringProgram:
    tables = tables_for(["lan"], {})
    tables.limit = limits
    for tap in (NOISY, QUIET):
        address = ip_address(f"100.64.0.{host(tap)}")
        tables.link[LinkKey(tap)] = Link(
            LinkKind.GUEST, OWN, guest_mac=mac(tap), addresses=(address,), gateways=(ip_address(GATEWAY),)
        )
        add_channel(tables, host(tap), receiver("lan", host(tap)))
        tables.channel[host(tap)] = replace(tables.channel[host(tap)], service=services[tap])
        bound = BindingKey(LinkKey(tap), Socket(address, 9000))
        tables.binding[bound] = Binding(target(host(tap)))
    program = SteeringProgram.load(pin_directory=None)
    program.apply(tables)
    for device in ("lan", NOISY, QUIET):
        program.attach(device)
    return program


def flood(unit: Rig, guests: dict[str, Guest], program: SteeringProgram) -> Counter[int]:
    """The noisy one sends before, between and after what the quiet one sends; who arrived."""
    for _ in range(10):
        guests[NOISY].send(FLOOD // 10)
        guests[QUIET].send(SHARE // 10)
    counters = settled(program, FLOOD + SHARE)
    assert counters.received == FLOOD + SHARE
    return Counter(host_of(frame) for frame in unit.wires["lan"].receive(counters.sent))


@pytest.mark.req("A59", "D60", "R10")
def test_a_guest_that_floods_is_held_to_its_limit_and_its_neighbour_loses_nothing(
    unit: Rig, guests: dict[str, Guest]
) -> None:
    def play() -> None:
        limits = {tap: Limit(received=RATE, burst=200_000) for tap in (NOISY, QUIET)}
        services = dict.fromkeys((NOISY, QUIET), Service.ASSURED)
        with loaded(unit, limits, services) as program:
            arrived = flood(unit, guests, program)
            counters, refused = program.counters(), program.refused()
        assert arrived[host(QUIET)] == SHARE
        assert 200 <= arrived[host(NOISY)] < FLOOD / 2, "its burst, and a packet a second"
        dropped = FLOOD - arrived[host(NOISY)]
        assert counters.drops == {Drop.RATE_LIMITED: dropped}
        assert refused == {NOISY: Refused(received=dropped), QUIET: Refused()}

    unit.inside(play)


@pytest.mark.req("A58", "A44", "R10")
def test_what_nobody_reserved_yields_to_what_is_assured_where_both_leave(
    unit: Rig, guests: dict[str, Guest]
) -> None:
    """The wire takes a burst of best effort and another of what is assured: the first is used up at once."""

    def play() -> None:
        limits = {"lan": Limit(sent=RATE, burst=200_000)}
        services = {NOISY: Service.BEST_EFFORT, QUIET: Service.ASSURED}
        with loaded(unit, limits, services) as program:
            arrived = flood(unit, guests, program)
            refused = program.refused()
        assert arrived[host(QUIET)] == SHARE
        assert 200 <= arrived[host(NOISY)] < FLOOD / 2
        assert refused == {"lan": Refused(sent=FLOOD - arrived[host(NOISY)])}

    unit.inside(play)
