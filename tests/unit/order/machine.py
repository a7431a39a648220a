"""``reorder.c`` as Python calls it: frames are numbers, time is told."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import ClassVar

from vmhost.order.rules import Merge, Order
from vmhost.order.statistics import COUNTERS

MS = 1_000_000
NEVER = (1 << 64) - 1

_Go = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint32)


class _Rules(ctypes.Structure):
    _fields_: ClassVar = [
        ("order", ctypes.c_int),
        ("merge", ctypes.c_int),
        ("copies", ctypes.c_uint32),
        ("window_ns", ctypes.c_uint64),
    ]


class _Sink(ctypes.Structure):
    _fields_: ClassVar = [("release", _Go), ("drop", _Go), ("context", ctypes.c_void_p)]


class _Place(ctypes.Structure):
    _fields_: ClassVar = [("value", ctypes.c_uint64), ("part", ctypes.c_uint32), ("parts", ctypes.c_uint32)]


class Packet(ctypes.Structure):
    _fields_: ClassVar = [
        ("stream", ctypes.c_uint32),
        ("narrow", ctypes.c_bool),
        ("place", _Place),
        ("digest", ctypes.c_uint64),
        ("frame", ctypes.c_uint32),
    ]


class _Datagram(ctypes.Structure):
    _fields_: ClassVar = [
        ("port", ctypes.c_uint16),
        ("payload", ctypes.c_void_p),
        ("length", ctypes.c_uint32),
    ]


class Machine:
    """One output. ``released`` and ``dropped`` are frames in the order in which they left."""

    def __init__(
        self,
        library: Path,
        order: Order,
        window_ns: int = 5 * MS,
        merge: Merge = Merge.NONE,
        copies: int = 0,
    ) -> None:
        self._library = ctypes.CDLL(str(library))
        self._library.output_new.restype = ctypes.c_void_p
        self._library.output_expire.restype = ctypes.c_uint64
        self.released: list[int] = []
        self.dropped: list[int] = []
        self._calls = (
            _Go(lambda _, frame: self.released.append(frame)),
            _Go(lambda _, frame: self.dropped.append(frame)),
        )
        self._counts = (ctypes.c_uint64 * len(COUNTERS))()
        rules = _Rules(order, merge, copies, window_ns)
        made = self._library.output_new(ctypes.byref(rules), self._counts, _Sink(*self._calls, None))
        self._output = ctypes.c_void_p(made)
        self.now = 1

    def close(self) -> None:
        self._library.output_free(self._output)

    def take(
        self,
        value: int,
        frame: int,
        *,
        part: int = 0,
        parts: int = 1,
        stream: int = 0,
        digest: int = 0,
        narrow: bool = False,
    ) -> None:
        packet = Packet(stream, narrow, _Place(value, part, parts), digest, frame)
        self._library.output_take(self._output, ctypes.byref(packet), ctypes.c_uint64(self.now))

    def take_all(self, values: list[int]) -> None:
        """Frames of the same numbers."""
        for value in values:
            self.take(value, value)

    def pass_on(self, frame: int) -> None:
        self._library.output_pass(self._output, ctypes.c_uint32(frame))

    def force(self) -> None:
        self._library.output_force(self._output, ctypes.c_uint64(self.now))

    def wait(self, nanoseconds: int) -> int:
        """Let time pass and whatever is due leave; gives when to ask again."""
        self.now += nanoseconds
        return int(self._library.output_expire(self._output, ctypes.c_uint64(self.now)))

    def until(self, time: int) -> None:
        """Like ``wait``, and what is due before that time leaves when it is."""
        while self.now < time:
            due = self.wait(0)
            self.now = min(max(due, self.now + 1), time)
        self.wait(0)

    @property
    def counts(self) -> dict[str, int]:
        return dict(zip(COUNTERS, self._counts, strict=True))

    def unaccounted(self) -> int:
        found = self.counts
        ends = ("released", "late_dropped", "duplicates", "unagreed", "held")
        return found["arrived"] - sum(found[name] for name in ends)


def token_of(library: Path, kind: int, frame: bytes) -> tuple[int, int, int, int] | None:
    """Stream, value, part and parts of a frame's order token."""
    loaded = ctypes.CDLL(str(library))
    loaded.find_datagram.restype = loaded.find_token.restype = ctypes.c_bool
    held = ctypes.create_string_buffer(frame, len(frame))
    found, packet = _Datagram(), Packet()
    if not loaded.find_datagram(held, len(frame), ctypes.byref(found)):
        return None
    if not loaded.find_token(kind, ctypes.byref(found), ctypes.byref(packet)):
        return None
    return packet.stream, packet.place.value, packet.place.part, packet.place.parts


def digest_of(library: Path, kind: int, frame: bytes) -> int:
    """What copies of one packet are compared by."""
    loaded = ctypes.CDLL(str(library))
    loaded.find_datagram.restype = ctypes.c_bool
    loaded.digest_of.restype = ctypes.c_uint64
    held, found = ctypes.create_string_buffer(frame, len(frame)), _Datagram()
    assert loaded.find_datagram(held, len(frame), ctypes.byref(found))
    return int(loaded.digest_of(kind, ctypes.byref(found)))
