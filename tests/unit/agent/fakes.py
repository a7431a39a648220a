"""A host that records calls and fails when told to, under a real agent with its real files.

What the kernel and QEMU really do is tested in ``tests/system/agent``; here every boundary between two of
their steps is met, which no real host can be made to do.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from controller.steering.model import Tables
from dipronn.errors import DipronnError
from dipronn.unit.config import Control, LinkConfig
from dipronn.v1 import unit_pb2
from ebpf.loader import Counters, Refused, SteeringProgram
from tests.unit.agent import orders
from vmhost.agent import addresses, naming
from vmhost.agent.agent import Agent
from vmhost.agent.config import AgentConfig
from vmhost.agent.plan import Machine
from vmhost.agent.store import Store
from vmhost.names import Callers, NameHooks, Registration
from vmhost.tap import Tap
from vmhost.vm.spec import DriverEvent, TapDevice, VmInfo, VmSpec, VmState

OWN = "lo"
"""The unit's own link: one that every host has, so that it can be measured."""


class Failure(DipronnError):
    """What a host says when told to fail."""


class Crash(BaseException):
    """The agent is killed here."""


@dataclass
class World:
    """What outlives an agent: rows, attachments, machines, taps. The ``fail_at``-th call fails."""

    rows: Tables = field(default_factory=Tables)
    attached: set[str] = field(default_factory=set)
    vms: dict[str, VmInfo] = field(default_factory=dict)
    taps: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    fail_at: int = 0
    error: type[BaseException] = Failure
    after: bool = False

    def act(self, call: str, effect: Callable[[], Any]) -> None:
        """Do it, or fail before or after it was done."""
        self.calls.append(call)
        failing = len(self.calls) == self.fail_at
        if not failing or self.after:
            effect()
        if failing:
            raise self.error(call)

    def snapshot(self) -> tuple[object, ...]:
        rows = {(table, key): value for table, key, value in self.rows.rows()}
        machines = {name: (_placeless(vm.spec), vm.tap) for name, vm in self.vms.items()}
        return rows, set(self.attached), machines, set(self.taps)

    def agent_died(self) -> None:
        """Its descriptors are closed: taps that no machine holds vanish, and what was attached to them."""
        self.taps = {vm.tap for vm in self.vms.values()}
        self.attached &= self.taps | {OWN}


def _placeless(spec: VmSpec) -> VmSpec:
    """A specification whose bundles are named, wherever they lie."""
    programs = [replace(each, bundle=Path(each.bundle.name)) for each in spec.programs if each.bundle]
    return replace(spec, programs=tuple(programs))


class FakeKernel:
    """Of a unit without kernel programs."""

    def held(self) -> set[int]:
        return set()


class FakeProgram:
    def __init__(self, world: World) -> None:
        self._world = world
        self.kernel = FakeKernel()

    def attach(self, device: str) -> None:
        assert device in self._world.taps | {OWN}
        self._world.act(f"attach {device}", lambda: self._world.attached.add(device))

    def detach(self, device: str) -> None:
        self._world.act(f"detach {device}", lambda: self._world.attached.discard(device))

    def insert_all(self, new: Tables) -> None:
        for table, key, row in new.rows():
            self._insert(table, key, row)

    def _insert(self, table: str, key: object, row: object) -> None:
        self._world.act(f"insert {table}", lambda: getattr(self._world.rows, table).update({key: row}))

    def delete(self, table: str, key: object) -> None:
        self._world.act(f"delete {table}", lambda: getattr(self._world.rows, table).pop(key, None))

    def rows(self) -> Tables:
        copy = Tables()
        copy.merge(self._world.rows)
        return copy

    def set_alive(self, unit: int, alive: bool) -> None:
        self._world.rows.unit[unit] = type(self._world.rows.unit[unit])(alive)

    def refused(self) -> dict[str, Refused]:
        return {}

    def counters(self) -> Counters:
        return Counters()


class FakeTap:
    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self.name = name

    def close(self) -> None:
        if all(vm.tap != self.name for vm in self._world.vms.values()):
            self._world.taps.discard(self.name)
            self._world.attached.discard(self.name)


