"""From the entries that a switch has to those that it is to have: what to change in which order, and back.

``diff`` is pure. ``execute`` brings its own undo log, since a switch may do a part of a batch and refuse the
rest (bmv2 knows CONTINUE_ON_ERROR only). Multicast groups are treated as entries of a table of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby, pairwise
from typing import Protocol

import structlog

from controller.drivers.p4runtime.entries import Action, Entries, EntryKey, groups
from dipronn.errors import DipronnError

_log = structlog.get_logger(__name__)

GROUP_TABLE = "multicast_group"
"""The group n makes the copies 0 to n - 1: key (n,), parameters its replication ids."""
TABLES = (
    "unit",
    "link",
    "endpoint",
    "slot",
    "channel",
    GROUP_TABLE,
    "fork",
    "next_hop",
    "next_hop6",
    "override",
    "artp",
    "peer",
    "peer6",
    "flow",
    "flow6",
    "flow_wild",
    "flow6_wild",
)
"""In the order in which entries are inserted: who is referred to stands first, who lets packets in last."""
BATCH = 1000
"""Changes in one request; more do not make it faster."""

_LOOPS_TO_START = 3
"""Of the event loop, until a request has begun: the task, the call, the call's own task."""


class Refused(DipronnError):
    """The switch refused a change; the message says which and why."""


@dataclass(frozen=True)
class Change:
    """``before`` and ``after``: None is no entry."""

    key: EntryKey
    before: Action | None
    after: Action | None

    def undo(self) -> Change:
        return Change(self.key, self.after, self.before)

    @property
    def verb(self) -> str:
        return "insert" if self.before is None else "delete" if self.after is None else "modify"


class Writer(Protocol):
    """Writes to a switch. ``sizes``: how many entries a table holds, as far as that is known."""

    @property
    def sizes(self) -> Mapping[str, int]: ...

    def prepare(self, changes: Sequence[Change]) -> None:
        """These come next: what takes time for them may be done while others are under way."""
        ...

    async def write(self, changes: Sequence[Change]) -> Mapping[int, str]:
        """Do the changes in order; those that the switch refused, by their index, with its reason.

        Raises Unavailable if it is unclear what was done.
        """
        ...


def with_groups(entries: Entries) -> Entries:
    """The entries and the multicast groups that they need."""
    return entries | {group_key(size): group_action(range(size)) for size in groups(entries.items())}


def group_key(size: int) -> EntryKey:
    return EntryKey(GROUP_TABLE, (size,))


def group_action(copies: Iterable[int]) -> Action:
    return Action("replicate", tuple(copies))


def diff(desired: Entries, observed: Entries) -> list[Change]:
    """The changes from ``observed`` to ``desired``, so ordered that no entry ever refers to one that is not
    there: what is missing or different in the order of ``TABLES``, then deletions in the opposite order."""
    changes = [
        Change(key, observed.get(key), action)
        for key, action in desired.items()
        if observed.get(key) != action
    ]
    changes.sort(key=_rank)
    deletions = [Change(key, action, None) for key, action in observed.items() if key not in desired]
    deletions.sort(key=_rank, reverse=True)
    return changes + deletions


def _rank(change: Change) -> tuple[int, int]:
    key = change.key
    # The entry of a fork's copy 0 tells how many copies there are: last in, first out.
    return TABLES.index(key.table), -key.match[1] if key.table == "fork" else 0


def batches(changes: Sequence[Change]) -> Iterator[list[Change]]:
    """Runs of changes of one kind to one table: within a batch nothing refers to anything."""
    for _, run in groupby(changes, key=lambda change: (change.key.table, change.verb)):
        same = list(run)
        for start in range(0, len(same), BATCH):
            yield same[start : start + BATCH]


async def execute(changes: Sequence[Change], writer: Writer, mirror: Entries) -> None:
    """Do all changes, or none: what was done before one is refused is undone in reverse order.

    ``mirror`` is kept equal to what the switch has. Raises Refused; Unavailable if the switch is lost, and
    then the mirror is worth nothing. A cancellation undoes nothing: the next start reads and converges.
    """
    done: list[Change] = []
    for batch, following in pairwise(chain(batches(changes), [[]])):
        writing = asyncio.ensure_future(writer.write(batch))
        for _ in range(_LOOPS_TO_START):
            await asyncio.sleep(0)
        writer.prepare(following)
        refused = await writing
        kept = [change for index, change in enumerate(batch) if index not in refused]
        _note(kept, mirror)
        done += kept
        if refused:
            index, why = next(iter(refused.items()))
            change, full = batch[index], _full(batch[index], writer, mirror)
            await _undo(done, writer, mirror)
            raise Refused(full or f"{change.verb} of {change.key}: {why}")


def _full(change: Change, writer: Writer, mirror: Entries) -> str:
    """Whether an insertion fails because its table is full: switches do not say."""
    table = change.key.table
    size = writer.sizes.get(table, 0)
    if change.before is not None or not size or sum(key.table == table for key in mirror) < size:
        return ""
    return f"the switch's table {table} is full: it holds {size} entries; close sessions, or enlarge it"


async def _undo(done: Sequence[Change], writer: Writer, mirror: Entries) -> None:
    for batch in batches([change.undo() for change in reversed(done)]):
        refused = await writer.write(batch)
        _note([change for index, change in enumerate(batch) if index not in refused], mirror)
        for index, why in refused.items():  # the rest is undone all the same; the mirror tells the truth
            _log.error("undo refused", change=batch[index].verb, entry=str(batch[index].key), why=why)


def _note(changes: Iterable[Change], mirror: Entries) -> None:
    for change in changes:
        if change.after is None:
            mirror.pop(change.key, None)
        else:
            mirror[change.key] = change.after
