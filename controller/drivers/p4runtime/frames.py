"""ARP (RFC 826) and neighbour discovery (RFC 4861) as bytes, read and written for a switch."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from controller.steering.model import Address, Mac

BROADCAST = Mac(b"\xff" * 6)
_ARP, _IPV6, _TAGS = 0x0806, 0x86DD, (0x8100, 0x88A8)
_ARP_HEADER = struct.pack("!HHBB", 1, 0x0800, 6, 4)
_REQUEST, _REPLY = 1, 2
_SOLICITATION, _ADVERTISEMENT = 135, 136
_SOLICITED, _OVERRIDE = 0x40000000, 0x20000000
_ICMPV6 = 58
_UNSPECIFIED = IPv6Address(0)
_ALL_NODES = IPv6Address("ff02::1")


@dataclass(frozen=True)
class Asked:
    """Somebody asks who has ``target``; ``sender`` is unspecified in a probe for duplicates."""

    vlan: int
    target: Address
    sender: Address
    sender_mac: Mac


@dataclass(frozen=True)
class Told:
    """Somebody says who has ``address``."""

    vlan: int
    address: Address
    mac: Mac


def read(frame: bytes) -> Asked | Told | None:
    """What a frame says; None if it is neither, or malformed."""
    if len(frame) < 18:
        return None
    vlan, offset = 0, 12
    if int.from_bytes(frame[12:14], "big") in _TAGS:
        vlan, offset = int.from_bytes(frame[14:16], "big") & 0xFFF, 16
    kind, payload = int.from_bytes(frame[offset : offset + 2], "big"), frame[offset + 2 :]
    if kind == _ARP:
        return _read_arp(vlan, payload)
    return _read_ndp(vlan, payload, Mac(frame[6:12])) if kind == _IPV6 else None


def _read_arp(vlan: int, packet: bytes) -> Asked | Told | None:
    if len(packet) < 28 or packet[:6] != _ARP_HEADER:
        return None
    operation = int.from_bytes(packet[6:8], "big")
    mac, sender, target = Mac(packet[8:14]), IPv4Address(packet[14:18]), IPv4Address(packet[24:28])
    if not _is_unicast(mac):
        return None
    if operation == _REQUEST:
        return Asked(vlan, target, sender, mac)
    return Told(vlan, sender, mac) if operation == _REPLY else None


def _read_ndp(vlan: int, packet: bytes, source_mac: Mac) -> Asked | Told | None:
    """Hop limit 255 says that nobody forwarded it; the checksum, that it arrived as it was sent."""
    if len(packet) < 64 or packet[6] != _ICMPV6 or packet[7] != 255:
        return None
    message = packet[40 : 40 + int.from_bytes(packet[4:6], "big")]
    sender, receiver = IPv6Address(packet[8:24]), IPv6Address(packet[24:40])
    if len(message) < 24 or message[1] != 0 or _checksum(sender, receiver, message) != 0:
        return None
    target = IPv6Address(message[8:24])
    if message[0] == _SOLICITATION:
        mac = _option(message[24:], 1) or source_mac
        return Asked(vlan, target, sender, mac) if _is_unicast(mac) else None
    if message[0] == _ADVERTISEMENT:
        mac = _option(message[24:], 2) or source_mac
        return Told(vlan, target, mac) if _is_unicast(mac) else None
    return None


def _option(options: bytes, wanted: int) -> Mac | None:
    """The link-layer address option of a kind."""
    while len(options) >= 8 and options[1]:
        if options[0] == wanted and options[1] == 1:
            return Mac(options[2:8])
        options = options[options[1] * 8 :]
    return None


def _is_unicast(mac: Mac) -> bool:
    return not mac.octets[0] & 1 and any(mac.octets)


def answer(asked: Asked, mac: Mac) -> bytes:
    """That ``asked.target`` is at ``mac``, to who asked."""
    if isinstance(asked.target, IPv4Address):
        return _arp(asked.vlan, asked.sender_mac, _REPLY, (mac, asked.target), asked.sender_mac, asked.sender)
    probe = asked.sender == _UNSPECIFIED
    receiver, receiver_mac = (
        (_ALL_NODES, _multicast(_ALL_NODES)) if probe else (asked.sender, asked.sender_mac)
    )
    flags = _OVERRIDE if probe else _OVERRIDE | _SOLICITED
    body = struct.pack("!I", flags) + asked.target.packed + b"\x02\x01" + mac.octets
    assert isinstance(receiver, IPv6Address)
    return _ndp(asked.vlan, mac, receiver_mac, _ADVERTISEMENT, asked.target, receiver, body)


def announcement(vlan: int, own: Address, mac: Mac) -> bytes:
    """That ``own`` is at ``mac``, to everybody: switches on the way learn where frames for it go."""
    if isinstance(own, IPv4Address):
        return question(vlan, own, own, mac)
    return answer(Asked(vlan, own, _UNSPECIFIED, mac), mac)


def question(vlan: int, target: Address, own: Address, own_mac: Mac, known: Mac | None = None) -> bytes:
    """Who has ``target``? To everybody, or to whom it was at last."""
    if isinstance(target, IPv4Address):
        nobody = Mac(bytes(6))
        return _arp(vlan, known or BROADCAST, _REQUEST, (own_mac, own), known or nobody, target)
    assert isinstance(own, IPv6Address)
    group = IPv6Address(b"\xff\x02" + bytes(9) + b"\x01\xff" + target.packed[13:])
    receiver, receiver_mac = (target, known) if known else (group, _multicast(group))
    body = bytes(4) + target.packed + b"\x01\x01" + own_mac.octets
    return _ndp(vlan, own_mac, receiver_mac, _SOLICITATION, own, receiver, body)


def _arp(
    vlan: int, receiver: Mac, operation: int, own: tuple[Mac, Address], their_mac: Mac, their: Address
) -> bytes:
    packet = _ARP_HEADER + operation.to_bytes(2, "big") + own[0].octets + own[1].packed
    return _ethernet(vlan, receiver, own[0], _ARP) + packet + their_mac.octets + their.packed


def _ndp(
    vlan: int, mac: Mac, receiver_mac: Mac, kind: int, source: IPv6Address, receiver: IPv6Address, body: bytes
) -> bytes:
    checksum = _checksum(source, receiver, bytes([kind, 0, 0, 0]) + body)
    message = bytes([kind, 0]) + checksum.to_bytes(2, "big") + body
    header = struct.pack("!IHBB", 6 << 28, len(message), _ICMPV6, 255) + source.packed + receiver.packed
    return _ethernet(vlan, receiver_mac, mac, _IPV6) + header + message


def _ethernet(vlan: int, receiver: Mac, source: Mac, kind: int) -> bytes:
    tag = struct.pack("!HH", _TAGS[0], vlan) if vlan else b""
    return receiver.octets + source.octets + tag + kind.to_bytes(2, "big")


def _multicast(group: IPv6Address) -> Mac:
    return Mac(b"\x33\x33" + group.packed[12:])


def _checksum(source: IPv6Address, receiver: IPv6Address, message: bytes) -> int:
    """RFC 4443, section 2.3; 0 of a message whose checksum is right."""
    data = source.packed + receiver.packed + struct.pack("!II", len(message), _ICMPV6) + message
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data[: len(data) & ~1]))
    if len(data) & 1:
        total += data[-1] << 8
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF
