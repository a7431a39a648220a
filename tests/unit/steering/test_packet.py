"""Checksums against RFC 1071 and RFC 1624, and rewritten packets against scapy."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

from controller.steering.model import Socket
from controller.steering.packet import IPV4, IPV6, adjust, checksum, parse_ip, parse_udp, rewrite

ports = st.integers(0, 65535)
words = st.integers(0, 0xFFFF)


def sockets(version: int) -> st.SearchStrategy[Socket]:
    size = 4 if version == 4 else 16
    return st.builds(Socket, st.binary(min_size=size, max_size=size).map(ip_address), ports)


def test_the_checksum_of_rfc_1071() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0x220D


def test_the_example_of_rfc_1624() -> None:
    """The one that equation 2 of RFC 1141 gets wrong."""
    assert adjust(0xDD2F, b"\x55\x55", b"\x32\x85") == 0x0000


@given(st.binary(min_size=8, max_size=40).filter(lambda data: len(data) % 2 == 0), words)
def test_adjusting_is_computing_anew(data: bytes, word: int) -> None:
    changed = word.to_bytes(2, "big") + data[2:]
    if not any(changed) or not any(data):
        return  # no packet is all zeros; there the two ways to write zero differ
    assert adjust(checksum(data), data[:2], changed[:2]) % 0xFFFF == checksum(changed) % 0xFFFF


@given(st.data(), st.sampled_from((4, 6)), st.binary(max_size=64), st.integers(2, 255))
def test_a_rewritten_packet_is_the_one_that_scapy_builds(
    data: st.DataObject, version: int, load: bytes, ttl: int
) -> None:
    source, destination, new_source, new_destination = (data.draw(sockets(version)) for _ in range(4))

    def build(source: Socket, destination: Socket, ttl: int) -> bytes:
        fields: dict[str, Any] = {"src": str(source.address), "dst": str(destination.address)}
        header = IP(ttl=ttl, **fields) if version == 4 else IPv6(hlim=ttl, **fields)
        return bytes(header / UDP(sport=source.port, dport=destination.port) / Raw(load))

    packet = build(source, destination, ttl)
    udp = parse_udp(parse_ip(IPV4 if version == 4 else IPV6, packet))
    assert (udp.source, udp.destination) == (source, destination)
    assert rewrite(udp, new_source, new_destination) == build(new_source, new_destination, ttl - 1)
    assert rewrite(udp, destination=new_destination) == build(source, new_destination, ttl - 1)
    assert rewrite(udp) == build(source, destination, ttl - 1)
