"""The syntax of MPEG transport streams (ISO/IEC 13818-1) as far as thinning needs it: packets, PAT and PMT.

Nothing here trusts its input: what does not parse is None, or yields nothing.
"""

from collections.abc import Iterator
from typing import NamedTuple

PACKET_SIZE = 188
SYNC_BYTE = 0x47
PAT_PID = 0x0000
NULL_PID = 0x1FFF
H264_STREAM_TYPE = 0x1B


class TsPacket(NamedTuple):
    """One transport packet of 188 bytes with the fields of its header."""

    data: bytes
    pid: int
    starts_unit: bool  # payload_unit_start_indicator
    readable: bool  # neither damaged nor scrambled
    continuity: int
    pcr: bytes | None  # the six bytes of the programme clock reference
    payload: bytes  # empty if there is none

    @classmethod
    def parse(cls, data: bytes) -> "TsPacket | None":
        """The packet that `data` is, or None if it is none."""
        if len(data) != PACKET_SIZE or data[0] != SYNC_BYTE:
            return None
        has_adaptation, has_payload = data[3] & 0x20, data[3] & 0x10
        adaptation_end = 5 + data[4] if has_adaptation else 4
        if adaptation_end > PACKET_SIZE:
            return None
        has_pcr = has_adaptation and data[4] >= 7 and data[5] & 0x10
        return cls(
            data=data,
            pid=(data[1] & 0x1F) << 8 | data[2],
            starts_unit=bool(data[1] & 0x40),
            readable=not (data[1] & 0x80 or data[3] & 0xC0),
            continuity=data[3] & 0x0F,
            pcr=data[6:12] if has_pcr else None,
            payload=data[adaptation_end:] if has_payload else b"",
        )

    def with_continuity(self, continuity: int) -> bytes:
        """The packet's bytes with another continuity counter."""
        return self.data[:3] + bytes([self.data[3] & 0xF0 | continuity]) + self.data[4:]


def clock_packet(pid: int, continuity: int, pcr: bytes) -> bytes:
    """A packet without payload that carries only a clock reference.

    `continuity` is the counter of the PID's last packet with payload: without payload it does not advance.
    """
    adaptation = bytes([PACKET_SIZE - 5, 0x10]) + pcr
    header = bytes([SYNC_BYTE, pid >> 8, pid & 0xFF, 0x20 | continuity])
    return (header + adaptation).ljust(PACKET_SIZE, b"\xff")


class SectionReader:
    """Assembles the sections of one PID that carries tables."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._synchronised = False

    def feed(self, payload: bytes, starts_section: bool) -> Iterator[bytes]:
        """Takes one packet's payload; yields the sections that are now complete, if unharmed."""
        if not payload:
            return
        if starts_section:
            start = 1 + payload[0]
            self._buffer += payload[1:start]
            yield from self._complete()
            self._buffer = bytearray(payload[start:])
            self._synchronised = True
        else:
            self._buffer += payload
        yield from self._complete()

    def _complete(self) -> Iterator[bytes]:
        while self._synchronised and len(self._buffer) >= 3:
            if self._buffer[0] == 0xFF:  # stuffing up to the next start
                self._synchronised = False
                break
            end = 3 + ((self._buffer[1] & 0x0F) << 8 | self._buffer[2])
            if len(self._buffer) < end:
                return
            section = bytes(self._buffer[:end])
            del self._buffer[:end]
            if end >= 12 and crc32_mpeg(section) == 0:
                yield section
        if not self._synchronised:
            self._buffer.clear()


def table_pids(section: bytes) -> set[int] | None:
    """The PIDs of the programme maps that a PAT section names; None if it is no current PAT."""
    if section[0] != 0x00 or not section[5] & 0x01:
        return None
    entries = section[8:-4]
    pids = set()
    for at in range(0, len(entries) - 3, 4):
        programme = entries[at] << 8 | entries[at + 1]
        if programme:
            pids.add((entries[at + 2] & 0x1F) << 8 | entries[at + 3])
    return pids


def h264_pids(section: bytes) -> set[int] | None:
    """The PIDs of the H.264 streams that a PMT section names; None if it is no current PMT."""
    if section[0] != 0x02 or not section[5] & 0x01:
        return None
    at = 12 + ((section[10] & 0x0F) << 8 | section[11])
    pids = set()
    while at + 5 <= len(section) - 4:
        if section[at] == H264_STREAM_TYPE:
            pids.add((section[at + 1] & 0x1F) << 8 | section[at + 2])
        at += 5 + ((section[at + 3] & 0x0F) << 8 | section[at + 4])
    return pids


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)
        table.append(value & 0xFFFFFFFF)
    return tuple(table)


_CRC_TABLE = _crc_table()


def crc32_mpeg(data: bytes) -> int:
    """CRC-32/MPEG-2; zero over a section with its own checksum."""
    value = 0xFFFFFFFF
    for byte in data:
        value = (value << 8 & 0xFFFFFFFF) ^ _CRC_TABLE[value >> 24 ^ byte]
    return value
