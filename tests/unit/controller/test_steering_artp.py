"""Sessions that speak ARTP, compiled: packet by packet through the oracles of all units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import ip_address

import pytest
from scapy.packet import Packet

from controller.explain import Way
from controller.steering.deployment import Deployment, NodeUnit
from controller.steering.model import Socket
from dipronn.v1 import session_pb2 as pb
from tests.conformance.artp_packet import ACK, CHOSEN, CLOSE, CONTROL, DATA, HELLO, PING, artp

from .nodes import ALONE, SPREAD, Node, datagram, headers, lay, verdicts

SOURCE = "203.0.113.9"
TEXT = """
session s {
  input x : artp from 203.0.113.0/24;
  output y to 198.51.100.7:6000, 198.51.100.8:6000 override 198.51.100.0/24;
  program p { bundle "p"; in i; out o; parallelizable 3; }
  program q { bundle "q"; in i; out o; parallelizable 2; }
  data x -> p.i; data p.o -> q.i; data q.o -> y;
}
"""
LAYOUTS = {
    "spread": (SPREAD, ("u1", "u2")),
    "alone": (ALONE, ("solo",)),
    "mixed": (SPREAD, ("dist", "agg", "u1")),
}


def spoken(text: str, units: Sequence[NodeUnit] = SPREAD, places: Sequence[str] = ("u1", "u2")) -> Node:
    """Every port of every program is registered as ARTP."""
    laid = lay(text, units, places)
    return Node(speaking(laid))


def speaking(laid: Deployment) -> Deployment:
    return replace(laid, instances=tuple(replace(one, artp=frozenset(one.ports)) for one in laid.instances))


@pytest.fixture(params=list(LAYOUTS))
def node(request: pytest.FixtureRequest) -> Node:
    return spoken(TEXT, *LAYOUTS[request.param])


def who(node: Node, way: Way) -> list[str]:
    return sorted(name for name, _ in node.reached(way))


def arrive(node: Node, **fields: object) -> Way:
    return node.arrive(SOURCE, node.deployment.entrances["x"].socket, artp(**fields))


def sends(node: Node, name: str, port: str, to: Socket | None = None, **fields: object) -> Way:
    return node.program_sends(name, port, artp(**fields), to)


def answers(node: Node, output: str, receiver: str, **fields: object) -> Way:
    """A receiver sends to the public address of an output."""
    exit_ = node.deployment.exits[output]
    unit = node.deployment.units[exit_.unit]
    link = next(link for link in unit.links if link.outside)
    packet = datagram(receiver, 6000, exit_.public, artp(**fields), destination_mac=str(link.mac))
    return node.send(unit.name, link.device, packet)


def instance_in(packet: Packet) -> int:
    """What stands in the ARTP header of an IPv4 frame."""
    return int.from_bytes(bytes(packet)[14 + 20 + 8 + 24 :][:2], "big")


@pytest.mark.req("R2", "D52", "A23")
def test_all_of_a_datagram_goes_to_one_instance(node: Node) -> None:
    for number in range(9):
        places = set()
        for fields in (
            {"fragment": 0, "fragments": 2},
            {"fragment": 1, "fragments": 2},
            {"fragment": 0, "fragments": 2},
            {"type": PING},
        ):
            (place,) = who(node, arrive(node, number=number, **fields))
            places.add(place)
        assert len(places) == 1
    spread = [who(node, arrive(node, number=number))[0] for number in range(128)]
    assert {spread.count(f"p-{i}") for i in range(3)} <= {42, 43}
    assert who(node, arrive(node, type=HELLO)) == ["p-0"]


def test_what_is_no_artp_is_dropped_on_every_way(node: Node) -> None:
    assert verdicts(node.arrive(SOURCE, node.deployment.entrances["x"].socket, b"udp")) == [
        "dropped malformed_artp"
    ]
    assert verdicts(node.program_sends("p-0", "o", b"udp")) == ["dropped malformed_artp"]


@pytest.mark.req("R6", "A27", "D19")
def test_control_information_from_outside_reaches_every_instance(node: Node) -> None:
    everyone = ["p-0", "p-1", "p-2"]
    assert who(node, arrive(node, flags=CONTROL, number=1)) == everyone
    assert who(node, arrive(node, type=CLOSE, flags=CONTROL)) == everyone
    assert len(who(node, arrive(node, type=CLOSE))) == 1


@pytest.mark.req("R6", "A28", "D19")
@pytest.mark.parametrize("port", ["i", "o"])
def test_control_information_of_an_instance_reaches_the_others(node: Node, port: str) -> None:
    everyone = {"p-0", "p-1", "p-2"}
    for sender in sorted(everyone):
        way = sends(node, sender, port, flags=CONTROL)
        assert set(who(node, way)) == everyone - {sender}
        assert [verdict for verdict in verdicts(way) if "dropped" in verdict] == ["dropped own_control"]
        for name, packet in node.reached(way):
            source, source_port, _, to = headers(packet)
            one, other = node.instance(sender), node.instance(name)
            assert (source_port, to) == (one.ports[port], other.ports[port])
            # It may be acknowledged.
            assert who(node, sends(node, name, port, Socket(ip_address(source), source_port), type=ACK)) == [
                sender
            ]
    assert all(oracle.counters.conserved for oracle in node.oracles.values())


def test_an_instance_on_its_own_tells_nobody() -> None:
    node = spoken(TEXT).without("p-1", "p-2")
    assert verdicts(sends(node, "p-0", "o", flags=CONTROL)) == ["dropped own_control"]
    assert verdicts(sends(node, "p-0", "i", flags=CONTROL)) == ["dropped own_control"]
    assert verdicts(sends(node, "p-0", "i")) == ["dropped no_binding"]


@pytest.mark.req("R5", "D39")
def test_a_source_reaches_the_instance_that_sent_it_something(node: Node) -> None:
    public = node.deployment.entrances["x"].socket
    numbers = set()
    for number in range(9):
        ((name, packet),) = node.reached(arrive(node, number=number))
        source = headers(packet)[:2]
        ((outside, packet),) = node.reached(sends(node, name, "i", Socket(ip_address(source[0]), source[1])))
        assert outside == "outside" and headers(packet) == (str(public.address), public.port, *source)
        said = instance_in(packet)
        numbers.add(said)
        for kind in (ACK, DATA):
            assert who(node, arrive(node, type=kind, flags=CHOSEN, instance=said)) == [name]
    assert len(numbers) == 3 and 0 not in numbers
    assert verdicts(arrive(node, flags=CHOSEN, instance=0)) == ["dropped no_such_instance"]


@pytest.mark.req("R5", "D39")
def test_a_receiver_reaches_the_instance_that_sent_it_something(node: Node) -> None:
    for name in ("q-0", "q-1"):
        reached = node.reached(sends(node, name, "o", number=3))
        assert [place for place, _ in reached] == ["outside", "outside"]
        (said,) = {instance_in(packet) for _, packet in reached}
        for receiver in ("198.51.100.7", "198.51.100.66"):  # also one that only a packet named
            assert who(node, answers(node, "y", receiver, type=ACK, flags=CHOSEN, instance=said)) == [name]
    (place,) = who(node, answers(node, "y", "198.51.100.7", type=PING))
    assert place in ("q-0", "q-1"), "else by hash"
    assert verdicts(answers(node, "y", "192.0.2.200", type=ACK)) == ["dropped source_refused"]
    everyone = answers(node, "y", "198.51.100.7", type=CLOSE, flags=CONTROL)
    assert who(node, everyone) == ["q-0", "q-1"]


def test_an_instance_answers_the_one_that_feeds_it(node: Node) -> None:
    ((name, packet),) = node.reached(sends(node, "p-1", "o", number=4))
    assert name in ("q-0", "q-1")
    source, port, *_ = headers(packet)
    assert who(node, sends(node, name, "i", Socket(ip_address(source), port), type=ACK)) == ["p-1"]


def test_a_dead_instance_is_not_answered_by_another() -> None:
    node = spoken(TEXT)
    reached = {
        name: instance_in(packet)
        for name in ("q-0", "q-1")
        for _, packet in node.reached(sends(node, name, "o"))
    }
    after = node.without("q-0")
    assert verdicts(answers(after, "y", "198.51.100.7", type=ACK, flags=CHOSEN, instance=reached["q-0"])) == [
        "dropped no_such_instance"
    ]
    fields = {"type": ACK, "flags": CHOSEN, "instance": reached["q-1"]}
    assert who(after, answers(after, "y", "198.51.100.7", **fields)) == ["q-1"]


@pytest.mark.req("R7", "D66", "D67")
def test_destinations_replace_the_receivers(node: Node) -> None:
    wanted = (
        Socket(ip_address("198.51.100.40"), 1),
        Socket(ip_address("198.51.100.7"), 6000),
        Socket(ip_address("198.51.100.40"), 2),
    )
    for count in (1, 2, 3):
        reached = node.reached(sends(node, "q-1", "o", destinations=wanted[:count]))
        public = node.deployment.exits["y"].public
        assert [headers(packet) for _, packet in reached] == [
            (str(public.address), public.port, str(each.address), each.port) for each in wanted[:count]
        ]
    foreign = Socket(ip_address("192.0.2.77"), 1)
    assert (
        verdicts(sends(node, "q-1", "o", destinations=(wanted[0], foreign)))[-1] == "dropped override_refused"
    )
    # Before the output they pass unread.
    (place,) = who(node, sends(node, "p-1", "o", destinations=(foreign,)))
    assert place in ("q-0", "q-1")


@pytest.mark.req("R7")
def test_an_output_without_override_is_no_relay(node: Node) -> None:
    node = Node(speaking(replace(node.deployment, program=_without_override(node.deployment))))
    destination = Socket(ip_address("198.51.100.7"), 6000)
    assert verdicts(sends(node, "q-0", "o", destinations=(destination,)))[-1] == "dropped override_refused"
    assert who(node, sends(node, "q-0", "o")) == ["outside", "outside"]


def _without_override(deployment: Deployment) -> pb.Program:
    program = pb.Program()
    program.CopyFrom(deployment.program)
    program.outputs[0].override_prefix = ""
    return program


CHOOSING = """
session s {
  input x : artp; output y to 198.51.100.7:6000;
  program p { bundle "p"; in i; out o; parallelizable 2; }
  program q { bundle "q"; in i; out o; parallelizable 3 by chosen; }
  data x -> p.i; data p.o -> q.i; data q.o -> y; data x -> q.i;
}
"""


@pytest.mark.req("R2", "D52")
@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_a_program_chooses_an_instance_of_the_next_one(layout: str) -> None:
    node = spoken(CHOOSING, *LAYOUTS[layout])
    for index in range(3):
        assert who(node, sends(node, "p-1", "o", flags=CHOSEN, instance=index)) == [f"q-{index}"]
        assert who(node, arrive(node, flags=CHOSEN, instance=index)) == [f"q-{index}"]
    assert verdicts(sends(node, "p-1", "o", flags=CHOSEN, instance=3))[-1:] == ["dropped no_such_instance"]
    # Who chooses nobody gets one of them, and numbers that units write are others.
    assert len(who(node, sends(node, "p-1", "o", number=1))) == 1
    for name in ("q-0", "q-2", "p-1"):
        ((_, packet),) = node.reached(arrive(node, flags=CHOSEN, instance=_number(node, name)))
        assert instance_in(packet) >= 3
        assert who(node, arrive(node, flags=CHOSEN, instance=_number(node, name))) == [name]


def _number(node: Node, name: str) -> int:
    """What the unit writes for an instance: seen where it sends."""
    to = Socket(ip_address(SOURCE), 4000)
    index = 0
    while who(node, arrive(node, number=index, flags=0))[0] != name and name.startswith("p"):
        index += 1
    if name.startswith("q"):
        arrive(node, flags=CHOSEN, instance=int(name[-1]))
    ((_, packet),) = node.reached(sends(node, name, "i", to))
    return instance_in(packet)


DUPLICATED = TEXT.replace("parallelizable 2;", "parallelizable 2 by duplicate;").replace(
    "parallelizable 3;", "parallelizable 3 by hash;"
)


@pytest.mark.req("R2")
def test_other_policies_hold_for_artp_too() -> None:
    node = spoken(DUPLICATED)
    (place,) = {who(node, arrive(node, number=number))[0] for number in range(8)}
    assert place.startswith("p-"), "a flow stays with its instance"
    assert who(node, sends(node, "p-0", "o")) == ["q-0", "q-1"]


WEIGHTED = TEXT.replace("parallelizable 3;", "parallelizable 2 by weighted 3:1;")


@pytest.mark.req("R2")
def test_weights_are_shares_of_datagrams() -> None:
    node = spoken(WEIGHTED)
    places = [who(node, arrive(node, number=number))[0] for number in range(64)]
    assert places.count("p-0") == 48
    assert places[:4] == [
        who(node, arrive(node, number=number, fragment=1, fragments=3))[0] for number in range(4)
    ]


def test_one_session_may_speak_both() -> None:
    """A program says at registration what its ports speak: ARTP comes in and UDP leaves."""
    laid = lay(TEXT, SPREAD, ("u1", "u2"))
    halfway = tuple(
        replace(one, artp=frozenset({"i"} if one.program == "p" else ())) for one in laid.instances
    )
    node = Node(replace(laid, instances=halfway))
    assert len(who(node, arrive(node, number=1))) == 1
    (first,) = who(node, node.program_sends("p-0", "o", b"udp"))
    (second,) = who(node, node.program_sends("p-0", "o", b"udp"))
    assert {first, second} == {"q-0", "q-1"}, "in turn, packet by packet"
    assert who(node, node.program_sends("q-0", "o", b"udp")) == ["outside", "outside"]


def test_numbers_and_rows_stay_as_they_are_when_compiled_again(node: Node) -> None:
    again = Node(node.deployment, node.identifiers)
    assert again.compiled == node.compiled
