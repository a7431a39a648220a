"""What an agent says and hears for its switch, which has no stack: ARP and ND, next hops, learnt peers."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether

from controller.drivers.p4runtime import neighbours, peers
from controller.drivers.p4runtime.config import Route, SwitchLink
from controller.drivers.p4runtime.entries import Action, EntryKey
from controller.drivers.p4runtime.frames import Asked, Told, announcement, answer, question, read
from controller.drivers.p4runtime.neighbours import SwitchNeighbours
from controller.drivers.p4runtime.peers import LearntPeers
from controller.steering.model import Address, LinkKey, Mac, Unmatched
from dipronn.errors import Unavailable
from dipronn.unit.receivers import NextHop

OWN, THEIRS, OTHER = (Mac.parse(f"02:00:00:00:00:0{i}") for i in range(1, 4))
V4, V6 = (ip_address("192.0.2.1"), ip_address("192.0.2.9")), (ip_address("fd00::1"), ip_address("fd00::9"))


def test_questions_and_answers_are_what_others_understand() -> None:
    asked = Ether(question(7, V4[1], V4[0], OWN))
    assert (asked.dst, asked[Dot1Q].vlan, asked[ARP].op) == ("ff:ff:ff:ff:ff:ff", 7, 1)
    assert (asked[ARP].psrc, asked[ARP].pdst, asked[ARP].hwsrc) == ("192.0.2.1", "192.0.2.9", str(OWN))
    told = Ether(answer(Asked(0, V4[0], V4[1], THEIRS), OWN))
    assert (told.dst, told[ARP].op, told[ARP].hwsrc, told[ARP].psrc) == (
        str(THEIRS),
        2,
        str(OWN),
        "192.0.2.1",
    )
    asked = Ether(question(0, V6[1], V6[0], OWN))
    assert (asked.dst, asked[IPv6].dst, asked[IPv6].hlim) == ("33:33:ff:00:00:09", "ff02::1:ff00:9", 255)
    assert asked[ICMPv6ND_NS].tgt == "fd00::9" and asked[ICMPv6NDOptSrcLLAddr].lladdr == str(OWN)
    told = Ether(answer(Asked(0, V6[0], V6[1], THEIRS), OWN))
    assert (told[ICMPv6ND_NA].tgt, told[ICMPv6ND_NA].S) == ("fd00::1", 1)
    assert told[ICMPv6NDOptDstLLAddr].lladdr == str(OWN)
    probe = Ether(answer(Asked(0, V6[0], ip_address("::"), THEIRS), OWN))
    assert (probe[IPv6].dst, probe[ICMPv6ND_NA].S) == ("ff02::1", 0)
    for frame in (question(0, V6[1], V6[0], OWN), answer(Asked(0, V6[0], V6[1], THEIRS), OWN)):
        rebuilt = Ether(frame)
        del rebuilt[IPv6].payload.cksum
        assert bytes(Ether(bytes(rebuilt))) == frame, "scapy computes the same checksum"


@pytest.mark.parametrize(("own", "other"), [V4, V6])
@pytest.mark.parametrize("vlan", [0, 5])
def test_what_is_written_is_read(vlan: int, own: Address, other: Address) -> None:
    assert read(question(vlan, other, own, OWN)) == Asked(vlan, other, own, OWN)
    assert read(question(vlan, other, own, OWN, THEIRS)) == Asked(vlan, other, own, OWN)
    assert read(answer(Asked(vlan, own, other, THEIRS), OWN)) == Told(vlan, own, OWN)
    said = read(announcement(vlan, own, OWN))
    assert said in (Asked(vlan, own, own, OWN), Told(vlan, own, OWN))


@given(st.binary(max_size=120), st.sampled_from([b"\x08\x06", b"\x86\xdd", b"\x81\x00\x00\x05\x86\xdd"]))
def test_nothing_that_arrives_is_an_error(rest: bytes, kind: bytes) -> None:
    read(bytes(12) + kind + rest)
    read(rest)


def test_a_forwarded_or_broken_discovery_is_ignored() -> None:
    frame = bytearray(question(0, V6[1], V6[0], OWN))
    frame[14 + 7] = 254
    assert read(bytes(frame)) is None
    frame[14 + 7] = 255
    frame[-1] ^= 1
    assert read(bytes(frame)) is None


def link(device: str, port: int, *addresses: str) -> SwitchLink:
    own = tuple(map(ip_interface, addresses))
    return SwitchLink(LinkKey(device), device, True, Unmatched.HOST, port, OWN, own, 1400)


class Wire:
    """The switch's ports: every question is answered by the hosts that there are."""

    def __init__(self) -> None:
        self.hosts: dict[Address, Mac] = {V4[1]: THEIRS, V6[1]: THEIRS, ip_address("192.0.2.254"): OTHER}
        self.sent: list[tuple[int, bytes]] = []
        self.moved: dict[Address, NextHop] = {}
        links = [link("lan0", 1, "192.0.2.1/24", "fd00::1/64"), link("data0", 2, "10.0.0.1/24")]
        routes = [Route(ip_network("0.0.0.0/0"), ip_address("192.0.2.254"))]
        self.node = SwitchNeighbours(links, routes, self.send, self.moved.update)

    def send(self, port: int, frame: bytes) -> None:
        self.sent.append((port, frame))
        said = read(frame)
        if isinstance(said, Asked) and said.target in self.hosts:
            self.node.received(port, answer(said, self.hosts[said.target]))


