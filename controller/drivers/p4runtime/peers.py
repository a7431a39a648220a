"""Outside peers that a switch has learnt: rows that live for a minute after the last word."""

from __future__ import annotations

from collections.abc import Iterable

from controller.drivers.p4runtime.entries import Action, Entries, EntryKey
from controller.steering.model import PEER_LIFETIME

MOST = 32768
"""Half of the table: the rest is the control unit's."""


class LearntPeers:
    """What was learnt, and until when it counts. Times are in seconds, of one monotonic clock."""

    def __init__(self) -> None:
        self._ends: dict[EntryKey, float] = {}
        self.entries: Entries = {}
        self._changed: set[EntryKey] = set()

    def learn(self, peers: Iterable[tuple[EntryKey, Action]], now: float) -> None:
        """Who speaks again lives longer. When there is no room left the longest silent go."""
        for key, action in peers:
            self._ends.pop(key, None)
            self._ends[key] = now + PEER_LIFETIME  # kept in the order of their ends
            if self.entries.get(key) != action:
                self.entries[key] = action
                self._changed.add(key)
        while len(self._ends) > MOST:
            self._forget(next(iter(self._ends)))

    def age(self, now: float) -> None:
        """Forget whose time is over."""
        for key in [key for key, end in self._ends.items() if end <= now]:
            self._forget(key)

    def take_changed(self) -> set[EntryKey]:
        """Who was learnt, learnt anew or forgotten since the last call."""
        changed, self._changed = self._changed, set()
        return changed

    def _forget(self, key: EntryKey) -> None:
        del self._ends[key], self.entries[key]
        self._changed.add(key)
