"""Golden cases about sections 2 and 4 of ``docs/steering.md``: what a guest may say to the host."""

from __future__ import annotations

from typing import Any

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6MLReport2,
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6ND_RS,
    IPv6,
    IPv6ExtHdrHopByHop,
    RouterAlert,
)
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet, Raw

from controller.steering.drops import Drop
from tests.conformance.golden.tables import (
    BROADCAST,
    PUBLIC,
    from_guest,
    from_outside,
    steered,
)
from tests.conformance.network import (
    GUEST0_MAC,
    GUEST1_MAC,
    LAN,
    LAN_MAC,
    UNIT_MAC,
    VM0,
    VM0_MAC,
    WAN,
    WAN_MAC,
    socket,
)
from tests.conformance.script import HOST, Script, case, ethernet, ip, lost


def _arp(mac: str, sender: str, target: str, **fields: Any) -> bytes:
    header = Ether(src=str(GUEST0_MAC), dst=BROADCAST)
    return bytes(header / ARP(hwsrc=mac, psrc=sender, pdst=target, **fields))


@case("R9", "D27", edge=False)
def a_guest_may_only_use_its_own_mac() -> Script:
    script = Script(steered(guests=True))
    script.arrives(
        VM0, ethernet(GUEST1_MAC, VM0_MAC, ip(socket("10.0.3.2", 1), PUBLIC)), lost(Drop.SPOOFED_MAC)
    )
    script.arrives(
        VM0, ethernet(GUEST0_MAC, WAN_MAC, ip(socket("10.0.3.2", 1), PUBLIC)), lost(Drop.NOT_FOR_US)
    )
    return script


@case("R9", "D27", edge=False)
def a_guest_may_ask_by_arp_for_its_gateway_only() -> Script:
    script = Script(steered(guests=True))
    own = str(GUEST0_MAC)
    script.arrives(VM0, _arp(own, "10.0.3.2", "10.0.3.1"), HOST)
    script.arrives(VM0, _arp(own, "0.0.0.0", "10.0.3.3"), HOST)
    script.arrives(VM0, _arp(own, "10.0.3.3", "10.0.3.3", op=2), HOST)
    script.arrives(VM0, _arp(str(GUEST1_MAC), "10.0.3.2", "10.0.3.1"), lost(Drop.SPOOFED_ADDRESS))
    script.arrives(VM0, _arp(own, "10.0.4.2", "10.0.3.1"), lost(Drop.SPOOFED_ADDRESS))
    script.arrives(VM0, _arp(own, "10.0.3.1", "10.0.3.2"), lost(Drop.SPOOFED_ADDRESS))
    script.arrives(VM0, _arp(own, "10.0.3.2", "10.0.4.2"), lost(Drop.GUEST_FORBIDDEN))
    script.arrives(VM0, _arp(own, "10.0.3.2", "10.0.3.1", hwtype=6), lost(Drop.GUEST_FORBIDDEN))
    script.arrives(VM0, _arp(own, "10.0.3.2", "10.0.3.1", ptype=0x86DD), lost(Drop.GUEST_FORBIDDEN))
    script.arrives(VM0, _arp(own, "10.0.3.2", "10.0.3.1")[:41], lost(Drop.GUEST_FORBIDDEN))
    return script


@case("R9", "D27", edge=False)
def a_guest_may_discover_its_neighbours() -> Script:
    script = Script(steered(guests=True))
    solicitation = ICMPv6ND_NS(tgt="fd00:3::1")
    for source in ("fd00:3::2", "fe80::1", "::"):
        script.arrives(VM0, from_guest(IPv6(src=source, dst="ff02::1:ff00:1", hlim=255) / solicitation), HOST)
    for message in (ICMPv6ND_RS(), ICMPv6ND_NA(tgt="fd00:3::2")):
        script.arrives(VM0, from_guest(IPv6(src="fe80::1", dst="ff02::2", hlim=255) / message), HOST)
    routed = IPv6(src="fd00:3::2", dst="ff02::1:ff00:1", hlim=64) / solicitation
    script.arrives(VM0, from_guest(routed), lost(Drop.GUEST_FORBIDDEN))
    foreign = IPv6(src="fd00:4::2", dst="ff02::1:ff00:1", hlim=255) / solicitation
    script.arrives(VM0, from_guest(foreign), lost(Drop.SPOOFED_ADDRESS))
    return script


