"""ARTP packets to and from bytes: docs/artp.md, sections 1, 2 and 4.

``parse`` raises nothing but ``Malformed``, whatever the bytes are.
"""

from __future__ import annotations

import enum
import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

from artp.errors import Malformed, TooLarge

VERSION = 1
HEADER = 40
MAX_HEADER = 208
MAX_FRAGMENTS = 64
MAX_DATAGRAM = 65536
MAX_DESTINATIONS = 4
MAX_ENTRIES = 32
MAX_REASON = 64
TAIL = 12
"""Origin and check, the last bytes of every header."""

CONTROL = 0x80
CHOSEN = 0x40
ORDERED = 0x20

FIXED_FAULTS = ("short", "version", "type", "flags", "destinations", "reserved", "length", "fragment")
"""What the data plane finds too, in the order of the checks."""
FAULTS = (*FIXED_FAULTS, "options", "check", "connection", "payload")

_HEADER = struct.Struct("!BBHIQIHHHBBIQ")
_TAIL = struct.Struct("!BBIBBI")
_ACK = struct.Struct("!II")
_ENTRY = struct.Struct("!IHHQ")
_MAPPED = bytes(10) + b"\xff\xff"
_ORIGIN, _CHECK = 0x02, 0x01
_OWN_OPTIONS = frozenset((*range(0x40, 0x80), *range(0xC0, 0x100)))


class Type(enum.IntEnum):
    HELLO = 1
    COOKIE = 2
    DATA = 3
    ACK = 4
    CLOSE = 5
    RESET = 6
    PING = 7


_TYPES = (None, *Type)


class ResetReason(enum.IntEnum):
    UNKNOWN_OPTION = 1
    NO_CONNECTION = 2
    LIMIT = 3
    TOO_LARGE = 4
    TIMEOUT = 5
    ENDING = 6


class Destination(NamedTuple):
    """A receiver that a sender names itself: an IPv4 or IPv6 address as text, and a UDP port."""

    address: str
    port: int


class Option(NamedTuple):
    """``type`` with its top bit set is critical; up to 154 bytes of value."""

    type: int
    value: bytes


class Packet(NamedTuple):
    """One ARTP packet; ``order`` is None where the packet has no valid one."""

    type: Type
    session: int
    connection: int
    origin: int
    datagram: int = 0
    fragment: int = 0
    fragments: int = 0
    instance: int = 0
    control: bool = False
    chosen: bool = False
    order: int | None = None
    destinations: tuple[Destination, ...] = ()
    options: tuple[Option, ...] = ()
    payload: bytes = b""


class Entry(NamedTuple):
    """What a receiver has of one datagram: bit i of ``bitmap`` is fragment i."""

    datagram: int
    fragments: int
    taken: bool
    bitmap: int


class Ack(NamedTuple):
    """The payload of an ACK: whose datagrams, how many bytes more may be begun, and what is there."""

    origin: int
    window: int
    entries: tuple[Entry, ...]


def parse(data: bytes) -> Packet:
    """The packet in a UDP payload; Malformed with the fault's name."""
    size = len(data)
    if size < HEADER:
        raise Malformed("short")
    (
        first,
        flags,
        length,
        session,
        connection,
        datagram,
        fragment,
        fragments,
        instance,
        count,
        zero,
        zeros,
        order,
    ) = _HEADER.unpack_from(data)
    if first >> 4 != VERSION:
        raise Malformed("version")
    number = first & 15
    if not 1 <= number <= 7:
        raise Malformed("type")
    if flags & 0x1F or (flags & CONTROL and (flags & CHOSEN or number not in (Type.DATA, Type.CLOSE))):
        raise Malformed("flags")
    if count > MAX_DESTINATIONS:
        raise Malformed("destinations")
    if zero or zeros:
        raise Malformed("reserved")
    options_at = HEADER + 18 * count
    if length < options_at or length > MAX_HEADER or length > size:
        raise Malformed("length")
    if number == Type.DATA:
        if not 1 <= fragments <= MAX_FRAGMENTS or fragment >= fragments:
            raise Malformed("fragment")
    elif fragment or fragments:
        raise Malformed("fragment")

    tail_at = length - TAIL
    if tail_at < options_at:
        raise Malformed("options")
    origin_type, origin_length, origin, check_type, check_length, check = _TAIL.unpack_from(data, tail_at)
    if (origin_type, origin_length, check_type, check_length) != (_ORIGIN, 4, _CHECK, 4):
        raise Malformed("options")
    options = _options(data, options_at, tail_at) if tail_at > options_at else ()
    payload = data[length:]
    if _crc(data[:24], data[26 : length - 4], payload) != check:
        raise Malformed("check")
    type = _TYPES[number]
    assert type is not None
    if (connection == 0) != (number == Type.HELLO) or (origin == 0 and number != Type.RESET):
        raise Malformed("connection")
    if number == Type.DATA:
        if not payload and fragments > 1:
            raise Malformed("payload")
    elif number == Type.ACK:
        parse_ack(payload)
    else:
        _check_payload(type, payload)
    return Packet(
        type,
        session,
        connection,
        origin,
        datagram,
        fragment,
        fragments,
        instance,
        flags & CONTROL != 0,
        flags & CHOSEN != 0,
        order if flags & ORDERED else None,
        _destinations(data, count) if count else (),
        options,
        payload,
    )


def _crc(start: bytes, rest: bytes, payload: bytes) -> int:
    return crc32(payload, crc32(rest, crc32(start)))


