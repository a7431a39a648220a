"""The accounts of the node's sessions: fed by what units report, written down every few seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import structlog

from controller.accounting.ledger import Entry
from controller.accounting.store import LedgerStore
from controller.session import LiveSession
from dipronn.errors import Unavailable
from dipronn.v1 import accounts_pb2, unit_pb2

_log = structlog.get_logger(__name__)
_WRITE_SECONDS = 5.0
"""What a crash forgets is counted again from what units report then."""


class Accounts:
    """``sessions``: those that there are now. Reports are taken as they come and cannot fail."""

    def __init__(self, path: Path, sessions: Callable[[], Iterable[LiveSession]]) -> None:
        self._store = LedgerStore(path)
        self._ledger = self._store.read()
        self._sessions = sessions
        self._changed: set[int] = set()

    def entries(self) -> list[Entry]:
        """By the sessions' numbers, which grow."""
        self._know_sessions()
        return [self._ledger.entries[number] for number in sorted(self._ledger.entries)]

    def on_counters(self, unit: str, counters: unit_pb2.UnitCounters) -> None:
        self._know_sessions()
        self._ledger.count_channels(
            unit, {number: (one.packets, one.bytes) for number, one in counters.channels.items()}
        )

    def on_usage(self, unit: str, usage: accounts_pb2.UsageReport) -> None:
        self._know_sessions()
        self._ledger.count_machines(
            unit,
            {
                (one.session, one.vm, one.incarnation): (one.cpu_ns, one.memory_byte_seconds)
                for one in usage.vms
            },
        )

    def close_session(self, number: int) -> None:
        """It has ended, and its units that are joined have told all of it."""
        if entry := self._ledger.entries.get(number):
            entry.closed = time.time()
            self._changed.add(number)
        self._ledger.forget_channels(number)
        self._write()

    async def keep(self) -> None:
        """Write down what has changed, for ever."""
        while True:
            await asyncio.sleep(_WRITE_SECONDS)
            self._write()

    def close(self) -> None:
        self._write()
        self._store.close()

    def _know_sessions(self) -> None:
        for session in self._sessions():
            record = session.record
            if record.number not in self._ledger.entries:
                self._ledger.entries[record.number] = Entry(
                    record.number, record.name, record.program.owner, time.time()
                )
            self._ledger.name_channels(record.number, session.counted)
            self._changed.add(record.number)

    def _write(self) -> None:
        if not self._changed:
            return
        try:
            self._store.write(self._ledger, self._changed)
        except Unavailable as error:  # a full disk must not end sessions
            _log.error("accounts are not written down", error=str(error))
        else:
            self._changed.clear()
