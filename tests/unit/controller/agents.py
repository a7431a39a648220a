"""Agents that follow a script and speak real gRPC, and a control unit in this process for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, ip_interface
from pathlib import Path
from typing import Any

import grpc

from controller.advice import Thresholds
from controller.limits import Limits
from controller.restarts import RestartPolicy
from controller.server import ControlUnit, Settings
from dipronn.client import Node, Unreachable, connect
from dipronn.v1 import session_pb2, unit_pb2, unit_pb2_grpc

ROLES = {
    "dist": [unit_pb2.ROLE_DISTRIBUTION],
    "u1": [unit_pb2.ROLE_PROCESSING],
    "u2": [unit_pb2.ROLE_PROCESSING],
    "agg": [unit_pb2.ROLE_AGGREGATION],
    "solo": [unit_pb2.ROLE_DISTRIBUTION, unit_pb2.ROLE_PROCESSING, unit_pb2.ROLE_AGGREGATION],
}
UNITS = ("dist", "u1", "u2", "agg")


def links(number: int, outside: bool) -> list[unit_pb2.UnitLink]:
    made = [_link("data0", "data", False, number, 1, ip_interface(f"10.0.0.{number}/24"))]
    if outside:
        made.append(_link("out0", f"outside{number}", True, number, 2, ip_interface(f"192.0.2.{number}/24")))
    return made


def _link(
    device: str, network: str, outside: bool, number: int, kind: int, address: Any
) -> unit_pb2.UnitLink:
    assert isinstance(address, IPv4Interface)
    mac = bytes([2, 0, 0, 0, kind, number])
    return unit_pb2.UnitLink(
        device=device, network=network, outside=outside, mac=mac, addresses=[str(address)], mtu=1500
    )


@dataclass
class Agent:
    """One unit on paper.  It holds what it is ordered to and does what its fields say."""

    name: str
    address: str
    roles: list[unit_pb2.Role.ValueType]
    links: list[unit_pb2.UnitLink]
    cpu: float = 4.0
    memory: int = 4 << 30
    bandwidth: int = 0
    storage: int = 0
    unheld: dict[str, str] = field(default_factory=dict)
    speaks: str = "udp"
    """The transport that its programs register."""
    mute: set[str] = field(default_factory=set)
    """Machines whose programs never register."""
    refuse: str = ""
    """What it answers to every slice of a session."""
    stall: bool = False
    """Takes orders to apply a session's slice and never answers."""
    beating: bool = True
    keeps_order: bool = True
    on_order: Callable[[unit_pb2.UnitOrder], None] = lambda _: None
    certs: Path | None = None
    beacon: unit_pb2.Beacon | None = None
    held: dict[int, unit_pb2.Slice] = field(default_factory=dict)
    names: dict[tuple[int, str, str], int] = field(default_factory=dict)
    dead: set[tuple[int, str]] = field(default_factory=set)
    log: list[str] = field(default_factory=list)
    alive: dict[int, bool] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    _reports: asyncio.Queue[unit_pb2.UnitReport] = field(default_factory=asyncio.Queue)
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """The agent is gone, from one moment to the next; what it holds stays."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def report(self, **report: Any) -> None:
        self._reports.put_nowait(unit_pb2.UnitReport(**report))

    def register(self, session: int, machine: str, program: str, port: str, real: int = 5000) -> None:
        self.names[session, machine, port] = real
        self.report(name=self._name(session, machine, program, port, real))

    def vm_dies(self, session: int, machine: str) -> None:
        self.dead.add((session, machine))
        self.report(
            vm=unit_pb2.VmReport(session=session, vm=machine, state=unit_pb2.VM_STATE_DEAD, message="killed")
        )

    def program_ends(self, session: int, machine: str, program: str, status: int) -> None:
        self.report(
            program=unit_pb2.ProgramReport(session=session, vm=machine, program=program, exit_status=status)
        )

    async def until(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def _run(self) -> None:
        # grpc.aio loses a cancellation that meets a call just broken: the task itself remembers it.
        task = asyncio.current_task()
        assert task
        while not task.cancelling():
            try:
                async with self._channel() as channel:
                    await self._stay(unit_pb2_grpc.UnitsStub(channel))
            except grpc.aio.AioRpcError as error:
                self.log.append(f"left: {error.code().name} {error.details()}")
            await asyncio.sleep(0.05)

    def _channel(self) -> grpc.aio.Channel:
        if self.certs is None:
            return grpc.aio.insecure_channel(self.address)
        parts = [(self.certs / name).read_bytes() for name in ("ca.pem", "key.pem", "cert.pem")]
        return grpc.aio.secure_channel(self.address, grpc.ssl_channel_credentials(*parts))

    async def _stay(self, stub: unit_pb2_grpc.UnitsAsyncStub) -> None:
        self._reports = asyncio.Queue()
        self._reports.put_nowait(unit_pb2.UnitReport(hello=self._hello()))
        call = stub.Join(self._outgoing())
        beat = asyncio.create_task(self._beat())
        try:
            async for order in call:
                self.on_order(order)
                self._order(order)
                self.changed.set()
        finally:
            beat.cancel()
            call.cancel()

    async def _outgoing(self) -> AsyncIterator[unit_pb2.UnitReport]:
        while True:
            yield await self._reports.get()

    async def _beat(self) -> None:
        while True:
            if self.beating:
                self.report(heartbeat=unit_pb2.Heartbeat())
            await asyncio.sleep(0.1)

    def _hello(self) -> unit_pb2.Hello:
        held = []
        for session, slice_ in self.held.items():
            vms = [
                unit_pb2.VmReport(
                    session=session,
                    vm=vm.name,
                    state=unit_pb2.VM_STATE_DEAD
                    if (session, vm.name) in self.dead
                    else unit_pb2.VM_STATE_RUNNING,
                )
                for vm in slice_.vms
            ]
            names = [
                self._name(session, vm.name, vm.programs[0].name, port, real)
                for vm in slice_.vms
                for (number, machine, port), real in self.names.items()
                if number == session and machine == vm.name
            ]
            held.append(
                unit_pb2.HeldSlice(session=session, generation=slice_.generation, vms=vms, names=names)
            )
        resources = unit_pb2.Resources(
            cpu=self.cpu,
            memory_bytes=self.memory,
            bandwidth_bps=self.bandwidth,
            storage_bytes=self.storage,
        )
        hello = unit_pb2.Hello(
            unit=self.name,
            roles=self.roles,
            resources=resources,
            links=self.links,
            held=held,
            unheld=self.unheld,
            keeps_order=self.keeps_order,
        )
        if self.beacon:
            hello.beacon.CopyFrom(self.beacon)
        return hello

    def _name(self, session: int, machine: str, program: str, port: str, real: int) -> unit_pb2.NameReport:
        return unit_pb2.NameReport(
            session=session, vm=machine, program=program, port=port, transport=self.speaks, real_port=real
        )

    def _order(self, order: unit_pb2.UnitOrder) -> None:
        error = ""
        match order.WhichOneof("what"):
            case "apply":
                slice_ = order.apply
                self.log.append(f"apply {slice_.session}")
                if slice_.session and self.stall:
                    return
                error = self.refuse if slice_.session else ""
                if not error:
                    self._apply(slice_)
            case "remove":
                self.log.append(f"remove {order.remove.session}")
                self.held.pop(order.remove.session, None)
            case "set_alive":
                self.log.append(f"set_alive {order.set_alive.unit} {order.set_alive.alive}")
                self.alive[order.set_alive.unit] = order.set_alive.alive
        self.report(order_done=unit_pb2.OrderDone(order=order.order, error=error))

    def _apply(self, slice_: unit_pb2.Slice) -> None:
        self.alive.update({row.unit: row.alive for row in slice_.tables.unit})
        before = self.held.get(slice_.session)
        running = (
            {vm.name for vm in before.vms if (slice_.session, vm.name) not in self.dead} if before else set()
        )
        self.held[slice_.session] = slice_
        for vm in slice_.vms:
            if vm.name in running:
                continue
            self.dead.discard((slice_.session, vm.name))
            state = unit_pb2.VmReport(session=slice_.session, vm=vm.name, state=unit_pb2.VM_STATE_RUNNING)
            state.age.FromMilliseconds(1500)
            self.report(vm=state)
            if vm.name not in self.mute:
                for program in vm.programs:
                    for number, port in enumerate([*program.inputs, *program.outputs]):
                        self.register(slice_.session, vm.name, program.name, port, 5000 + number)


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    """Ask until it holds: for what the API tells only when asked."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0.02)


