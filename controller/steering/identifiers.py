"""The numbers that rows are known by: allotted from pools, stored with their session, reused when removed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from dipronn.errors import InsufficientResources

_POOLS = {
    # kind: first and last number.  The data planes hold these tables as arrays of limited size.
    "session": (1, 0xFFFF),
    "unit": (2, 255),  # 1 is NOWHERE
    "channel": (1, (1 << 13) - 1),
    "fork": (1, (1 << 10) - 1),
    "artp": (1, (1 << 12) - 1),
    "program": (1, (1 << 8) - 1),  # of the kernel
    "endpoint": (1, (1 << 14) - 1),
    "slot": (1, (1 << 16) - 1),  # groups: runs of slots
    "instance": (2, (1 << 16) - 2),  # offsets in the pool of instance addresses; 1 is the gateway
    "port": (20000, 29999),  # UDP ports that the node assigns to inputs and outputs
}


@dataclass(frozen=True)
class Allotment:
    """``count`` numbers from ``first`` on, of one kind, for the thing ``key`` of an owner."""

    kind: str
    owner: str
    key: str
    first: int
    count: int = 1


@dataclass
class _Pool:
    first: int
    last: int
    taken: bytearray = field(init=False)
    cursor: int = 0

    def __post_init__(self) -> None:
        self.taken = bytearray(self.last - self.first + 1)

    def take(self, count: int) -> int:
        """Behind the last one taken, so that a number rests as long as possible before it is used again."""
        free = bytes(count)
        index = self.taken.find(free, self.cursor)
        if index < 0:
            index = self.taken.find(free)
        if index < 0:
            raise InsufficientResources
        self.taken[index : index + count] = b"\1" * count
        self.cursor = index + count
        return self.first + index

    def mark(self, first: int, count: int, value: bytes) -> None:
        index = first - self.first
        self.taken[index : index + count] = value * count


class Identifiers:
    """All numbers of the node.  Idempotent: the same kind, owner and key give the same number again."""

    def __init__(self, stored: Iterable[Allotment] = ()) -> None:
        self._pools = {kind: _Pool(first, last) for kind, (first, last) in _POOLS.items()}
        self._allotted: dict[str, dict[tuple[str, str], Allotment]] = {}
        for allotment in stored:
            self._pools[allotment.kind].mark(allotment.first, allotment.count, b"\1")
            pool = self._pools[allotment.kind]
            pool.cursor = max(pool.cursor, allotment.first - pool.first + allotment.count)
            self._allotted.setdefault(allotment.owner, {})[allotment.kind, allotment.key] = allotment

    def number(self, kind: str, owner: str, key: str, count: int = 1) -> int:
        """The first of ``count`` numbers.  Raises InsufficientResources when the pool is used up."""
        mine = self._allotted.setdefault(owner, {})
        allotment = mine.get((kind, key))
        if allotment is None:
            try:
                first = self._pools[kind].take(count)
            except InsufficientResources:
                capacity = _POOLS[kind][1] - _POOLS[kind][0] + 1
                used = sum(self._pools[kind].taken)
                message = (
                    f"no {count} {kind} numbers are left: {used} of {capacity} are in use; close a session"
                )
                raise InsufficientResources(message) from None
            allotment = mine[kind, key] = Allotment(kind, owner, key, first, count)
        return allotment.first

    def of(self, owner: str) -> list[Allotment]:
        return list(self._allotted.get(owner, {}).values())

    def release(self, owner: str) -> None:
        """Give back all numbers of an owner."""
        for allotment in self._allotted.pop(owner, {}).values():
            self._pools[allotment.kind].mark(allotment.first, allotment.count, b"\0")

    def keep(self, owner: str, wanted: Iterable[tuple[str, str]]) -> None:
        """Give back the owner's numbers that are not among ``wanted`` (kind and key)."""
        mine = self._allotted.get(owner, {})
        for key in mine.keys() - set(wanted):
            allotment = mine.pop(key)
            self._pools[allotment.kind].mark(allotment.first, allotment.count, b"\0")
