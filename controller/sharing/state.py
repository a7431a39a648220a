"""The shared state of one session: keys with versions, and barriers.  Nothing here does input or output.

A version is the session's revision at the time of the change: it only grows and is never used twice, also
when a key is removed and made again.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

MAX_KEYS = 1024
MAX_VALUE = 128
"""Bytes."""
MAX_BARRIERS = 64
MAX_PARTIES = 1024
MAX_WAITING = 1024
"""Watches and barriers of one session that wait at a time."""

NOT_FOUND, TIMED_OUT, CONFLICT, TOO_LONG, LIMIT = 404, 408, 409, 413, 429


@dataclass(frozen=True)
class Answer:
    """``code`` as in the name protocol, 0 for OK; ``version`` is the one that there is now, 0: none."""

    code: int = 0
    version: int = 0
    value: bytes = b""
    text: str = ""


@dataclass(frozen=True)
class Entry:
    version: int
    value: bytes


@dataclass(frozen=True)
class Barrier:
    """``done`` rounds are over; ``arrived`` are those who have come to the next."""

    count: int
    done: int = 0
    arrived: frozenset[str] = frozenset()


@dataclass
class Content:
    """What is kept of a session."""

    revision: int = 0
    keys: dict[str, Entry] = field(default_factory=dict)
    barriers: dict[str, Barrier] = field(default_factory=dict)


class Keeper(Protocol):
    """Keeps every change before it is answered; what it raises undoes the change."""

    def keep_key(self, revision: int, key: str, entry: Entry | None) -> None: ...

    def keep_barrier(self, name: str, barrier: Barrier) -> None: ...


class SessionState:
    def __init__(self, content: Content, keeper: Keeper) -> None:
        self._content = content
        self._keeper = keeper
        self._waiting: defaultdict[tuple[str, str], set[asyncio.Future[None]]] = defaultdict(set)
        self._waiters = 0

    def get(self, key: str) -> Answer:
        entry = self._content.keys.get(key)
        return Answer(0, entry.version, entry.value) if entry else Answer(NOT_FOUND, text="no such key")

    def put(self, key: str, value: bytes, expected: int | None = None) -> Answer:
        """``expected``: only if this is its version now (0: there is none)."""
        keys = self._content.keys
        version = keys[key].version if key in keys else 0
        if len(value) > MAX_VALUE:
            return Answer(TOO_LONG, text=f"a value has at most {MAX_VALUE} bytes")
        if expected is not None and expected != version:
            return Answer(CONFLICT, version, text=f"version {version}")
        if key not in keys and len(keys) >= MAX_KEYS:
            return Answer(LIMIT, text=f"the session has {MAX_KEYS} keys")
        return Answer(0, self._change(key, value))

    def delete(self, key: str) -> Answer:
        if key not in self._content.keys:
            return Answer(NOT_FOUND, text="no such key")
        self._change(key, None)
        return Answer()

    async def watch(self, key: str, version: int, seconds: float) -> Answer:
        """The key as soon as its version is another; version 0 when there is none."""

        def changed() -> bool:
            entry = self._content.keys.get(key)
            return (entry.version if entry else 0) != version

        if unmet := await self._wait(("key", key), changed, seconds, "unchanged"):
            return unmet
        entry = self._content.keys.get(key, Entry(0, b""))
        return Answer(0, entry.version, entry.value)

    async def barrier(self, name: str, count: int, round_: int, party: str, seconds: float) -> Answer:
        """Come to a round of a barrier and wait for the others.  To have come lasts, whatever happens to the
        waiting; who asks for a round that is over passes at once."""
        barriers = self._content.barriers
        barrier = barriers.get(name)
        if barrier is None and len(barriers) >= MAX_BARRIERS:
            return Answer(LIMIT, text=f"the session has {MAX_BARRIERS} barriers")
        barrier = barrier or Barrier(count)
        if round_ > barrier.done + 1:
            return Answer(CONFLICT, barrier.done, text=f"round {barrier.done}")
        if round_ == barrier.done + 1:
            if barrier.arrived and barrier.count != count:
                return Answer(CONFLICT, barrier.done, text=f"others wait for {barrier.count}")
            if not 1 <= count <= MAX_PARTIES:
                return Answer(CONFLICT, barrier.done, text=f"a barrier is for 1 to {MAX_PARTIES}")
            self._come(name, replace(barrier, count=count, arrived=barrier.arrived | {party}))

        def over() -> bool:
            return barriers[name].done >= round_

        if unmet := await self._wait(("barrier", name), over, seconds, "not all are there"):
            return unmet
        return Answer(0, barriers[name].done)

    def _come(self, name: str, barrier: Barrier) -> None:
        if len(barrier.arrived) >= barrier.count:
            barrier = Barrier(barrier.count, barrier.done + 1)
        self._keeper.keep_barrier(name, barrier)
        self._content.barriers[name] = barrier
        if not barrier.arrived:
            self._wake(("barrier", name))

    def _change(self, key: str, value: bytes | None) -> int:
        revision = self._content.revision + 1
        entry = None if value is None else Entry(revision, value)
        self._keeper.keep_key(revision, key, entry)
        self._content.revision = revision
        if entry is None:
            del self._content.keys[key]
        else:
            self._content.keys[key] = entry
        self._wake(("key", key))
        return revision

    # waiting

    async def _wait(
        self, what: tuple[str, str], met: Callable[[], bool], seconds: float, otherwise: str
    ) -> Answer | None:
        """None when it is met."""
        if met():
            return None
        if self._waiters >= MAX_WAITING:
            return Answer(LIMIT, text=f"{MAX_WAITING} wait already")
        self._waiters += 1
        try:
            async with asyncio.timeout(seconds):
                while not met():
                    await self._woken(what)
        except TimeoutError:
            return Answer(TIMED_OUT, text=otherwise)
        finally:
            self._waiters -= 1
        return None

    async def _woken(self, what: tuple[str, str]) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting[what].add(future)
        try:
            await future
        finally:
            self._waiting[what].discard(future)
            if not self._waiting[what]:
                del self._waiting[what]

    def _wake(self, what: tuple[str, str]) -> None:
        for future in self._waiting.get(what, ()):
            if not future.done():
                future.set_result(None)