@case("R9", edge=True)
def neighbours_of_the_unit_are_heard_on_every_link() -> Script:
    script = Script(steered())
    known = "fd00:9::9"
    messages: tuple[Packet, ...] = (ICMPv6ND_RS(), ICMPv6ND_RA(), ICMPv6ND_Redirect())
    messages += (ICMPv6ND_NS(tgt=known), ICMPv6ND_NA(tgt=known))
    for message in messages:
        heard = IPv6(src="fe80::9", dst="ff02::1", hlim=255) / message
        script.arrives(WAN, from_outside(heard), HOST)
        script.arrives(LAN, ethernet(UNIT_MAC, LAN_MAC, heard), HOST)
        routed = IPv6(src="fe80::9", dst="ff02::1", hlim=254) / message
        script.arrives(WAN, from_outside(routed), lost(Drop.NO_FLOW))
    short = IPv6(src="fe80::9", dst="ff02::1", hlim=255, nh=58) / Raw(b"\x87" + bytes(6))
    script.arrives(WAN, from_outside(short), lost(Drop.NO_FLOW))
    ping = IPv6(src="fe80::9", dst="ff02::1", hlim=255) / ICMPv6EchoRequest()
    script.arrives(WAN, from_outside(ping), lost(Drop.NO_FLOW))
    return script


def _listener_report(group: str) -> Packet:
    hop_by_hop = IPv6ExtHdrHopByHop(options=[RouterAlert()])
    return IPv6(src="fe80::9", dst=group, hlim=1) / hop_by_hop / ICMPv6MLReport2()


@case("R9", edge=True)
def listeners_to_groups_are_named() -> Script:
    script = Script(steered())
    script.arrives(WAN, from_outside(_listener_report("ff02::16")), lost(Drop.MULTICAST_LISTENER))
    script.arrives(WAN, from_outside(_listener_report("ff05::16")), lost(Drop.IPV6_EXTENSION))
    return script


@case("R9", edge=False)
def guests_that_listen_to_groups_are_named() -> Script:
    script = Script(steered(guests=True))
    script.arrives(VM0, from_guest(_listener_report("ff02::16")), lost(Drop.MULTICAST_LISTENER))
    return script


@case("R9", "D27", edge=False)
def a_guest_may_ping_its_gateway_and_register_names() -> Script:
    script = Script(steered(guests=True))
    script.arrives(VM0, from_guest(IP(src="10.0.3.2", dst="10.0.3.1") / ICMP()), HOST)
    script.arrives(VM0, from_guest(IPv6(src="fd00:3::2", dst="fd00:3::1") / ICMPv6EchoRequest()), HOST)
    script.arrives(VM0, from_guest(IP(src="10.0.3.3", dst="10.0.3.1") / TCP(sport=40000, dport=7070)), HOST)
    forbidden: tuple[Packet, ...] = (
        IP(src="10.0.3.2", dst="10.0.4.2") / ICMP(),
        IP(src="10.0.3.2", dst="10.0.3.1") / ICMP(type=0),
        IP(src="10.0.3.2", dst="10.0.3.1", proto=1) / Raw(b"\x08\0\0\0\0\0\0"),
        IP(src="10.0.3.2", dst="10.0.3.1") / TCP(dport=22),
        IP(src="10.0.3.2", dst="10.0.4.1") / TCP(dport=7070),
        IP(src="10.0.3.2", dst="10.0.3.1", proto=6) / Raw(bytes(TCP(dport=7070))[:19]),
        IP(src="10.0.3.2", dst="10.0.3.1", proto=47) / Raw(bytes(20)),
        IP(src="10.0.3.2", dst="10.0.3.1", proto=58) / Raw(b"\x80" + bytes(19)),
    )
    for packet in forbidden:
        script.arrives(VM0, from_guest(packet), lost(Drop.GUEST_FORBIDDEN))
    six: tuple[Packet, ...] = (
        IPv6(src="fd00:3::2", dst="fd00:4::1") / ICMPv6EchoRequest(),
        IPv6(src="fd00:3::2", dst="fd00:4::1") / TCP(dport=7070),
        IPv6(src="fd00:3::2", dst="fd00:3::1") / TCP(dport=7071),
        IPv6(src="fd00:3::2", dst="fd00:3::1", nh=58) / Raw(b"\x80" + bytes(6)),
        IPv6(src="fd00:3::2", dst="fd00:3::1", nh=1) / Raw(b"\x08" + bytes(19)),
    )
    for six_packet in six:
        script.arrives(VM0, from_guest(six_packet), lost(Drop.GUEST_FORBIDDEN))
    script.arrives(VM0, from_guest(IPv6(src="fd00:3::2", dst="fd00:3::1") / TCP(dport=7070)), HOST)
    # Ethernet padding is no part of a header that is cut short.
    for packet in (forbidden[2], forbidden[5]):
        script.arrives(VM0, from_guest(packet) + bytes(20), lost(Drop.GUEST_FORBIDDEN))
    spoofed: tuple[Packet, ...] = (
        IP(src="10.0.4.2", dst="10.0.3.1") / ICMP(),
        IP(src="10.0.3.1", dst="10.0.3.1") / TCP(dport=7070),
        IPv6(src="fe80::1", dst="fd00:3::1") / ICMPv6EchoRequest(),
    )
    for packet in spoofed:
        script.arrives(VM0, from_guest(packet), lost(Drop.SPOOFED_ADDRESS))
    return script


