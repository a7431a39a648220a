"""Sessions as a control unit would order them for an edge."""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import ip_address, ip_network

from controller.steering import wire
from controller.steering.model import (
    UDP,
    Artp,
    Channel,
    Endpoint,
    EndpointKind,
    Flow,
    FlowKey,
    ForkBranch,
    ForkKey,
    LinkScope,
    Mac,
    Override,
    Selector,
    Slot,
    SlotKey,
    Socket,
    Tables,
    Target,
    TargetKind,
    Unit,
)
from controller.steering.wire import NO_MAC
from dipronn.v1 import unit_pb2
from tests.system.switch_agent.conftest import DATA_MAC

UNIT_MAC = Mac.parse("02:00:00:00:77:02")
RECEIVER = "192.0.2.10"


def base(units: int = 1, alive: bool = True) -> Tables:
    return Tables(unit={number: Unit(alive) for number in range(1, units + 1)})


def session(number: int, branches: int = 2, receiver: str = RECEIVER) -> Tables:
    """A fork to ``branches`` inputs on a unit, and one more channel to a receiver whose MAC is not known."""
    rows = Tables()
    first = number * 100
    for i in range(branches):
        endpoint, channel = first + i, first + i
        rows.endpoint[endpoint] = Endpoint(
            EndpointKind.NODE,
            "data0",
            DATA_MAC,
            UNIT_MAC,
            Socket(ip_address("10.77.0.2"), 7000 + i),
            unit=1,
        )
        rows.slot[SlotKey(first + i, 0)] = Slot(endpoint)
        rows.channel[channel] = Channel(Selector.ZERO, 0, first + i, number)
        rows.fork[ForkKey(first, i)] = ForkBranch(channel)
    rows.flow[FlowKey(UDP, public(number))] = Flow(Target(TargetKind.FORK, first), LinkScope.OUTSIDE)
    last = first + branches
    rows.endpoint[last] = Endpoint(
        EndpointKind.RECEIVER, "", NO_MAC, NO_MAC, Socket(ip_address(receiver), 6000), source=public(number)
    )
    rows.slot[SlotKey(last, 0)] = Slot(last)
    rows.channel[last] = Channel(Selector.ZERO, 0, last, number)
    rows.flow[FlowKey(UDP, Socket(ip_address("10.77.0.1"), 20000 + number))] = Flow(
        Target(TargetKind.CHANNEL, last), LinkScope.NODE
    )
    return rows


def overridable(number: int, permitted: str) -> Tables:
    """An output that speaks ARTP, whose packets may name destinations of their own."""
    rows = session(number)
    last = number * 100 + 2
    rows.channel[last + 1] = Channel(Selector.ZERO, 0, last + 1, number)
    override = Override(ip_network(permitted), last + 1, public(number))
    rows.artp[number] = Artp(Target(TargetKind.CHANNEL, last), override=override)
    output = FlowKey(UDP, Socket(ip_address("10.77.0.1"), 20000 + number))
    rows.flow[output] = Flow(Target(TargetKind.ARTP, number), LinkScope.NODE)
    return rows


def random_session(chance: random.Random, number: int) -> Tables:
    """A session of a random shape: a fork, or an output whose packets name destinations, exact flows beside
    it, groups of several slots with backups."""
    rows = session(number, chance.randint(1, 6))
    if chance.random() < 0.3:
        rows = overridable(number, "192.0.2.0/24")
    first = number * 100
    for key, slot in list(rows.slot.items()):
        if chance.random() < 0.3:
            rows.slot[key] = replace(slot, backup=first)
    for extra in range(chance.randint(0, 3)):
        group, mask = first + 20 + 8 * extra, chance.choice([0, 1, 3, 7])
        selector = chance.choice([Selector.COUNTER, Selector.HASH])
        rows.channel[first + 10 + extra] = Channel(selector, mask, group, number)
        for index in range(mask + 1):
            rows.slot[SlotKey(group, index)] = Slot(chance.choice([*rows.endpoint]))
        source = Socket(ip_address("198.51.100.7"), 4000 + extra)
        permitted = chance.choice([None, ip_network("198.51.100.0/24")])
        rows.flow[FlowKey(UDP, public(number), chance.choice([None, source]))] = Flow(
            Target(TargetKind.CHANNEL, first + 10 + extra), LinkScope.OUTSIDE, permitted
        )
        six = Socket(ip_address("2001:db8:1::1"), 5000 + number)
        rows.flow[FlowKey(UDP, six)] = Flow(Target(TargetKind.FORK, first), LinkScope.OUTSIDE)
    return rows


def public(number: int) -> Socket:
    """Where a session's sources send to."""
    return Socket(ip_address("192.0.2.1"), 5000 + number)


def resolved(rows: Tables, mac: Mac, own: Mac) -> Tables:
    """The rows once the receiver's MAC is known."""
    found = {
        number: replace(row, device="lan0", source_mac=own, destination_mac=mac)
        for number, row in rows.endpoint.items()
        if not row.device
    }
    return replace(rows, endpoint={**rows.endpoint, **found})


def slice_(number: int, rows: Tables, generation: int = 1) -> unit_pb2.Slice:
    return unit_pb2.Slice(session=number, name=f"s{number}", generation=generation, tables=wire.encode(rows))
