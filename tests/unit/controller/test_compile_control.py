"""Control channels of sessions, packet by packet, through the oracles of all units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from controller.program import check_text
from controller.program.support import unsupported
from controller.steering import addressing
from controller.steering.model import BindingKey, EndpointKind, LinkScope, Socket
from controller.steering.wire import decode, encode
from dipronn.errors import Unavailable

from .nodes import SPREAD, Node, headers, lay, unit, verdicts

UNITS = (
    unit(2, "dist", outside=True),
    unit(3, "u1", control=True),
    unit(4, "u2", control=True),
    unit(5, "agg", outside=True),
)
GROUP = """
session group {{
  input x : udp; output y to 198.51.100.7:6000;
  program mix {{ bundle "m"; in i; out o; parallelizable 3 by {policy}; }}
  program boss {{ bundle "b"; in i; out o; }}
  data x -> mix.i; data mix.o -> boss.i; data boss.o -> y;
  control mix.sync <-> mix.sync;
  control boss.orders -> mix.orders;
}}
"""


def node(policy: str = "round_robin", places: Sequence[str] = ("u1", "u2", "u1", "u2")) -> Node:
    return Node(lay(GROUP.format(policy=policy), UNITS, places))


def _names(node: Node, sender: str, port: str) -> list[str]:
    return sorted(who for who, _ in node.reached(node.program_sends(sender, port, b"hello")))


@pytest.mark.req("D17", "D19", "D47")
@pytest.mark.parametrize("policy", ["round_robin", "duplicate", "hash"])
def test_what_an_instance_says_reaches_every_other_instance_whatever_the_policy(policy: str) -> None:
    laid = node(policy)
    assert _names(laid, "mix-0", "sync") == ["mix-1", "mix-2"]
    assert _names(laid, "mix-1", "sync") == ["mix-0", "mix-2"]
    assert _names(laid, "boss-0", "orders") == ["mix-0", "mix-1", "mix-2"]
    for who, packet in laid.reached(laid.program_sends("boss-0", "orders", b"stop")):
        boss, told = laid.instance("boss-0"), laid.instance(who)
        assert headers(packet) == (
            str(addressing.instance_address(boss.number, 4)),
            boss.ports["orders"],
            str(addressing.instance_address(told.number, 4)),
            told.ports["orders"],
        )
    assert all(oracle.counters.conserved for oracle in laid.oracles.values())


@pytest.mark.req("D9", "D17")
def test_between_units_it_goes_by_the_control_network_and_nothing_else_does() -> None:
    laid = node()
    for tables in laid.compiled.tables.values():
        devices = {row.device for row in tables.endpoint.values() if row.kind is EndpointKind.CONTROL}
        assert devices <= {"ctl0"}
        assert "ctl0" not in {
            r.device for r in tables.endpoint.values() if r.kind is not EndpointKind.CONTROL
        }
        for key, flow in tables.flow.items():
            ports = {one.ports[name] for one in laid.deployment.of("mix") for name in ("sync", "orders")}
            if str(key.destination.address).startswith("100.64.") and key.destination.port in ports:
                assert flow.links == LinkScope.CONTROL
        assert decode(encode(tables)) == tables
    way = laid.program_sends("mix-0", "sync", b"x")
    assert {step.unit for step in way.steps} == {"u1", "u2"}
    crossed = [name for name in laid.compiled.counted if name.startswith("control ")]
    assert sorted(crossed) == ["control boss.orders -> mix.orders", "control mix.sync -> mix.sync"]


@pytest.mark.req("D27", "D17")
def test_a_program_may_answer_its_control_peers_and_nobody_else() -> None:
    laid = node()
    boss = laid.instance("boss-0")
    asked = Socket(addressing.instance_address(boss.number, 4), boss.ports["orders"])
    ((who, _),) = laid.reached(laid.program_sends("mix-0", "orders", b"done", asked))
    assert who == "boss-0"
    other = laid.instance("mix-1")
    address = addressing.instance_address(other.number, 4)
    ((who, _),) = laid.reached(
        laid.program_sends("mix-0", "sync", b"to you", Socket(address, other.ports["sync"]))
    )
    assert who == "mix-1"
    control_unit = Socket(addressing.gateway(4).__class__("10.78.0.1"), 7000)
    unit2 = Socket(addressing.gateway(4).__class__("10.78.0.4"), 7000)
    for to in (control_unit, unit2, replace(asked, port=1), Socket(address, other.ports["i"])):
        assert verdicts(laid.program_sends("mix-0", "sync", b"x", to)) == ["dropped guest_forbidden"]


def test_those_that_have_not_registered_the_port_or_died_are_left_out() -> None:
    laid = node()
    instances = tuple(
        replace(one, ports={key: port for key, port in one.ports.items() if key != "sync"})
        if one.name == "mix-1"
        else one
        for one in laid.deployment.instances
    )
    without = Node(replace(laid.deployment, instances=instances), laid.identifiers)
    assert _names(without, "mix-0", "sync") == ["mix-2"]
    assert _names(without.without("mix-2"), "mix-0", "sync") == []
    assert verdicts(without.without("mix-2").program_sends("mix-0", "sync", b"x")) == [
        "dropped no_live_endpoint"
    ]
    assert _names(laid.without("boss-0"), "mix-0", "sync") == ["mix-1", "mix-2"]


def test_control_ports_need_not_be_registered_for_data_to_flow() -> None:
    laid = lay(GROUP.format(policy="round_robin"), UNITS, ("u1", "u2"))
    instances = tuple(
        replace(one, ports={key: port for key, port in one.ports.items() if key in ("i", "o")})
        for one in laid.instances
    )
    bare = Node(replace(laid, instances=instances))
    assert not bare.deployment.missing_names()
    bindings = [key for tables in bare.compiled.tables.values() for key in tables.binding]
    assert all(isinstance(key, BindingKey) for key in bindings) and len(bindings) == 4


def test_units_without_a_control_network_are_refused_by_name_unless_one_unit_has_all() -> None:
    with pytest.raises(Unavailable, match="u1 and u2 have no control network in common"):
        Node(lay(GROUP.format(policy="round_robin"), SPREAD, ["u1", "u2"]))
    together = Node(lay(GROUP.format(policy="round_robin"), SPREAD, ["u1"]))
    assert _names(together, "boss-0", "orders") == ["mix-0", "mix-1", "mix-2"]


def test_a_port_of_data_is_none_of_control() -> None:
    text = GROUP.format(policy="round_robin").replace("boss.orders -> mix.orders", "boss.o -> mix.orders")
    (finding,) = unsupported(check_text(text).program)
    assert "control over a port of data lines (`boss.o`)" in finding.message
    assert not unsupported(check_text(GROUP.format(policy="hash")).program)