class FakeDriver:
    def __init__(self, world: World) -> None:
        self._world = world
        self._events: asyncio.Queue[DriverEvent] = asyncio.Queue()

    async def start(self, spec: VmSpec, tap: TapDevice) -> None:
        assert spec.name not in self._world.vms, "a VM of that name exists"
        assert tap.name in self._world.attached, "its first packet would slip past the steering"
        info = VmInfo(spec, tap.name, VmState.STARTING, 1, {})
        try:
            self._world.act(f"start {spec.name}", lambda: self._world.vms.update({spec.name: info}))
        except Failure:
            self._world.vms.pop(spec.name, None)  # a failed start leaves nothing
            raise

    async def stop(self, name: str) -> None:
        def effect() -> None:
            if info := self._world.vms.pop(name, None):
                self._world.taps.discard(info.tap)
                self._world.attached.discard(info.tap)

        self._world.act(f"stop {name}", effect)

    async def adopt(self) -> tuple[VmInfo, ...]:
        return tuple(self._world.vms.values())

    def vms(self) -> Mapping[str, VmInfo]:
        return dict(self._world.vms)

    async def events(self) -> AsyncIterator[DriverEvent]:
        while True:
            yield await self._events.get()

    def serial_log(self, name: str) -> Path:
        return Path("/nowhere")

    def usage(self, name: str) -> None:
        return None

    def unheld(self) -> Mapping[str, str]:
        return {}

    async def close(self) -> None:
        pass


class FakeNameServer:
    def __init__(
        self,
        device: str,
        callers: Callers,
        hooks: NameHooks,
        *,
        held: Iterable[Registration] = (),
        share: object = None,
    ) -> None:
        self.registrations = {each.name: each for each in held}

    async def start(self, gateways: object) -> None:
        pass

    async def close(self) -> None:
        pass


class FakeUnit:
    """Agents, one after another, on one world and one state folder."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(naming, "NameServer", FakeNameServer)
        monkeypatch.setattr(addresses, "servers_of", lambda machine: [])
        monkeypatch.setattr(os, "fsync", lambda _: None)  # nobody pulls the plug here
        self.world = World()
        self.store = Store(folder)
        self.store.open()
        (self.store.bundles / orders.BUNDLE_NAME.hex()).write_bytes(orders.BUNDLE)

    def agent(self) -> Agent:
        control = Control("unix:/nonexistent")
        link = LinkConfig(OWN, "data", rate=1_000_000_000)
        folder = self.store.folder
        config = AgentConfig("u1", (), folder, Path("/pins"), Path("/cache"), control, (link,))
        program = cast(SteeringProgram, FakeProgram(self.world))
        return Agent(config, self.store, program, FakeDriver(self.world), self._open_tap)

    def save(self) -> tuple[World, dict[Path, bytes]]:
        """The world and the files as they are now."""
        files = [path for path in self.store.folder.rglob("*") if path.is_file()]
        return deepcopy(self.world), {path: path.read_bytes() for path in files}

    def restore(self, saved: tuple[World, dict[Path, bytes]]) -> None:
        world, files = saved
        self.world = deepcopy(world)
        for path in self.store.folder.rglob("*"):
            if path.is_file() and path not in files:
                path.unlink()
        for path, data in files.items():
            path.write_bytes(data)

    async def started(self) -> Agent:
        """An agent that has taken over what there is."""
        agent = self.agent()
        async with agent._receivers:
            await agent._start()
        return agent

    async def _open_tap(self, machine: Machine) -> Tap:
        assert machine.device not in self.world.taps, "a link of that name exists"
        try:
            self.world.act(f"tap {machine.device}", lambda: self.world.taps.add(machine.device))
        except Failure:
            self.world.taps.discard(machine.device)  # nor does a tap
            raise
        return cast(Tap, FakeTap(self.world, machine.device))


async def order(agent: Agent, what: unit_pb2.Slice | unit_pb2.RemoveSlice | unit_pb2.SetAlive) -> str:
    """Give an order; the answer."""
    match what:
        case unit_pb2.Slice():
            return await agent._order(unit_pb2.UnitOrder(order=1, apply=what))
        case unit_pb2.RemoveSlice():
            return await agent._order(unit_pb2.UnitOrder(order=1, remove=what))
        case _:
            return await agent._order(unit_pb2.UnitOrder(order=1, set_alive=what))
