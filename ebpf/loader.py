"""The steering program of one unit: loaded, attached, filled with rows and read back.

The rows are those of ``controller.steering.model``; what the kernel holds instead of them is the business of
``layout.py`` (bytes) and ``rows.py`` (translation).  Device names are resolved in the network namespace of the
calling thread, and all calls for one program must come from the same namespace (checked).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from controller.steering.drops import Drop
from controller.steering.model import ForkKey, Peer, PeerKey, Tables


class Verdict(IntEnum):
    """What an XDP program returns."""

    ABORTED = 0
    DROP = 1
    PASS = 2
    TX = 3
    REDIRECT = 4


@dataclass(frozen=True)
class Sizes:
    """How many rows each table holds; arrays and preallocated hashes, so this is memory too."""

    flow: int = 1 << 17
    binding: int = 1 << 13
    peer: int = 1 << 12
    learnt: int = 1 << 16
    fork: int = 1 << 10
    branch: int = 1 << 14
    channel: int = 1 << 13
    slot: int = 1 << 16
    endpoint: int = 1 << 14
    unit: int = 1 << 8
    vlan_link: int = 1 << 10
    ifindex: int = 1 << 16


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
class Event:
    """A sampled drop, or a packet of an unknown flow (``reason`` REQUESTED). ``frame``: its first bytes."""

    reason: Drop
    device: str
    length: int
    frame: bytes
    time: float
    """Seconds of CLOCK_MONOTONIC."""


@dataclass(frozen=True)
class TestOutcome:
    """What one run of the program did with a frame.

    For a target that is a fork, ``fork`` is its id and ``copies`` the number of branches; each copy is then run by
    ``run(…, copy=ForkKey(fork, i))``.  ``device`` and ``endpoint`` are those of a packet that was sent.
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


class SteeringProgram:
    """One per unit. Not thread-safe: one thread, or the caller's lock."""

    @classmethod
    def load(
        cls,
        *,
        pin_directory: Path | None,
        trace: bool = False,
        sizes: Sizes = Sizes(),  # noqa: B008 - frozen
        devices: Mapping[str, int] | None = None,
    ) -> SteeringProgram:
        """Compile (once per source, then from a cache) and load into the kernel; nothing is attached yet.

        ``pin_directory``: a folder in a bpffs; maps pinned there are adopted with their rows, so that a
        restart goes on where its predecessor ended; None pins nothing.  ``trace``: the test build for ``run``, which sends
        nothing; only there ``devices`` may name interfaces that need not exist, with numbers of their own.
        Unavailable when the host cannot do it, or when pinned maps have another layout or other sizes.
        """
        raise NotImplementedError

    def attach(self, device: str) -> None:
        """Native XDP; atomically replaces what is there; survives the process."""
        raise NotImplementedError

    def detach(self, device: str) -> None:
        """Nothing happens when nothing is attached."""
        raise NotImplementedError

    def apply(self, wanted: Tables) -> None:
        """Make the kernel hold ``wanted`` and nothing else: new rows first, then flows and bindings, then deletions."""
        raise NotImplementedError

    def insert(self, table: str, key: object, row: object) -> None:
        """Write one row, replacing an older one in one step."""
        raise NotImplementedError

    def delete(self, table: str, key: object) -> None:
        """Delete one row; nothing happens when it is not there."""
        raise NotImplementedError

    def rows(self) -> Tables:
        """What the kernel holds, without what it learnt itself. A device that is gone reads ``#ifindex``."""
        raise NotImplementedError

    def learnt(self) -> dict[PeerKey, Peer]:
        """Outside sources that were learnt and may still be answered (R5)."""
        raise NotImplementedError

    def set_alive(self, unit: int, alive: bool) -> None:
        """The whole of a fail-over: one write."""
        raise NotImplementedError

    def counters(self) -> Counters:
        """Since the maps were made."""
        raise NotImplementedError

    def events(self) -> Iterator[Event]:
        """Those that wait now; never blocks. ``events_fd`` becomes readable when there are any."""
        raise NotImplementedError

    @property
    def events_fd(self) -> int:
        raise NotImplementedError

    def run(
        self,
        device: str,
        frame: bytes,
        *,
        copy: ForkKey | None = None,
        origin: str | None = None,
        now: float | None = None,
    ) -> TestOutcome:
        """BPF_PROG_RUN, in the trace build only: one frame enters by ``device``, nothing leaves.

        ``copy``: the frame enters by the fork link ``device`` as that copy of a packet that came in by ``origin``.
        ``now``: seconds, instead of CLOCK_MONOTONIC, for lifetimes and rates.
        """
        raise NotImplementedError

    def close(self, unpin: bool) -> None:
        """Free what this process holds. Attached programs go on, unless ``unpin``: then they are detached, and the pins go."""
        raise NotImplementedError

    def __enter__(self) -> SteeringProgram:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close(unpin=True)
