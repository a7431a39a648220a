"""A guest behind its tap tries to be someone else, to reach what it may not, and to flood its host."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6ND_NS, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Packet, Raw

from controller.steering.drops import Drop
from controller.steering.model import (
    Binding,
    BindingKey,
    EndpointKind,
    Link,
    LinkKey,
    LinkKind,
    Mac,
    Peer,
    PeerKey,
    Socket,
)
from ebpf.loader import SteeringProgram
from tests.system.ebpf.rig import (
    FAR,
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

pytestmark = [pytest.mark.root, pytest.mark.req("D27")]

GUEST, OTHER_MAC = Mac.parse("02:64:00:00:00:05"), Mac.parse("02:64:00:00:00:06")
OWN_IP, OTHER_IP, GATEWAY, ELSEWHERE = "100.64.0.5", "100.64.0.6", "100.64.0.1", "198.51.100.1"
OWN_IP6, OTHER_IP6, GATEWAY6 = "fd00::5", "fd00::6", "fd00::1"
BOUND, PEER = 9000, "10.9.1.7"


class Guest:
    """The guest's end of the tap, as its virtual machine holds it."""

    def __init__(self, rig: Rig) -> None:
        self._file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self._file, 0x400454CA, struct.pack("16sH22x", b"tap", 0x1002))
        rig.run("ip", "link", "set", "tap", "address", str(OWN), "up")

    def send(self, packet: Packet | bytes) -> None:
        os.write(self._file, bytes(packet))

    def close(self) -> None:
        os.close(self._file)


Scene = Callable[[Callable[[SteeringProgram, Guest], None]], None]


@pytest.fixture
def scene(unit: Rig) -> Iterator[Scene]:
    """A guest with a binding to channel 1, a neighbour behind a tap of another slice, and a wire, lan."""
    lan = unit.veth("lan")
    guest = unit.inside(lambda: Guest(unit))
    unit.run("ip", "tuntap", "add", "tap2", "mode", "tap")
    unit.run("ip", "link", "set", "tap2", "up")
    tables = tables_for(["lan"], {5000: target(2)})
    tables.link[LinkKey("lan")] = replace(tables.link[LinkKey("lan")], kind=LinkKind.NODE)
    own, gateways = (ip_address(OWN_IP), ip_address(OWN_IP6)), (ip_address(GATEWAY), ip_address(GATEWAY6))
    others = (ip_address(OTHER_IP), ip_address(OTHER_IP6))
    tables.link[LinkKey("tap")] = Link(
        LinkKind.GUEST, OWN, slice=1, guest_mac=GUEST, addresses=own, gateways=gateways
    )
    tables.link[LinkKey("tap2")] = Link(
        LinkKind.GUEST, OWN, slice=2, guest_mac=OTHER_MAC, addresses=others, gateways=gateways
    )
    add_channel(tables, 1, receiver("lan", 1))
    add_channel(tables, 2, receiver("tap2", 2, kind=EndpointKind.GUEST))
    bound = Socket(ip_address(OWN_IP), BOUND)
    tables.binding |= {
        BindingKey(LinkKey("tap"), bound): Binding(target(1)),
        BindingKey(LinkKey("tap2"), Socket(ip_address(OTHER_IP), BOUND + 1)): Binding(target(1)),
    }
    peer = PeerKey(bound, Socket(ip_address(PEER), 9))
    tables.peer[peer] = Peer("lan", 0, OWN, FAR, Socket(ip_address("10.9.0.2"), 5000))

    def play(act: Callable[[SteeringProgram, Guest], None]) -> None:
        with SteeringProgram.load(pin_directory=None) as program:
            program.apply(tables)
            for device in ("lan", "tap", "tap2"):
                program.attach(device)
            act(program, guest)

    yield lambda act: unit.inside(lambda: play(act))
    guest.close()
    assert lan.rest() == []


def bound_datagram(source: str = OWN_IP, to: str = GATEWAY, port: int = BOUND, **more: object) -> bytes:
    fields: dict[str, object] = {
        "source": source,
        "destination": to,
        "source_port": port,
        "ether": (GUEST, OWN),
    }
    return datagram(**({"port": 1} | fields | more))  # type: ignore[arg-type]


def to_gateway(payload: Packet, source: str = OWN_IP, to: str = GATEWAY) -> Packet:
    six = ":" in source
    layer = IPv6(src=source, dst=to, hlim=255) if six else IP(src=source, dst=to)
    return Ether(src=str(GUEST), dst=str(OWN)) / layer / payload


def arp(sender: str = OWN_IP, mac: Mac = GUEST, wanted: str = GATEWAY) -> Packet:
    body = ARP(op=1, hwsrc=str(mac), psrc=sender, pdst=wanted)
    return Ether(src=str(GUEST), dst="ff:ff:ff:ff:ff:ff") / body


def dhcp(source: str = "0.0.0.0") -> Packet:
    layer = IP(src=source, dst="255.255.255.255") / UDP(sport=68, dport=67) / Raw(b"x" * 240)
    return Ether(src=str(GUEST), dst="ff:ff:ff:ff:ff:ff") / layer


def solicit(source: str = OWN_IP6) -> Packet:
    return to_gateway(ICMPv6ND_NS(tgt=GATEWAY6), source, GATEWAY6)


def fragment() -> Packet:
    frame = to_gateway(UDP(sport=BOUND, dport=1) / Raw(b"x"))
    frame[IP].flags = "MF"
    return frame


