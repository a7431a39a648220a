"""The page of counters that a sequencer and the agent share. One writer, 64-bit words: read as they stand."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vmhost.order.rules import MAX_OUTPUTS

COUNTERS = (
    "arrived",
    "released",
    "unordered",
    "held",
    "held_most",
    "reordered",
    "depth_before",
    "reordered_after",
    "depth_after",
    "timeouts",
    "late_released",
    "late_dropped",
    "repeats",
    "forced",
    "restarts",
    "delay_ns",
    "delay_most_ns",
    "duplicates",
    "disagreements",
    "unagreed",
)
"""``struct counters`` of reorder.h, in its order; docs/order.md says what each counts."""
ENDS = ("released", "late_dropped", "duplicates", "unagreed")
"""What becomes of a packet that arrived, if it is not held."""
_HEAD = struct.Struct("=QQQQ")
_OUTPUT = struct.Struct(f"={len(COUNTERS)}Q")
BYTES = _HEAD.size + MAX_OUTPUTS * _OUTPUT.size
_LOST = 24


@dataclass(frozen=True)
class Page:
    """``beat``: monotonic nanoseconds. ``outputs``: as many as the page has room for."""

    beat: int
    overrun: int
    foreign: int
    lost: int
    outputs: tuple[Mapping[str, int], ...]

    @property
    def ended(self) -> int:
        """Packets that are gone from the sequencer one way or another."""
        return sum(output[name] for output in self.outputs for name in ENDS)


def read_page(path: Path) -> Page | None:
    """None: there is none, or not yet the whole of it."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(raw) != BYTES:
        return None
    outputs = (_OUTPUT.unpack_from(raw, _HEAD.size + i * _OUTPUT.size) for i in range(MAX_OUTPUTS))
    beat, overrun, foreign, lost = _HEAD.unpack_from(raw)
    named = tuple(dict(zip(COUNTERS, one, strict=True)) for one in outputs)
    return Page(beat, overrun, foreign, lost, named)


def write_lost(path: Path, lost: int) -> None:
    """Only while no sequencer runs."""
    with path.open("r+b") as page:
        page.seek(_LOST)
        page.write(struct.pack("=Q", lost))
