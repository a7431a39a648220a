"""The life of sessions: admitted, started, active, closed.

Desired state is stored before a unit is asked for anything.  A session that was not active yet when the
control unit ended is undone; an active one goes on, and its units are brought in line as they join again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from controller.admission import Admission
from controller.background import Background
from controller.convergence import Convergence
from controller.offers import Standing
from controller.record import Phase, SessionRecord
from controller.registry import Registry
from controller.request import Request
from controller.session import LiveSession, is_registered
from controller.slices import machine_slices
from controller.steering.identifiers import Identifiers
from controller.store import Store
from controller.units import OrderFailed, Units
from dipronn.errors import AlreadyExists, DipronnError, TimedOut, Unavailable
from dipronn.v1 import session_pb2 as pb

_log = structlog.get_logger(__name__)


class InstanceFailed(DipronnError):
    """A machine or a program ended before its session was active."""


class Sessions:
    def __init__(
        self,
        store: Store,
        identifiers: Identifiers,
        units: Units,
        admission: Admission,
        registry: Registry,
        convergence: Convergence,
        background: Background,
    ) -> None:
        self._store = store
        self._identifiers = identifiers
        self._units = units
        self._admission = admission
        self._registry = registry
        self._convergence = convergence
        self._background = background
        self._last_number = store.last_session()
        self.on_end: Callable[[int], None] = lambda _: None
        """Called with the number of a session that has ended."""
        self.admitting = asyncio.Lock()
        """Held while resources are reserved: what one is given the next cannot have."""

    def load(self) -> None:
        """Take up what was stored: active sessions go on, half-made ones are to be removed."""
        for record in self._store.sessions():
            if record.phase is Phase.ACTIVE:
                session = self._registry.sessions[record.name] = LiveSession(record, pb.SESSION_STATE_ACTIVE)
                try:
                    self._convergence.compile(session)
                except DipronnError as error:
                    _log.error("a stored session cannot be laid out", session=record.name, error=str(error))
                self._registry.judge(session, "the control unit has started again")
            else:
                record.phase = Phase.CLOSING
                record.pending = record.units()
                self._registry.leaving[record.number] = record
                _log.info("removing a session that was not active yet", session=record.name)

    async def negotiate(self, request: Request, seconds: float, hold: bool) -> Standing:
        """What ``establish`` would do, as an offer that stands so long; nothing is stored or started."""
        async with self.admitting:
            self._require_free(request.program.name)
            proposal = await self._admission.propose(request, self._registry.reserving())
            return self._registry.offers.add(request.program, proposal, seconds, hold)

    async def establish(self, request: Request, confirm: Callable[[], None] = lambda: None) -> LiveSession:
        """Admit, place, start; returns when the session is active.  When cancelled, everything is undone.

        ``confirm`` is called when all is decided and before it is stored; what it raises refuses the session.
        """
        async with self.admitting:
            session = await self._admit(request, confirm)
        task = self._background.start(self._start(session, request.registration_seconds))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()  # its undoing goes on after the caller has left
            raise
        return session

    async def close(self, name: str) -> pb.Session:
        session = self._registry.get(name)
        if session.state == pb.SESSION_STATE_CLOSING:
            raise AlreadyExists(f"session `{name}` is being closed already")
        if session.record.phase is Phase.STARTING:
            session.failure = "it was closed before it was active"
            session.changed.set()
        return await asyncio.shield(self._background.start(self._end(session, pb.SESSION_STATE_CLOSED, "")))

    # establishing

    async def _admit(self, request: Request, confirm: Callable[[], None]) -> LiveSession:
        name, offer = request.program.name, request.offer
        self._require_free(name)
        number = self._last_number + 1
        if offer:
            others = self._registry.reserving(offer.id)
            record = await self._admission.admit(number, request, others, offer.proposal.places)
        else:
            record = await self._admission.admit(number, request, self._registry.reserving())
        try:
            confirm()
            self._store.save_session(record, self._identifiers.of(record.owner), request.bundles)
        except BaseException:
            self._identifiers.release(record.owner)
            raise
        self._last_number = number
        if offer:
            self._registry.offers.drop(offer.id)
        session = self._registry.sessions[name] = LiveSession(record)
        self._registry.tell(session, pb.SESSION_STATE_ADMITTED, "admitted; resources are reserved")
        return session

    def _require_free(self, name: str) -> None:
        if name in self._registry.sessions:
            raise AlreadyExists(f"there is a session `{name}` already; close it or take another name")

    async def _start(self, session: LiveSession, registration_seconds: float) -> None:
        try:
            self._registry.tell(session, pb.SESSION_STATE_STARTING, "machines are started")
            async with session.lock:
                session.desired = machine_slices(session.record, self._units.node_units())
                await self._convergence.converge(session)
            await self._all_registered(session, registration_seconds)
            async with session.lock:
                record = session.record.copy()
                record.generation += 1
                session.record = record
                session.changed.clear()
                self._convergence.compile(session)
                await self._convergence.converge(session)
                self._require_no_failure(session)
                active = session.as_stored().copy()
                active.phase = Phase.ACTIVE
                active.established = time.time()
                self._store.save_session(active, self._identifiers.of(active.owner))
                session.record = active
            self._registry.judge(session, "every name is registered; packets are steered")
            if session.changed.is_set():  # a name was registered anew while rows were written
                self._convergence.replan(session)
        except BaseException as error:
            reason = (
                "it was cancelled by its user" if isinstance(error, asyncio.CancelledError) else str(error)
            )
            await asyncio.shield(self._background.start(self._end(session, pb.SESSION_STATE_FAILED, reason)))
            raise

    async def _all_registered(self, session: LiveSession, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    session.changed.clear()
                    self._require_no_failure(session)
                    if all(is_registered(session.record, one) for one in session.record.instances):
                        return
                    await session.changed.wait()
        except TimeoutError:
            missing = session.record.deployment(self._units.node_units()).missing_names()
            hints = [f"{name}: {hint}" for name, hint in session.hints.items()]
            raise TimedOut(
                f"session `{session.record.name}`: within {seconds:g} s these names were not registered: "
                + ", ".join(missing)
                + "".join(f"; {hint}" for hint in hints)
            ) from None

    @staticmethod
    def _require_no_failure(session: LiveSession) -> None:
        if session.failure:
            raise InstanceFailed(f"session `{session.record.name}`: {session.failure}")

    # ending

    async def _end(self, session: LiveSession, state: pb.SessionState.ValueType, reason: str) -> pb.Session:
        """Remove a session from all units; those that are away are cleaned when they join again."""
        if session.record.phase is Phase.CLOSING:  # somebody else ends it
            async with session.lock:
                return self._registry.snapshot(session)
        record = session.record.copy()
        record.phase = Phase.CLOSING
        record.pending = record.units()
        try:
            self._store.save_session(record, self._identifiers.of(record.owner))
        except DipronnError:
            if state == pb.SESSION_STATE_CLOSED:
                raise  # it goes on as it was
            # A session that is stored as starting is undone after a restart, too.
            _log.exception("cannot store that a session has failed", session=record.name)
        session.record = record
        self._registry.tell(session, pb.SESSION_STATE_CLOSING, reason)
        async with session.lock:
            self._registry.leaving[record.number] = record
            ranks = session.ranks()
            for rank in sorted(set(ranks.values()), reverse=True):
                units = [unit for unit in record.pending if ranks[unit] == rank]
                await asyncio.gather(*(self._withdraw(record, unit) for unit in units))
        self.on_end(record.number)
        away = list(record.pending)
        text = f"{', '.join(away)} will be cleaned when they join again" if away else ""
        session.message = "; ".join(part for part in (reason, text) if part)
        self._registry.tell(session, state, session.message)
        session.end_watching()
        if self._registry.sessions.get(record.name) is session:
            del self._registry.sessions[record.name]
        self.forget_if_gone(record)
        return self._registry.snapshot(session)

    async def _withdraw(self, record: SessionRecord, unit: str) -> None:
        try:
            await self._convergence.remove(unit, record.number)
        except (Unavailable, TimedOut, OrderFailed) as error:
            _log.warning("a session is not removed yet", session=record.name, unit=unit, error=str(error))
            return
        if unit in record.pending:
            record.pending.remove(unit)

    def forget_if_gone(self, record: SessionRecord) -> None:
        """When no unit holds any of it any more, its numbers and resources are free."""
        if record.pending or record.number not in self._registry.leaving:
            return
        del self._registry.leaving[record.number]
        self._identifiers.release(record.owner)
        in_use = {sha256 for one in self._registry.records() for sha256 in one.bundles.values()}
        try:
            self._store.delete_session(record, in_use)
        except DipronnError:
            _log.exception(
                "cannot forget a session; after a restart it is removed again", session=record.name
            )
