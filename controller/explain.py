"""What becomes of a packet on its way through the node, by the oracle of every unit that it meets."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace

from controller.steering import addressing
from controller.steering.deployment import NodeLink, NodeUnit
from controller.steering.model import Address, EndpointKind, NextHop, Tables
from controller.steering.oracle import Handled, KernelProgram, Oracle
from controller.steering.outcome import Emission
from controller.steering.wire import NO_MAC

_MOST_FRAMES = 4096
"""A session with `cycle ok` may multiply packets until their TTL ends; nobody reads more than this."""


@dataclass(frozen=True)
class Met:
    """A rule that the packet met on a unit, or (``table`` empty) what became of it there."""

    unit: str
    copy: int
    table: str
    rule: str
    verdict: str


@dataclass(frozen=True)
class Left:
    """A frame that left the node's units: to a guest's tap or to the outside."""

    unit: str
    device: str
    frame: bytes


@dataclass
class Way:
    steps: list[Met]
    left: list[Left]


def oracles(units: Mapping[str, NodeUnit], tables: Mapping[str, Tables]) -> dict[str, Oracle]:
    """An oracle per unit; next hops that are left to the unit are taken to be on its links to the outside."""
    return {
        name: Oracle(_resolved(units[name], rows), programs=_handed_over(rows))
        for name, rows in tables.items()
    }


def _handed_over(rows: Tables) -> dict[int, KernelProgram]:
    """What a kernel program does with a packet is not known here: there the way ends."""
    ends = (row.program for row in rows.endpoint.values() if row.kind is EndpointKind.KERNEL)
    return {program: lambda stream, frame, now: Handled() for program in ends}


def follow(
    units: Mapping[str, NodeUnit], executors: Mapping[str, Oracle], entry: Left, now: float = 0.0
) -> Way:
    """Follow a frame that enters ``entry.unit`` by ``entry.device`` to every end that it comes to."""
    way = Way([], [])
    waiting = deque([entry])
    frames = 0
    while waiting and frames < _MOST_FRAMES:
        frames += 1
        here = waiting.popleft()
        outcome = executors[here.unit].receive(here.device, here.frame, now)
        way.steps += [
            Met(here.unit, step.copy, step.table, step.rule, step.verdict) for step in outcome.trace
        ]
        for emission in outcome.emissions:
            following = _next(units, units[here.unit], emission)
            if following and following.unit in executors:
                waiting.append(following)
            else:
                way.left.append(Left(here.unit, emission.device, emission.frame))
    return way


def _next(units: Mapping[str, NodeUnit], sender: NodeUnit, emission: Emission) -> Left | None:
    """Where a frame arrives that left by a link of the node, or went to a sequencer, which sends it back."""
    if emission.device.startswith(addressing.ORDER_DEVICE):
        return Left(sender.name, emission.device, emission.frame)
    networks = {link.network for link in sender.links if link.device == emission.device and not link.outside}
    for unit in units.values():
        for link in unit.links:
            if link.network in networks and not link.outside and link.mac.octets == emission.frame[:6]:
                return Left(unit.name, link.device, emission.frame)
    return None


def _resolved(unit: NodeUnit, tables: Tables) -> Tables:
    resolved = Tables(next_hop=_Outside(unit))
    resolved.merge(tables)
    for number, row in tables.endpoint.items():
        if row.kind is EndpointKind.RECEIVER and not row.device:
            outside = [link for link in unit.links if link.outside]
            onlink = [link for link in outside if _on_link(link, row.destination.address)]
            if outside:
                link = (onlink or outside)[0]
                resolved.endpoint[number] = replace(
                    row, device=link.device, vlan=link.vlan, source_mac=link.mac
                )
    return resolved


class _Outside(dict[Address, NextHop]):
    """Destinations that ARTP names are behind a link to the outside; the unit would find their MACs."""

    def __init__(self, unit: NodeUnit) -> None:
        super().__init__()
        self._link = next((link for link in unit.links if link.outside), None)

    def get(self, address: Address, default: NextHop | None = None) -> NextHop | None:  # type: ignore[override]
        if self._link is None:
            return default
        return NextHop(self._link.device, self._link.vlan, self._link.mac, NO_MAC, self._link.mtu)


def _on_link(link: NodeLink, address: object) -> bool:
    return any(address in interface.network for interface in link.addresses)
