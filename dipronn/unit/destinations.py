"""Next hops of destinations that ARTP packets name (R7): found when the first packet misses one.

The data plane drops such a packet as `no_next_hop` and tells of it; the sender repeats it (ARTP is reliable).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

import structlog

from controller.steering import model
from controller.steering.model import Address
from dipronn.errors import Unavailable
from dipronn.unit.receivers import NextHop, Receivers

_log = structlog.get_logger(__name__)

AT_ONCE = 16
"""Addresses looked for at a time: more are found when their packets come again."""

Write = Callable[[Address, model.NextHop | None], None]
"""Told the row of an address; None: it has none any more."""


class Destinations:
    """``moved`` is for whoever finds next hops and keeps them fresh to call."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._known: set[Address] = set()
        self._searches: dict[Address, asyncio.Task[None]] = {}

    def missed(self, addresses: Iterable[Address], finder: Receivers) -> None:
        """A packet was dropped because a next hop of its destinations is not known."""
        for address in set(addresses) - self._known:
            if address not in self._searches and len(self._searches) < AT_ONCE:
                task = asyncio.create_task(self._find(address, finder), name=f"next hop of {address}")
                self._searches[address] = task
                task.add_done_callback(partial(self._done, address))

    def _done(self, address: Address, task: asyncio.Task[None]) -> None:
        self._searches.pop(address, None)

    async def _find(self, address: Address, finder: Receivers) -> None:
        try:
            await finder.destination(address)
        except Unavailable as error:
            _log.info("a destination that a packet names is not reached", error=str(error))

    def moved(self, address: Address, hop: NextHop | None) -> None:
        """An address has another next hop now, or is not kept any more."""
        if hop is None:
            self._known.discard(address)
            self._write(address, None)
            return
        row = model.NextHop(hop.link.device, hop.link.vlan, hop.source_mac, hop.destination_mac, hop.mtu)
        self._write(address, row)
        self._known.add(address)

    async def close(self) -> None:
        """End what is being looked for."""
        for task in list(self._searches.values()):
            task.cancel()
        await asyncio.gather(*self._searches.values(), return_exceptions=True)
