"""The ledger on disk: SQLite, all that changed in one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from controller.accounting.ledger import Entry, Ledger, Pair
from dipronn.errors import Unavailable

SCHEMA = 1
_TABLES = (
    """CREATE TABLE session (
        number INTEGER PRIMARY KEY, session TEXT NOT NULL, owner TEXT NOT NULL, opened REAL NOT NULL,
        closed REAL NOT NULL, cpu_ns INTEGER NOT NULL, memory_byte_seconds REAL NOT NULL) STRICT""",
    """CREATE TABLE channel (
        number INTEGER NOT NULL, channel TEXT NOT NULL, packets INTEGER NOT NULL, bytes INTEGER NOT NULL,
        PRIMARY KEY (number, channel)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE seen_channel (
        unit TEXT NOT NULL, channel INTEGER NOT NULL, packets REAL NOT NULL, bytes REAL NOT NULL) STRICT""",
    """CREATE TABLE seen_machine (
        unit TEXT NOT NULL, session INTEGER NOT NULL, vm TEXT NOT NULL, incarnation INTEGER NOT NULL,
        cpu_ns REAL NOT NULL, memory_byte_seconds REAL NOT NULL) STRICT""",
)


class LedgerStore:
    """Raises Unavailable when it cannot be read or written; the file is then as it was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = sqlite3.connect(path, isolation_level=None)
        with self._transaction():
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in _TABLES:
                    self._database.execute(statement)
                self._database.execute(f"PRAGMA user_version = {SCHEMA}")
            elif version != SCHEMA:
                raise Unavailable(f"{path} has schema {version}, this program knows {SCHEMA}; move it away")

    def read(self) -> Ledger:
        rows = self._database.execute
        entries = {row[0]: Entry(*row) for row in rows("SELECT * FROM session ORDER BY number")}
        for number, channel, packets, octets in rows("SELECT * FROM channel"):
            entries[number].channels[channel] = (packets, octets)
        ledger = Ledger(entries)
        for unit, channel, *pair in rows("SELECT * FROM seen_channel"):
            ledger.seen_channels.setdefault(unit, {})[channel] = _pair(pair)
        for unit, session, vm, incarnation, *pair in rows("SELECT * FROM seen_machine"):
            ledger.seen_machines.setdefault(unit, {})[session, vm, incarnation] = _pair(pair)
        return ledger

    def write(self, ledger: Ledger, changed: set[int]) -> None:
        """Sums of the sessions that changed, and all that was seen."""
        insert = self._database.executemany
        entries = [ledger.entries[number] for number in changed if number in ledger.entries]
        with self._transaction():
            insert(
                "INSERT OR REPLACE INTO session VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (e.number, e.session, e.owner, e.opened, e.closed, e.cpu_ns, e.memory_byte_seconds)
                    for e in entries
                ],
            )
            insert(
                "INSERT OR REPLACE INTO channel VALUES (?, ?, ?, ?)",
                [(e.number, name, *counts) for e in entries for name, counts in e.channels.items()],
            )
            self._database.execute("DELETE FROM seen_channel")
            self._database.execute("DELETE FROM seen_machine")
            insert(
                "INSERT INTO seen_channel VALUES (?, ?, ?, ?)",
                [
                    (unit, channel, *pair)
                    for unit, seen in ledger.seen_channels.items()
                    for channel, pair in seen.items()
                ],
            )
            insert(
                "INSERT INTO seen_machine VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (unit, *machine, *pair)
                    for unit, machines in ledger.seen_machines.items()
                    for machine, pair in machines.items()
                ],
            )

    def close(self) -> None:
        self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            yield
            self._database.execute("COMMIT")
        except BaseException as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise Unavailable(f"{self._path} cannot be written ({error}); nothing was changed") from error
            raise


def _pair(values: list[float]) -> Pair:
    return values[0], values[1]
