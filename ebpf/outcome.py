"""What a steering program tells: verdicts, counters, events, and the outcome of a test run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from controller.steering.drops import Drop


class Verdict(IntEnum):
    """What an XDP program returns."""

    ABORTED = 0
    DROP = 1
    PASS = 2
    TX = 3
    REDIRECT = 4


@dataclass(frozen=True)
class Traffic:
    """``bytes`` are those of the IP packets as they came."""

    packets: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Counters:
    """``received + copies = sent + to_host + Σ drops but device_drop``.

    ``sent`` counts frames handed to a device, ``drops[DEVICE_DROP]`` those of them that the device refused.
    Reasons and channels that counted nothing are absent.
    """

    received: int = 0
    copies: int = 0
    sent: int = 0
    to_host: int = 0
    drops: Mapping[Drop, int] = field(default_factory=dict)
    channels: Mapping[int, Traffic] = field(default_factory=dict)

    @property
    def unaccounted(self) -> int:
        """0 whenever no packet is under way (R10)."""
        refused = sum(count for reason, count in self.drops.items() if reason is not Drop.DEVICE_DROP)
        return self.received + self.copies - self.sent - self.to_host - refused


@dataclass(frozen=True)
class Refused:
    """Packets beyond the limit of a device, by direction; since the limit was set."""

    received: int = 0
    sent: int = 0


@dataclass(frozen=True)
class Event:
    """A sampled drop, or a packet of an unknown flow (``reason`` REQUESTED). ``frame``: its first bytes."""

    reason: Drop
    device: str
    length: int
    frame: bytes
    time: float
    """Seconds of CLOCK_MONOTONIC."""


@dataclass(frozen=True)
class OverrideCopy:
    """One of the copies of a packet that names several destinations."""

    copies: int
    copy: int


@dataclass(frozen=True)
class PutsAt:
    """Where a kernel program wrote several puts down, and how many programs the packet has passed."""

    program: int
    programs: int
    written: int


@dataclass(frozen=True)
class PutCopy:
    """One of several puts of a packet."""

    at: PutsAt
    copy: int


@dataclass(frozen=True)
class TestOutcome:
    """What one run of the program did with a frame.

    For a target that is a fork, ``fork`` is its id and ``copies`` the number of branches; each copy is then
    run by ``run(…, outcome.frame, copy=ForkKey(fork, i), first=outcome)``.  ``copies`` without a fork is the
    number of destinations, and the copies are ``OverrideCopy(copies, i)``.  ``device`` is that of a packet
    that was sent, ``artp`` the row that it met on its way to several copies.  With ``puts`` the copies are
    ``PutCopy(puts, i)``; ``programs``: those of the kernel that a
    packet with several copies has passed, ``vlan``: by which it came in.
    ``unmade``: puts of a kernel program that are no frames.
    """

    __test__ = False

    verdict: Verdict
    frame: bytes
    reason: Drop | None = None
    channel: int | None = None
    endpoint: int | None = None
    device: str | None = None
    fork: int | None = None
    copies: int = 0
    wild: bool = False
    artp: int | None = None
    puts: PutsAt | None = None
    programs: int = 0
    vlan: int = 0
    unmade: tuple[Drop, ...] = ()
