"""Next hops of destinations that ARTP packets name (R7), as entries of a switch."""

from __future__ import annotations

from collections.abc import Callable

from controller.drivers.p4runtime.entries import (
    Entries,
    EntryKey,
    Ports,
    encode_next_hop,
    encode_next_hop_key,
)
from controller.steering.model import Address, NextHop
from dipronn.unit import destinations


class Destinations:
    """The entries that there are to be. ``changed`` is called when they are others."""

    def __init__(self, ports: Ports, changed: Callable[[], None]) -> None:
        self._ports = ports
        self._told = changed
        self._changed: set[EntryKey] = set()
        self.entries: Entries = {}
        found = destinations.Destinations(self._write)
        self.missed, self.moved, self.aclose = found.missed, found.moved, found.close

    def take_changed(self) -> set[EntryKey]:
        """Which were written or deleted since the last call."""
        changed, self._changed = self._changed, set()
        return changed

    def _write(self, address: Address, row: NextHop | None) -> None:
        key = encode_next_hop_key(address)
        if row is None:
            self.entries.pop(key, None)
        else:
            self.entries[key] = encode_next_hop(row, self._ports)
        self._changed.add(key)
        self._told()
