"""Captures of UDP datagrams as pcap files (LINKTYPE_IPV4, nanoseconds), as Wireshark and tcpdump read them.

The sockets hand over datagrams, not frames, so the IPv4 and UDP headers are written from the socket's
addresses: TTL and identification are not the wire's, the UDP checksum is absent (zero).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType

from dipronn.errors import DipronnError

_MAGIC_NANOSECONDS = 0xA1B23C4D
_LINKTYPE_IPV4 = 228
_FILE_HEADER = struct.Struct("<IHHiIII")
_RECORD_HEADER = struct.Struct("<IIII")
_IPV4_HEADER = struct.Struct("!BBHHHBBH4s4s")
_UDP_HEADER = struct.Struct("!HHHH")
_HEADERS_LENGTH = _IPV4_HEADER.size + _UDP_HEADER.size
_SNAPLEN = 65535

Address = tuple[str, int]


class BadCapture(DipronnError):
    """A file that is not such a capture, or is cut short."""


@dataclass(frozen=True, slots=True)
class Datagram:
    """One UDP datagram; `time` is in nanoseconds since the epoch, by the kernel's clock."""

    time: int
    source: Address
    destination: Address
    payload: bytes


class CaptureWriter:
    """Writes datagrams to a new file; a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb")
        self._file.write(_FILE_HEADER.pack(_MAGIC_NANOSECONDS, 2, 4, 0, 0, _SNAPLEN, _LINKTYPE_IPV4))

    def write(self, datagram: Datagram) -> None:
        length = _HEADERS_LENGTH + len(datagram.payload)
        seconds, nanoseconds = divmod(datagram.time, 1_000_000_000)
        source, source_port = datagram.source
        destination, destination_port = datagram.destination
        header = _ipv4_header(length, IPv4Address(source).packed, IPv4Address(destination).packed)
        self._file.write(
            _RECORD_HEADER.pack(seconds, nanoseconds, length, length)
            + header
            + _UDP_HEADER.pack(source_port, destination_port, _UDP_HEADER.size + len(datagram.payload), 0)
            + datagram.payload
        )

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> CaptureWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_capture(path: Path) -> list[Datagram]:
    """All datagrams of a capture that `CaptureWriter` wrote, in their order; raises BadCapture."""
    return list(_records(path, path.read_bytes()))


def _records(path: Path, data: bytes) -> Iterator[Datagram]:
    if len(data) < _FILE_HEADER.size:
        raise BadCapture(f"{path}: {len(data)} bytes are too few for a pcap file")
    magic, *_, linktype = _FILE_HEADER.unpack_from(data)
    if magic != _MAGIC_NANOSECONDS or linktype != _LINKTYPE_IPV4:
        raise BadCapture(f"{path}: not a little-endian nanosecond pcap of LINKTYPE_IPV4")
    position = _FILE_HEADER.size
    while position < len(data):
        start = position + _RECORD_HEADER.size
        if start + _HEADERS_LENGTH > len(data):
            raise BadCapture(f"{path}: cut short at byte {position}")
        seconds, nanoseconds, length, _ = _RECORD_HEADER.unpack_from(data, position)
        end = start + length
        if length < _HEADERS_LENGTH or end > len(data):
            raise BadCapture(f"{path}: a record of {length} bytes at byte {position} does not fit")
        *_, source, destination = _IPV4_HEADER.unpack_from(data, start)
        source_port, destination_port, _, _ = _UDP_HEADER.unpack_from(data, start + _IPV4_HEADER.size)
        yield Datagram(
            seconds * 1_000_000_000 + nanoseconds,
            (str(IPv4Address(source)), source_port),
            (str(IPv4Address(destination)), destination_port),
            data[start + _HEADERS_LENGTH : end],
        )
        position = end


def _ipv4_header(length: int, source: bytes, destination: bytes) -> bytes:
    fields = (0x45, 0, length, 0, 0, 64, 17)
    bare = _IPV4_HEADER.pack(*fields, 0, source, destination)
    total = sum(struct.unpack("!10H", bare))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return _IPV4_HEADER.pack(*fields, ~total & 0xFFFF, source, destination)
