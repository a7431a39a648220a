"""Instances that come and go while their session runs."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from controller.admission import processing_offers, roomiest
from controller.convergence import Convergence
from controller.limits import Limits
from controller.placement.wanted import problem
from controller.record import InstanceRecord, Membership, SessionRecord
from controller.registry import Registry
from controller.session import LiveSession
from controller.steering.identifiers import Identifiers
from controller.units import Units
from dipronn.errors import InsufficientResources


class Scaling:
    """``admitting`` is held by whoever reserves resources.

    What is decided is stored before any unit hears of it: a restarted control unit finds it as it was to be.
    """

    def __init__(
        self,
        identifiers: Identifiers,
        units: Units,
        limits: Limits,
        registry: Registry,
        convergence: Convergence,
        admitting: asyncio.Lock,
    ) -> None:
        self._identifiers = identifiers
        self._units = units
        self._limits = limits
        self._registry = registry
        self._convergence = convergence
        self._admitting = admitting

    async def add(self, session: LiveSession, program: str) -> InstanceRecord:
        """Reserve and start one more; packets are sent to it when it has registered its names.

        Raises InsufficientResources when no unit has room or the user's limits are reached.
        """
        async with self._admitting:
            one = self._placed(session.record, program)
            session.record.instances.append(one)
        await self._convergence.replan_now(session)
        return one

    async def settle(self, session: LiveSession, one: InstanceRecord) -> None:
        """It has registered its names, and is an instance like the others."""
        one.membership = Membership.MEMBER
        await self._convergence.replan_now(session)

    async def weigh(self, session: LiveSession, those: list[InstanceRecord], weights: list[int]) -> None:
        """Distribute packets by these weights."""
        for one, weight in zip(those, weights, strict=True):
            one.weight = weight
        await self._convergence.replan_now(session)

    async def drain(self, session: LiveSession, one: InstanceRecord) -> None:
        """No new packets for it; it goes on working off what it has."""
        one.membership = Membership.LEAVING
        await self._convergence.replan_now(session)

    async def remove(self, session: LiveSession, one: InstanceRecord) -> None:
        """Its machine ends, its rows go, and what it reserved is free."""
        session.record.instances = [each for each in session.record.instances if each is not one]
        await self._convergence.replan_now(session)

    def _placed(self, record: SessionRecord, program: str) -> InstanceRecord:
        """One instance more, where there is room."""
        there = [one for one in record.instances if one.program == program]
        counts = {
            one.name: sum(each.program == one.name for each in record.instances)
            for one in record.program.programs
        }
        counts[program] += 1
        reserving = self._registry.reserving()
        others = [one for one in reserving if one.number != record.number]
        if limited := self._limits.shortage(record.user, record.program, counts, others):
            raise InsufficientResources(limited)
        offers = processing_offers(self._units, reserving)
        entrances = {name: one.unit for name, one in record.entrances.items()}
        exits = {name: one.unit for name, one in record.exits.items()}
        demands = problem(record.program, counts, entrances, exits, offers).demands
        index = min(set(range(len(there) + 1)) - {one.index for one in there})
        newest = next(one for one in demands if (one.program, one.index) == (program, len(there)))
        demand = replace(newest, index=index)
        unit = roomiest(offers, demand, [one.unit for one in there])
        if not unit:
            lacking = "; ".join(f"{offer.unit}: {', '.join(offer.lacks(demand))}" for offer in offers)
            raise InsufficientResources(f"no unit has room for {demand.name}: {lacking or 'none is alive'}")
        needs = demand.needs_on(unit)
        return InstanceRecord(
            program,
            index,
            unit,
            self._identifiers.number("instance", record.owner, demand.name),
            needs.cpu,
            needs.memory_bytes,
            needs.bandwidth_bps,
            storage_bytes=needs.storage_bytes,
            membership=Membership.JOINING,
        )
