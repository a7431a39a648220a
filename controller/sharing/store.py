"""Shared state on disk: SQLite, each change a transaction.

It outlives a control unit that is killed.  It is not synced with each change, since instances wait for them:
a host that loses its power may lose the last.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from controller.sharing.state import Barrier, Content, Entry
from dipronn.errors import Unavailable

SCHEMA = 1
_TABLES = (
    "CREATE TABLE session (number INTEGER PRIMARY KEY, revision INTEGER NOT NULL) STRICT",
    """CREATE TABLE entry (
        number INTEGER NOT NULL, key TEXT NOT NULL, version INTEGER NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (number, key)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE barrier (
        number INTEGER NOT NULL, name TEXT NOT NULL, count INTEGER NOT NULL, done INTEGER NOT NULL,
        arrived TEXT NOT NULL, PRIMARY KEY (number, name)) STRICT, WITHOUT ROWID""",
)


class StateStore:
    """Raises Unavailable when it cannot be read or written; the file is then as it was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        with self._transaction() as execute:
            (version,) = execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in _TABLES:
                    execute(statement)
                execute(f"PRAGMA user_version = {SCHEMA}")
            elif version != SCHEMA:
                raise Unavailable(f"{path} has schema {version}, this program knows {SCHEMA}; move it away")

    def read(self, number: int) -> Content:
        rows = self._database.execute
        content = Content()
        for (revision,) in rows("SELECT revision FROM session WHERE number = ?", (number,)):
            content.revision = revision
        for key, *entry in rows("SELECT key, version, value FROM entry WHERE number = ?", (number,)):
            content.keys[key] = Entry(*entry)
        query = "SELECT name, count, done, arrived FROM barrier WHERE number = ?"
        for name, count, done, arrived in rows(query, (number,)):
            content.barriers[name] = Barrier(count, done, frozenset(json.loads(arrived)))
        return content

    def keep_key(self, number: int, revision: int, key: str, entry: Entry | None) -> None:
        with self._transaction() as execute:
            execute("INSERT OR REPLACE INTO session VALUES (?, ?)", (number, revision))
            if entry is None:
                execute("DELETE FROM entry WHERE number = ? AND key = ?", (number, key))
            else:
                values = (number, key, entry.version, entry.value)
                execute("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?)", values)

    def keep_barrier(self, number: int, name: str, barrier: Barrier) -> None:
        values = (number, name, barrier.count, barrier.done, json.dumps(sorted(barrier.arrived)))
        with self._transaction() as execute:
            execute("INSERT OR REPLACE INTO barrier VALUES (?, ?, ?, ?, ?)", values)

    def drop(self, number: int) -> None:
        with self._transaction() as execute:
            for table in ("session", "entry", "barrier"):
                execute(f"DELETE FROM {table} WHERE number = ?", (number,))

    def drop_all_but(self, numbers: Collection[int]) -> None:
        """Of sessions that ended while nobody could say so here."""
        query = "SELECT number FROM session UNION SELECT number FROM barrier"
        for (number,) in self._database.execute(query).fetchall():
            if number not in numbers:
                self.drop(number)

    def close(self) -> None:
        self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        try:
            self._database.execute("BEGIN IMMEDIATE")
            yield self._database.execute
            self._database.execute("COMMIT")
        except BaseException as error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise Unavailable(f"{self._path} cannot be written ({error}); nothing was changed") from error
            raise