ATTEMPTS: dict[str, tuple[Packet | bytes, Drop]] = {
    "another MAC": (bound_datagram(ether=(OTHER_MAC, OWN)), Drop.SPOOFED_MAC),
    "the unit's MAC": (bound_datagram(ether=(OWN, OWN)), Drop.SPOOFED_MAC),
    "another address": (bound_datagram(OTHER_IP), Drop.SPOOFED_ADDRESS),
    "the gateway's address": (bound_datagram(GATEWAY), Drop.SPOOFED_ADDRESS),
    "no address": (bound_datagram("0.0.0.0"), Drop.SPOOFED_ADDRESS),
    "a multicast source": (bound_datagram("224.0.0.1"), Drop.BAD_ADDRESS),
    "another IPv6 address": (bound_datagram(OTHER_IP6, GATEWAY6), Drop.SPOOFED_ADDRESS),
    "the neighbour's port": (bound_datagram(port=BOUND + 1), Drop.NO_BINDING),
    "the bound port by IPv6": (bound_datagram(OWN_IP6, GATEWAY6), Drop.NO_BINDING),
    "a session's public port": (bound_datagram(to="10.9.0.2", port=5000), Drop.GUEST_FORBIDDEN),
    "the neighbour": (bound_datagram(to=OTHER_IP), Drop.GUEST_FORBIDDEN),
    "an answer to nobody": (bound_datagram(to=ELSEWHERE), Drop.GUEST_FORBIDDEN),
    "an answer from another port": (bound_datagram(to=PEER, port=77), Drop.GUEST_FORBIDDEN),
    "the name port by UDP": (to_gateway(UDP(sport=BOUND, dport=7070) / Raw(b"x")), Drop.GUEST_FORBIDDEN),
    "another TCP port": (to_gateway(TCP(dport=22)), Drop.GUEST_FORBIDDEN),
    "the name port elsewhere": (to_gateway(TCP(dport=7070), to=ELSEWHERE), Drop.GUEST_FORBIDDEN),
    "echo elsewhere": (to_gateway(ICMP(), to=ELSEWHERE), Drop.GUEST_FORBIDDEN),
    "echo from the neighbour": (to_gateway(ICMP(), OTHER_IP), Drop.SPOOFED_ADDRESS),
    "a redirect": (to_gateway(ICMP(type=5)), Drop.GUEST_FORBIDDEN),
    "ARP for the neighbour's address": (arp(OTHER_IP), Drop.SPOOFED_ADDRESS),
    "ARP with the neighbour's MAC": (arp(mac=OTHER_MAC), Drop.SPOOFED_ADDRESS),
    "ARP about the neighbour": (arp(wanted=OTHER_IP), Drop.GUEST_FORBIDDEN),
    "ND from the neighbour": (solicit(OTHER_IP6), Drop.SPOOFED_ADDRESS),
    "an unknown protocol": (Ether(src=str(GUEST), dst=str(OWN), type=0x88CC) / b"lldp", Drop.GUEST_FORBIDDEN),
    "a VLAN of another": (
        Ether(src=str(GUEST), dst=str(OWN)) / Dot1Q(vlan=9) / IP() / UDP(),
        Drop.NO_LINK,
    ),
    "two tags": (Ether(src=str(GUEST), dst=str(OWN)) / Dot1Q() / Dot1Q() / IP() / UDP(), Drop.DOUBLE_TAGGED),
    "fragments": (fragment(), Drop.IP_FRAGMENT),
}


def test_no_attempt_gets_through_and_each_has_its_name(scene: Scene) -> None:
    def act(program: SteeringProgram, guest: Guest) -> None:
        for number, (attempt, (frame, reason)) in enumerate(ATTEMPTS.items(), 1):
            before = program.counters().drops.get(reason, 0)
            guest.send(frame)
            after = settled(program, number)
            assert after.drops.get(reason, 0) == before + 1, f"{attempt}: {after.drops}"
            assert (after.sent, after.to_host) == (0, 0), attempt

    scene(act)


def test_what_a_guest_may_do_is_done(scene: Scene, unit: Rig) -> None:
    lan = unit.wires["lan"]

    def act(program: SteeringProgram, guest: Guest) -> None:
        guest.send(bound_datagram())
        assert [host_of(frame) for frame in lan.receive(1)] == [1]
        guest.send(datagram(9, source=OWN_IP, source_port=BOUND, destination=PEER, ether=(GUEST, OWN)))
        (frame,) = lan.receive(1)
        assert frame[26:30] == ip_address("10.9.0.2").packed
        housekeeping = [
            arp(),
            arp("0.0.0.0", wanted=OWN_IP),
            dhcp(),
            dhcp(OWN_IP),
            to_gateway(ICMP()),
            to_gateway(TCP(dport=7070)),
            to_gateway(ICMPv6EchoRequest(), OWN_IP6, GATEWAY6),
            to_gateway(TCP(dport=7070), OWN_IP6, GATEWAY6),
            solicit(),
            solicit("fe80::1"),
            solicit("::"),
        ]
        for frame_ in housekeeping:
            guest.send(frame_)
        counters = settled(program, 2 + len(housekeeping))
        assert (counters.to_host, counters.drops) == (len(housekeeping), {})

    scene(act)


def test_a_flood_to_the_host_is_stopped_and_data_goes_on(scene: Scene, unit: Rig) -> None:
    lan = unit.wires["lan"]

    def act(program: SteeringProgram, guest: Guest) -> None:
        for _ in range(2000):
            guest.send(arp())
        guest.send(bound_datagram())
        assert len(lan.receive(1)) == 1
        counters = settled(program, 2001)
        assert counters.to_host >= 200
        assert counters.drops[Drop.GUEST_RATE] == 2000 - counters.to_host
        assert counters.drops[Drop.GUEST_RATE] > 0

    scene(act)