async def test_next_hops_are_found_on_the_link_and_beyond_routers() -> None:
    wire = Wire()
    for address in (V4[1], V6[1]):
        hop = await wire.node.resolve(address)
        assert hop == NextHop(LinkKey("lan0"), OWN, THEIRS, 1400)
    assert (await wire.node.resolve(ip_address("203.0.113.5"))).destination_mac == OTHER
    sent = len(wire.sent)
    await wire.node.resolve(V4[1])
    assert len(wire.sent) == sent, "asked once"
    with pytest.raises(Unavailable, match="no route"):
        await wire.node.resolve(ip_address("2001:db8::5"))
    with pytest.raises(Unavailable, match="this unit itself"):
        await wire.node.resolve(ip_address("10.0.0.1"))


async def test_who_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "ASK_SECONDS", 0.01)
    wire = Wire()
    with pytest.raises(Unavailable, match=r"192\.0\.2\.77 on lan0 does not answer"):
        await wire.node.resolve(ip_address("192.0.2.77"))
    assert len(wire.sent) == neighbours.ASK_TIMES


async def test_a_next_hop_that_moves_is_told_and_one_that_is_let_go_is_not() -> None:
    wire = Wire()
    await wire.node.resolve(V4[1])
    await wire.node.resolve(ip_address("203.0.113.5"))
    wire.node.received(2, announcement(0, V4[1], OTHER))
    assert not wire.moved, "by another link it is somebody else"
    wire.node.received(1, announcement(0, V4[1], OTHER))
    assert wire.moved == {V4[1]: NextHop(LinkKey("lan0"), OWN, OTHER, 1400)}
    wire.moved.clear()
    await wire.node.keep([V4[1]])
    wire.node.received(1, announcement(0, ip_address("192.0.2.254"), THEIRS))
    assert not wire.moved


def test_only_own_addresses_are_answered_for() -> None:
    wire = Wire()
    wire.node.received(1, question(0, V4[0], V4[1], THEIRS))
    ((port, reply),) = wire.sent
    assert port == 1 and read(reply) == Told(0, V4[0], OWN)
    wire.node.received(1, question(0, ip_address("10.0.0.1"), V4[1], THEIRS))
    wire.node.received(1, question(0, V4[1], V4[0], OTHER))
    wire.node.received(3, question(0, V4[0], V4[1], THEIRS))
    assert len(wire.sent) == 1


def test_learnt_peers_live_as_long_as_they_speak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "MOST", 3)
    learnt = LearntPeers()
    key = [EntryKey("peer", (number,)) for number in range(5)]
    learnt.learn([(key[0], Action("answer")), (key[1], Action("answer"))], 0.0)
    learnt.learn([(key[0], Action("answer", (1,)))], 30.0)
    assert learnt.take_changed() == {key[0], key[1]}
    learnt.age(59.9)
    assert set(learnt.entries) == {key[0], key[1]}
    learnt.age(60.0)
    assert learnt.entries == {key[0]: Action("answer", (1,))}
    assert learnt.take_changed() == {key[1]}
    learnt.learn([(key[0], Action("answer", (1,)))], 65.0)
    assert not learnt.take_changed(), "nothing to write"
    learnt.learn([(each, Action("answer")) for each in key[1:]], 70.0)
    assert set(learnt.entries) == set(key[2:]), "the longest silent made room"
