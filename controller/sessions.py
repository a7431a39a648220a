"""The life of sessions: admitted, started, active, degraded, closed; and what units report of them.

Desired state is stored before a unit is asked for anything.  A session that was not active yet when the
control unit ended is undone; an active one goes on, and its units are brought in line as they join again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from controller.admission import Admission
from controller.execute import execute
from controller.placement import Placer
from controller.plan import ApplySlice, RemoveSlice, Step, plan
from controller.record import InstanceRecord, Phase, SessionRecord
from controller.request import Request
from controller.rule_names import RuleNames
from controller.session import LiveSession, event, is_registered, snapshot
from controller.slices import NODE_SESSION, full_slices, machine_slices, node_slice
from controller.steering.compile import compile_session
from controller.steering.identifiers import Identifiers
from controller.store import Store
from controller.units import OrderFailed, Units, UnitState
from dipronn.errors import AlreadyExists, DipronnError, NotFound, TimedOut, Unavailable
from dipronn.v1 import session_pb2 as pb
from dipronn.v1 import unit_pb2

_log = structlog.get_logger(__name__)

_T = TypeVar("_T")


class InstanceFailed(DipronnError):
    """A machine or a program ended before its session was active."""


class Sessions:
    def __init__(self, store: Store, identifiers: Identifiers, units: Units, placer: Placer) -> None:
        self._store = store
        self._identifiers = identifiers
        self._units = units
        self._admission = Admission(units, identifiers, placer)
        self._sessions: dict[str, LiveSession] = {}
        self._leaving: dict[int, SessionRecord] = {}
        """Sessions that are to be removed from units that are away."""
        self._last_number = store.last_session()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._replanning: set[int] = set()

    def load(self) -> None:
        """Take up what was stored: active sessions go on, half-made ones are to be removed."""
        for record in self._store.sessions():
            if record.phase is Phase.ACTIVE:
                session = self._sessions[record.name] = LiveSession(record, pb.SESSION_STATE_ACTIVE)
                try:
                    self._compile(session)
                except DipronnError as error:
                    _log.error("a stored session cannot be laid out", session=record.name, error=str(error))
                self._judge(session, "the control unit has started again")
            else:
                record.phase = Phase.CLOSING
                record.pending = record.units()
                self._leaving[record.number] = record
                _log.info("removing a session that was not active yet", session=record.name)

    # what users ask

    def get(self, name: str) -> LiveSession:
        if name not in self._sessions:
            known = ", ".join(sorted(self._sessions)) or "none"
            raise NotFound(f"no session `{name}`; there are: {known}")
        return self._sessions[name]

    def all(self) -> list[LiveSession]:
        return list(self._sessions.values())

    def records(self) -> list[SessionRecord]:
        """All that reserve something."""
        return [session.record for session in self._sessions.values()] + list(self._leaving.values())

    def desired_of(self, unit: str) -> list[unit_pb2.Slice]:
        """The slices that a unit must have now."""
        return [session.desired[unit] for session in self._sessions.values() if unit in session.desired]

    def names(self) -> RuleNames:
        return RuleNames(
            (one, session.record.name)
            for session in self._sessions.values()
            for one in self._identifiers.of(session.record.owner)
        )

    def snapshot(self, session: LiveSession) -> pb.Session:
        return snapshot(session, {name: unit.counters for name, unit in self._units.known.items()})

    async def establish(self, request: Request) -> LiveSession:
        """Admit, place, start; returns when the session is active.  When cancelled, everything is undone."""
        session = self._admit(request)
        task = self._background(self._start(session, request.registration_seconds))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()  # its undoing goes on after the caller has left
            raise
        return session

    async def close(self, name: str) -> pb.Session:
        session = self.get(name)
        if session.state == pb.SESSION_STATE_CLOSING:
            raise AlreadyExists(f"session `{name}` is being closed already")
        if session.record.phase is Phase.STARTING:
            session.failure = "it was closed before it was active"
            session.changed.set()
        return await asyncio.shield(self._background(self._end(session, pb.SESSION_STATE_CLOSED, "")))

    async def settle(self) -> None:
        """Let everything under way come to its end, at shutdown."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for session in self._sessions.values():
            session.end_watching()

    # establishing

    def _admit(self, request: Request) -> LiveSession:
        name = request.program.name
        if name in self._sessions:
            raise AlreadyExists(f"there is a session `{name}` already; close it or take another name")
        number = self._last_number + 1
        record = self._admission.admit(number, request, self.records())
        try:
            self._store.save_session(record, self._identifiers.of(record.owner), request.bundles)
        except BaseException:
            self._identifiers.release(record.owner)
            raise
        self._last_number = number
        session = self._sessions[name] = LiveSession(record)
        self._tell(session, pb.SESSION_STATE_ADMITTED, "admitted; resources are reserved")
        return session

    async def _start(self, session: LiveSession, registration_seconds: float) -> None:
        try:
            self._tell(session, pb.SESSION_STATE_STARTING, "machines are started")
            async with session.lock:
                session.desired = machine_slices(session.record, self._units.node_units())
                await self._converge(session)
            await self._all_registered(session, registration_seconds)
            async with session.lock:
                record = session.record.copy()
                record.generation += 1
                session.record = record
                self._compile(session)
                await self._converge(session)
                self._require_no_failure(session)
                active = record.copy()
                active.phase = Phase.ACTIVE
                active.established = time.time()
                self._store.save_session(active, self._identifiers.of(active.owner))
                session.record = active
            self._judge(session, "every name is registered; packets are steered")
        except BaseException as error:
            reason = (
                "it was cancelled by its user" if isinstance(error, asyncio.CancelledError) else str(error)
            )
            await asyncio.shield(self._background(self._end(session, pb.SESSION_STATE_FAILED, reason)))
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
                return self.snapshot(session)
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
        self._tell(session, pb.SESSION_STATE_CLOSING, reason)
        async with session.lock:
            self._leaving[record.number] = record
            ranks = session.ranks()
            for rank in sorted(set(ranks.values()), reverse=True):
                units = [unit for unit in record.pending if ranks[unit] == rank]
                await asyncio.gather(*(self._withdraw(record, unit) for unit in units))
        away = list(record.pending)
        text = f"{', '.join(away)} will be cleaned when they join again" if away else ""
        session.message = "; ".join(part for part in (reason, text) if part)
        self._tell(session, state, session.message)
        session.end_watching()
        if self._sessions.get(record.name) is session:
            del self._sessions[record.name]
        self._forget_if_gone(record)
        return self.snapshot(session)

    async def _withdraw(self, record: SessionRecord, unit: str) -> None:
        try:
            await self._remove(unit, record.number)
        except (Unavailable, TimedOut, OrderFailed) as error:
            _log.warning("a session is not removed yet", session=record.name, unit=unit, error=str(error))
            return
        if unit in record.pending:
            record.pending.remove(unit)

    def _forget_if_gone(self, record: SessionRecord) -> None:
        """When no unit holds any of it any more, its numbers and resources are free."""
        if record.pending or record.number not in self._leaving:
            return
        del self._leaving[record.number]
        self._identifiers.release(record.owner)
        in_use = {sha256 for one in self.records() for sha256 in one.bundles.values()}
        try:
            self._store.delete_session(record, in_use)
        except DipronnError:
            _log.exception(
                "cannot forget a session; after a restart it is removed again", session=record.name
            )

    # slices

    def _compile(self, session: LiveSession) -> None:
        compiled = compile_session(session.record.deployment(self._units.node_units()), self._identifiers)
        session.desired = full_slices(session.record, compiled)
        session.counted = compiled.counted

    async def _converge(self, session: LiveSession) -> None:
        """All that is desired, or nothing of it."""

        async def perform(step: Step) -> None:
            await self._perform(session, step)

        await execute(plan(session.desired, session.held, session.ranks()), perform)

    async def _perform(self, session: LiveSession, step: Step) -> None:
        if isinstance(step, ApplySlice):
            await self._units.order(step.unit, unit_pb2.UnitOrder(apply=step.slice))
            session.held[step.unit] = step.slice
        else:
            assert isinstance(step, RemoveSlice)
            await self._remove(step.unit, step.session)
            session.held.pop(step.unit, None)

    async def _remove(self, unit: str, number: int) -> None:
        await self._units.order(unit, unit_pb2.UnitOrder(remove=unit_pb2.RemoveSlice(session=number)))

    def _replan(self, session: LiveSession) -> None:
        """Bring an active session's rows in line with its instances and names, soon and once."""
        if session.record.phase is Phase.ACTIVE and session.record.number not in self._replanning:
            self._replanning.add(session.record.number)
            self._background(self._replan_now(session))

    async def _replan_now(self, session: LiveSession) -> None:
        async with session.lock:
            self._replanning.discard(session.record.number)
            if session.record.phase is not Phase.ACTIVE:
                return
            session.record.generation += 1
            try:
                self._compile(session)
                self._store.save_session(session.record, self._identifiers.of(session.record.owner))
                joined = {name for name, unit in self._units.known.items() if unit.member}
                for stage in plan(session.desired, session.held, session.ranks()):
                    steps = [step for step in stage if step.unit in joined]
                    await asyncio.gather(*(self._perform(session, step) for step in steps))
                self._shed_numbers(session)
            except DipronnError as error:
                # Units that are away get it when they join; another refusal is for the operator to see.
                _log.error(
                    "a session could not be brought in line", session=session.record.name, error=str(error)
                )
        self._judge(session, "")

    def _shed_numbers(self, session: LiveSession) -> None:
        """Give back numbers that no row has any more, once every unit has the new rows."""
        if session.held.keys() != session.desired.keys():
            return
        deployment = session.record.deployment(self._units.node_units())
        used = compile_session(deployment, self._identifiers).used
        owner = session.record.owner
        lasting = {
            (one.kind, one.key) for one in self._identifiers.of(owner) if one.kind in ("instance", "port")
        }
        self._identifiers.keep(owner, used | lasting)
        self._store.save_session(session.record, self._identifiers.of(owner))

    # what units report

    async def welcome(self, unit: UnitState, hello: unit_pb2.Hello) -> None:
        """A unit has joined: bring what it holds in line with what it should, then trust it."""
        await self._units.order(unit.name, unit_pb2.UnitOrder(apply=node_slice(self._alive_with(unit))))
        held = {one.session: one for one in hello.held if one.session != NODE_SESSION}
        numbers = {session.record.number: session for session in self._sessions.values()}
        for session in numbers.values():
            session.held.pop(unit.name, None)  # only what it says itself counts
        for number in held.keys() - numbers.keys():
            await self._remove(unit.name, number)
        for record in list(self._leaving.values()):
            if unit.name in record.pending and record.number not in numbers:
                record.pending.remove(unit.name)
                self._forget_if_gone(record)
        for number, session in numbers.items():
            if session.record.phase is Phase.ACTIVE:
                if unit.member and unit.member.moved and unit.name in session.record.units():
                    await self._replan_now(session)
                await self._bring_in_line(session, unit.name, held.get(number))
        self._units.set_alive(unit, True)
        await self._tell_units_who_lives()

    def _alive_with(self, unit: UnitState) -> dict[int, bool]:
        return {**self._units.alive_rows(), unit.stored.number: True}

    async def _bring_in_line(self, session: LiveSession, unit: str, held: unit_pb2.HeldSlice | None) -> None:
        async with session.lock:
            desired = session.desired.get(unit)
            if desired is None:
                if held is not None:
                    await self._remove(unit, session.record.number)
                return
            if session.held.get(unit) is desired:
                pass  # it was planned anew meanwhile
            elif held is not None and held.generation == desired.generation:
                session.held[unit] = desired
            else:
                try:
                    await self._units.order(unit, unit_pb2.UnitOrder(apply=desired))
                    session.held[unit] = desired
                except (OrderFailed, TimedOut) as error:
                    name = session.record.name
                    _log.error("a unit cannot take it again", session=name, unit=unit, error=str(error))
        if held is not None:
            for vm in held.vms:
                self.on_vm(vm)
            self._compare_names(session, unit, held)

    def _compare_names(self, session: LiveSession, unit: str, held: unit_pb2.HeldSlice) -> None:
        """What was registered, or given back, while the unit was away."""
        for instance in session.record.instances:
            if instance.unit == unit and instance.alive:
                ports = {one.port: one.real_port for one in held.names if one.vm == instance.name}
                if ports != instance.ports:
                    instance.ports = ports
                    self._replan(session)

    async def _tell_units_who_lives(self) -> None:
        base = node_slice(self._units.alive_rows())
        joined = [one for one in self._units.known.values() if one.member]
        orders = (self._units.order(one.name, unit_pb2.UnitOrder(apply=base)) for one in joined)
        for one, result in zip(joined, await asyncio.gather(*orders, return_exceptions=True), strict=True):
            if isinstance(result, BaseException):
                _log.warning("a unit was not told who lives", unit=one.name, error=str(result))

    def on_alive(self, unit: UnitState) -> None:
        """A unit died or came back.  Its death is one write on every other unit: the whole fail-over."""
        if not unit.alive:
            self._background(self._announce_death(unit))
        for session in self._sessions.values():
            if unit.name in session.record.units() and session.record.phase is Phase.ACTIVE:
                self._judge(session, f"unit {unit.name} is {'alive again' if unit.alive else 'dead'}")

    async def _announce_death(self, unit: UnitState) -> None:
        write = unit_pb2.SetAlive(unit=unit.stored.number, alive=False)
        others = [one.name for one in self._units.known.values() if one.member and one is not unit]
        orders = (self._units.order(name, unit_pb2.UnitOrder(set_alive=write)) for name in others)
        for name, result in zip(others, await asyncio.gather(*orders, return_exceptions=True), strict=True):
            if isinstance(result, BaseException):
                _log.warning("a unit was not told of a death", unit=name, dead=unit.name, error=str(result))

    def revive(self, unit: UnitState) -> None:
        """Heartbeats of a unit that was held for dead came again on the same stream."""
        self._units.set_alive(unit, True)
        self._background(self._tell_units_who_lives())

    def on_vm(self, report: unit_pb2.VmReport) -> None:
        found = self._find(report.session, report.vm)
        if found is None:
            return
        session, instance = found
        if report.state == unit_pb2.VM_STATE_DEAD:
            self._instance_ended(session, instance, report.message or "its machine is gone", exited=False)
        else:
            session.spawned[instance.name] = time.monotonic() - report.age.ToNanoseconds() / 1e9

    def on_program(self, report: unit_pb2.ProgramReport) -> None:
        found = self._find(report.session, report.vm)
        if found and not report.running:
            message = f"program {report.program} ended with status {report.exit_status}"
            self._instance_ended(*found, message, exited=True)

    def _instance_ended(
        self, session: LiveSession, instance: InstanceRecord, message: str, *, exited: bool
    ) -> None:
        if not instance.alive:
            return
        instance.alive, instance.exited, instance.message = False, exited, message
        text = f"{instance.name} on {instance.unit}: {message}"
        if session.record.phase is Phase.STARTING:
            session.failure = f"{text}, before every name was registered"
        session.changed.set()
        self._judge(session, text)
        self._replan(session)

    def on_name(self, report: unit_pb2.NameReport) -> None:
        found = self._find(report.session, report.vm)
        if found is None:
            return
        session, instance = found
        program = next(one for one in session.record.program.programs if one.name == instance.program)
        name = f"{session.record.name}/{report.program}/{report.port}"
        if report.program != program.name or report.port not in [*program.inputs, *program.outputs]:
            _log.warning("a unit reports a foreign name", name=name, machine=report.vm)
            return
        if report.transport not in ("", "udp"):
            session.hints[name] = f"it was registered as {report.transport}, but this session speaks udp"
            return
        ports = dict(instance.ports)
        if report.real_port:
            ports[report.port] = report.real_port
        else:
            ports.pop(report.port, None)
        if ports == instance.ports:
            return
        instance.ports = ports
        spawned = session.spawned.get(instance.name)
        if spawned and not instance.start_seconds and is_registered(session.record, instance):
            instance.start_seconds = time.monotonic() - spawned
        session.changed.set()
        self._replan(session)

    def _find(self, number: int, machine: str) -> tuple[LiveSession, InstanceRecord] | None:
        for session in self._sessions.values():
            if session.record.number == number and session.record.phase is not Phase.CLOSING:
                instance = session.instance(machine)
                return (session, instance) if instance else None
        return None

    # state

    def _judge(self, session: LiveSession, text: str) -> None:
        """Active or degraded, and why; told to watchers if it changed or there is something to say."""
        if session.record.phase is not Phase.ACTIVE:
            if text:
                self._tell(session, session.state, text)
            return
        faults = [f"{one.name}: {one.message}" for one in session.record.instances if not one.alive]
        faults += [
            f"{one.name} has not registered all its names"
            for one in session.record.instances
            if one.alive and not is_registered(session.record, one)
        ]
        faults += [
            f"unit {name} is dead" for name in session.record.units() if not self._units.known[name].alive
        ]
        state = pb.SESSION_STATE_DEGRADED if faults else pb.SESSION_STATE_ACTIVE
        changed = (state, "; ".join(faults)) != (session.state, session.message)
        session.message = "; ".join(faults)
        if changed or text:
            self._tell(session, state, text or session.message)

    def _tell(self, session: LiveSession, state: pb.SessionState.ValueType, text: str) -> None:
        session.state = state
        _log.info("session", name=session.record.name, state=pb.SessionState.Name(state), message=text)
        session.publish(event(self.snapshot(session), text))

    def _background(self, work: Coroutine[object, object, _T]) -> asyncio.Task[_T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() and not isinstance(task.exception(), DipronnError):
            _log.error("a task failed", error=repr(task.exception()), exc_info=task.exception())
