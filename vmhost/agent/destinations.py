"""Rows of next hops in the kernel, of destinations that ARTP packets name (R7)."""

from __future__ import annotations

from controller.steering.artp import destinations_in
from controller.steering.model import Address, NextHop
from dipronn.unit import destinations, receivers
from ebpf.loader import SteeringProgram


class Destinations:
    """``moved`` is for whoever finds next hops and keeps them fresh to call."""

    def __init__(self, program: SteeringProgram) -> None:
        self._program = program
        self._destinations = destinations.Destinations(self._write)
        self.moved = self._destinations.moved
        self.close = self._destinations.close

    def forget_all(self) -> None:
        """Also those of an earlier agent: nobody would keep them fresh."""
        for address in self._program.rows().next_hop:
            self._program.delete("next_hop", address)

    def missed(self, frame: bytes, finder: receivers.Receivers) -> None:
        """A packet was dropped because a next hop of its destinations is not known."""
        self._destinations.missed((each.address for each in destinations_in(frame)), finder)

    def _write(self, address: Address, row: NextHop | None) -> None:
        if row is None:
            self._program.delete("next_hop", address)
        else:
            self._program.insert("next_hop", address, row)
