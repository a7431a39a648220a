"""Sums of counters that may start again at any time. Pure.

Units report what they have counted since some beginning. The ledger keeps what it last saw of every counter
and adds the difference; a counter below that has started again, and all of it is new. What was seen is kept
with the sums, so that nothing is counted twice or lost whoever restarts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Pair = tuple[float, float]
"""(packets, bytes) of a channel, or (CPU ns, memory byte-seconds) of a machine."""
Machine = tuple[int, str, int]
"""Session, name, incarnation."""


@dataclass
class Entry:
    """One session. ``opened`` and ``closed``: seconds since 1970; ``closed`` is 0 until it is."""

    number: int
    session: str
    owner: str
    opened: float
    closed: float = 0.0
    cpu_ns: int = 0
    memory_byte_seconds: float = 0.0
    channels: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass
class Ledger:
    """``entries`` by session number; ``seen_channels`` and ``seen_machines`` by unit."""

    entries: dict[int, Entry] = field(default_factory=dict)
    seen_channels: dict[str, dict[int, Pair]] = field(default_factory=dict)
    seen_machines: dict[str, dict[Machine, Pair]] = field(default_factory=dict)
    _names: dict[int, set[tuple[int, str]]] = field(default_factory=dict)

    def name_channels(self, number: int, counted: Mapping[str, Iterable[int]]) -> None:
        """Which of the node's channel numbers are those of a session's named channels now.

        Numbers that it had before count for it until they are another's.
        """
        for name, channels in counted.items():
            if entry := self.entries.get(number):
                entry.channels.setdefault(name, (0, 0))
            for channel in channels:
                mine = {each for each in self._names.get(channel, ()) if each[0] == number}
                self._names[channel] = mine | {(number, name)}

    def count_channels(self, unit: str, counters: Mapping[int, Pair]) -> None:
        """A unit's counters by channel number; what is not among them is zero there."""
        seen = self.seen_channels.get(unit, {})
        for channel, now in counters.items():
            packets, octets = _since(now, seen.get(channel))
            for number, name in self._names.get(channel, ()):
                if entry := self.entries.get(number):
                    before = entry.channels.get(name, (0, 0))
                    entry.channels[name] = (before[0] + int(packets), before[1] + int(octets))
        self.seen_channels[unit] = dict(counters)

    def count_machines(self, unit: str, usage: Mapping[Machine, Pair]) -> None:
        """What machines of a unit have used since their start; those that are not named have ended."""
        seen = self.seen_machines.get(unit, {})
        for machine, now in usage.items():
            cpu, memory = _since(now, seen.get(machine))
            if entry := self.entries.get(machine[0]):
                entry.cpu_ns += int(cpu)
                entry.memory_byte_seconds += memory
        self.seen_machines[unit] = dict(usage)

    def forget_channels(self, number: int) -> None:
        """A session has ended, and no unit counts for it any more."""
        for channel in [
            channel for channel, named in self._names.items() if any(n == number for n, _ in named)
        ]:
            del self._names[channel]


def _since(now: Pair, before: Pair | None) -> Pair:
    if before is None or now[0] < before[0] or now[1] < before[1]:
        return now
    return now[0] - before[0], now[1] - before[1]
