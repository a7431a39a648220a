"""What the oracle tells beyond frames: the rules that a packet met, and what it counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from controller.steering.drops import Drop
from controller.steering.model import Endpoint, EndpointKind, Link, LinkKey, LinkKind, LinkScope, Tables, Unit
from controller.steering.oracle import Oracle
from controller.steering.outcome import Counters
from controller.steering.wire import NO_MAC
from tests.conformance.golden.tables import (
    GOOD,
    INPUT0,
    INSTANCE,
    PUBLIC,
    SOURCE,
    forked,
    from_guest,
    steered,
    with_guests,
)
from tests.conformance.network import FORK, LAN_MAC, VM0, WAN, WAN_MAC
from tests.conformance.script import ip


def told(tables: Tables, device: str, frame: bytes) -> list[str]:
    return [str(step) for step in Oracle(tables).receive(device, frame, 0.0).trace]


def test_the_trace_names_every_rule_to_the_end() -> None:
    assert told(steered(), WAN, GOOD) == [
        "link wan: outside",
        "flow udp 192.0.2.1:5000 from anywhere → channel 1",
        "channel 1: zero gives 0",
        "slot 1+0 → endpoint 1, backup None",
        "endpoint 1: node 10.9.0.2:6000",
        "sent on lan",
    ]


def test_the_trace_names_dead_units_and_the_reason_of_a_drop() -> None:
    tables = steered()
    tables.endpoint[1] = replace(tables.endpoint[1], unit=3)
    tables.unit[3] = Unit(alive=False)
    assert told(tables, WAN, GOOD)[-2:] == ["unit 3: dead", "dropped no_live_endpoint"]
    assert told(tables, WAN, b"") == ["dropped malformed_ethernet"]


def test_each_copy_has_its_own_trace() -> None:
    trace = Oracle(forked()).receive(WAN, GOOD, 0.0).trace
    assert [step.copy for step in trace if step.table == "fork"] == [0, 1, 2]
    assert [(step.copy, step.verdict) for step in trace if step.verdict] == [
        (0, "sent on wan"),
        (1, "sent on wan"),
        (2, "sent on lan"),
    ]


def test_bindings_and_answers_are_named() -> None:
    bound = replace(INPUT0, port=7001)
    gateway = replace(INPUT0, address=with_guests().link[LinkKey(VM0)].gateways[0])
    assert "binding 10.0.3.2:7001 on vm0 → channel 3" in told(
        with_guests(), VM0, from_guest(ip(bound, gateway))
    )
    oracle = Oracle(with_guests())
    oracle.receive(WAN, GOOD, 0.0)
    answer = oracle.receive(VM0, from_guest(ip(INPUT0, SOURCE)), 1.0)
    assert [str(step) for step in answer.trace] == [
        "link vm0: guest",
        "peer 10.0.3.2:7000 may answer 198.51.100.7:4000 → wan",
        "sent on wan",
    ]
    assert answer.emissions[0].channel is None


def test_a_next_hop_that_the_unit_will_find_is_said_so() -> None:
    tables = steered()
    tables.endpoint[1] = Endpoint(EndpointKind.RECEIVER, "", NO_MAC, NO_MAC, INSTANCE)
    assert told(tables, WAN, GOOD)[-1] == "sent to the next hop"


def test_a_fork_links_strangers_are_counted_nowhere() -> None:
    tables = steered()
    tables.link[LinkKey(FORK)] = Link(LinkKind.FORK, LAN_MAC)
    oracle = Oracle(tables)
    outcome = oracle.receive(FORK, GOOD, 0.0)
    assert not outcome.emissions and not outcome.drops and not outcome.to_host
    assert oracle.counters.received == 0 and oracle.counters.conserved


@pytest.mark.req("R9")
def test_a_loop_ends_by_its_hop_limit() -> None:
    tables = steered()
    tables.flow = {key: replace(row, links=LinkScope.OUTSIDE) for key, row in tables.flow.items()}
    tables.endpoint[1] = replace(tables.endpoint[1], destination=PUBLIC, destination_mac=WAN_MAC)
    oracle, frame = Oracle(tables), GOOD
    for _ in range(63):
        (emission,) = oracle.receive(WAN, frame, 0.0).emissions
        frame = emission.frame
    assert oracle.receive(WAN, frame, 0.0).drops == [Drop.TTL_EXPIRED]


@pytest.mark.req("R10")
def test_a_frame_that_a_device_refused_is_sent_and_dropped_but_one_packet() -> None:
    assert Counters(received=2, sent=2, drops=Counter({Drop.DEVICE_DROP: 1})).conserved
    assert not Counters(received=2, sent=1, drops=Counter({Drop.DEVICE_DROP: 1})).conserved
    assert Counters(received=2, sent=1, drops=Counter({Drop.NO_FLOW: 1})).conserved
