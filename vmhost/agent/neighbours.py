"""Next hops: by which link and to which MAC a packet for an address outside leaves, kept fresh.

XDP sends without asking the kernel's neighbour table, so nothing there would be refreshed by traffic. The
next hops in use are therefore made *managed* neighbours, which the kernel resolves and probes by itself, and
their changes are heard by netlink.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable, Collection
from typing import Any

import structlog
from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl import RTMGRP_NEIGH

from controller.steering.model import Address, LinkKey, Mac
from dipronn.errors import Unavailable
from dipronn.unit.receivers import NextHop
from vmhost.agent.links import interfaces, link_key

_log = structlog.get_logger(__name__)

RESOLVE_SECONDS = 4.0
"""The kernel gives up after three requests, a second apart."""

_NTF_EXT_MANAGED = 1
_NUD_VALID = 0x02 | 0x04 | 0x08 | 0x10 | 0x40 | 0x80  # reachable, stale, delay, probe, noarp, permanent
_NUD_STALE = 0x04
_NUD_FAILED = 0x20
_NUD_FIXED = 0x40 | 0x80
_RTN_UNICAST = 1


class NextHops:
    """Resolves next hops and reports when one of those in use gets another MAC.

    ``links`` are the links by which packets may leave. ``changed`` is called with the addresses whose next
    hop is another now. An asynchronous context manager.
    """

    def __init__(self, links: Collection[LinkKey], changed: Callable[[dict[Address, NextHop]], None]) -> None:
        self._links = frozenset(links)
        self._changed = changed
        self._hops: dict[Address, tuple[tuple[int, str], NextHop]] = {}
        self._macs: dict[tuple[int, str], tuple[int, str]] = {}
        self._heard = asyncio.Condition()
        self._route = AsyncIPRoute()
        self._events = AsyncIPRoute()
        self._listener: asyncio.Task[None] | None = None

    async def __aenter__(self) -> NextHops:
        await self._events.bind(groups=RTMGRP_NEIGH)
        self._listener = asyncio.create_task(self._listen(), name="neighbours")
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._listener:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)
        self._events.close()
        self._route.close()

    async def resolve(self, address: Address) -> NextHop:
        """The next hop towards an address; one that was resolved before is answered as last heard.

        Raises Unavailable, within a few seconds, when there is no route, when it leaves by no link of the
        unit, or when nobody answers.
        """
        if address in self._hops:
            return self._hops[address][1]
        index, gateway = await self._lookup(address)
        found = await interfaces(self._route)
        interface = found[index]
        key = link_key(interface, found)
        if key not in self._links:
            raise Unavailable(
                f"{address}: its route leaves by {interface.name}, which is no link of this unit; add a route"
            )
        mac = await self._mac(index, gateway, f"{address}: next hop {gateway} on {interface.name}")
        hop = NextHop(key, Mac.parse(interface.mac), Mac.parse(mac), interface.mtu)
        self._hops[address] = ((index, gateway), hop)
        return hop

    async def keep(self, addresses: Collection[Address]) -> None:
        """Forget the next hops of all other addresses."""
        for address in self._hops.keys() - set(addresses):
            neighbour, _ = self._hops.pop(address)
            if all(neighbour != other for other, _ in self._hops.values()):
                await self._release(*neighbour)

    async def release_all(self) -> None:
        """Delete every managed neighbour on the unit's links, also those of an earlier agent."""
        found = await interfaces(self._route)
        own = {index for index, each in found.items() if link_key(each, found) in self._links}
        async for message in await self._route.neigh("dump"):
            managed = (message.get_attr("NDA_FLAGS_EXT") or 0) & _NTF_EXT_MANAGED
            if managed and message["ifindex"] in own:
                await self._release(message["ifindex"], message.get_attr("NDA_DST"))
        self._hops.clear()

    async def _lookup(self, address: Address) -> tuple[int, str]:
        try:
            (message,) = await self._route.route("get", dst=str(address))
        except NetlinkError as error:
            raise Unavailable(f"{address}: no route to it from this unit ({error}); add one") from error
        if message["type"] != _RTN_UNICAST:
            raise Unavailable(
                f"{address}: is no address of another host, seen from this unit; name a receiver"
            )
        via = message.get_attr("RTA_VIA")
        return message.get_attr("RTA_OIF"), (
            via["addr"] if via else message.get_attr("RTA_GATEWAY") or str(address)
        )

    async def _mac(self, index: int, gateway: str, what: str) -> str:
        """Have the kernel resolve a neighbour from now on, and wait for its MAC."""
        await self._read(index)
        state, mac = self._macs.get((index, gateway), (0, ""))
        if state & _NUD_FIXED or any(neighbour == (index, gateway) for neighbour, _ in self._hops.values()):
            return mac
        known = {"lladdr": mac, "state": _NUD_STALE} if state & _NUD_VALID and mac else {"state": 0}
        if not known["state"]:
            self._macs.pop((index, gateway), None)
        await self._route.neigh(
            "replace", dst=gateway, ifindex=index, NDA_FLAGS_EXT=_NTF_EXT_MANAGED, **known
        )
        try:
            async with asyncio.timeout(RESOLVE_SECONDS), self._heard:
                while True:
                    state, mac = self._macs.get((index, gateway), (0, ""))
                    if state & _NUD_VALID and mac:
                        return mac
                    if state & _NUD_FAILED:
                        break
                    await self._heard.wait()
        except TimeoutError:
            pass
        await self._release(index, gateway)
        raise Unavailable(f"{what} does not answer; is it up, and are address and prefix right?")

    async def _read(self, index: int) -> None:
        async for message in await self._route.neigh("dump", ifindex=index):
            self._note(message)

    async def _release(self, index: int, gateway: str) -> None:
        try:
            await self._route.neigh("del", dst=gateway, ifindex=index)
        except NetlinkError as error:
            if error.code not in (errno.ENOENT, errno.ENODEV):
                raise
        self._macs.pop((index, gateway), None)

    async def _listen(self) -> None:
        while True:
            async for message in self._events.get():
                if message["event"] == "RTM_NEWNEIGH":
                    self._note(message)
                    async with self._heard:
                        self._heard.notify_all()
                    self._compare((message["ifindex"], message.get_attr("NDA_DST")))

    def _note(self, message: Any) -> None:
        neighbour = (message["ifindex"], message.get_attr("NDA_DST"))
        self._macs[neighbour] = (message["state"], message.get_attr("NDA_LLADDR") or "")

    def _compare(self, neighbour: tuple[int, str]) -> None:
        state, mac = self._macs[neighbour]
        if not (state & _NUD_VALID and mac):
            return
        moved = {
            address: NextHop(hop.link, hop.source_mac, Mac.parse(mac), hop.mtu)
            for address, (its, hop) in self._hops.items()
            if its == neighbour and hop.destination_mac != Mac.parse(mac)
        }
        if moved:
            for address, hop in moved.items():
                self._hops[address] = (neighbour, hop)
            _log.info("a next hop has another MAC", next_hop=neighbour[1], mac=mac)
            self._changed(moved)
