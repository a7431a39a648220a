"""The rows from forks to endpoints, kept in the process for what the loader derives from several of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from controller.steering.model import Channel, Endpoint, Selector, SlotKey, Tables

GRAPH = ("limit", "fork", "channel", "slot", "endpoint")
"""The tables that are kept."""


class Graph:
    def __init__(self) -> None:
        self.rows = Tables()
        self._channels: dict[int, set[int]] = defaultdict(set)  # by group
        self._groups: dict[int, set[int]] = defaultdict(set)  # by the endpoint of slot 0

    def insert(self, table: str, new: Mapping[Any, Any]) -> None:
        for key, row in new.items():
            self._forget(table, key)
            if table == "channel":
                self._channels[row.group].add(key)
            elif table == "slot" and key.index == 0:
                self._groups[row.endpoint].add(key.group)
        getattr(self.rows, table).update(new)

    def delete(self, table: str, key: Any) -> None:
        """Nothing happens when it is not there."""
        self._forget(table, key)
        getattr(self.rows, table).pop(key, None)

    def _forget(self, table: str, key: Any) -> None:
        old = getattr(self.rows, table).get(key)
        if old is None:
            return
        if table == "channel":
            self._channels[old.group].discard(key)
        elif table == "slot" and key.index == 0:
            self._groups[old.endpoint].discard(key.group)

    def channels_of(self, table: str, keys: Iterable[Any]) -> set[int]:
        """Channels whose only slot or its endpoint is among these rows."""
        groups: set[int] = set()
        if table == "slot":
            groups = {key.group for key in keys if key.index == 0}
        elif table == "endpoint":
            groups = self._groups_of(keys)
        elif table == "limit":
            devices = set(keys)
            groups = self._groups_of(n for n, row in self.rows.endpoint.items() if row.device in devices)
        return {channel for group in groups for channel in self._channels.get(group, ())}

    def _groups_of(self, endpoints: Iterable[int]) -> set[int]:
        return set().union(*(self._groups.get(number, ()) for number in endpoints))

    def only_endpoint(self, channel: Channel) -> tuple[int, Endpoint | None]:
        """Of the only slot that the channel can choose, with its number, if the common path may send there.

        None: a choice, no row, or a limit of what leaves by its device.
        """
        if channel.mask and channel.selector is not Selector.ZERO:
            return 0, None
        slot = self.rows.slot.get(SlotKey(channel.group, 0))
        endpoint = self.rows.endpoint.get(slot.endpoint) if slot else None
        if slot is None or endpoint is None:
            return 0, None
        limit = self.rows.limit.get(endpoint.device)
        return (0, None) if limit and limit.sent else (slot.endpoint, endpoint)
