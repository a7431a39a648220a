"""Golden cases about sections 1 to 3 of ``docs/steering.md``, and UDP: what is wrong with a frame itself."""

from __future__ import annotations

from scapy.layers.inet import ICMP, IP, UDP, IPOption_NOP
from scapy.layers.inet6 import (
    ICMPv6ND_NS,
    IPv6,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.packet import Raw

from controller.steering.drops import Drop
from controller.steering.model import (
    Endpoint,
    EndpointKind,
)
from tests.conformance.golden.tables import (
    BROADCAST,
    GOOD,
    GOOD6,
    GOOD_OUT,
    INSTANCE,
    INSTANCE6,
    PUBLIC,
    PUBLIC6,
    SOURCE,
    SOURCE6,
    from_outside,
    steered,
    to_unit,
)
from tests.conformance.network import (
    LAN,
    LAN_MAC,
    ROUTER_MAC,
    UNIT_MAC,
    WAN,
    WAN_MAC,
    socket,
)
from tests.conformance.script import HOST, Script, case, ethernet, ip, lost, out

# 1. Frame


@case("R9", "D14", edge=True)
def a_datagram_is_rewritten_and_passed_on() -> Script:
    script = Script(steered())
    script.arrives(WAN, GOOD, out(LAN, GOOD_OUT, channel=1))
    six = from_outside(ip(SOURCE6, PUBLIC6))
    script.arrives(WAN, six, out(LAN, to_unit(ip(SOURCE6, INSTANCE6, ttl=63)), channel=2))
    return script


@case("R9", edge=True)
def a_frame_shorter_than_its_headers_is_malformed() -> Script:
    script = Script(steered())
    tag = Ether(src=str(ROUTER_MAC), dst=str(WAN_MAC)) / Dot1Q(vlan=7)
    script.arrives(WAN, bytes(tag)[:16], lost(Drop.MALFORMED_ETHERNET))
    script.arrives(WAN, bytes(tag)[:14], lost(Drop.MALFORMED_ETHERNET))
    return script


@case("R9", edge=True)
def a_frame_shorter_than_an_ethernet_header_is_malformed() -> Script:
    script = Script(steered())
    script.arrives(WAN, GOOD[:13], lost(Drop.MALFORMED_ETHERNET))
    script.arrives(WAN, b"", lost(Drop.MALFORMED_ETHERNET))
    return script


@case("R9", edge=True)
def two_tags_are_refused() -> Script:
    script = Script(steered())
    double = ethernet(ROUTER_MAC, WAN_MAC, Dot1Q(vlan=7) / ip(SOURCE, PUBLIC), vlan=7)
    script.arrives(WAN, double, lost(Drop.DOUBLE_TAGGED))
    service = (
        Ether(src=str(ROUTER_MAC), dst=str(WAN_MAC)) / Dot1AD(vlan=7) / Dot1Q(vlan=7) / ip(SOURCE, PUBLIC)
    )
    script.arrives(WAN, bytes(service), lost(Drop.DOUBLE_TAGGED))
    return script


@case("R9", edge=True)
def a_vlan_that_is_not_ours_has_no_link() -> Script:
    script = Script(steered())
    script.arrives(WAN, from_outside(ip(SOURCE, PUBLIC), vlan=99), lost(Drop.NO_LINK))
    return script


@case("R9", edge=True)
def a_priority_tag_counts_as_none_and_a_service_tag_as_one() -> Script:
    script = Script(steered())
    priority = Ether(src=str(ROUTER_MAC), dst=str(WAN_MAC)) / Dot1Q(prio=5, vlan=0) / ip(SOURCE, PUBLIC)
    script.arrives(WAN, bytes(priority), out(LAN, GOOD_OUT, channel=1))
    service = Ether(src=str(ROUTER_MAC), dst=str(WAN_MAC)) / Dot1AD(vlan=99) / ip(SOURCE, PUBLIC)
    script.arrives(WAN, bytes(service), lost(Drop.NO_LINK))
    marked = Ether(src=str(UNIT_MAC), dst=str(LAN_MAC)) / Dot1AD(prio=3, dei=1, vlan=5) / ip(SOURCE, PUBLIC)
    script.arrives(LAN, bytes(marked), out(LAN, GOOD_OUT, channel=1))
    return script


@case("R9", edge=True)
def a_tag_is_written_where_the_endpoint_wants_one() -> Script:
    tables = steered()
    tables.endpoint[1] = Endpoint(EndpointKind.NODE, LAN, LAN_MAC, UNIT_MAC, INSTANCE, vlan=5)
    script = Script(tables)
    tagged = ethernet(LAN_MAC, UNIT_MAC, ip(SOURCE, INSTANCE, ttl=63), vlan=5)
    script.arrives(WAN, GOOD, out(LAN, tagged, channel=1))
    from_tagged = ethernet(UNIT_MAC, LAN_MAC, ip(SOURCE, PUBLIC), vlan=5)
    script.arrives(LAN, from_tagged, out(LAN, tagged, channel=1))
    return script


@case("R9", edge=True)
def a_frame_to_another_mac_is_not_ours() -> Script:
    script = Script(steered())
    script.arrives(WAN, ethernet(ROUTER_MAC, UNIT_MAC, ip(SOURCE, PUBLIC)), lost(Drop.NOT_FOR_US))
    broadcast = bytes(Ether(src=str(ROUTER_MAC), dst=BROADCAST) / ip(SOURCE, PUBLIC))
    script.arrives(WAN, broadcast, out(LAN, GOOD_OUT, channel=1))
    return script


# 2. Which protocol


@case("R9", edge=True)
def arp_goes_to_the_host() -> Script:
    script = Script(steered())
    request = Ether(src=str(ROUTER_MAC), dst=BROADCAST) / ARP(psrc="192.0.2.254", pdst="192.0.2.1")
    script.arrives(WAN, bytes(request), HOST)
    script.arrives(WAN, bytes(request)[:20], HOST)
    return script


@case("R9", edge=True)
def what_is_not_ip_is_dropped_or_left_to_the_host() -> Script:
    lldp = bytes(Ether(src=str(ROUTER_MAC), dst="01:80:c2:00:00:0e", type=0x88CC) / Raw(b"\x02\x07\x04"))
    script = Script(steered())
    script.arrives(WAN, lldp, lost(Drop.NOT_IP))
    tagged = Ether(src=str(UNIT_MAC), dst="01:80:c2:00:00:0e") / Dot1Q(vlan=5, type=0x88CC) / Raw(b"\x02")
    script.arrives(LAN, bytes(tagged), HOST)
    return script


@case("R9", edge=True)
def what_is_not_udp_is_dropped_or_left_to_the_host() -> Script:
    ping = IP(src=str(SOURCE.address), dst=str(PUBLIC.address)) / ICMP()
    script = Script(steered())
    script.arrives(WAN, from_outside(ping), lost(Drop.NO_FLOW))
    script.arrives(LAN, ethernet(UNIT_MAC, LAN_MAC, ping, vlan=5), HOST)
    detection = IPv6(src="::", dst="ff02::1:ff00:1", hlim=64) / ICMPv6ND_NS(tgt=str(PUBLIC6.address))
    script.arrives(WAN, from_outside(detection), lost(Drop.NO_FLOW))
    return script


# 3. IP header


def _spoilt(offset: int, *octets: int, base: bytes = GOOD) -> bytes:
    """A good frame with some bytes of its IP header replaced; the checksum of an IPv4 header made right."""
    frame = bytearray(base)
    frame[14 + offset : 14 + offset + len(octets)] = bytes(octets)
    if frame[14] >> 4 == 4:
        header = IP(bytes(frame[14:34]))
        header.chksum = None
        frame[14:34] = bytes(header)[:20]
        frame[14] = octets[0] if offset == 0 else frame[14]
    return bytes(frame)


@case("R9", edge=True)
def inconsistent_ip_lengths_and_versions_are_malformed() -> Script:
    script = Script(steered())
    for frame in (
        _spoilt(0, 0x55),
        _spoilt(0, 0x65),
        _spoilt(0, 0x44),  # a header of 16 bytes
        _spoilt(2, 0, 19),  # a total length below the header's
        _spoilt(2, 0, 36),  # one byte more than the frame holds
        GOOD[: 14 + 19],
        GOOD[:14],
        GOOD6[: 14 + 39],
        _spoilt(4, 0, 16, base=GOOD6),  # one byte more than the frame holds
        _spoilt(0, 0x40, base=GOOD6),
    ):
        script.arrives(WAN, frame, lost(Drop.MALFORMED_IP))
    return script


@case("R9", edge=True)
def a_wrong_header_checksum_is_dropped() -> Script:
    script = Script(steered())
    frame = bytearray(GOOD)
    frame[14 + 10] ^= 1
    script.arrives(WAN, bytes(frame), lost(Drop.BAD_IP_CHECKSUM))
    return script


@case("R9", edge=True)
def options_fragments_and_extensions_are_dropped_by_name() -> Script:
    script = Script(steered())
    options = IP(src=str(SOURCE.address), dst=str(PUBLIC.address), options=[IPOption_NOP()] * 4)
    script.arrives(WAN, from_outside(options / UDP(sport=1, dport=5000)), lost(Drop.IP_OPTIONS))
    for flags, offset in (("MF", 0), (0, 5), ("MF", 7)):
        fragment = ip(SOURCE, PUBLIC, flags=flags, frag=offset)
        script.arrives(WAN, from_outside(fragment), lost(Drop.IP_FRAGMENT))
    kept = ip(SOURCE, PUBLIC, flags="DF", id=77, tos=0xB8)
    rewritten = ip(SOURCE, INSTANCE, ttl=63, flags="DF", id=77, tos=0xB8)
    script.arrives(WAN, from_outside(kept), out(LAN, to_unit(rewritten), channel=1))
    six = IPv6(src=str(SOURCE6.address), dst=str(PUBLIC6.address))
    datagram = UDP(sport=4000, dport=5000) / Raw(b"payload")
    for extension in (IPv6ExtHdrHopByHop(), IPv6ExtHdrFragment()):
        script.arrives(WAN, from_outside(six / extension / datagram), lost(Drop.IPV6_EXTENSION))
    for number in (43, 51, 60, 135, 139, 140, 253, 254):
        script.arrives(WAN, _spoilt(6, number, base=GOOD6), lost(Drop.IPV6_EXTENSION))
    return script


@case("R9", edge=True)
def sources_that_nobody_has_are_dropped() -> Script:
    script = Script(steered())
    for address in (
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
    ):
        script.arrives(WAN, from_outside(ip(socket(address, 1), PUBLIC)), lost(Drop.BAD_ADDRESS))
    for address in ("::", "::1", "ff02::1"):
        script.arrives(WAN, from_outside(ip(socket(address, 1), PUBLIC6)), lost(Drop.BAD_ADDRESS))
    return script


@case("R9", edge=True)
def ethernet_padding_is_cut_off() -> Script:
    script = Script(steered())
    script.arrives(WAN, GOOD + bytes(11), out(LAN, GOOD_OUT, channel=1))
    script.arrives(WAN, GOOD6 + b"x", out(LAN, to_unit(ip(SOURCE6, INSTANCE6, ttl=63)), channel=2))
    return script


# 5. UDP


@case("R9", edge=True)
def inconsistent_udp_lengths_are_malformed() -> Script:
    script = Script(steered())
    for length in (0, 7, 8, 14, 16):
        packet = ip(SOURCE, PUBLIC)
        packet[UDP].len = length
        script.arrives(WAN, from_outside(packet), lost(Drop.MALFORMED_UDP))
    stump = IP(src=str(SOURCE.address), dst=str(PUBLIC.address), proto=17) / Raw(b"1234567")
    script.arrives(WAN, from_outside(stump), lost(Drop.MALFORMED_UDP))
    return script


@case("R9", edge=True)
def udp_checksums_are_kept_true() -> Script:
    script = Script(steered())
    unchecked, unchecked_out = ip(SOURCE, PUBLIC), ip(SOURCE, INSTANCE, ttl=63)
    unchecked[UDP].chksum = unchecked_out[UDP].chksum = 0
    script.arrives(WAN, from_outside(unchecked), out(LAN, to_unit(unchecked_out), channel=1))
    six = ip(SOURCE6, PUBLIC6)
    six[UDP].chksum = 0
    script.arrives(WAN, from_outside(six), lost(Drop.UDP6_ZERO_CHECKSUM))
    wrong, right_out = ip(SOURCE, PUBLIC), IP(bytes(ip(SOURCE, INSTANCE, ttl=63)))
    wrong[UDP].chksum = IP(bytes(ip(SOURCE, PUBLIC)))[UDP].chksum - 1
    right_out[UDP].chksum -= 1
    script.arrives(WAN, from_outside(wrong), out(LAN, to_unit(right_out), channel=1))
    # A payload that makes the new checksum 0, which is written as 0xffff.
    plain = IP(bytes(ip(SOURCE, INSTANCE, ttl=63, load=b"\0\0")))[UDP].chksum
    load = plain.to_bytes(2, "big")
    nought = ip(SOURCE, INSTANCE, ttl=63, load=load)
    nought[UDP].chksum = 0xFFFF
    script.arrives(WAN, from_outside(ip(SOURCE, PUBLIC, load=load)), out(LAN, to_unit(nought), channel=1))
    return script
