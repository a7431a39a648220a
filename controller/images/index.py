"""Which images there are: names of owners for contents. SQLite on disk, and all of it in memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dipronn.errors import InsufficientResources, Unavailable

SCHEMA = 1
_TABLE = """
CREATE TABLE image (
    owner TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, sha256 BLOB NOT NULL,
    size INTEGER NOT NULL, created REAL NOT NULL, PRIMARY KEY (owner, name)) STRICT, WITHOUT ROWID
"""


class Kind(StrEnum):
    """Of a disk the format is part of it: it is stated, and holds for ever."""

    BUNDLE = "bundle"
    KERNEL = "kernel"
    RAW = "raw"
    QCOW2 = "qcow2"


@dataclass(frozen=True)
class ImageRecord:
    """``created``: seconds since 1970."""

    owner: str
    name: str
    kind: Kind
    sha256: bytes
    size: int
    created: float


class ImageIndex:
    """Changes are on disk when they return. Raise InsufficientResources (the disk is full), Unavailable."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = sqlite3.connect(path, isolation_level=None)
        with self._errors():
            self._database.execute("PRAGMA synchronous = FULL")
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version == 0:
                self._database.execute("BEGIN IMMEDIATE")
                self._database.execute(_TABLE)
                self._database.execute(f"PRAGMA user_version = {SCHEMA}")
                self._database.execute("COMMIT")
            elif version != SCHEMA:
                raise Unavailable(f"{path} has schema {version}, this program knows {SCHEMA}; move it away")
            rows = self._database.execute("SELECT owner, name, kind, sha256, size, created FROM image")
            self._records = {
                (owner, name): ImageRecord(owner, name, Kind(kind), *rest)
                for owner, name, kind, *rest in rows
            }

    def records(self) -> list[ImageRecord]:
        """By owner and name."""
        return [self._records[key] for key in sorted(self._records)]

    def get(self, owner: str, name: str) -> ImageRecord | None:
        return self._records.get((owner, name))

    def add(self, record: ImageRecord) -> None:
        row = (record.owner, record.name, record.kind, record.sha256, record.size, record.created)
        with self._errors():
            self._database.execute("INSERT OR REPLACE INTO image VALUES (?, ?, ?, ?, ?, ?)", row)
        self._records[record.owner, record.name] = record

    def remove(self, record: ImageRecord) -> None:
        with self._errors():
            self._database.execute(
                "DELETE FROM image WHERE owner = ? AND name = ?", (record.owner, record.name)
            )
        self._records.pop((record.owner, record.name), None)

    def close(self) -> None:
        self._database.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorname", "") in ("SQLITE_FULL", "SQLITE_IOERR_WRITE"):
                raise InsufficientResources(f"{self._path}: the disk is full; free some space") from error
            raise Unavailable(f"{self._path} cannot be written ({error})") from error
