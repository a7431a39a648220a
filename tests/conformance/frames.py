"""Frames that Hypothesis breaks on purpose: a UDP packet field by field, right unless told otherwise.

Built without scapy, for speed, and without the oracle's code, so that both cannot be wrong in the same way.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from controller.steering.model import Address, Mac


@dataclass(frozen=True)
class Frame:
    """None stands for the right value, or for no VLAN tag."""

    destination_mac: Mac
    source_mac: Mac
    source: Address
    destination: Address
    source_port: int = 4000
    destination_port: int = 5000
    ttl: int = 64
    load: bytes = b""
    vlan: int | None = None
    tag_type: int = 0x8100
    second_tag: bool = False
    ethertype: int | None = None
    protocol: int = 17
    layer4: bytes | None = None
    """Instead of a UDP header and ``load``."""
    version: int | None = None
    header_words: int = 5
    options: bytes = b""
    tos: int = 0
    fragment: int = 0x4000
    length_error: int = 0
    checksum_error: int = 0
    udp_length_error: int = 0
    udp_checksum: int | None = None
    padding: bytes = b""
    cut: int | None = None
    """Keep only so many bytes."""

    def build(self) -> bytes:
        tag = b""
        if self.vlan is not None:
            tag = struct.pack("!HH", self.tag_type, self.vlan)
        if self.second_tag:
            tag += struct.pack("!HH", 0x8100, 7)
        ethertype = self.ethertype
        if ethertype is None:
            ethertype = 0x0800 if self.source.version == 4 else 0x86DD
        header = self.destination_mac.octets + self.source_mac.octets + tag + struct.pack("!H", ethertype)
        packet = self._ipv4() if self.source.version == 4 else self._ipv6()
        return (header + packet + self.padding)[: self.cut]

    def _ipv4(self) -> bytes:
        payload = self._payload()
        version = 4 if self.version is None else self.version
        length = max(0, 20 + len(self.options) + len(payload) + self.length_error) & 0xFFFF
        start = struct.pack(
            "!BBHHHBBH",
            version << 4 | self.header_words & 15,
            self.tos,
            length,
            0xBEEF,
            self.fragment,
            self.ttl,
            self.protocol,
            0,
        )
        header = start + self.source.packed + self.destination.packed + self.options
        total = (_sum(header) + self.checksum_error) & 0xFFFF
        return header[:10] + struct.pack("!H", total) + header[12:] + payload

    def _ipv6(self) -> bytes:
        payload = self._payload()
        version = 6 if self.version is None else self.version
        length = max(0, len(payload) + self.length_error) & 0xFFFF
        start = struct.pack(
            "!IHBB", version << 28 | self.tos << 20 | 0x12345, length, self.protocol, self.ttl
        )
        return start + self.source.packed + self.destination.packed + payload

    def _payload(self) -> bytes:
        if self.layer4 is not None:
            return self.layer4
        length = max(0, 8 + len(self.load) + self.udp_length_error) & 0xFFFF
        udp = struct.pack("!HHHH", self.source_port, self.destination_port, length, 0) + self.load
        checksum = self.udp_checksum
        if checksum is None:
            pseudo = self.source.packed + self.destination.packed + struct.pack("!II", len(udp), 17)
            checksum = _sum(pseudo + udp) or 0xFFFF
        return udp[:6] + struct.pack("!H", checksum) + udp[8:]


def _sum(data: bytes) -> int:
    """The Internet checksum, byte by byte (RFC 1071, with odd lengths)."""
    total = sum(octet << 8 if i % 2 == 0 else octet for i, octet in enumerate(data))
    return ~(total % 0xFFFF or (0xFFFF if total else 0)) & 0xFFFF
