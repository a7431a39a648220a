"""Packet captures in the classic pcap format: both byte orders, timestamps in microseconds or nanoseconds."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from phonepl.diagnostics import PhoneplError

ETHERNET = 1
"""LINKTYPE_ETHERNET, the link type of a capture into which nothing was put."""
MAXIMUM_RECORD = 1 << 24
_MICROSECONDS, _NANOSECONDS = 0xA1B2C3D4, 0xA1B23C4D
_SNAPLEN = 262_144


class CaptureError(PhoneplError):
    """A file that is no classic pcap capture, or a broken one."""


@dataclass(frozen=True, slots=True)
class Record:
    """One captured packet; `timestamp` in nanoseconds since the epoch."""

    timestamp: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Capture:
    """A capture file: link type, whether it counts nanoseconds, and its packets in file order."""

    link_type: int
    nanoseconds: bool
    records: tuple[Record, ...]


def read(path: Path) -> Capture:
    """The capture in a file; raises CaptureError where it is none, OSError where it cannot be read."""
    raw = path.read_bytes()
    if len(raw) < 24:
        raise CaptureError(f"{path}: {len(raw)} bytes are too short for a pcap capture")
    order = next(
        (o for o in "<>" if struct.unpack_from(f"{o}I", raw)[0] in (_MICROSECONDS, _NANOSECONDS)), None
    )
    if order is None:
        if raw[:4] == b"\x0a\x0d\x0d\x0a":
            raise CaptureError(f"{path}: this is pcapng; convert it by editcap -F pcap")
        raise CaptureError(f"{path}: the first four bytes are not those of a pcap capture")
    magic, _, _, _, _, _, link = struct.unpack_from(f"{order}IHHiIII", raw)
    unit = 1 if magic == _NANOSECONDS else 1000
    records: list[Record] = []
    at = 24
    while at < len(raw):
        if len(raw) - at < 16:
            raise CaptureError(f"{path}: record {len(records) + 1} is cut off in its header")
        seconds, fraction, size, _ = struct.unpack_from(f"{order}IIII", raw, at)
        at += 16
        if size > MAXIMUM_RECORD or len(raw) - at < size:
            raise CaptureError(f"{path}: record {len(records) + 1} says {size} bytes and is cut off")
        records.append(Record(seconds * 1_000_000_000 + fraction * unit, raw[at : at + size]))
        at += size
    return Capture(link & 0x0FFF_FFFF, unit == 1, tuple(records))


def write(path: Path, link_type: int, records: Iterable[Record], nanoseconds: bool) -> None:
    """Write a little-endian capture; OSError where that cannot be done."""
    unit = 1 if nanoseconds else 1000
    magic = _NANOSECONDS if nanoseconds else _MICROSECONDS
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", magic, 2, 4, 0, 0, _SNAPLEN, link_type))
        for record in records:
            seconds, rest = divmod(record.timestamp, 1_000_000_000)
            file.write(struct.pack("<IIII", seconds, rest // unit, len(record.data), len(record.data)))
            file.write(record.data)
