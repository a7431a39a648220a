"""`run` on P4: every packet through a bmv2, with its timestamp as the clock."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from phonepl import ir
from phonepl.compiler import Compiled
from phonepl.targets import Arrival, Departure, NotAvailable, Outcome
from phonepl.targets.p4.limits import LONGEST
from phonepl.targets.p4.p4c import compiled as compiled_by_p4c
from phonepl.targets.p4.source import Manifest, generate
from phonepl.targets.p4.switch import PATIENCE, Switch

_GLANCE = 0.002
"""Seconds to wait for a packet before the counters are asked whether it was dropped."""


def run(compiled: Compiled, arrivals: Sequence[Arrival]) -> Outcome:
    """Handle the packets in order, with fresh arrays."""
    generated = generate(compiled)
    with Switch(generated.manifest, compiled_by_p4c(generated)) as switch:
        return Runner(generated.manifest, switch).run(arrivals)


class Runner:
    """Hands packets to a switch one at a time, each when the one before has met its end.

    The switch counts every packet that it drops, and for one that is put several times how often, before it
    makes the copies: that tells how many ends to wait for.
    """

    def __init__(self, manifest: Manifest, switch: Switch) -> None:
        self._manifest = manifest
        self._switch = switch
        self._streams = {port: stream for stream, port in manifest.ports.items()}
        self._seen = self._counted()

    def run(self, arrivals: Sequence[Arrival]) -> Outcome:
        """What becomes of the packets; arrays keep what they hold."""
        before = self._seen.drops
        missed = dict.fromkeys(ir.DROPS, 0)
        departures: list[Departure] = []
        for position, arrival in enumerate(arrivals):
            if not arrival.data:
                missed[ir.EMPTY_PACKET] += 1
            elif len(arrival.data) > LONGEST:
                missed[ir.TARGET_LIMIT] += 1
            else:
                if self._manifest.uses_clock:
                    self._switch.set_clock(arrival.timestamp)
                self._switch.send(self._manifest.ports[arrival.stream], arrival.data)
                departures += [Departure(self._streams[port], position, data) for port, data in self._ends()]
        counted = {kind: self._seen.drops[kind] - before[kind] + missed[kind] for kind in ir.DROPS}
        return Outcome(tuple(departures), counted)

    def _counted(self) -> _Counted:
        has_copies = bool(self._manifest.groups)
        copies = sum(n * count for n, count in enumerate(self._switch.counts("copies"))) if has_copies else 0
        empties = sum(self._switch.counts("empties")) if has_copies else 0
        cells = self._switch.counts("drops")
        drops = {kind: cells[number] for number, kind in enumerate(ir.DROPS, 1)}
        drops[ir.EMPTY_PACKET] += empties
        return _Counted(drops, copies, empties)

    def _ends(self) -> list[tuple[int, bytes]]:
        """The packets that come of one."""
        made: list[tuple[int, bytes]] = []
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if (packet := self._switch.receive(_GLANCE)) is not None:
                made.append(packet)
                if not self._manifest.groups:
                    return made
                continue
            now, then = self._counted(), self._seen
            copies, empties = now.copies - then.copies, now.empties - then.empties
            dropped = sum(now.drops.values()) - sum(then.drops.values())
            if len(made) + empties == copies if copies else dropped or made:
                self._seen = now
                return made
        raise NotAvailable(f"bmv2 lost a packet: after {PATIENCE:.0f} s {len(made)} have come out")


@dataclass(frozen=True)
class _Counted:
    """What the switch has counted: drops by kind, and of packets that were put several times the puts, and
    how many of these were empty (which are among the drops)."""

    drops: dict[str, int]
    copies: int
    empties: int
