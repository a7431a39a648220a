"""The rows from forks to endpoints, kept in the process for what the loader derives from several of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from controller.steering.model import Channel, Selector, SlotKey, Tables

GRAPH = ("fork", "channel", "slot", "endpoint")
"""The tables that are kept."""


class Graph:
    def __init__(self) -> None:
        self.rows = Tables()
        self._channels: dict[int, set[int]] = defaultdict(set)  # by group

    def insert(self, table: str, new: Mapping[Any, Any]) -> None:
        if table == "channel":
            for key, row in new.items():
                self._forget(key)
                self._channels[row.group].add(key)
        getattr(self.rows, table).update(new)

    def delete(self, table: str, key: Any) -> None:
        """Nothing happens when it is not there."""
        if table == "channel":
            self._forget(key)
        getattr(self.rows, table).pop(key, None)

    def _forget(self, channel: int) -> None:
        old = self.rows.channel.get(channel)
        if old is not None:
            self._channels[old.group].discard(channel)

    def channels_of(self, groups: Iterable[int]) -> set[int]:
        return {channel for group in groups for channel in self._channels.get(group, ())}

    def only_endpoint(self, channel: Channel) -> int:
        """Of the only slot that the channel can choose; 0 when it has a choice or the slot is empty."""
        if channel.mask and channel.selector is not Selector.ZERO:
            return 0
        slot = self.rows.slot.get(SlotKey(channel.group, 0))
        return slot.endpoint if slot else 0
