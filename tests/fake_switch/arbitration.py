"""Who of the controllers of a device is primary, as bmv2 decides it: always the one with the highest id."""

from __future__ import annotations

from dataclasses import dataclass, field

import grpc
from finsy.proto import p4r

from tests.fake_switch.tables import Refusal

MOST_CONTROLLERS = 16
_OK, _NOT_FOUND, _ALREADY_EXISTS = 0, 5, 6


@dataclass
class Arbitration:
    """``heirs``: whether another controller becomes primary when the primary one leaves.  In bmv2 it does; by
    the specification the device then has none until somebody asks again.

    Controllers are known by whatever the caller calls them by; every method gives what to tell to whom.
    """

    device_id: int
    heirs: bool = True
    _ids: dict[object, int] = field(default_factory=dict)
    _primary: object | None = None

    def is_primary(self, election_id: int) -> bool:
        return self._primary is not None and self._ids[self._primary] == election_id

    @property
    def primary(self) -> object | None:
        return self._primary

    def update(self, who: object, election_id: int) -> list[tuple[object, p4r.MasterArbitrationUpdate]]:
        """A controller says its election id, perhaps another than before.  Raises Refusal."""
        if self._ids.get(who) == election_id:
            return [] if self._primary is not None else self._elect()
        if election_id in self._ids.values():
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT, "Election id already exists")
        if who not in self._ids and len(self._ids) >= MOST_CONTROLLERS:
            raise Refusal(grpc.StatusCode.RESOURCE_EXHAUSTED, "Too many connections")
        before = self._primary
        self._ids[who] = election_id
        self._primary = self._highest()
        return self._tell(self._ids if self._primary is not before else [who])

    def leave(self, who: object) -> list[tuple[object, p4r.MasterArbitrationUpdate]]:
        if self._ids.pop(who, None) is None or who is not self._primary:
            return []
        self._primary = self._highest() if self.heirs else None
        return self._tell(self._ids)

    def _elect(self) -> list[tuple[object, p4r.MasterArbitrationUpdate]]:
        self._primary = self._highest()
        return self._tell(self._ids)

    def _highest(self) -> object | None:
        return max(self._ids, key=self._ids.__getitem__, default=None)

    def _tell(self, whom: object) -> list[tuple[object, p4r.MasterArbitrationUpdate]]:
        assert isinstance(whom, dict | list)
        told = []
        for each in whom:
            update = p4r.MasterArbitrationUpdate(device_id=self.device_id)
            if self._primary is None:
                update.status.code = _NOT_FOUND
            else:
                update.election_id.low = self._ids[self._primary]
                update.status.code = _OK if each is self._primary else _ALREADY_EXISTS
            told.append((each, update))
        return told
