"""RTP (RFC 3550) with the payload format for MPEG transport streams (RFC 2250)."""

import struct
from collections.abc import Iterable
from typing import NamedTuple

from mpegts import PACKET_SIZE

MP2T_PAYLOAD_TYPE = 33
PACKETS_PER_DATAGRAM = 7  # 7 * 188 + 12 = 1328 bytes: the most that fits an Ethernet frame
_HEADER = struct.Struct("!BBHII")


class RtpPacket(NamedTuple):
    """One RTP packet of payload type 33."""

    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes

    @classmethod
    def parse(cls, datagram: bytes) -> "RtpPacket | None":
        """The packet that `datagram` is; None if it is not RTP or carries anything but a transport stream."""
        if len(datagram) < _HEADER.size:
            return None
        first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(datagram)
        if first >> 6 != 2 or second & 0x7F != MP2T_PAYLOAD_TYPE:
            return None
        start = _HEADER.size + 4 * (first & 0x0F)
        if first & 0x10:  # header extension
            if start + 4 > len(datagram):
                return None
            start += 4 + 4 * int.from_bytes(datagram[start + 2 : start + 4], "big")
        end = len(datagram) - (datagram[-1] if first & 0x20 else 0)
        if start >= end or (end - start) % PACKET_SIZE:
            return None
        return cls(sequence, timestamp, ssrc, datagram[start:end])

    def transport_packets(self) -> list[bytes]:
        """The payload in pieces of 188 bytes."""
        return [self.payload[at : at + PACKET_SIZE] for at in range(0, len(self.payload), PACKET_SIZE)]


class Packetizer:
    """Packs transport packets into RTP packets of seven, with sequence numbers of its own."""

    def __init__(self, ssrc: int, sequence: int) -> None:
        self._ssrc = ssrc
        self._sequence = sequence
        self._timestamp = 0
        self._waiting: list[bytes] = []

    def push(self, packets: Iterable[bytes], timestamp: int) -> list[bytes]:
        """Takes transport packets; gives the datagrams that are now full."""
        datagrams = []
        for packet in packets:
            if not self._waiting:
                self._timestamp = timestamp
            self._waiting.append(packet)
            if len(self._waiting) == PACKETS_PER_DATAGRAM:
                datagrams += self.flush()
        return datagrams

    def flush(self) -> list[bytes]:
        """Gives what waits as a last, shorter datagram, if anything waits."""
        if not self._waiting:
            return []
        header = _HEADER.pack(0x80, MP2T_PAYLOAD_TYPE, self._sequence, self._timestamp, self._ssrc)
        datagram = header + b"".join(self._waiting)
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._waiting.clear()
        return [datagram]
