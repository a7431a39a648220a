"""Frames as the steering rules see them: parsed and checked, rewritten, built again.

Everything here is a pure function of bytes.  Numbers in square brackets are the steps of
``docs/steering.md``.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network

from controller.steering.drops import Drop
from controller.steering.model import UDP, Address, Mac, Socket

ETHERNET = 14
TAGS = (0x8100, 0x88A8)
ARP = 0x0806
IPV4 = 0x0800
IPV6 = 0x86DD

ICMP = 1
TCP = 6
ICMPV6 = 58

UNSPECIFIED_V4 = IPv4Address(0)
UNSPECIFIED_V6 = IPv6Address(0)
LINK_LOCAL_V6 = IPv6Network("fe80::/10")

_EXTENSIONS = frozenset({0, 43, 44, 51, 60, 135, 139, 140, 253, 254})
_BAD_SOURCES = tuple(
    ip_network(text)
    for text in ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "::", "::1", "ff00::/8")
)


class Dropped(Exception):
    """The packet ends here, for this reason."""

    def __init__(self, reason: Drop) -> None:
        super().__init__(reason.label)
        self.reason = reason


@dataclass(frozen=True)
class Ethernet:
    """``vlan`` is 0 without a tag and with a priority tag; ``payload`` stands behind the ethertype."""

    destination: Mac
    source: Mac
    vlan: int
    ethertype: int
    payload: bytes


def parse_ethernet(frame: bytes) -> Ethernet:
    """Read one Ethernet header with at most one VLAN tag [1, 2].  Raises ``Dropped``."""
    if len(frame) < ETHERNET:
        raise Dropped(Drop.MALFORMED_ETHERNET)
    (ethertype,) = struct.unpack_from("!H", frame, 12)
    vlan, offset = 0, ETHERNET
    if ethertype in TAGS:
        if len(frame) < ETHERNET + 4:
            raise Dropped(Drop.MALFORMED_ETHERNET)
        control, ethertype = struct.unpack_from("!HH", frame, ETHERNET)
        vlan, offset = control & 0x0FFF, ETHERNET + 4
        if ethertype in TAGS:
            raise Dropped(Drop.DOUBLE_TAGGED)
    return Ethernet(Mac(frame[:6]), Mac(frame[6:12]), vlan, ethertype, frame[offset:])


@dataclass(frozen=True)
class Arp:
    """An Ethernet/IPv4 ARP packet (RFC 826); the operation plays no part."""

    sender_mac: Mac
    sender: IPv4Address
    target: IPv4Address


def parse_arp(payload: bytes) -> Arp | None:
    """The ARP packet, or None when it is none for Ethernet and IPv4 [6]."""
    if len(payload) < 28 or struct.unpack_from("!HHBB", payload) != (1, IPV4, 6, 4):
        return None
    return Arp(Mac(payload[8:14]), IPv4Address(payload[14:18]), IPv4Address(payload[24:28]))


@dataclass(frozen=True)
class Datagram:
    """One IP packet without options or extensions.

    ``header`` is the 20 or 40 bytes of the IP header, ``payload`` what its length field claims: Ethernet
    padding is not part of it.  ``length`` counts both.
    """

    header: bytes
    payload: bytes
    protocol: int
    ttl: int
    source: Address
    destination: Address

    @property
    def length(self) -> int:
        return len(self.header) + len(self.payload)


def parse_ip(ethertype: int, data: bytes) -> Datagram:
    """Read and check an IP header [8].  Raises ``Dropped``."""
    return _parse_ipv4(data) if ethertype == IPV4 else _parse_ipv6(data)


def _parse_ipv4(data: bytes) -> Datagram:
    if len(data) < 20 or data[0] >> 4 != 4:
        raise Dropped(Drop.MALFORMED_IP)
    header_length = (data[0] & 0x0F) * 4
    total, _, fragment, ttl, protocol = struct.unpack_from("!HHHBB", data, 2)
    if header_length < 20 or not header_length <= total <= len(data):
        raise Dropped(Drop.MALFORMED_IP)
    if header_length > 20:
        raise Dropped(Drop.IP_OPTIONS)
    header = data[:20]
    if checksum(header) != 0:
        raise Dropped(Drop.BAD_IP_CHECKSUM)
    if fragment & 0x3FFF:
        raise Dropped(Drop.IP_FRAGMENT)
    return Datagram(header, data[20:total], protocol, ttl, IPv4Address(data[12:16]), IPv4Address(data[16:20]))


def _parse_ipv6(data: bytes) -> Datagram:
    if len(data) < 40 or data[0] >> 4 != 6:
        raise Dropped(Drop.MALFORMED_IP)
    length, protocol, ttl = struct.unpack_from("!HBB", data, 4)
    if 40 + length > len(data):
        raise Dropped(Drop.MALFORMED_IP)
    if protocol == 0 and data[24:26] == b"\xff\x02":
        raise Dropped(Drop.MULTICAST_LISTENER)
    if protocol in _EXTENSIONS:
        raise Dropped(Drop.IPV6_EXTENSION)
    return Datagram(
        data[:40], data[40 : 40 + length], protocol, ttl, IPv6Address(data[8:24]), IPv6Address(data[24:40])
    )


def is_bad_source(source: Address) -> bool:
    """An address that no packet may come from [9], apart from the two exceptions there."""
    return any(source in network for network in _BAD_SOURCES)


@dataclass(frozen=True)
class Udp:
    """A UDP packet with consistent lengths."""

    datagram: Datagram
    source: Socket
    destination: Socket


def parse_udp(datagram: Datagram) -> Udp:
    """Check the UDP header [12].  Raises ``Dropped``."""
    if len(datagram.payload) < 8:
        raise Dropped(Drop.MALFORMED_UDP)
    source, destination, length, udp_checksum = struct.unpack_from("!4H", datagram.payload)
    if length != len(datagram.payload):
        raise Dropped(Drop.MALFORMED_UDP)
    if datagram.source.version == 6 and udp_checksum == 0:
        raise Dropped(Drop.UDP6_ZERO_CHECKSUM)
    return Udp(datagram, Socket(datagram.source, source), Socket(datagram.destination, destination))


def rewrite(udp: Udp, source: Socket | None = None, destination: Socket | None = None) -> bytes:
    """The IP/UDP packet with a TTL lower by one and the sockets that are not None replaced [21].

    The UDP checksum is adjusted by what changed (RFC 1624, equation 3) and not computed anew: a checksum that
    was wrong stays wrong, so that the receiver notices.
    """
    source, destination = source or udp.source, destination or udp.destination
    payload = udp.datagram.payload
    (old_checksum,) = struct.unpack_from("!H", payload, 6)
    new_checksum = 0
    if old_checksum:  # 0 in IPv4: the sender computed none, and so it stays
        before, after = _flow_bytes(udp.source, udp.destination), _flow_bytes(source, destination)
        new_checksum = adjust(old_checksum, before, after) or 0xFFFF
    header = _header(replace(udp.datagram, source=source.address, destination=destination.address))
    ports = struct.pack("!HH", source.port, destination.port)
    return header + ports + payload[4:6] + struct.pack("!H", new_checksum) + payload[8:]


def _flow_bytes(source: Socket, destination: Socket) -> bytes:
    ports = struct.pack("!HH", source.port, destination.port)
    return source.address.packed + destination.address.packed + ports


def _header(datagram: Datagram) -> bytes:
    """The IP header with the datagram's addresses, a TTL lower by one and a right checksum."""
    addresses = datagram.source.packed + datagram.destination.packed
    if datagram.source.version == 6:
        return datagram.header[:7] + bytes([datagram.ttl - 1]) + addresses
    start = datagram.header[:8] + bytes([datagram.ttl - 1, datagram.protocol])
    return start + struct.pack("!H", checksum(start + b"\0\0" + addresses)) + addresses


