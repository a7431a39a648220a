"""ARTP's fixed header as the steering rules read it (``docs/artp.md``, sections 1 and 2).

Pure functions of bytes.  The rest of the header, and what is in the payload, is the endpoints' matter.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from ipaddress import IPv6Address

from controller.steering.drops import Drop
from controller.steering.model import Socket
from controller.steering.packet import Dropped, Udp, adjust

VERSION = 1
DATA, CLOSE = 3, 5
TYPES = range(1, 8)
CONTROL, INSTANCE_CHOSEN, RESERVED_FLAGS = 0x80, 0x40, 0x1F
HEADER, DESTINATION, LONGEST_HEADER = 40, 18, 208
MOST_DESTINATIONS = 4
MOST_FRAGMENTS = 64

_UDP = 8
_TAGS = (b"\x81\x00", b"\x88\xa8")
_INSTANCE = _UDP + 24


@dataclass(frozen=True)
class ArtpHeader:
    """``chosen``: ``instance`` is the one that shall get the packet, else the one that sent it."""

    type: int
    control: bool
    chosen: bool
    datagram: int
    instance: int
    destinations: tuple[Socket, ...]


def parse_artp(udp: Udp) -> ArtpHeader:
    """Check the header, in the order of ``docs/artp.md``, and read it.  Raises ``Dropped``."""
    data = udp.datagram.payload[_UDP:]
    if len(data) < HEADER or data[0] >> 4 != VERSION:
        raise Dropped(Drop.MALFORMED_ARTP)
    kind, flags, length = data[0] & 0x0F, data[1], int.from_bytes(data[2:4], "big")
    datagram, fragment, fragments, instance, count = struct.unpack_from("!IHHHB", data, 16)
    control, chosen = bool(flags & CONTROL), bool(flags & INSTANCE_CHOSEN)
    contradictory = control and (chosen or kind not in (DATA, CLOSE))
    if kind not in TYPES or flags & RESERVED_FLAGS or contradictory or count > MOST_DESTINATIONS:
        raise Dropped(Drop.MALFORMED_ARTP)
    if any(data[27:32]) or not HEADER + DESTINATION * count <= length <= min(LONGEST_HEADER, len(data)):
        raise Dropped(Drop.MALFORMED_ARTP)
    numbered = fragment < fragments <= MOST_FRAGMENTS if kind == DATA else fragment == fragments == 0
    if not numbered:
        raise Dropped(Drop.MALFORMED_ARTP)
    places = (HEADER + DESTINATION * i for i in range(count))
    return ArtpHeader(
        kind, control, chosen, datagram, instance, tuple(_destination(data, place) for place in places)
    )


def _destination(data: bytes, place: int) -> Socket:
    address, port = struct.unpack_from("!16sH", data, place)
    return Socket(IPv6Address(address).ipv4_mapped or IPv6Address(address), port)


def with_instance(udp: Udp, instance: int) -> Udp:
    """The packet with its sender's number written, and the UDP checksum corrected by it."""
    payload = udp.datagram.payload
    before, after = payload[_INSTANCE : _INSTANCE + 2], instance.to_bytes(2, "big")
    checksum = payload[6:8]
    if any(checksum):  # 0 in IPv4: the sender computed none, and so it stays
        checksum = (adjust(int.from_bytes(checksum, "big"), before, after) or 0xFFFF).to_bytes(2, "big")
    written = payload[:6] + checksum + payload[8:_INSTANCE] + after + payload[_INSTANCE + 2 :]
    return replace(udp, datagram=replace(udp.datagram, payload=written))


def destinations_in(frame: bytes) -> tuple[Socket, ...]:
    """The destinations in a frame that the data plane let pass as ARTP; its end may be cut off."""
    place = 14 if frame[12:14] not in _TAGS else 18
    artp = place + (20 if frame[place] >> 4 == 4 else 40) + _UDP
    return tuple(_destination(frame[artp:], HEADER + DESTINATION * i) for i in range(frame[artp + 26]))
