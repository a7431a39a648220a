"""The agent of one unit: orders become desired state on disk, then a plan, then steps; and it reports."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections import defaultdict
from collections.abc import Mapping
from importlib.metadata import version

import structlog

from controller.steering.drops import Drop
from controller.steering.model import Limit, Link, LinkKey, Tables, Unit
from dipronn.errors import DipronnError, Unavailable
from dipronn.unit.counters import counters_report
from dipronn.unit.join import Membership
from dipronn.unit.orders import BASE, carry_out, with_alive
from dipronn.unit.owners import RowOwners
from dipronn.unit.receivers import NextHop, Receivers, completed
from dipronn.v1 import accounts_pb2, state_pb2, unit_pb2
from ebpf.devices import require_ready
from ebpf.loader import Event, SteeringProgram
from vmhost.agent.beacon import Beacon
from vmhost.agent.bundles import BundleCache
from vmhost.agent.config import AgentConfig
from vmhost.agent.desired import desired_state, session_of
from vmhost.agent.destinations import Destinations
from vmhost.agent.execute import converge, execute
from vmhost.agent.host import HeldSlice, Host, OpenTapFor, attribute, open_machine_tap
from vmhost.agent.kernel import KernelPrograms
from vmhost.agent.links import link_limits, link_rows, measure, unscheduled
from vmhost.agent.meter import Meter
from vmhost.agent.naming import Names
from vmhost.agent.neighbours import NextHops
from vmhost.agent.plan import Machine, SliceState, plan
from vmhost.agent.reports import description, program_report, vm_report
from vmhost.agent.resources import measure_resources
from vmhost.agent.store import Store
from vmhost.order import messages
from vmhost.order.sequencers import Sequencers
from vmhost.vm.rundir import Process
from vmhost.vm.spec import DriverEvent, ProgramExit, ProgramStarted, VmChanged, VmDriver, VmInfo, VmState

_log = structlog.get_logger(__name__)

COUNTERS_SECONDS = 1.0
"""Counters are reported this often, and after every order."""
SHOWN_BYTES = 64
"""Of a sampled frame in the log: its headers."""


class Agent:
    """One unit. ``start`` converges to the stored state, ``run`` is a member of the node until cancelled."""

    def __init__(
        self,
        config: AgentConfig,
        store: Store,
        program: SteeringProgram,
        driver: VmDriver | None,
        open_tap: OpenTapFor = open_machine_tap,
        sequencers: Sequencers | None = None,
    ) -> None:
        self._config = config
        self._store = store
        self._program = program
        self._driver = driver
        self._membership = Membership(config.control, self._greeting, self._order)
        self._bundles = BundleCache(store.bundles, self._membership.fetch_bundle)
        self._names = Names(store, lambda report: self._report(name=report), self._ask_shared)
        self._sequencers = sequencers or Sequencers(config.state, config.pins, config.cache)
        self._kernel = KernelPrograms(program, store.programs)
        self._host = Host(
            program,
            driver,
            self._bundles,
            self._names,
            self._sequencers,
            self._kernel,
            open_tap,
            self._report_counts,
        )
        self._meter = Meter(driver, config.state)
        self._destinations = Destinations(program)
        self._receivers = Receivers(
            lambda changed: NextHops([link.key for link in config.links], changed),
            self._receiver_moved,
            self._destinations.moved,
        )
        self._beacon = Beacon(config.state, config.control.address, config.control.beacon)
        self._links: list[unit_pb2.UnitLink] = []
        self._resources = unit_pb2.Resources()
        self._own_rows: Mapping[LinkKey, Link] = {}
        self._own_limits: Mapping[str, Limit] = {}
        self._slices: dict[int, unit_pb2.Slice] = {}
        self._held: dict[int, HeldSlice] = {}
        self._owners = RowOwners()
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._spawned: dict[str, float] = {}
        self._sampled: dict[tuple[Drop, str], Event] = {}
        self._burials: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Converge, then serve the control unit until cancelled. Everything goes on without the agent."""
        async with self._receivers:
            await self._start()
            loop = asyncio.get_running_loop()
            loop.add_reader(self._program.events_fd, self._hear)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._membership.run(), name="membership")
                    group.create_task(self._follow_machines(), name="machines")
                    group.create_task(self._count(), name="counters")
            finally:
                loop.remove_reader(self._program.events_fd)
                await self._destinations.close()

    # start

    async def _start(self) -> None:
        """Take over what runs, and make it what the stored slices ask for."""
        config = self._config
        self._links = await measure(config.links)
        self._resources = await asyncio.to_thread(measure_resources, config, self._store.folder)
        self._own_rows = link_rows(config.links, self._links)
        self._own_limits = link_limits(config.links)
        stored = {BASE: unit_pb2.Slice(session=BASE), **self._store.slices()}
        desired: dict[int, SliceState] = {}
        for session, slice_ in stored.items():
            try:
                desired[session] = self._desired(slice_)
            except DipronnError as error:
                _log.error("a stored slice makes no sense here", session=session, error=str(error))
        machines = await self._driver.adopt() if self._driver else ()
        sequencers = {one.session: one for one in await asyncio.to_thread(self._sequencers.adopt)}
        kernel = await asyncio.to_thread(self._kernel.adopt)
        self._destinations.forget_all()
        rows, nobody = attribute(self._program.rows(), desired)
        adopted = [self._adopted(info, desired) for info in machines]
        for session in desired:
            mine = {each.spec.name: each for each in adopted if each.session == session}
            running = {one.number: one for one in kernel if one.session == session}
            found = SliceState(
                machines=mine,
                rows=rows[session],
                sequencer=sequencers.pop(session, None),
                programs=running,
            )
            self._held[session] = HeldSlice(self._host, found)
        strangers = {each.spec.name: each for each in adopted if each.session not in desired}
        masterless = {one.number: one for one in kernel if one.session not in desired}
        found = SliceState(machines=strangers, rows=nobody, programs=masterless)
        residue = HeldSlice(self._host, found)
        await converge(plan(SliceState(), residue.state), residue)
        for sequencer in sequencers.values():
            await asyncio.to_thread(self._sequencers.stop, sequencer.session, sequencer.device)
        for session, state in desired.items():
            try:
                held = self._held[session]
                await self._receivers.complete(session, state.rows, held.state.rows.endpoint)
                await converge(plan(state, held.state), held)
            except DipronnError as error:
                if session == BASE:  # without its links the unit is none
                    raise
                _log.error("a stored slice could not be had again", session=session, error=str(error))
            else:
                self._slices[session] = stored[session]
            self._owners.settle(session, held.state.rows)
        self._describe()
        await self._check_links()
        await self._beacon.start()
        for resource, why in (self._driver.unheld() if self._driver else {}).items():
            _log.warning("machines cannot be held to what they reserve", resource=resource, why=why)
        _log.info("unit ready", unit=config.unit, slices=len(self._slices), machines=len(adopted))

    def _adopted(self, info: VmInfo, desired: Mapping[int, SliceState]) -> Machine:
        """A machine that an earlier agent left running, as it is."""
        session, name = session_of(info.spec.name)
        wanted = desired.get(session, SliceState()).machines.get(info.spec.name)
        if wanted and (wanted.spec, wanted.device) == (info.spec, info.tap):
            return wanted
        return Machine(session, name, info.tap, "", info.spec)

    # orders

    async def _ask_shared(self, request: state_pb2.StateRequest) -> state_pb2.StateAnswer:
        request.unit = self._config.unit
        return await self._membership.ask_shared(request)

    async def _order(self, order: unit_pb2.UnitOrder) -> str:
        """Carry out one order, and say what the unit is like then."""
        try:
            return await carry_out(order, self, self._config.unit)
        finally:
            self._describe()
            self._report_counts()

    async def apply(self, slice_: unit_pb2.Slice) -> None:
        session = slice_.session
        try:
            async with self._locks[session]:
                # A large slice takes a while, and heartbeats must go on.
                desired = await asyncio.to_thread(self._desired, slice_)
                self._owners.claim(session, desired.rows)
                held = self._held.setdefault(session, HeldSlice(self._host))
                try:
                    await self._have(slice_, desired, held)
                finally:
                    self._owners.settle(session, held.state.rows)
        finally:
            await self._tidy()

    async def _have(self, slice_: unit_pb2.Slice, desired: SliceState, held: HeldSlice) -> None:
        session = slice_.session
        await self._receivers.complete(session, desired.rows, held.state.rows.endpoint)
        await asyncio.to_thread(self._store.put_slice, slice_)
        try:
            await execute(await asyncio.to_thread(plan, desired, held.state), held)
        except Exception:
            self._restore(session)
            raise
        self._slices[session] = slice_

    async def remove(self, session: int) -> None:
        async with self._locks[session]:
            if held := self._held.get(session):
                self._store.drop_slice(session)
                try:
                    await execute(plan(SliceState(), held.state), held)
                except Exception:
                    self._restore(session)
                    raise
            self._held.pop(session, None)
            self._owners.settle(session, Tables())
            self._slices.pop(session, None)
            self._names.forget_session(session)
            self._store.drop_slice(session)
        await self._tidy()

    async def set_alive(self, unit: int, alive: bool) -> None:
        async with self._locks[BASE]:
            base = with_alive(self._slices[BASE], unit, alive, self._config.unit)
            self._store.put_slice(base)
            self._program.set_alive(unit, alive)
            self._held[BASE].state.rows.unit[unit] = Unit(alive)
            self._slices[BASE] = base

    def _desired(self, slice_: unit_pb2.Slice) -> SliceState:
        desired = desired_state(slice_, self._bundles.path, self._own_rows)
        if slice_.session == BASE:
            desired.rows.limit.update(self._own_limits)
        return desired

    def _restore(self, session: int) -> None:
        """Have the former desired state on disk again."""
        if former := self._slices.get(session):
            self._store.put_slice(former)
        else:
            self._store.drop_slice(session)

    async def _tidy(self) -> None:
        """Let go of next hops and bundles that nobody uses."""
        busy = {session for session, lock in self._locks.items() if lock.locked()}
        endpoints = {session: held.state.rows.endpoint for session, held in self._held.items()}
        await self._receivers.keep(endpoints, busy)
        if not busy:
            machines = [each for held in self._held.values() for each in held.state.machines.values()]
            programs = [each for held in self._held.values() for each in held.state.programs.values()]
            sources = {bytes.fromhex(program.source) for program in programs}
            self._bundles.trim(sources | {one for machine in machines for one in machine.contents})

    def _receiver_moved(self, session: int, number: int, hop: NextHop) -> None:
        rows = self._held[session].state.rows.endpoint if session in self._held else {}
        if number in rows:
            rows[number] = completed(rows[number], hop)
            self._program.insert("endpoint", number, rows[number])

    async def _check_links(self) -> None:
        """Say which links would lose what is sent to them; rows that send there will be refused."""
        for link in self._links:
            index = socket.if_nametoindex(link.device)
            try:
                await asyncio.to_thread(require_ready, index, link.mtu)
            except Unavailable as error:
                _log.warning("a link is not ready", error=str(error))

    # what happens

    async def _follow_machines(self) -> None:
        if self._driver is None:
            return
        async for event in self._driver.events():
            machine = self._machine(event.vm)
            if machine is not None:
                await self._happened(event, machine)

    async def _happened(self, event: DriverEvent, machine: Machine) -> None:
        match event:
            case VmChanged(_, state, reason):
                self._report(vm=self._vm_report(machine, state, reason))
                if state is VmState.FAILED:
                    # An order may be under way for long; others must hear of their ends meanwhile.
                    task = asyncio.create_task(self._bury(machine), name=f"bury {machine.spec.name}")
                    self._burials.add(task)
                    task.add_done_callback(self._burials.discard)
            case ProgramStarted(_, program):
                self._report(program=program_report(machine, program, None))
            case ProgramExit(_, program, status):
                await self._names.forget_program(machine, program)
                self._report(program=program_report(machine, program, status))

    async def _bury(self, machine: Machine) -> None:
        """Take down what a dead machine left, when no order is under way for its session."""
        async with self._locks[machine.session]:
            if held := self._held.get(machine.session):
                await held.machine_died(machine)
                self._owners.settle(machine.session, held.state.rows)
        self._describe()

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(COUNTERS_SECONDS)
            self._report_counts()
            self._meter.keep()
            self._tell_drops()
            for session in await asyncio.to_thread(self._sequencers.revive):
                _log.warning("a sequencer died and was started again", session=session)
            if not self._beacon.beats():
                _log.warning("the unit's beacon was killed and is started again")
                try:
                    await self._beacon.start()
                except DipronnError as error:  # its heartbeats tell the same, later
                    _log.error("the unit has no beacon", error=str(error))

    def _hear(self) -> None:
        """Take the events of the kernel that wait."""
        for event in self._program.events():
            self._sampled[event.reason, event.device] = event
            if event.reason is Drop.NO_NEXT_HOP:
                self._destinations.missed(event.frame, self._receivers)

    def _tell_drops(self) -> None:
        """Of the drops that the kernel sampled since the last time, one of each reason and device."""
        sampled, self._sampled = self._sampled, {}
        for (reason, device), event in sampled.items():
            frame = event.frame[:SHOWN_BYTES].hex()
            _log.info("packet dropped", reason=reason.label, device=device, length=event.length, frame=frame)

    # reports

    def _report(
        self,
        *,
        vm: unit_pb2.VmReport | None = None,
        program: unit_pb2.ProgramReport | None = None,
        name: unit_pb2.NameReport | None = None,
        counters: unit_pb2.UnitCounters | None = None,
        usage: accounts_pb2.UsageReport | None = None,
    ) -> None:
        self._membership.report(
            unit_pb2.UnitReport(vm=vm, program=program, name=name, counters=counters, usage=usage)
        )

    def _report_counts(self) -> None:
        self._report(counters=self._counters())
        self._report(usage=self._meter.read())

    def _counters(self) -> unit_pb2.UnitCounters:
        counters = counters_report(self._program.counters(), self._program.refused())
        counters.programs.extend(self._kernel.reports())
        counters.sequencers.extend(messages.reports(self._sequencers.counts()))
        return counters

    def _greeting(self) -> list[unit_pb2.UnitReport]:
        """What a membership begins with: Hello, and what it has no place for."""
        ended = [
            program_report(machine, program, status)
            for held in self._held.values()
            for machine in held.state.machines.values()
            for program, status in self._programs(machine).items()
            if status is not None
        ]
        return [
            unit_pb2.UnitReport(hello=self._hello()),
            *(unit_pb2.UnitReport(program=report) for report in ended),
            unit_pb2.UnitReport(counters=self._counters()),
            unit_pb2.UnitReport(usage=self._meter.read()),
        ]

    def _programs(self, machine: Machine) -> Mapping[str, int | None]:
        info = self._vms().get(machine.spec.name)
        return info.programs if info else {}

    def _hello(self) -> unit_pb2.Hello:
        return unit_pb2.Hello(
            unit=self._config.unit,
            roles=self._config.roles,
            resources=self._resources,
            links=self._links,
            held=[self._held_slice(slice_) for slice_ in self._slices.values()],
            version=version("dipronn"),
            beacon=self._beacon.identity,
            keeps_order=True,
            runs_programs=True,
            unheld={**(self._driver.unheld() if self._driver else {}), **unscheduled(self._config.links)},
        )

    def _held_slice(self, slice_: unit_pb2.Slice) -> unit_pb2.HeldSlice:
        machines = self._held[slice_.session].state.machines.values()
        states = {name: info.state for name, info in self._vms().items()}
        return unit_pb2.HeldSlice(
            session=slice_.session,
            generation=slice_.generation,
            vms=[self._vm_report(each, states.get(each.spec.name, VmState.FAILED)) for each in machines],
            names=self._names.reports(slice_.session),
        )

    def _vm_report(self, machine: Machine, state: VmState, message: str = "") -> unit_pb2.VmReport:
        return vm_report(machine, state, self._age(machine.spec.name), message)

    def _age(self, name: str) -> float:
        """Seconds since a machine was spawned; 0 if it was never seen alive."""
        info = self._vms().get(name)
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        if info and (process := Process.of(info.pid)):
            self._spawned[name] = process.start / os.sysconf("SC_CLK_TCK")
        return now - self._spawned.get(name, now)

    def _machine(self, name: str) -> Machine | None:
        for held in self._held.values():
            if name in held.state.machines:
                return held.state.machines[name]
        return None

    def _describe(self) -> None:
        """Tell `dipronn doctor`, and whoever removes this unit, what there is."""
        devices = [device for held in self._held.values() for device in held.state.attached]
        try:
            self._store.describe(description(self._config, devices, self._vms()))
        except OSError as error:  # a full disk must not keep orders from being answered
            _log.warning("agent.json is not up to date", error=str(error))

    def _vms(self) -> Mapping[str, VmInfo]:
        return self._driver.vms() if self._driver else {}
