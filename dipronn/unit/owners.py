"""Which session each row of a unit belongs to, so that none gets into the traffic of another."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import fields

from controller.steering.model import Tables
from dipronn.errors import InvalidSession

_Row = tuple[str, Hashable]
"""Table and key."""


class RowOwners:
    """The owner of every row. What an order costs here grows with its own rows, not with other sessions."""

    def __init__(self) -> None:
        self._owners: dict[_Row, int] = {}
        self._rows: dict[int, set[_Row]] = {}

    def claim(self, session: int, rows: Tables) -> None:
        """Keep these rows for a session beside those that it has, until ``settle``.

        Raises InvalidSession, and has claimed nothing, if one belongs to another.
        """
        claimed = set(_rows(rows))
        for table, key in claimed:
            other = self._owners.get((table, key), session)
            if other != session:
                raise InvalidSession(f"session {session}: {table} row {key} belongs to session {other}")
        self._owners.update(dict.fromkeys(claimed, session))
        self._rows.setdefault(session, set()).update(claimed)

    def settle(self, session: int, rows: Tables) -> None:
        """The session has these rows and no others, however it came by them."""
        held = set(_rows(rows))
        for row in self._rows.pop(session, set()) - held:
            if self._owners[row] == session:
                del self._owners[row]
        self._owners.update(dict.fromkeys(held, session))
        if held:
            self._rows[session] = held


def _rows(rows: Tables) -> Iterator[_Row]:
    for table in fields(Tables):
        for key in getattr(rows, table.name):
            yield table.name, key
