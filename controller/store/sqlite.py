"""The store: SQLite in WAL mode, one writer, every change one transaction that is on disk when it returns."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from controller.record import SessionRecord
from controller.steering.identifiers import Allotment
from controller.store import encoding
from dipronn.errors import AlreadyExists, InsufficientResources, Unavailable
from dipronn.v1 import unit_pb2

SCHEMA = 1
_TABLES = """
CREATE TABLE unit (
    name TEXT PRIMARY KEY, number INTEGER NOT NULL UNIQUE, hello BLOB NOT NULL,
    alive INTEGER NOT NULL) STRICT;
CREATE TABLE session (number INTEGER PRIMARY KEY, program BLOB NOT NULL, detail TEXT NOT NULL) STRICT;
CREATE TABLE allotment (
    kind TEXT NOT NULL, owner TEXT NOT NULL, key TEXT NOT NULL,
    first INTEGER NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (owner, kind, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE bundle (sha256 BLOB PRIMARY KEY, data BLOB NOT NULL) STRICT;
CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
"""
_FULL = {"SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE", "SQLITE_IOERR_FSYNC", "SQLITE_CANTOPEN"}


@dataclass(frozen=True)
class StoredUnit:
    number: int
    hello: unit_pb2.Hello
    alive: bool


class Store:
    """``directory`` belongs to one control unit at a time: a lock that ends with its holder says so.

    Every method may raise InsufficientResources (the disk is full) or Unavailable (it cannot be written); the
    store is then as it was.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = directory / "control.db"
        self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise AlreadyExists(
                f"another control unit works on {directory}; end it or state another directory"
            ) from None
        try:
            self._database = sqlite3.connect(self._path, isolation_level=None)
            self._open()
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self) -> None:
        with self._errors():
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version == 0:
                with self._transaction():
                    for statement in _TABLES.split(";"):
                        self._database.execute(statement)
                    self._database.execute(f"PRAGMA user_version = {SCHEMA}")
            elif version != SCHEMA:
                raise Unavailable(
                    f"{self._path} has schema {version}, this program knows {SCHEMA}; move it away"
                )

    def close(self) -> None:
        self._database.close()
        os.close(self._lock)

    # units

    def units(self) -> dict[str, StoredUnit]:
        rows = self._database.execute("SELECT name, number, hello, alive FROM unit ORDER BY number")
        return {
            name: StoredUnit(number, unit_pb2.Hello.FromString(hello), bool(alive))
            for name, number, hello, alive in rows
        }

    def save_unit(self, name: str, unit: StoredUnit) -> None:
        with self._errors(), self._transaction():
            self._database.execute(
                "INSERT OR REPLACE INTO unit VALUES (?, ?, ?, ?)",
                (name, unit.number, unit.hello.SerializeToString(), unit.alive),
            )

    # sessions

    def sessions(self) -> list[SessionRecord]:
        rows = self._database.execute("SELECT number, program, detail FROM session ORDER BY number")
        return [encoding.decode(*row) for row in rows]

    def last_session(self) -> int:
        """The largest number that a session ever had."""
        row = self._database.execute("SELECT value FROM counter WHERE name = 'session'").fetchone()
        return int(row[0]) if row else 0

    def allotments(self) -> list[Allotment]:
        rows = self._database.execute("SELECT kind, owner, key, first, count FROM allotment")
        return [Allotment(*row) for row in rows]

    def save_session(
        self,
        record: SessionRecord,
        allotments: Iterable[Allotment],
        bundles: Mapping[bytes, bytes] | None = None,
    ) -> None:
        """Insert or replace a session with its numbers and, once, its bundles by SHA-256."""
        program, detail = encoding.encode(record)
        with self._errors(), self._transaction():
            for sha256, data in (bundles or {}).items():
                self._database.execute("INSERT OR IGNORE INTO bundle VALUES (?, ?)", (sha256, data))
            self._database.execute(
                "INSERT OR REPLACE INTO session VALUES (?, ?, ?)", (record.number, program, detail)
            )
            self._database.execute("DELETE FROM allotment WHERE owner = ?", (record.owner,))
            self._database.executemany(
                "INSERT INTO allotment VALUES (?, ?, ?, ?, ?)",
                [(one.kind, one.owner, one.key, one.first, one.count) for one in allotments],
            )
            self._database.execute(
                "INSERT INTO counter VALUES ('session', ?) "
                "ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
                (record.number,),
            )

    def delete_session(self, record: SessionRecord, bundles_in_use: set[bytes]) -> None:
        """Forget a session, its numbers, and the bundles that nobody uses any more."""
        with self._errors(), self._transaction():
            self._database.execute("DELETE FROM session WHERE number = ?", (record.number,))
            self._database.execute("DELETE FROM allotment WHERE owner = ?", (record.owner,))
            for sha256 in set(record.bundles.values()) - bundles_in_use:
                self._database.execute("DELETE FROM bundle WHERE sha256 = ?", (sha256,))

    def bundle(self, sha256: bytes) -> bytes | None:
        row = self._database.execute("SELECT data FROM bundle WHERE sha256 = ?", (sha256,)).fetchone()
        return row[0] if row else None

    # errors and transactions

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            what = f"the control unit's store {self._path} cannot be written ({error}); nothing was changed"
            if name in _FULL:
                raise InsufficientResources(f"{what}; free some space on its disk") from error
            raise Unavailable(what) from error
