"""Frames to ask about: what a source would put on the wire."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence

from dipronn.errors import InvalidSession, NotFound
from dipronn.v1 import node_pb2

_SOURCE_MAC = bytes.fromhex("02000000fffe")
_TTL = 64
_UDP = 17


def to_input(
    units: Sequence[node_pb2.UnitStatus], source: str, address: str, port: int, size: int
) -> tuple[str, str, bytes]:
    """The unit and device by which a packet to this address enters, and its frame."""
    for unit in units:
        for link in unit.links:
            if link.outside and any(address == one.split("/")[0] for one in link.addresses):
                frame = udp_frame(link.mac, link.vlan, *_socket(source), address, port, bytes(size))
                return unit.name, link.device, frame
    raise NotFound(f"no unit has the address {address} on a link to the outside")


def permitted_source(prefix: str, destination: str) -> str:
    """An address that may send: in the prefix if one is stated, else one of RFC 5737 or RFC 3849."""
    any_source = "192.0.2.0/24" if ipaddress.ip_address(destination).version == 4 else "2001:db8::/32"
    network = ipaddress.ip_network(prefix or any_source)
    return str(network[min(99, network.num_addresses - 1)])


def udp_frame(
    mac: bytes, vlan: int, source: str, source_port: int, destination: str, port: int, payload: bytes
) -> bytes:
    """An Ethernet frame with a correct UDP packet."""
    one, other = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    if one.version != other.version:
        raise InvalidSession(
            f"{source} and {destination} are of different families; state --from of the other"
        )
    length = 8 + len(payload)
    if one.version == 4:
        pseudo = one.packed + other.packed + struct.pack("!BBH", 0, _UDP, length)
        header = (
            struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0, _TTL, _UDP, 0) + one.packed + other.packed
        )
        header = header[:10] + struct.pack("!H", _checksum(header)) + header[12:]
        ethertype = 0x0800
    else:
        pseudo = one.packed + other.packed + struct.pack("!IHBB", length, 0, 0, _UDP)
        header = struct.pack("!IHBB", 6 << 28, length, _UDP, _TTL) + one.packed + other.packed
        ethertype = 0x86DD
    ports = struct.pack("!HHH", source_port, port, length)
    checksum = _checksum(pseudo + ports + b"\0\0" + payload) or 0xFFFF
    tag = struct.pack("!HH", 0x8100, vlan) if vlan else b""
    ethernet = mac + _SOURCE_MAC + tag + struct.pack("!H", ethertype)
    return ethernet + header + ports + struct.pack("!H", checksum) + payload


def _socket(text: str) -> tuple[str, int]:
    """ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT."""
    host, port = text, "40000"
    if text.startswith("["):
        host, _, port = text[1:].partition("]:")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        if not 0 < int(port) < 65536:
            raise ValueError(f"port {port} is not in 1..65535")
        return str(ipaddress.ip_address(host)), int(port)
    except ValueError as error:
        raise InvalidSession(f"bad address {text}: {error}") from error


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
