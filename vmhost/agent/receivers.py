"""Endpoints whose next hop the control unit leaves to the unit: completed, and followed when they move."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import structlog

from controller.steering import wire
from controller.steering.model import Address, Endpoint, LinkKey
from dipronn.errors import Unavailable
from vmhost.agent.neighbours import NextHop, NextHops
from vmhost.agent.plan import SliceState

_log = structlog.get_logger(__name__)

Moved = Callable[[int, int, NextHop], None]
"""Session and number of an endpoint, and its new next hop."""


class Receivers:
    """Which endpoints wait for which next hops, by session. An asynchronous context manager."""

    def __init__(self, links: list[LinkKey], moved: Moved) -> None:
        self._hops = NextHops(links, self._hops_changed)
        self._moved = moved
        self._addresses: dict[int, dict[int, Address]] = {}

    async def __aenter__(self) -> Receivers:
        await self._hops.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._hops.__aexit__(*exc)

    async def complete(self, session: int, state: SliceState, known: Mapping[int, Endpoint]) -> None:
        """Find the next hops of a slice; ``known`` are the session's endpoints as they are.

        One that cannot be found refuses the slice (Unavailable): most often the receiver's address is wrong,
        and its user is waiting for the answer. But one that was reached before keeps its last known next hop.
        """
        pending = wire.unresolved(state.rows)
        wanted = {number: row.destination.address for number, row in pending.items()}
        # The former ones are followed, too, until it is clear which stay.
        self._addresses[session] = {**wanted, **self._addresses.get(session, {})}
        addresses = list(dict.fromkeys(wanted.values()))
        found = await asyncio.gather(*map(self._hops.resolve, addresses), return_exceptions=True)
        answers = dict(zip(addresses, found, strict=True))
        for number, row in pending.items():
            answer, former = answers[wanted[number]], known.get(number)
            if isinstance(answer, NextHop):
                state.rows.endpoint[number] = completed(row, answer)
            elif not isinstance(answer, Unavailable):
                raise answer
            elif former and former.device and former.destination == row.destination:
                state.rows.endpoint[number] = former
                _log.warning("a receiver does not answer; its last known MAC is used", error=str(answer))
            else:
                raise answer
        self._addresses[session].update(wanted)

    async def keep(self, endpoints: Mapping[int, Mapping[int, Endpoint]], busy: Collection[int]) -> None:
        """Let go of endpoints that a session has no more, and of next hops that nobody waits for.

        Sessions that are ``busy`` are left alone: what they will have is not clear yet.
        """
        for session, addresses in list(self._addresses.items()):
            if session in busy:
                continue
            held = endpoints.get(session, {})
            self._addresses[session] = {
                number: address
                for number, address in addresses.items()
                if number in held and held[number].destination.address == address
            }
        await self._hops.keep({each for some in self._addresses.values() for each in some.values()})

    def _hops_changed(self, moved: dict[Address, NextHop]) -> None:
        for session, addresses in self._addresses.items():
            for number, address in addresses.items():
                if hop := moved.get(address):
                    self._moved(session, number, hop)


def completed(row: Endpoint, hop: NextHop) -> Endpoint:
    """The row with its next hop."""
    return replace(
        row,
        device=hop.link.device,
        vlan=hop.link.vlan,
        source_mac=hop.source_mac,
        destination_mac=hop.destination_mac,
        mtu=min(row.mtu, hop.mtu),
    )
