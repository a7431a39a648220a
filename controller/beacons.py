"""Where the beacons of the units arrive: that a unit's host lives is known within a few beats."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

from controller.units import Units, UnitState
from dipronn import beacon
from dipronn.errors import Unavailable


class Beacons(asyncio.DatagramProtocol):
    """Beats that are not of a joined unit, forged or repeated count for nothing."""

    def __init__(self, units: Units, revive: Callable[[UnitState], None]) -> None:
        self._units = units
        self._revive = revive
        self._transports: list[asyncio.DatagramTransport] = []

    async def listen(self, path: Path, tcp: str) -> None:
        """At the UNIX socket beside ``path``, and, if stated, at the UDP port of the TCP address."""
        unix = path.with_name(path.name + beacon.UNIX_SUFFIX)
        unix.unlink(missing_ok=True)
        await self._bind(socket.AF_UNIX, str(unix))
        unix.chmod(0o600)
        if tcp:
            host, _, port = tcp.rpartition(":")
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            await self._bind(family, (host.strip("[]"), int(port)))

    def close(self, path: Path) -> None:
        for transport in self._transports:
            transport.abort()
        self._transports.clear()
        path.with_name(path.name + beacon.UNIX_SUFFIX).unlink(missing_ok=True)

    async def _bind(self, family: socket.AddressFamily, address: str | tuple[str, int]) -> None:
        listener = socket.socket(family, socket.SOCK_DGRAM)
        try:
            listener.setblocking(False)
            listener.bind(address)
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=listener)
        except OSError as error:
            listener.close()
            raise Unavailable(f"cannot listen for beacons at {address}: {error.strerror}") from error
        self._transports.append(transport)

    def datagram_received(self, data: bytes, address: object) -> None:
        state = self._units.beat(data)
        if state and not state.alive and state.member and state.member.welcomed:
            self._revive(state)
