"""What becomes of a packet on one unit, and the unit's counters: the oracle's words, and every executor's."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from controller.steering.drops import Drop


@dataclass(frozen=True)
class Step:
    """One rule that the packet (or its copy) met, or, with an empty ``table``, what became of it."""

    copy: int
    table: str
    rule: str
    verdict: str = ""

    def __str__(self) -> str:
        return self.verdict or f"{self.table} {self.rule}"


@dataclass(frozen=True)
class Emission:
    """A frame that leaves.  ``channel`` and ``endpoint`` are None for an answer (section 8)."""

    device: str
    frame: bytes
    copy: int = 0
    channel: int | None = None
    endpoint: int | None = None


@dataclass
class Outcome:
    """What became of one received frame: ``emissions`` and ``drops`` hold one entry per copy."""

    emissions: list[Emission] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)
    to_host: bool = False
    trace: list[Step] = field(default_factory=list)


@dataclass
class PacketCount:
    packets: int = 0
    bytes: int = 0


@dataclass
class Counters:
    """A unit's counters; ``conserved`` is R10."""

    received: int = 0
    copies: int = 0
    sent: int = 0
    to_host: int = 0
    drops: Counter[Drop] = field(default_factory=Counter)
    channels: dict[int, PacketCount] = field(default_factory=dict)

    @property
    def conserved(self) -> bool:
        refused = self.drops[Drop.DEVICE_DROP]  # counted as sent, too
        ends = self.sent - refused + self.to_host + self.drops.total()
        return self.received + self.copies == ends
