"""Endpoints whose next hop the control unit leaves to the unit: completed, and followed when they move."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Protocol

import structlog

from controller.steering import wire
from controller.steering.model import Address, Endpoint, LinkKey, Mac, Tables
from dipronn.errors import Unavailable

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class NextHop:
    """Where packets for an address leave; ``mtu`` is the interface's."""

    link: LinkKey
    source_mac: Mac
    destination_mac: Mac
    mtu: int


Changed = Callable[[dict[Address, NextHop]], None]
"""Told the addresses whose next hop is another now."""


class NextHops(Protocol):
    """Finds next hops and keeps those in use fresh."""

    async def __aenter__(self) -> NextHops: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def resolve(self, address: Address) -> NextHop:
        """Raises Unavailable when nobody answers."""
        ...

    async def keep(self, addresses: Collection[Address]) -> None:
        """Forget the next hops of all other addresses."""
        ...


Moved = Callable[[int, int, NextHop], None]
"""Session and number of an endpoint, and its new next hop."""
DestinationMoved = Callable[[Address, NextHop | None], None]
"""An address that packets named, and its next hop; None: it is not kept any more."""
MOST_DESTINATIONS = 1024
"""Kept at a time: the newest ones."""


class Receivers:
    """Which endpoints wait for which next hops, by session. An asynchronous context manager.

    ``hops`` makes what finds them, given whom to tell about changes.  Addresses that ARTP packets name
    (``destination``) are kept beside those of the endpoints.
    """

    def __init__(
        self,
        hops: Callable[[Changed], NextHops],
        moved: Moved,
        destination_moved: DestinationMoved = lambda address, hop: None,
    ) -> None:
        self._hops = hops(self._hops_changed)
        self._moved = moved
        self._destination_moved = destination_moved
        self._destinations: dict[Address, None] = {}
        self._addresses: dict[int, dict[int, Address]] = {}

    async def __aenter__(self) -> Receivers:
        await self._hops.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._hops.__aexit__(kind, error, trace)

    async def complete(self, session: int, rows: Tables, known: Mapping[int, Endpoint]) -> None:
        """Find the next hops of a slice's rows; ``known`` are the session's endpoints as they are.

        One that cannot be found refuses the slice (Unavailable): most often the receiver's address is wrong,
        and its user is waiting for the answer. But one that was reached before keeps its last known next hop.
        """
        pending = wire.unresolved(rows)
        wanted = {number: row.destination.address for number, row in pending.items()}
        # The former ones are followed, too, until it is clear which stay.
        self._addresses[session] = {**wanted, **self._addresses.get(session, {})}
        addresses = list(dict.fromkeys(wanted.values()))
        found = await asyncio.gather(*map(self._hops.resolve, addresses), return_exceptions=True)
        answers = dict(zip(addresses, found, strict=True))
        for number, row in pending.items():
            answer, former = answers[wanted[number]], known.get(number)
            if isinstance(answer, NextHop):
                rows.endpoint[number] = completed(row, answer)
            elif not isinstance(answer, Unavailable):
                raise answer
            elif former and former.device and former.destination == row.destination:
                rows.endpoint[number] = former
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
        named = {each for some in self._addresses.values() for each in some.values()}
        await self._hops.keep(named | self._destinations.keys())

    async def destination(self, address: Address) -> None:
        """Find the next hop of an address that a packet named, tell it, and keep it fresh.

        Raises Unavailable when nobody answers.
        """
        if address in self._destinations:
            return
        self._destinations[address] = None  # before it is found, so that nobody lets go of it
        try:
            hop = await self._hops.resolve(address)
        except BaseException:
            self._destinations.pop(address, None)
            raise
        while len(self._destinations) > MOST_DESTINATIONS:
            oldest = next(iter(self._destinations))
            del self._destinations[oldest]
            self._destination_moved(oldest, None)
        if address in self._destinations:
            self._destination_moved(address, hop)

    def _hops_changed(self, moved: dict[Address, NextHop]) -> None:
        for address in moved.keys() & self._destinations.keys():
            self._destination_moved(address, moved[address])
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
