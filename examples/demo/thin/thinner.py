"""Thins an H.264 transport stream: pictures that no other picture needs are left out, everything else stays.

A picture is judged by its NAL units (ITU-T H.264, 7.4.1). The order of the packets that stay is the order in
which they came; their continuity counters are rewritten so that what was left out leaves no gap, while a
real loss on the way here still shows. A clock reference in a packet that is left out goes on alone.
"""

from collections import deque
from enum import Enum

from mpegts import NULL_PID, PAT_PID, SectionReader, TsPacket, clock_packet, h264_pids, table_pids
from rtp import Packetizer, RtpPacket

_START_CODE = b"\x00\x00\x01"
_PES_FIXED_HEADER = 9
_MOST_HELD = 8192  # transport packets, 1.5 MB; a picture that long is judged by what has come of it
_SLICES = range(1, 6)
_IDR_SLICE = 5
_PARAMETER_SETS = (7, 8, 13, 15)


class Keep(Enum):
    """Which pictures stay."""

    REFERENCE = "reference"  # those with nal_ref_idc other than 0
    KEY = "key"  # IDR pictures alone


class VideoUnit:
    """One PES packet of video. `kept` is None until it is known whether it stays."""

    def __init__(self, keep: Keep) -> None:
        self.kept: bool | None = None
        self._keep = keep
        self._bytes = bytearray()
        self._scanned = 0
        self._has_slices = False

    def feed(self, payload: bytes) -> None:
        """Takes more of the PES packet. One NAL unit worth keeping decides for all of it."""
        if self.kept is not None:
            return
        self._bytes += payload
        if not self._scanned:
            if len(self._bytes) < _PES_FIXED_HEADER:
                return
            self._scanned = _PES_FIXED_HEADER + self._bytes[8]
        while self.kept is None:
            found = self._bytes.find(_START_CODE, self._scanned)
            if found < 0:
                self._scanned = max(self._scanned, len(self._bytes) - len(_START_CODE) + 1)
                return
            self._scanned = found
            if found + len(_START_CODE) == len(self._bytes):
                return  # the NAL unit's first byte is in the next packet
            self._scanned += len(_START_CODE)
            self._judge(self._bytes[self._scanned])

    def finish(self) -> None:
        """The PES packet has ended, or must be judged now: with slices but none worth keeping it goes."""
        if self.kept is None:
            self.kept = not self._has_slices

    def _judge(self, nal_header: int) -> None:
        kind, referred = nal_header & 0x1F, nal_header & 0x60 != 0
        if kind in _SLICES:
            self._has_slices = True
        if self._keep is Keep.KEY:
            worth = kind == _IDR_SLICE
        else:
            worth = referred if kind in _SLICES else kind in _PARAMETER_SETS
        if worth:
            self.kept = True
            self._bytes.clear()


