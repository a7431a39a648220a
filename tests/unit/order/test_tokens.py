"""Where a frame's place in its stream is read, and which frames have none."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from artp.wire import Packet, Type, encode_fragments
from tests.unit.order.machine import digest_of, token_of
from vmhost.order.rules import Token


def frame(payload: bytes, version: int = 4) -> bytes:
    ip = IP(src="10.0.0.1", dst="10.0.0.2") if version == 4 else IPv6(src="fd00::1", dst="fd00::2")
    return bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / ip / UDP(dport=7) / Raw(payload))


def rtp(
    sequence: int = 4711, source: int = 0xABCD, first: int = 0x80, kind: int = 96, rest: bytes = b"x"
) -> bytes:
    return struct.pack("!BBHII", first, kind, sequence, 0, source) + rest


@pytest.mark.parametrize("version", [4, 6])
def test_rtp(library: Path, version: int) -> None:
    assert token_of(library, Token.RTP, frame(rtp(), version)) == (0xABCD, 4711, 0, 1)


@pytest.mark.parametrize(
    "payload",
    [
        rtp()[:11],
        rtp(first=0x40),  # version 1
        rtp(first=0x8F),  # contributing sources that are not there
        rtp(first=0x90),  # an extension that is not there
        rtp(first=0x90, rest=struct.pack("!HH", 1, 9)),  # nor all of it
        rtp(kind=200),  # an RTCP sender report
        b"",
    ],
)
def test_what_is_no_rtp(library: Path, payload: bytes) -> None:
    assert token_of(library, Token.RTP, frame(payload)) is None


def test_rtp_with_sources_and_extension(library: Path) -> None:
    rest = bytes(8) + struct.pack("!HHI", 0xBEDE, 1, 0)
    assert token_of(library, Token.RTP, frame(rtp(first=0x92, rest=rest))) == (0xABCD, 4711, 0, 1)


def test_lengths_that_lie(library: Path) -> None:
    whole = frame(rtp())
    for cut in range(len(whole)):
        assert token_of(library, Token.RTP, whole[:cut]) is None


def artp(order: int | None, *, type_: Type = Type.DATA, control: bool = False) -> list[bytes]:
    packet = Packet(type_, session=3, connection=9, datagram=70, origin=5, order=order, control=control)
    return encode_fragments(packet, bytes(2500), 1000)


def test_artp(library: Path) -> None:
    found = [token_of(library, Token.ARTP, frame(each)) for each in artp(1 << 40)]
    assert found == [(0, 1 << 40, part, 3) for part in range(3)]


@pytest.mark.parametrize("packets", [artp(None), artp(1, control=True)])
def test_artp_without_order(library: Path, packets: list[bytes]) -> None:
    assert [token_of(library, Token.ARTP, frame(each)) for each in packets] == [None] * 3


def test_kinds_are_not_guessed(library: Path) -> None:
    assert token_of(library, Token.ARTP, frame(rtp(rest=bytes(60)))) is None
    assert token_of(library, Token.RTP, frame(artp(1)[0])) is None


def test_copies_are_compared_by_what_programs_made(library: Path) -> None:
    body = bytes(range(200)) + b"odd"
    same, other = frame(rtp(rest=body)), frame(rtp(rest=body[:-1] + b"D"))
    assert digest_of(library, Token.RTP, same) == digest_of(library, Token.RTP, frame(rtp(rest=body)))
    assert digest_of(library, Token.RTP, same) != digest_of(library, Token.RTP, other)
    one, two = (
        encode_fragments(Packet(Type.DATA, 3, key, 5, order=1, instance=key), body, 1000)[0] for key in (1, 2)
    )
    assert one != two
    assert digest_of(library, Token.ARTP, frame(one)) == digest_of(library, Token.ARTP, frame(two))
