"""Neighbours of a switch, which has no stack: the agent answers for the node's addresses and finds next hops,
by packets that go through the switch.

A next hop in use is asked again every ``REFRESH_SECONDS``, and by any word of its own it moves. One that
falls silent keeps its last known MAC: no session stops because a receiver is switched off.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface
from types import TracebackType
from typing import NoReturn

import structlog

from controller.drivers.p4runtime.config import Route, SwitchLink
from controller.drivers.p4runtime.frames import Asked, announcement, answer, question, read
from controller.steering.model import Address, Mac
from dipronn.errors import Unavailable
from dipronn.unit.receivers import Changed, NextHop

_log = structlog.get_logger(__name__)

ASK_SECONDS = 0.5
"""Between questions to a neighbour that has not answered yet: the first few at this distance."""
ASK_TIMES = 8
REFRESH_SECONDS = 20.0


@dataclass(frozen=True)
class _Way:
    """By which link, from which own address, to which neighbour."""

    link: SwitchLink
    own: Address
    neighbour: Address


class SwitchNeighbours:
    """``send(port, frame)`` lets a frame leave the switch. An asynchronous context manager."""

    def __init__(
        self,
        links: Collection[SwitchLink],
        routes: Collection[Route],
        send: Callable[[int, bytes], None],
        changed: Changed,
    ) -> None:
        self._links = {(link.port, link.key.vlan): link for link in links}
        self._routes = sorted(routes, key=lambda route: -route.to.prefixlen)
        self._send = send
        self._changed = changed
        self._ways: dict[Address, _Way] = {}
        """The resolved, and those being resolved."""
        self._macs: dict[tuple[SwitchLink, Address], Mac] = {}
        self._waiting: defaultdict[tuple[SwitchLink, Address], set[asyncio.Future[Mac]]] = defaultdict(set)
        self._refresher: asyncio.Task[NoReturn] | None = None

    async def __aenter__(self) -> SwitchNeighbours:
        self._refresher = asyncio.create_task(self._refresh(), name="neighbours")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._refresher:
            self._refresher.cancel()
            await asyncio.gather(self._refresher, return_exceptions=True)

    async def resolve(self, address: Address) -> NextHop:
        """The next hop towards an address; one that was resolved before is answered as last heard.

        Raises Unavailable, within a few seconds, when there is no way there, or when nobody answers.
        """
        way = self._way(address)
        mac = self._macs.get((way.link, way.neighbour)) or await self._ask(way)
        self._ways[address] = way
        return _hop(way, mac)

    async def keep(self, addresses: Collection[Address]) -> None:
        """Forget the next hops of all other addresses."""
        for address in self._ways.keys() - set(addresses):
            del self._ways[address]
        used = {(way.link, way.neighbour) for way in self._ways.values()}
        for neighbour in self._macs.keys() - used:
            del self._macs[neighbour]

    def announce(self) -> None:
        """Tell the networks where the node's addresses are: a bridge floods what it knows no port for."""
        for link in self._links.values():
            for own in link.addresses:
                self._send(link.port, announcement(link.key.vlan, own.ip, link.mac))

    def received(self, port: int, frame: bytes) -> None:
        """A frame that the switch handed up: answered, noted, or of no interest."""
        said = read(frame)
        link = self._links.get((port, said.vlan)) if said else None
        if said is None or link is None:
            return
        if isinstance(said, Asked):
            if any(said.target == own.ip for own in link.addresses) and said.sender_mac != link.mac:
                self._send(link.port, answer(said, link.mac))
            self._note(link, said.sender, said.sender_mac)
        else:
            self._note(link, said.address, said.mac)

    def _way(self, address: Address) -> _Way:
        for link in self._links.values():
            if own := _own_in(link, address):
                if any(address == one.ip for one in link.addresses):
                    raise Unavailable(f"{address}: is an address of this unit itself; name a receiver")
                return _Way(link, own.ip, address)
        for route in self._routes:
            if address.version == route.to.version and address in route.to:
                for link in self._links.values():
                    if own := _own_in(link, route.via):
                        return _Way(link, own.ip, route.via)
        raise Unavailable(f"{address}: no route to it from this unit; add one to its [[routes]]")

    async def _ask(self, way: _Way) -> Mac:
        heard: asyncio.Future[Mac] = asyncio.get_running_loop().create_future()
        waiting = self._waiting[way.link, way.neighbour]
        waiting.add(heard)
        try:
            for _ in range(ASK_TIMES):
                self._question(way)
                done, _pending = await asyncio.wait([heard], timeout=ASK_SECONDS)
                if done:
                    return heard.result()
        finally:
            waiting.discard(heard)
            if not waiting:
                self._waiting.pop((way.link, way.neighbour), None)
        device = way.link.key.device
        raise Unavailable(
            f"{way.neighbour} on {device} does not answer; is it up, and are address and prefix right?"
        )

    def _question(self, way: _Way, known: Mac | None = None) -> None:
        frame = question(way.link.key.vlan, way.neighbour, way.own, way.link.mac, known)
        self._send(way.link.port, frame)

    def _note(self, link: SwitchLink, address: Address, mac: Mac) -> None:
        """Only of those who are in use or asked for: a stranger's word fills no table."""
        neighbour = (link, address)
        for future in self._waiting.pop(neighbour, ()):
            self._macs[neighbour] = mac
            if not future.done():
                future.set_result(mac)
        if neighbour in self._macs and self._macs[neighbour] != mac:
            self._macs[neighbour] = mac
            moved = {
                each: _hop(way, mac)
                for each, way in self._ways.items()
                if (way.link, way.neighbour) == neighbour
            }
            if moved:
                _log.info("a next hop has another MAC", next_hop=str(address), mac=str(mac))
                self._changed(moved)

    async def _refresh(self) -> NoReturn:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            self.announce()
            # Everybody is asked: whoever has the address now must hear it.
            for way in {(way.link, way.neighbour): way for way in self._ways.values()}.values():
                self._question(way)


def _own_in(link: SwitchLink, address: Address) -> IPv4Interface | IPv6Interface | None:
    """The link's own address in the network of an address."""
    for own in link.addresses:
        if own.version == address.version and address in own.network:
            return own
    return None


def _hop(way: _Way, mac: Mac) -> NextHop:
    return NextHop(way.link.key, way.link.mac, mac, way.link.mtu)