def frame_of(packet: bytes, destination: Mac, source: Mac, vlan: int) -> bytes:
    """An Ethernet frame around an IP packet; with a tag if ``vlan`` is not 0."""
    tag = struct.pack("!HH", 0x8100, vlan) if vlan else b""
    ethertype = IPV4 if packet[0] >> 4 == 4 else IPV6
    return destination.octets + source.octets + tag + struct.pack("!H", ethertype) + packet


def flow_hash(udp: Udp) -> int:
    """CRC-32 (IEEE, as zlib) of addresses, protocol and ports in network order [17]."""
    addresses = udp.source.address.packed + udp.destination.address.packed
    return zlib.crc32(addresses + struct.pack("!BHH", UDP, udp.source.port, udp.destination.port))


def checksum(data: bytes) -> int:
    """The Internet checksum of an even number of bytes (RFC 1071); 0 over data with a right one inside."""
    return ~_fold(_words(data)) & 0xFFFF


def adjust(old: int, before: bytes, after: bytes) -> int:
    """``old`` after ``before`` became ``after``, both of one even length (RFC 1624, equation 3)."""
    inverted = bytes(~octet & 0xFF for octet in before)
    return ~_fold((~old & 0xFFFF) + _words(inverted) + _words(after)) & 0xFFFF


def _words(data: bytes) -> int:
    return sum(struct.unpack(f"!{len(data) // 2}H", data))


def _fold(total: int) -> int:
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total
