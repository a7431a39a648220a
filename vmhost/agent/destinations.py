"""Next hops of destinations that ARTP packets name (R7): found when the first packet misses one.

The kernel drops such a packet as `no_next_hop` and tells of it; the sender repeats it (ARTP is reliable).
"""

from __future__ import annotations

import asyncio
from functools import partial

import structlog

from controller.steering.artp import destinations_in
from controller.steering.model import Address, NextHop
from dipronn.errors import Unavailable
from dipronn.unit import receivers
from ebpf.loader import SteeringProgram

_log = structlog.get_logger(__name__)

AT_ONCE = 16
"""Addresses looked for at a time: more are found when their packets come again."""


class Destinations:
    """``moved`` is for whoever finds next hops and keeps them fresh to call."""

    def __init__(self, program: SteeringProgram) -> None:
        self._program = program
        self._known: set[Address] = set()
        self._searches: dict[Address, asyncio.Task[None]] = {}

    def forget_all(self) -> None:
        """Also those of an earlier agent: nobody would keep them fresh."""
        for address in self._program.rows().next_hop:
            self._program.delete("next_hop", address)

    def missed(self, frame: bytes, finder: receivers.Receivers) -> None:
        """A packet was dropped because a next hop of its destinations is not known."""
        for address in {each.address for each in destinations_in(frame)} - self._known:
            if address not in self._searches and len(self._searches) < AT_ONCE:
                task = asyncio.create_task(self._find(address, finder), name=f"next hop of {address}")
                self._searches[address] = task
                task.add_done_callback(partial(self._done, address))

    def _done(self, address: Address, task: asyncio.Task[None]) -> None:
        self._searches.pop(address, None)

    async def _find(self, address: Address, finder: receivers.Receivers) -> None:
        try:
            await finder.destination(address)
        except Unavailable as error:
            _log.info("a destination that a packet names is not reached", error=str(error))

    def moved(self, address: Address, hop: receivers.NextHop | None) -> None:
        """An address has another next hop now, or is not kept any more."""
        if hop is None:
            self._known.discard(address)
            self._program.delete("next_hop", address)
            return
        row = NextHop(hop.link.device, hop.link.vlan, hop.source_mac, hop.destination_mac, hop.mtu)
        self._program.insert("next_hop", address, row)
        self._known.add(address)

    async def close(self) -> None:
        for task in list(self._searches.values()):
            task.cancel()
        await asyncio.gather(*self._searches.values(), return_exceptions=True)
