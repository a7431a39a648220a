"""Machines of a unit that stays dead are made anew elsewhere.

A death itself is one write (``reports.py``); packets fall to other instances at once.  Only if the unit stays
away are its machines made anew where there is room, from their bundles and images; what they held in memory
is gone.  A unit that comes back is told to remove what lives elsewhere now.  Where inputs enter and outputs
leave is not moved: sources and receivers know those addresses.
"""

from __future__ import annotations

import asyncio

import structlog

from controller.admission import processing_offers, roomiest
from controller.background import Background
from controller.convergence import Convergence
from controller.placement import Demand
from controller.placement.admission import Amount
from controller.placement.wanted import held_to
from controller.record import InstanceRecord, Membership, Phase
from controller.registry import Registry
from controller.session import LiveSession
from controller.units import Units, UnitState

_log = structlog.get_logger(__name__)

RECREATE_SECONDS = 10.0
"""How long a dead unit is waited for before its machines are made anew elsewhere."""
_RESTARTED = 6
"""Times as long after the control unit's own restart."""


class Recreation:
    """``admitting`` is held by whoever reserves resources."""

    def __init__(
        self,
        units: Units,
        registry: Registry,
        convergence: Convergence,
        background: Background,
        admitting: asyncio.Lock,
        after: float = RECREATE_SECONDS,
    ) -> None:
        self._units = units
        self._registry = registry
        self._convergence = convergence
        self._background = background
        self._admitting = admitting
        self._after = after

    def resume(self) -> None:
        """Go on after the control unit's own restart: units that were dead may still be.

        None has joined yet, and those that live need a while when the control unit was away for long.
        """
        for unit in self._units.known.values():
            self._background.start(self._wait_for(unit, _RESTARTED * self._after))

    def on_alive(self, unit: UnitState) -> None:
        """A unit died or came back."""
        if not unit.alive:
            self._background.start(self._wait_for(unit, self._after))

    async def _wait_for(self, unit: UnitState, seconds: float) -> None:
        await asyncio.sleep(seconds)
        for session in list(self._registry.sessions.values()):
            if not unit.alive:
                await self._recreate(session, unit.name)

    async def _recreate(self, session: LiveSession, dead: str) -> None:
        async with self._admitting, session.lock:
            record = session.record
            ends = {one.unit for one in record.entrances.values()}
            ends |= {one.unit for one in record.exits.values()}
            if record.phase is not Phase.ACTIVE or dead in ends:
                return
            told = []
            for machine in dict.fromkeys(one.machine for one in record.instances if one.unit == dead):
                instances = session.instances_in(machine)
                if _is_recreated(instances):
                    unit = self._room(session, instances[0])
                    told.append(f"{machine}: " + (_moved(session, machine, unit) or "no unit has room"))
        for text in told:
            self._registry.judge(session, f"unit {dead} stays dead; {text}")
        if told:
            session.note_change()
            await self._convergence.replan_now(session)

    def _room(self, session: LiveSession, one: InstanceRecord) -> str:
        """The unit where it is made anew; empty: none has room."""
        record = session.record
        needs = Amount(one.cpu, one.memory_bytes, one.bandwidth_bps, one.storage_bytes)
        held = held_to(record.program).get(one.program, frozenset())
        demand = Demand(one.program, one.index, needs, held=held)
        there = [each.unit for each in record.instances if each.program == one.program]
        return roomiest(processing_offers(self._units, self._registry.reserving()), demand, there)


def _is_recreated(instances: list[InstanceRecord]) -> bool:
    """Kernel programs stay where their packets are; who is leaving or has ended is not called back."""
    staying = all(not one.kernel and one.membership is not Membership.LEAVING for one in instances)
    return staying and not all(one.exited for one in instances)


def _moved(session: LiveSession, machine: str, unit: str) -> str:
    """What is to be said of it; nothing if there is no unit."""
    if not unit:
        return ""
    for one in session.instances_in(machine):
        one.unit, one.alive, one.exited, one.message, one.start_seconds = unit, True, False, "", 0.0
        one.ports, one.artp = {}, []
    session.spawned.pop(machine, None)
    return f"made anew on {unit}"
