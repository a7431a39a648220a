"""How a fork's copies leave: planned here, without touching the kernel.

A branch is certain when nothing about its device is left to run time: one slot, and a backup, if any, by the
same device. Only if all branches are, copies go straight to their devices (``fork.h``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.steering.model import Channel, Endpoint, Selector, SlotKey, Tables

Reference = tuple[str, object]


@dataclass(frozen=True)
class ForkPlan:
    branches: Mapping[int, int]
    """copy → channel, also behind a gap."""
    copies: int
    """Up to the first gap."""
    devices: tuple[str, ...] | None
    """One per copy, or None: by the fork veth."""
    mtu: int
    """Longer packets go by the fork veth too, where each branch says for itself that it is too big."""
    references: frozenset[Reference]
    """The rows, as (table, key), whose change may change the plan."""


def plan_fork(fork: int, tables: Tables) -> ForkPlan:
    branches = {key.copy: row.channel for key, row in tables.fork.items() if key.fork == fork}
    copies = 0
    while copies in branches:
        copies += 1
    references: set[Reference] = set()
    ends = [_certain(branches[copy], tables, references) for copy in range(copies)]
    certain = [end for end in ends if end is not None]
    return ForkPlan(
        branches,
        copies,
        tuple(end.device for end in certain) if len(certain) == copies else None,
        min((end.mtu for end in certain), default=0),
        frozenset(references),
    )


def _certain(number: int, tables: Tables, references: set[Reference]) -> Endpoint | None:
    """An endpoint whose device the branch is sure to leave by; kernel programs have none."""
    references.add(("channel", number))
    channel: Channel | None = tables.channel.get(number)
    if channel is None or not (channel.mask == 0 or channel.selector is Selector.ZERO):
        return None
    slot_key = SlotKey(channel.group, 0)
    references.add(("slot", slot_key))
    slot = tables.slot.get(slot_key)
    if slot is None:
        return None
    ends = []
    for each in (slot.endpoint, slot.backup):
        if each is not None:
            references.add(("endpoint", each))
            ends.append(tables.endpoint.get(each))
    first = ends[0]
    if not first or not first.device or any(not end or end.device != first.device for end in ends):
        return None
    return min((end for end in ends if end is not None), key=lambda end: end.mtu)


def forks_of(tables: Tables) -> set[int]:
    return {key.fork for key in tables.fork}
