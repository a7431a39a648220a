"""Compiled sessions, packet by packet, through the oracles of all units."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from ipaddress import ip_address

import pytest

from controller.steering import addressing, slots
from controller.steering.identifiers import Identifiers
from controller.steering.model import LinkScope, Socket
from controller.steering.wire import decode, encode

from .nodes import ALONE, SPREAD, Node, datagram, headers, lay, verdicts

RECEIVER = "198.51.100.7"
CHAIN = """
session chain {
  input x : udp to 192.0.2.2:5004 from 203.0.113.0/24;
  output y to 198.51.100.7:6000, 198.51.100.8:6000;
  program seal { bundle "s"; in clear; out sealed; parallelizable 2; }
  program open { bundle "o"; in sealed; out clear; }
  data x -> seal.clear; data seal.sealed -> open.sealed; data open.clear -> y; data x -> y;
}
"""
SIX = """
session six {
  input x : udp from 2001:db8:1::/48; output y to [2001:db8:2::7]:6000;
  program p { bundle "s"; in i; out o; }
  data x -> p.i; data p.o -> y;
}
"""
SOURCE = "203.0.113.9"
LAYOUTS = [(SPREAD, ["u1", "u2", "u1"]), (ALONE, ["solo"]), (SPREAD, ["dist", "agg", "u1"])]


def policy(text: str, count: int = 2) -> str:
    return f"""
    session s {{ input x : udp; output y to 198.51.100.7:6000;
      program p {{ bundle "b"; in i; out o; parallelizable {count} by {text}; }}
      data x -> p.i; data p.o -> y; }}"""


@pytest.mark.req("D14")
@pytest.mark.req("D15")
@pytest.mark.req("D23")
@pytest.mark.req("D10")
@pytest.mark.req("D12")
@pytest.mark.req("D16")
@pytest.mark.req("D68")
@pytest.mark.parametrize(("units", "places"), LAYOUTS, ids=["spread", "alone", "mixed"])
def test_a_packet_goes_from_its_source_through_every_program_to_every_receiver(
    units: tuple[object, ...], places: list[str]
) -> None:
    node = Node(lay(CHAIN, units, places))  # type: ignore[arg-type]
    public = node.deployment.entrances["x"].socket
    reached = node.reached(node.arrive(SOURCE, public))
    # Straight through to both receivers, and to the first of the two instances in turn.
    assert sorted(who for who, _ in reached) == ["outside", "outside", "seal-0"]
    straight = sorted(headers(packet) for who, packet in reached if who == "outside")
    exit_ = node.deployment.exits["y"].public
    assert straight == [
        (str(exit_.address), exit_.port, "198.51.100.7", 6000),
        (str(exit_.address), exit_.port, "198.51.100.8", 6000),
    ]
    (arrived,) = [packet for who, packet in reached if who == "seal-0"]
    assert headers(arrived)[:2] == (SOURCE, 4000), "a source is kept on the way in"
    assert [who for who, _ in node.reached(node.arrive(SOURCE, public)) if who != "outside"] == ["seal-1"]

    for sender in ("seal-0", "seal-1"):
        ((who, packet),) = node.reached(node.program_sends(sender, "sealed", b"sealed"))
        assert who == "open-0" and bytes(packet)[-6:] == b"sealed"
    final = node.reached(node.program_sends("open-0", "clear", b"clear"))
    assert [who for who, _ in final] == ["outside", "outside"]
    assert {headers(packet)[2:] for _, packet in final} == {("198.51.100.7", 6000), ("198.51.100.8", 6000)}
    assert all(oracle.counters.conserved for oracle in node.oracles.values())


@pytest.mark.parametrize(("units", "places"), LAYOUTS, ids=["spread", "alone", "mixed"])
def test_answers_go_back_the_way_the_packets_came(units: tuple[object, ...], places: list[str]) -> None:
    node = Node(lay(CHAIN, units, places))  # type: ignore[arg-type]
    public = node.deployment.entrances["x"].socket
    node.arrive(SOURCE, public)
    # A program answers the outside source, with the public address as its own.
    ((who, packet),) = node.reached(
        node.program_sends("seal-0", "clear", b"answer", Socket(ip_address(SOURCE), 4000))
    )
    assert who == "outside" and headers(packet) == (str(public.address), public.port, SOURCE, 4000)
    # And the instance that feeds it.
    seal = node.instance("seal-0")
    address = addressing.instance_address(seal.number, 4)
    ((who, packet),) = node.reached(
        node.program_sends("open-0", "sealed", b"ack", Socket(address, seal.ports["sealed"]))
    )
    assert who == "seal-0"
    # A receiver answers the instance that feeds its output.
    exit_ = node.deployment.exits["y"]
    last = node.deployment.units[exit_.unit]
    link = next(link for link in last.links if link.outside)
    answer = datagram(RECEIVER, 6000, exit_.public, b"report", destination_mac=str(link.mac))
    ((who, packet),) = node.reached(node.send(last.name, link.device, answer))
    assert who == "open-0" and headers(packet)[:2] == (RECEIVER, 6000)
    stranger = datagram("198.51.100.66", 6000, exit_.public, b"x", destination_mac=str(link.mac))
    assert verdicts(node.send(last.name, link.device, stranger)) == ["to host"]


def test_ipv6_goes_the_same_way() -> None:
    node = Node(lay(SIX, SPREAD, ["u1"]))
    public = node.deployment.entrances["x"].socket
    ((who, packet),) = node.reached(node.arrive("2001:db8:1::5", public))
    assert who == "p-0" and headers(packet)[2] == "fd64:6970:726f::2"
    ((who, packet),) = node.reached(node.program_sends("p-0", "o", b"six"))
    assert who == "outside" and headers(packet)[2:] == ("2001:db8:2::7", 6000)


@pytest.mark.req("D27")
def test_nobody_enters_by_a_way_that_is_not_his() -> None:
    node = Node(lay(CHAIN, SPREAD, ["u1", "u2", "u1"]))
    public = node.deployment.entrances["x"].socket
    assert verdicts(node.arrive("192.0.2.99", public)) == ["dropped source_refused"]
    # An instance's own address is reached by links of the node only, and another's output never.
    seal, first = node.instance("seal-0"), node.deployment.units["dist"]
    inner = Socket(addressing.instance_address(seal.number, 4), seal.ports["clear"])
    assert not node.arrive(SOURCE, inner).left
    for tables in node.compiled.tables.values():
        for key, flow in tables.flow.items():
            inside = str(key.destination.address).startswith(("10.0.0.", "100.64."))
            assert flow.links == (LinkScope.NODE if inside else LinkScope.OUTSIDE)
    exit_ = node.deployment.exits["y"]
    assert verdicts(node.program_sends("seal-0", "sealed", b"x", exit_.internal)) == [
        "dropped guest_forbidden"
    ]
    assert first.number == 2


@pytest.mark.req("D50")
@pytest.mark.req("A19")
@pytest.mark.req("A20")
@pytest.mark.req("D52")
@pytest.mark.req("A21")
def test_policies_spread_packets_as_they_say() -> None:
    def shares(text: str, count: int, packets: int, ports: int = 1) -> list[int]:
        node = Node(lay(policy(text, count), SPREAD, ["u1", "u2"]))
        public = node.deployment.entrances["x"].socket
        seen: Counter[str] = Counter()
        for number in range(packets):
            way = node.arrive(SOURCE, public, port=4000 + number % ports)
            seen.update(who for who, _ in node.reached(way))
        return [seen[f"p-{index}"] for index in range(count)]

    assert shares("round_robin", 2, 8) == [4, 4]
    assert shares("round_robin", 4, 8) == [2, 2, 2, 2]
    assert shares("duplicate", 3, 4) == [4, 4, 4]
    assert shares("weighted 3:1", 2, 8) == [6, 2]
    assert sorted(shares("hash", 2, 6)) == [0, 6], "one flow stays with one instance"
    assert min(shares("hash", 2, 200, ports=200)) > 60


def test_slots_are_shared_fairly_when_no_power_of_two_fits() -> None:
    assert sorted(Counter(slots.cyclic(3)).values()) == [42, 43, 43]
    assert sorted(Counter(slots.weighted([2, 1])).values()) == [21, 43]
    names = [f"p-{index}" for index in range(5)]
    before, after = slots.maglev(names), slots.maglev([*names[:-1], "p-9"])
    assert max(Counter(before).values()) - min(Counter(before).values()) <= 1
    moved = sum(
        1 for one, other in zip(before, after, strict=True) if one != other and one != 4 and other != 4
    )
    assert moved < len(before) * 0.1, "who stays keeps nearly all of his slots"


@pytest.mark.req("D18")
def test_a_dead_unit_is_backed_up_and_a_dead_instance_is_left_out() -> None:
    node = Node(lay(policy("round_robin", 2), SPREAD, ["u1", "u2"]))
    public = node.deployment.entrances["x"].socket
    node.dead.add("u1")
    node.oracles = node.executors()
    who = [name for _ in range(4) for name, _ in node.reached(node.arrive(SOURCE, public))]
    assert who == ["p-1"] * 4
    left = Node(lay(policy("round_robin", 2), SPREAD, ["u1", "u2"])).without("p-0")
    who = [name for _ in range(4) for name, _ in left.reached(left.arrive(SOURCE, public))]
    assert who == ["p-1"] * 4
    nobody = left.without("p-1")
    assert verdicts(nobody.arrive(SOURCE, public)) == ["dropped no_live_endpoint"]
    # The changed group is a new one, and the old one can be given back.
    before = {a.key: a.first for a in left.identifiers.of("session 7") if a.kind == "slot"}
    left.identifiers.keep("session 7", left.compiled.used)
    after = {a.key: a.first for a in left.identifiers.of("session 7") if a.kind == "slot"}
    assert after.items() < before.items()


def test_two_sessions_share_units_and_no_rows() -> None:
    identifiers = Identifiers()
    first = Node(lay(CHAIN, SPREAD, ["u1", "u2", "u1"]), identifiers)
    second = lay(policy("hash", 2), SPREAD, ["u1", "u2"], session=8)
    moved = tuple(replace(one, number=one.number + 100) for one in second.instances)
    inner, public = (Socket(ip_address(address), 22000) for address in ("10.0.0.5", "192.0.2.5"))
    exits = {"y": replace(second.exits["y"], internal=inner, public=public)}
    other = Node(replace(second, instances=moved, exits=exits), identifiers)
    for name, tables in other.compiled.tables.items():
        rows = {(table, key) for table, key, _ in tables.rows()}
        mine = {(table, key) for table, key, _ in first.compiled.tables[name].rows()}
        assert not rows & mine


def test_all_rows_pass_over_the_api() -> None:
    for units, places in LAYOUTS:
        for tables in Node(lay(CHAIN, units, places)).compiled.tables.values():
            assert decode(encode(tables)) == tables


def test_counted_channels_are_those_of_the_text_and_the_receivers() -> None:
    for units, places in LAYOUTS:
        node = Node(lay(CHAIN, units, places))
        public = node.deployment.entrances["x"].socket
        for _ in range(3):
            node.arrive(SOURCE, public)
        node.program_sends("open-0", "clear", b"x")
        counted = {
            name: sum(
                oracle.counters.channels[number].packets
                for oracle in node.oracles.values()
                for number in numbers
                if number in oracle.counters.channels
            )
            for name, numbers in node.compiled.counted.items()
        }
        assert counted == {
            "x -> seal.clear": 3,
            "seal.sealed -> open.sealed": 0,
            "open.clear -> y": 1,
            "x -> y": 3,
            "y -> 198.51.100.7:6000": 4,
            "y -> 198.51.100.8:6000": 4,
        }
