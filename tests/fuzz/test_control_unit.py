"""Whatever happens in whatever order: in the end units hold what is wanted of them, and nothing else."""

from __future__ import annotations

import asyncio
import io
import tarfile
from pathlib import Path
from random import Random

import pytest

from controller.server import ControlUnit, Settings
from dipronn.errors import DipronnError
from dipronn.v1 import session_pb2 as pb
from tests.unit.controller.agents import UNITS, Cluster, agents_at, eventually, spawn

TEXT = """
session {name} {{
  input x : udp; output y to 198.51.100.7:6000, 198.51.100.8:6000;
  program p {{ bundle "p.tar"; in i; out o; parallelizable {count}; }}
  program q {{ bundle "p.tar"; in i; out o; }}
  data x -> p.i; data p.o -> q.i; data q.o -> y; data x -> y;
}}
"""
NAMES = ("a", "b", "c")
STEPS = 30


def bundle() -> dict[str, bytes]:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("run"))
    return {"p.tar": buffer.getvalue()}


class Turmoil:
    """Does things to a node at random, several at a time."""

    def __init__(self, random: Random, node: Cluster, directory: Path) -> None:
        self.random = random
        self.node = node
        self.directory = directory
        self.control: ControlUnit | None = None
        self.calls: list[asyncio.Task[object]] = []

    async def start(self) -> None:
        self.control = ControlUnit(Settings(self.directory / "state", self.directory / "c.sock"))
        await self.control.start()

    async def stop(self) -> None:
        if self.control:
            await self.control.stop()
            self.control = None

    async def step(self) -> None:
        name = self.random.choice(NAMES)
        agent = self.node[self.random.choice(UNITS)]
        match self.random.randrange(8):
            case 0 | 1 | 2:
                text = TEXT.format(name=name, count=self.random.randint(1, 3))
                timeout = self.random.choice([None, None, 0.02, 0.2])
                self.calls.append(spawn(self.node.node.establish(text, bundle(), timeout=timeout)))
            case 3:
                self.calls.append(spawn(self.node.node.close_session(name)))
            case 4:
                await agent.stop()
            case 5:
                if agent._task is None:
                    agent.start()
            case 6:
                machines = [(number, vm.name) for number, one in agent.held.items() for vm in one.vms]
                if machines:
                    agent.vm_dies(*self.random.choice(machines))
            case 7:
                if self.random.random() < 0.3:
                    await self.stop()
                    await self.start()
        await asyncio.sleep(self.random.choice([0, 0.01, 0.1]))


@pytest.mark.parametrize("seed", range(4))
async def test_in_the_end_all_is_as_it_should_be(tmp_path: Path, seed: int) -> None:
    first = ControlUnit(Settings(tmp_path / "state", tmp_path / "c.sock"))
    await first.start()
    async with agents_at(f"unix:{tmp_path / 'c.sock'}") as node:
        turmoil = Turmoil(Random(seed), node, tmp_path)
        turmoil.control = first
        try:
            for _ in range(STEPS):
                await turmoil.step()
            for agent in node.agents.values():
                if agent._task is None:
                    agent.start()
            results = await asyncio.wait_for(asyncio.gather(*turmoil.calls, return_exceptions=True), 60)
            assert all(isinstance(one, DipronnError | pb.Session) for one in results), results
            await node.joined()
            await eventually(_Lasting(node), 30)
            for session in await node.node.sessions():
                await node.node.close_session(session.name)
            assert node.nothing_held()
            assert all(unit.reserved.cpu == 0 for unit in await node.node.units())
            # And it is as good as new.
            session = await node.node.establish(TEXT.format(name="last", count=2), bundle())
            assert session.state == pb.SESSION_STATE_ACTIVE
        finally:
            await turmoil.stop()


class _Lasting:
    """Holds once the node has been settled for a while: a change may just be about to be planned."""

    def __init__(self, node: Cluster) -> None:
        self._node = node
        self._times = 0

    async def __call__(self) -> bool:
        self._times = self._times + 1 if await _settled(self._node) else 0
        return self._times > 5


async def _settled(node: Cluster) -> bool:
    """No session is on its way, and every unit has what is wanted."""
    lasting = (pb.SESSION_STATE_ACTIVE, pb.SESSION_STATE_DEGRADED)
    sessions = await node.node.sessions()
    return all(one.state in lasting for one in sessions) and _held(node) == await _desired(node)


async def _desired(node: Cluster) -> dict[str, dict[int, bytes]]:
    return {
        unit: {one.session: one.tables.SerializeToString(deterministic=True) for one in slices}
        for unit, slices in (await node.node.desired()).items()
    }


def _held(node: Cluster) -> dict[str, dict[int, bytes]]:
    return {
        name: {number: one.tables.SerializeToString(deterministic=True) for number, one in agent.held.items()}
        for name, agent in node.agents.items()
    }