@dataclass
class Cluster:
    """A node: its client, its agents by name."""

    address: str
    node: Node
    agents: dict[str, Agent]

    def __getitem__(self, name: str) -> Agent:
        return self.agents[name]

    async def joined(self) -> None:
        """Wait until every agent is alive and welcomed."""
        await eventually(self._all_alive)

    async def _all_alive(self) -> bool:
        try:
            return {unit.name for unit in await self.node.units() if unit.alive} == set(self.agents)
        except Unreachable:  # it is being started again
            return False

    def nothing_held(self) -> bool:
        return all(set(agent.held) <= {0} for agent in self.agents.values())


@asynccontextmanager
async def agents_at(address: str, names: tuple[str, ...] = UNITS, **fields: Any) -> AsyncIterator[Cluster]:
    """Agents of a control unit that runs somewhere, and a client of it."""
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(connect(address))
        agents = {}
        for number, name in enumerate(names, start=1):
            outside = name in ("dist", "agg", "solo")
            agents[name] = Agent(name, address, ROLES[name], links(number, outside), **fields)
            stack.push_async_callback(agents[name].stop)
            agents[name].start()
            await Cluster(address, node, agents).joined()  # one by one: units are numbered as they join
        yield Cluster(address, node, agents)


@asynccontextmanager
async def cluster(
    directory: Path,
    names: tuple[str, ...] = UNITS,
    limits: Limits | None = None,
    elasticity: Thresholds | None = None,
    restarts: RestartPolicy | None = None,
    recreate_after: float = 3600.0,
    **fields: Any,
) -> AsyncIterator[Cluster]:
    """A control unit in this process with scripted agents."""
    control = ControlUnit(
        Settings(
            directory / "state",
            directory / "c.sock",
            limits=limits or Limits(),
            elasticity=elasticity or Thresholds(),
            restarts=restarts or RestartPolicy(delays=()),
            recreate_after=recreate_after,
        )
    )
    await control.start()
    try:
        async with agents_at(f"unix:{directory / 'c.sock'}", names, **fields) as running:
            yield running
    finally:
        await control.stop()


async def watched(
    node: Node, name: str, state: session_pb2.SessionState.ValueType
) -> session_pb2.SessionEvent:
    """The first event of a session in this state."""
    async with asyncio.timeout(20):
        async for event in node.watch(name):
            if event.session.state == state:
                return event
    raise AssertionError("the watch ended before")


def spawn(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    return asyncio.get_running_loop().create_task(work)
