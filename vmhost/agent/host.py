"""Where steps are done: the steering program, taps, machines and name servers of one unit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import structlog
from pyroute2 import AsyncIPRoute

from controller.steering.model import Tables
from dipronn.errors import Unavailable
from ebpf.loader import SteeringProgram
from vmhost.agent.addresses import AddressServers
from vmhost.agent.bundles import BundleCache
from vmhost.agent.kernel import KernelPrograms
from vmhost.agent.naming import Names
from vmhost.agent.plan import (
    Attach,
    ChangeRows,
    CloseTap,
    Detach,
    Drain,
    EndNames,
    FetchBundles,
    InstallProgram,
    Machine,
    OpenTap,
    RemoveProgram,
    RowChange,
    ServeNames,
    SliceState,
    StartSequencer,
    StartVm,
    Step,
    StopSequencer,
    StopVm,
    deletions,
    rows_naming,
)
from vmhost.order.sequencers import Sequencers
from vmhost.tap import Tap, open_tap
from vmhost.vm.spec import VmDriver, VmState

_log = structlog.get_logger(__name__)
_BREATH = 1024  # rows written between two looks at what else the agent has to do


OpenTapFor = Callable[[Machine], Awaitable[Tap]]


async def open_machine_tap(machine: Machine) -> Tap:
    """The tap of a machine, up, with the host's MAC and the gateways' addresses. Raises Unavailable."""
    spec = machine.spec
    tap = await open_tap(machine.device, spec.mac, spec.addresses, gateways=spec.gateways, mtu=spec.mtu)
    try:
        async with AsyncIPRoute() as route:
            await route.link("set", index=tap.index, address=machine.host_mac)
    except BaseException:
        tap.close()
        raise
    return tap


class Host:
    """The parts of a unit that all its slices share. ``driver`` is None on a unit that runs no machines.

    ``last_reading`` is called before counters of machines or channels end with them.
    """

    def __init__(
        self,
        program: SteeringProgram,
        driver: VmDriver | None,
        bundles: BundleCache,
        names: Names,
        sequencers: Sequencers,
        kernel: KernelPrograms,
        open_tap: OpenTapFor = open_machine_tap,
        last_reading: Callable[[], None] = lambda: None,
    ) -> None:
        self.last_reading = last_reading
        self.program = program
        self.open_tap = open_tap
        self.bundles = bundles
        self.names = names
        self.sequencers = sequencers
        self.kernel = kernel
        self.taps: dict[str, Tap] = {}
        self.addresses = AddressServers()
        self._driver = driver

    @property
    def driver(self) -> VmDriver:
        if self._driver is None:
            raise Unavailable("this unit runs no machines: its roles lack `processing`")
        return self._driver


class HeldSlice:
    """One slice as it is on this host; ``state`` follows every step that is done."""

    def __init__(self, host: Host, state: SliceState | None = None) -> None:
        self.state = state or SliceState()
        self._host = host

    async def do(self, step: Step) -> None:
        host, state = self._host, self.state
        match step:
            case FetchBundles(machine):
                for sha256 in machine.bundles:
                    await host.bundles.ensure(sha256)
                if machine.image is not None:
                    await host.bundles.ensure(*machine.image)
            case OpenTap(machine):
                if machine.running:
                    await self._open_tap(machine)
            case CloseTap(machine):
                self._close_tap(machine)
            case Attach(device):
                host.program.attach(device)
                state.attached.add(device)
            case Detach(device):
                host.program.detach(device)
                state.attached.discard(device)
            case ServeNames(machine):
                if machine.running:
                    await host.names.serve(machine)
                    host.addresses.serve(machine)
                    state.serving.add(machine.spec.name)
            case EndNames(machine):
                await host.names.end(machine)
                host.addresses.end(machine)
                state.serving.discard(machine.spec.name)
            case StartVm(machine):
                if machine.running:
                    await self._start(machine)
            case StopVm(machine):
                host.last_reading()
                await host.driver.stop(machine.spec.name)
                host.names.forget_machine(machine)
                state.machines.pop(machine.spec.name, None)
                self._close_tap(machine)
            case StartSequencer(sequencer):
                await asyncio.to_thread(host.sequencers.start, sequencer)
                host.program.attach(sequencer.device)
                state.attached.add(sequencer.device)
                state.sequencer = sequencer
            case StopSequencer(sequencer):
                host.last_reading()
                await asyncio.to_thread(host.sequencers.stop, sequencer.session, sequencer.device)
                state.attached.discard(sequencer.device)
                state.sequencer = None
            case InstallProgram(program):
                path = await host.bundles.ensure(bytes.fromhex(program.source))
                await asyncio.to_thread(host.kernel.install, program, path)
                state.programs[program.number] = program
            case RemoveProgram(program):
                host.last_reading()
                host.kernel.remove(program)
                state.programs.pop(program.number, None)
            case Drain():
                await asyncio.to_thread(host.program.kernel.drain)
            case ChangeRows(table, changes):
                await self._change(table, changes)

    async def machine_died(self, machine: Machine) -> None:
        """Note that a machine ended by itself, and take down what its tap took with it."""
        state = self.state
        if self._runs(machine) or machine.spec.name not in state.machines:
            return  # it was started again or removed meanwhile
        state.machines[machine.spec.name] = replace(machine, running=False)
        state.attached.discard(machine.device)
        self._host.names.forget_machine(machine)
        await self.do(EndNames(machine))
        for step in deletions(rows_naming(state.rows, {machine.device})):
            await self.do(step)

    async def _open_tap(self, machine: Machine) -> None:
        if machine.device not in self._host.taps and not self._runs(machine):
            self._host.names.forget_machine(machine)  # what a machine before it registered
            self._host.taps[machine.device] = await self._host.open_tap(machine)
            self._host.program.attach(machine.device)
            self.state.attached.add(machine.device)

    def _close_tap(self, machine: Machine) -> None:
        if tap := self._host.taps.pop(machine.device, None):
            tap.close()
        if not self._runs(machine):
            self.state.attached.discard(machine.device)

    async def _start(self, machine: Machine) -> None:
        host, name = self._host, machine.spec.name
        if not self._runs(machine):
            await self._open_tap(machine)
            if name in host.driver.vms():  # one that died is kept, for its log and its counters, until now
                host.last_reading()
                await host.driver.stop(name)
            await host.driver.start(machine.spec, host.taps[machine.device])
            host.taps.pop(machine.device).close()
        self.state.machines[name] = machine

    def _runs(self, machine: Machine) -> bool:
        info = self._host.driver.vms().get(machine.spec.name)
        return info is not None and info.state in (VmState.STARTING, VmState.RUNNING)

    async def _change(self, table: str, changes: tuple[RowChange, ...]) -> None:
        rows = getattr(self.state.rows, table)
        program = self._host.program
        if table == "channel" and any(change.after is None for change in changes):
            self._host.last_reading()
        for start in range(0, len(changes), _BREATH):
            some = changes[start : start + _BREATH]
            written = {change.key: change.after for change in some if change.after is not None}
            if written:
                new = Tables()
                getattr(new, table).update(written)
                program.insert_all(new)
                rows.update(written)
            for change in some:
                if change.after is None:
                    program.delete(table, change.key)
                    rows.pop(change.key, None)
            await asyncio.sleep(0)


def attribute(rows: Tables, desired: Mapping[int, SliceState]) -> tuple[dict[int, Tables], Tables]:
    """Whose rows those are that a kernel holds: each slice's by the keys it wants, and those of nobody."""
    owners = {
        (table, key): session for session, state in desired.items() for table, key, _ in state.rows.rows()
    }
    found: dict[int, Tables] = {session: Tables() for session in desired}
    nobody = Tables()
    for table, key, value in rows.rows():
        owner = owners.get((table, key))
        getattr(nobody if owner is None else found[owner], table)[key] = value
    return found, nobody