def _options(data: bytes, at: int, end: int) -> tuple[Option, ...]:
    options = []
    while at < end:
        if at + 2 > end or at + 2 + data[at + 1] > end or data[at] in (_ORIGIN, _CHECK):
            raise Malformed("options")
        after = at + 2 + data[at + 1]
        options.append(Option(data[at], data[at + 2 : after]))
        at = after
    return tuple(options)


def _destinations(data: bytes, count: int) -> tuple[Destination, ...]:
    found = []
    for at in range(HEADER, HEADER + 18 * count, 18):
        address, port = data[at : at + 16], int.from_bytes(data[at + 16 : at + 18], "big")
        if address.startswith(_MAPPED):
            found.append(Destination(socket.inet_ntop(socket.AF_INET, address[12:]), port))
        else:
            found.append(Destination(socket.inet_ntop(socket.AF_INET6, address), port))
    return tuple(found)


def _check_payload(type: Type, payload: bytes) -> None:
    if type == Type.CLOSE:
        good = payload in (b"\0", b"\1")
    elif type == Type.RESET:
        good = 1 <= len(payload) <= 1 + MAX_REASON
        try:
            payload[1:].decode()
        except UnicodeDecodeError:
            good = False
    else:
        good = not payload
    if not good:
        raise Malformed("payload")


def parse_ack(payload: bytes) -> Ack:
    """The payload of an ACK; Malformed("payload") when it contradicts itself."""
    count, rest = divmod(len(payload) - _ACK.size, _ENTRY.size)
    if rest or not 0 <= count <= MAX_ENTRIES:
        raise Malformed("payload")
    origin, window = _ACK.unpack_from(payload)
    entries = []
    for number, fragments, state, bitmap in _ENTRY.iter_unpack(memoryview(payload)[_ACK.size :]):
        if fragments > MAX_FRAGMENTS or state > 1 or bitmap >> fragments:
            raise Malformed("payload")
        if state and (not fragments or bitmap + 1 != 1 << fragments):
            raise Malformed("payload")
        entries.append(Entry(number, fragments, state == 1, bitmap))
    return Ack(origin, window, tuple(entries))


def encode_ack(ack: Ack) -> bytes:
    return _ACK.pack(ack.origin, ack.window) + b"".join(_ENTRY.pack(*entry) for entry in ack.entries)


def encode(packet: Packet) -> bytes:
    """The bytes of a packet; TooLarge when its options and destinations exceed a header."""
    middle = _variable_part(packet.destinations, packet.options)
    return _assemble(packet, packet.fragment, packet.fragments, middle, packet.payload)


def encode_fragments(packet: Packet, data: bytes, room: int) -> list[bytes]:
    """A datagram in packets of at most ``room`` bytes of UDP payload, after the pattern of ``packet``.

    TooLarge for more than 64 KiB, or when 64 fragments of that size do not hold it.
    """
    if len(data) > MAX_DATAGRAM:
        raise TooLarge(f"a datagram of {len(data)} bytes: at most {MAX_DATAGRAM} fit; cut it")
    middle = _variable_part(packet.destinations, packet.options)
    size = room - HEADER - len(middle) - TAIL
    count = max(1, -(-len(data) // size)) if size > 0 else MAX_FRAGMENTS + 1
    if count > MAX_FRAGMENTS:
        raise TooLarge(f"{len(data)} bytes need more than {MAX_FRAGMENTS} fragments of {size} bytes")
    return [
        _assemble(packet, index, count, middle, data[index * size : (index + 1) * size])
        for index in range(count)
    ]


def _variable_part(destinations: Sequence[Destination], options: Sequence[Option]) -> bytes:
    if len(destinations) > MAX_DESTINATIONS:
        raise TooLarge(f"{len(destinations)} destinations: a packet names at most {MAX_DESTINATIONS}")
    parts = []
    for address, port in destinations:
        try:
            raw = (
                socket.inet_pton(socket.AF_INET6, address)
                if ":" in address
                else _MAPPED + socket.inet_pton(socket.AF_INET, address)
            )
            parts.append(raw + port.to_bytes(2, "big"))
        except (OSError, OverflowError) as error:
            raise TooLarge(f"{address} port {port} is no destination: {error}") from None
    for type, value in options:
        if type not in _OWN_OPTIONS:
            raise TooLarge(f"option {type:#04x} is not a program's: take 0x40-0x7f, or critical 0xc0-0xff")
        parts.append(bytes((type, len(value) & 0xFF)) + value)
    middle = b"".join(parts)
    if HEADER + len(middle) + TAIL > MAX_HEADER:
        raise TooLarge(f"destinations and options of {len(middle)} bytes: at most 156 fit")
    return middle


def _assemble(packet: Packet, fragment: int, fragments: int, middle: bytes, payload: bytes) -> bytes:
    flags = CONTROL * packet.control | CHOSEN * packet.chosen
    order = packet.order
    if order is None:
        order = 0
    else:
        flags |= ORDERED
    header = _HEADER.pack(
        VERSION << 4 | packet.type,
        flags,
        HEADER + len(middle) + TAIL,
        packet.session,
        packet.connection,
        packet.datagram,
        fragment,
        fragments,
        packet.instance,
        len(packet.destinations),
        0,
        0,
        order,
    )
    tail = b"\x02\x04" + packet.origin.to_bytes(4, "big") + b"\x01\x04"
    check = _crc(header[:24], header[26:] + middle + tail, payload)
    return b"".join((header, middle, tail, check.to_bytes(4, "big"), payload))
