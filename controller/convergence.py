"""Brings units in line with what sessions want of them."""

from __future__ import annotations

import asyncio

import structlog

from controller.background import Background
from controller.execute import execute
from controller.plan import ApplySlice, RemoveSlice, Step, plan
from controller.record import Phase
from controller.registry import Registry
from controller.session import LiveSession
from controller.slices import full_slices
from controller.steering.compile import compile_session
from controller.steering.identifiers import Identifiers
from controller.store import Store
from controller.units import ORDER_SECONDS, OrderFailed, Units
from dipronn.errors import DipronnError, TimedOut
from dipronn.v1 import unit_pb2

_log = structlog.get_logger(__name__)

_GATHER_SECONDS = 0.02
"""Changes that come together are planned together; no guest can make more plans than this."""


_IMAGE_BYTES_PER_SECOND = 16 << 20
"""What images come to units with at least, over the control network."""


def seconds_to_apply(slice_: unit_pb2.Slice) -> float:
    """How long a unit may take: whole machines' images may be large, and it may have none of them yet."""
    images = {vm.image.sha256: vm.image.size for vm in slice_.vms if vm.HasField("image")}
    return ORDER_SECONDS + sum(images.values()) / _IMAGE_BYTES_PER_SECOND


class Convergence:
    def __init__(
        self, store: Store, identifiers: Identifiers, units: Units, registry: Registry, background: Background
    ) -> None:
        self._store = store
        self._identifiers = identifiers
        self._units = units
        self._registry = registry
        self._background = background
        self._replanning: set[int] = set()

    def compile(self, session: LiveSession) -> None:
        """Make every row that the session should have now the desired one."""
        compiled = compile_session(session.record.deployment(self._units.node_units()), self._identifiers)
        session.stale = False
        session.desired = full_slices(session.record, compiled)
        session.counted = compiled.counted

    async def converge(self, session: LiveSession) -> None:
        """All that is desired, or nothing of it."""

        async def perform(step: Step) -> None:
            await self._perform(session, step)

        await execute(plan(session.desired, session.held, session.ranks()), perform)

    async def _perform(self, session: LiveSession, step: Step) -> None:
        if isinstance(step, ApplySlice):
            order = unit_pb2.UnitOrder(apply=step.slice)
            await self._units.order(step.unit, order, seconds_to_apply(step.slice))
            session.held[step.unit] = step.slice
        else:
            assert isinstance(step, RemoveSlice)
            await self.remove(step.unit, step.session)
            session.held.pop(step.unit, None)

    async def remove(self, unit: str, number: int) -> None:
        await self._units.order(unit, unit_pb2.UnitOrder(remove=unit_pb2.RemoveSlice(session=number)))

    def replan(self, session: LiveSession) -> None:
        """Bring an active session's rows in line with its instances and names, soon and once."""
        if session.record.phase is Phase.ACTIVE and session.record.number not in self._replanning:
            self._replanning.add(session.record.number)
            self._background.start(self._replan_soon(session))

    async def _replan_soon(self, session: LiveSession) -> None:
        await asyncio.sleep(_GATHER_SECONDS)
        await self.replan_now(session)

    async def replan_now(self, session: LiveSession) -> None:
        async with session.lock:
            self._replanning.discard(session.record.number)
            if session.record.phase is not Phase.ACTIVE:
                return
            session.record.generation += 1
            try:
                self.compile(session)
                self._store.save_session(session.record, self._identifiers.of(session.record.owner))
                # One that has died would only be waited for, though its stream may still stand.
                joined = {
                    name
                    for name, unit in self._units.known.items()
                    if unit.member and (unit.alive or not unit.member.welcomed)
                }
                for stage in plan(session.desired, session.held, session.ranks()):
                    steps = [step for step in stage if step.unit in joined]
                    await asyncio.gather(*(self._perform(session, step) for step in steps))
                self.shed_numbers(session)
            except DipronnError as error:
                # Units that are away get it when they join; another refusal is for the operator to see.
                _log.error(
                    "a session could not be brought in line", session=session.record.name, error=str(error)
                )
        self._registry.judge(session, "")

    def shed_numbers(self, session: LiveSession) -> None:
        """Give back numbers that no row has any more, once every unit has the new rows."""
        if session.held.keys() != session.desired.keys():
            return
        deployment = session.record.deployment(self._units.node_units())
        used = compile_session(deployment, self._identifiers).used
        owner = session.record.owner
        kernel = {one.kernel for one in session.record.instances}
        lasting = {
            (one.kind, one.key)
            for one in self._identifiers.of(owner)
            if one.kind in ("instance", "port") or (one.kind == "program" and one.first in kernel)
        }
        self._identifiers.keep(owner, used | lasting)
        self._store.save_session(session.as_stored(), self._identifiers.of(owner))

    async def bring_in_line(self, session: LiveSession, unit: str, held: unit_pb2.HeldSlice | None) -> None:
        """A unit has joined that says what it holds of an active session."""
        async with session.lock:
            if session.record.phase is not Phase.ACTIVE:
                return  # it ended while we waited, and was removed from this unit, too
            desired = session.desired.get(unit)
            if desired is None:
                if held is not None and session.desired:
                    await self.remove(unit, session.record.number)
                return
            if session.held.get(unit) is desired:
                pass  # it was planned anew meanwhile
            elif held is not None and held.generation == desired.generation:
                session.held[unit] = desired
            else:
                try:
                    order = unit_pb2.UnitOrder(apply=desired)
                    await self._units.order(unit, order, seconds_to_apply(desired))
                    session.held[unit] = desired
                except (OrderFailed, TimedOut) as error:
                    name = session.record.name
                    _log.error("a unit cannot take it again", session=name, unit=unit, error=str(error))