@case("R9", "D27", edge=False)
def a_guest_may_ask_for_its_addresses() -> Script:
    script = Script(steered(guests=True))
    discover = (
        UDP(sport=68, dport=67) / BOOTP(chaddr=GUEST0_MAC.octets) / DHCP(options=[("message-type", 1), "end"])
    )
    script.arrives(VM0, from_guest(IP(src="0.0.0.0", dst="255.255.255.255") / discover), HOST)
    script.arrives(VM0, from_guest(IP(src="10.0.3.2", dst="10.0.3.1") / discover), HOST)
    script.arrives(VM0, from_guest(IP(src="10.0.4.2", dst="10.0.3.1") / discover), lost(Drop.SPOOFED_ADDRESS))
    six = UDP(sport=546, dport=547) / Raw(b"\x01\0\0\0")
    script.arrives(VM0, from_guest(IPv6(src="fe80::1", dst="ff02::1:2") / six), HOST)
    script.arrives(VM0, from_guest(IPv6(src="fd00:4::2", dst="ff02::1:2") / six), lost(Drop.SPOOFED_ADDRESS))
    own = IPv6(src="fd00:3::2", dst="ff02::1:2") / six
    script.arrives(VM0, from_guest(own), lost(Drop.GUEST_FORBIDDEN))
    for sport, dport in ((545, 547), (546, 548)):
        strange = IPv6(src="fe80::1", dst="ff02::1:2") / UDP(sport=sport, dport=dport)
        script.arrives(VM0, from_guest(strange), lost(Drop.SPOOFED_ADDRESS))
    nothing = ip(socket("0.0.0.0", 69), socket("255.255.255.255", 67))
    script.arrives(VM0, from_guest(nothing), lost(Drop.SPOOFED_ADDRESS))
    stump = IP(src="0.0.0.0", dst="255.255.255.255", proto=17) / Raw(b"\0\x44")
    script.arrives(VM0, from_guest(stump), lost(Drop.MALFORMED_UDP))
    script.arrives(VM0, from_guest(IP(src="0.0.0.0", dst="10.0.3.1") / ICMP()), lost(Drop.BAD_ADDRESS))
    return script


@case("R9", "D27", edge=False)
def a_guest_sends_nothing_but_arp_and_ip() -> Script:
    script = Script(steered(guests=True))
    lldp = Ether(src=str(GUEST0_MAC), dst="01:80:c2:00:00:0e", type=0x88CC) / Raw(b"\x02\x07\x04")
    script.arrives(VM0, bytes(lldp), lost(Drop.GUEST_FORBIDDEN))
    return script


@case("R9", "D27", edge=False)
def a_guest_may_not_flood_the_host() -> Script:
    script = Script(steered(guests=True))
    request = _arp(str(GUEST0_MAC), "10.0.3.2", "10.0.3.1")
    for _ in range(200):
        script.arrives(VM0, request, HOST)
    script.arrives(VM0, request, lost(Drop.GUEST_RATE))
    script.arrives(VM0, _arp(str(GUEST0_MAC), "10.0.3.2", "10.0.4.2"), lost(Drop.GUEST_FORBIDDEN))
    script.arrives(VM0, request, HOST, wait=0.0075)
    script.arrives(VM0, request, lost(Drop.GUEST_RATE))
    return script