class Thinner:
    """Transport packets in, fewer transport packets out.

    `units_kept` and `units_dropped` count the pictures judged, `unreadable` the packets that were none.
    """

    def __init__(self, keep: Keep) -> None:
        self.units_kept = 0
        self.units_dropped = 0
        self.unreadable = 0
        self._keep = keep
        self._pat = SectionReader()
        self._pmts: dict[int, SectionReader] = {}
        self._video_of_pmt: dict[int, set[int]] = {}
        self._video: set[int] = set()
        self._unit_of_pid: dict[int, VideoUnit] = {}
        self._held: deque[tuple[TsPacket, VideoUnit | None]] = deque()
        self._continuity_seen: dict[int, int] = {}
        self._continuity_sent: dict[int, int] = {}

    def push(self, data: bytes) -> list[bytes]:
        """Takes one packet of 188 bytes; gives the packets that can go on now, in order."""
        packet = TsPacket.parse(data)
        if packet is None:
            self.unreadable += 1
            return []
        if packet.pid == NULL_PID:
            return []
        unit = None
        if packet.readable:
            self._read_tables(packet)
            if packet.pid in self._video:
                unit = self._unit(packet)
        self._held.append((packet, unit))
        return self.settle() if len(self._held) > _MOST_HELD else self._release()

    def settle(self) -> list[bytes]:
        """Judges what is open by what has come of it and gives all that was held: the stream has paused."""
        for unit in self._unit_of_pid.values():
            self._finish(unit)
        return self._release()

    def _read_tables(self, packet: TsPacket) -> None:
        if packet.pid == PAT_PID:
            for section in self._pat.feed(packet.payload, packet.starts_unit):
                pids = table_pids(section)
                if pids is not None:
                    self._pmts = {pid: self._pmts.get(pid, SectionReader()) for pid in pids}
                    self._video_of_pmt = {pid: v for pid, v in self._video_of_pmt.items() if pid in pids}
        elif packet.pid in self._pmts:
            for section in self._pmts[packet.pid].feed(packet.payload, packet.starts_unit):
                video = h264_pids(section)
                if video is not None:
                    self._video_of_pmt[packet.pid] = video
        else:
            return
        self._video = set().union(*self._video_of_pmt.values())
        for pid in self._unit_of_pid.keys() - self._video:
            self._finish(self._unit_of_pid.pop(pid))

    def _unit(self, packet: TsPacket) -> VideoUnit | None:
        """The unit to which a packet of video belongs; None if its start was never seen."""
        if packet.starts_unit:
            before = self._unit_of_pid.get(packet.pid)
            if before is not None:
                self._finish(before)
            self._unit_of_pid[packet.pid] = VideoUnit(self._keep)
        unit = self._unit_of_pid.get(packet.pid)
        if unit is not None and unit.kept is None:
            unit.feed(packet.payload)
            if unit.kept:
                self.units_kept += 1
        return unit

    def _finish(self, unit: VideoUnit) -> None:
        if unit.kept is None:
            unit.finish()
            if unit.kept:
                self.units_kept += 1
            else:
                self.units_dropped += 1

    def _release(self) -> list[bytes]:
        released = []
        while self._held:
            packet, unit = self._held[0]
            if unit is not None and unit.kept is None:
                break
            self._held.popleft()
            if unit is None or unit.kept:
                released.append(packet.with_continuity(self._advance(packet)))
            else:
                if packet.pcr is not None:
                    sent = self._continuity_sent.setdefault(packet.pid, (packet.continuity - 1) & 0x0F)
                    released.append(clock_packet(packet.pid, sent, packet.pcr))
                self._continuity_seen[packet.pid] = packet.continuity
        return released

    def _advance(self, packet: TsPacket) -> int:
        """The counter of a packet that stays: as far from the last sent as it was from the last seen."""
        pid = packet.pid
        seen, sent = self._continuity_seen.get(pid), self._continuity_sent.get(pid)
        step = packet.continuity - seen if seen is not None else 1
        continuity = packet.continuity if sent is None else (sent + step) & 0x0F
        self._continuity_seen[pid] = packet.continuity
        self._continuity_sent[pid] = continuity
        return continuity


class RtpThinner:
    """RTP datagrams in, fewer RTP datagrams out. `refused` counts those that were not RTP with MPEG-TS."""

    def __init__(self, keep: Keep) -> None:
        self.refused = 0
        self.thinner = Thinner(keep)
        self._keep = keep
        self._ssrc: int | None = None
        self._timestamp = 0
        self._packetizer = Packetizer(0, 0)

    def push(self, datagram: bytes) -> list[bytes]:
        """Takes one datagram; gives those that can go on now."""
        packet = RtpPacket.parse(datagram)
        if packet is None:
            self.refused += 1
            return []
        finished = []
        if packet.ssrc != self._ssrc:  # the first stream, or another one
            finished = self.settle()
            self._ssrc = packet.ssrc
            self._packetizer = Packetizer(packet.ssrc, packet.sequence)
            self.thinner = Thinner(self._keep)
        self._timestamp = packet.timestamp
        kept = [out for data in packet.transport_packets() for out in self.thinner.push(data)]
        return finished + self._packetizer.push(kept, packet.timestamp)

    def settle(self) -> list[bytes]:
        """The stream has paused or ended: gives everything that still waits."""
        return self._packetizer.push(self.thinner.settle(), self._timestamp) + self._packetizer.flush()
