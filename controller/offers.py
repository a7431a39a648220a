"""Offers that were made and still stand: in memory only, a restart forgets them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from controller.limits import Limits
from controller.proposal import Proposal
from controller.record import SessionRecord
from dipronn.errors import InsufficientResources, NotFound
from dipronn.v1 import session_pb2 as pb


@dataclass(frozen=True)
class Standing:
    """``asked``: the session as it was negotiated.  ``until``: monotonic; ``ends``: by the clock."""

    id: str
    asked: pb.Program
    proposal: Proposal
    user: str
    until: float
    ends: float
    held: bool


class Offers:
    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._standing: dict[str, Standing] = {}

    def add(self, asked: pb.Program, proposal: Proposal, seconds: float, hold: bool) -> Standing:
        """Raises InsufficientResources when a user, or all together, have too many."""
        user, standing = proposal.record.user, self._current()
        mine = sum(one.user == user for one in standing.values())
        for who, count, most in (
            (f"user `{user}`", mine, self._limits.of(user).offers),
            ("this node", len(standing), self._limits.node.offers),
        ):
            if most is not None and count >= most:
                raise InsufficientResources(
                    f"{who} has {count} standing offers and may have {most}; take one or wait"
                )
        now = self._clock()
        offer = Standing(
            secrets.token_hex(8), asked, proposal, user, now + seconds, time.time() + seconds, hold
        )
        self._standing[offer.id] = offer
        return offer

    def get(self, offer: str, user: str | None) -> Standing:
        """``user``: who asks, None for the operator.  Raises NotFound."""
        found = self._current().get(offer)
        if found is None or user not in (None, found.user):
            raise NotFound(f"no offer `{offer}` stands; its time has passed or it was taken: negotiate again")
        return found

    def drop(self, offer: str) -> None:
        self._standing.pop(offer, None)

    def held(self, but: str = "") -> list[SessionRecord]:
        """What offers reserve; ``but`` one that is about to be taken."""
        standing = self._current().values()
        return [one.proposal.record for one in standing if one.held and one.id != but]

    def _current(self) -> Mapping[str, Standing]:
        now = self._clock()
        self._standing = {key: one for key, one in self._standing.items() if one.until > now}
        return self._standing
