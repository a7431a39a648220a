"""What units report, and what follows from it: joined, dead and alive again, machines, programs, names."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog

from controller.background import Background
from controller.convergence import Convergence
from controller.overruns import Overruns
from controller.record import InstanceRecord, Phase, SessionRecord
from controller.registry import Registry
from controller.session import LiveSession, is_registered
from controller.slices import NODE_SESSION, node_slice
from controller.steering.deployment import control_ports
from controller.transports import ARTP, UDP, objection
from controller.units import Units, UnitState
from dipronn.v1 import session_pb2 as pb
from dipronn.v1 import unit_pb2

_log = structlog.get_logger(__name__)


class Reports:
    """``forget`` is called with a session that is leaving whenever one unit less holds anything of it."""

    def __init__(
        self,
        units: Units,
        registry: Registry,
        convergence: Convergence,
        background: Background,
        forget: Callable[[SessionRecord], None],
    ) -> None:
        self._units = units
        self._registry = registry
        self._convergence = convergence
        self._background = background
        self._forget = forget
        self.on_death: Callable[[LiveSession, str], None] = lambda session, machine: None
        """Called with a session and a machine of it that has ended by itself."""
        self._overruns = Overruns()

    # units

    async def welcome(self, unit: UnitState, hello: unit_pb2.Hello) -> None:
        """A unit has joined: bring what it holds in line with what it should, then trust it."""
        await self._units.order(unit.name, unit_pb2.UnitOrder(apply=node_slice(self._alive_with(unit))))
        held = {one.session: one for one in hello.held if one.session != NODE_SESSION}
        numbers = {
            session.record.number: session
            for session in self._registry.sessions.values()
            if session.record.phase is not Phase.CLOSING
        }
        for session in numbers.values():
            session.held.pop(unit.name, None)  # only what it says itself counts
        for number in held.keys() - numbers.keys():
            await self._convergence.remove(unit.name, number)
        for record in list(self._registry.leaving.values()):
            # One that began to leave after we had looked is removed from this unit by whoever ends it.
            if unit.name in record.pending and record.number not in numbers:
                record.pending.remove(unit.name)
                self._forget(record)
        for number, session in numbers.items():
            if session.record.phase is Phase.ACTIVE:
                if unit.member and unit.member.moved and unit.name in session.record.units():
                    await self._convergence.replan_now(session)
                await self._convergence.bring_in_line(session, unit.name, held.get(number))
                if number in held:
                    self._catch_up(session, unit.name, held[number])
        self._units.set_alive(unit, True)
        await self._tell_units_who_lives()

    def _alive_with(self, unit: UnitState) -> dict[int, bool]:
        return {**self._units.alive_rows(), unit.stored.number: True}

    def _catch_up(self, session: LiveSession, unit: str, held: unit_pb2.HeldSlice) -> None:
        """What happened to machines and names while the unit was away."""
        for vm in held.vms:
            self.on_vm(vm, unit)
        for instance in session.record.instances:
            if instance.unit == unit and instance.alive and not instance.kernel:
                names = [
                    one for one in held.names if (one.vm, one.program) == (instance.machine, instance.program)
                ]
                ports = {one.port: one.real_port for one in names}
                artp = sorted(one.port for one in names if one.transport == ARTP)
                if (ports, artp) != (instance.ports, instance.artp):
                    instance.ports, instance.artp = ports, artp
                    session.note_change()
                    self._convergence.replan(session)

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
            self._background.start(self._announce_death(unit))
        for session in self._registry.sessions.values():
            if unit.name in session.record.units() and session.record.phase is Phase.ACTIVE:
                self._registry.judge(
                    session, f"unit {unit.name} is {'alive again' if unit.alive else 'dead'}"
                )

    async def _announce_death(self, unit: UnitState) -> None:
        write = unit_pb2.SetAlive(unit=unit.stored.number, alive=False)
        others = [one.name for one in self._units.known.values() if one.member and one is not unit]
        orders = (self._units.order(name, unit_pb2.UnitOrder(set_alive=write)) for name in others)
        for name, result in zip(others, await asyncio.gather(*orders, return_exceptions=True), strict=True):
            if isinstance(result, BaseException):
                _log.warning("a unit was not told of a death", unit=name, dead=unit.name, error=str(result))

    def revive(self, unit: UnitState) -> None:
        """A unit that was held for dead is heard again, and its stream still stands."""
        self._units.set_alive(unit, True)
        self._background.start(self._tell_units_who_lives())
        for session in self._registry.sessions.values():
            if unit.name in session.held or unit.name in session.desired:
                self._convergence.replan(session)  # what it was not told while it was held for dead

    # machines, programs, names

    def on_vm(self, report: unit_pb2.VmReport, unit: str) -> None:
        found = self._registry.find(report.session, report.vm, unit)
        if found is None:
            return
        session, instances = found
        if report.state == unit_pb2.VM_STATE_DEAD:
            lived = any(one.alive for one in instances)
            for instance in instances:
                self._instance_ended(session, instance, report.message or "its machine is gone", exited=False)
            if lived:
                self.on_death(session, report.vm)
        else:
            session.spawned[report.vm] = time.monotonic() - report.age.ToNanoseconds() / 1e9

    def on_counters(self, unit: str, counters: unit_pb2.UnitCounters) -> None:
        """Name to who watches whoever was held to a bandwidth."""
        for device, refused in self._overruns.new(unit, counters):
            if found := self._registry.behind(unit, device):
                session, instance = found
                self._registry.tell(session, session.state, f"{instance.name} on {unit} is {refused}")

    def on_program(self, report: unit_pb2.ProgramReport, unit: str) -> None:
        found = self._registry.find(report.session, report.vm, unit)
        instance = found and _of(found[1], report.program)
        if found and instance and not report.running:
            message = f"program {report.program} ended with status {report.exit_status}"
            self._instance_ended(found[0], instance, message, exited=True)

    def _instance_ended(
        self, session: LiveSession, instance: InstanceRecord, message: str, *, exited: bool
    ) -> None:
        if not instance.alive:
            return
        instance.alive, instance.exited, instance.message = False, exited, message
        text = f"{instance.name} on {instance.unit}: {message}"
        if session.record.phase is Phase.STARTING:
            session.failure = f"{text}, before every name was registered"
        session.note_change()
        self._registry.judge(session, text)
        self._convergence.replan(session)

    def on_name(self, report: unit_pb2.NameReport, unit: str) -> None:
        found = self._registry.find(report.session, report.vm, unit)
        if found is None:
            return
        session, instance = found[0], _of(found[1], report.program)
        program = next((one for one in session.record.program.programs if one.name == report.program), None)
        name = f"{session.record.name}/{report.program}/{report.port}"
        if not instance or not program or report.port not in _ports(session.record, program):
            _log.warning("a unit reports a foreign name", name=name, machine=report.vm)
            return
        ports, artp = dict(instance.ports), set(instance.artp) - {report.port}
        if report.real_port:
            transport = report.transport or UDP
            if problem := objection(session.record, instance, report.port, transport):
                session.hints[name] = problem
                return
            ports[report.port] = report.real_port
            artp |= {report.port} if transport == ARTP else set()
        else:
            ports.pop(report.port, None)
        if (ports, sorted(artp)) == (instance.ports, instance.artp):
            return
        session.hints.pop(name, None)
        instance.ports, instance.artp = ports, sorted(artp)
        spawned = session.spawned.get(instance.machine)
        if spawned and not instance.start_seconds and is_registered(session.record, instance):
            instance.start_seconds = time.monotonic() - spawned
        session.note_change()
        self._convergence.replan(session)


def _of(instances: list[InstanceRecord], program: str) -> InstanceRecord | None:
    return next((one for one in instances if one.program == program), None)


def _ports(record: SessionRecord, program: pb.ActiveProgram) -> set[str]:
    """The names that a program may register."""
    return {*program.inputs, *program.outputs, *control_ports(record.program, program.name)}
