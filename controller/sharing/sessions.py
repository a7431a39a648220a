"""The shared states of all sessions: none can name another's."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from controller.sharing.state import Barrier, Entry, SessionState
from controller.sharing.store import StateStore


@dataclass(frozen=True)
class _Keeper:
    store: StateStore
    number: int

    def keep_key(self, revision: int, key: str, entry: Entry | None) -> None:
        self.store.keep_key(self.number, revision, key, entry)

    def keep_barrier(self, name: str, barrier: Barrier) -> None:
        self.store.keep_barrier(self.number, name, barrier)


class SharedStates:
    def __init__(self, path: Path) -> None:
        self._store = StateStore(path)
        self._states: dict[int, SessionState] = {}

    def start(self, sessions: Collection[int]) -> None:
        """``sessions``: the numbers of those that there are."""
        self._store.drop_all_but(sessions)

    def of(self, number: int) -> SessionState:
        """Of the session with this number, which is there."""
        if number not in self._states:
            self._states[number] = SessionState(self._store.read(number), _Keeper(self._store, number))
        return self._states[number]

    def end(self, number: int) -> None:
        """A session has ended, and its state with it."""
        self._states.pop(number, None)
        self._store.drop(number)

    def close(self) -> None:
        self._store.close()
