"""That a unit's host lives: told by its beacon, whatever its stream does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from controller.server import ControlUnit, Settings
from dipronn import beacon
from dipronn.v1 import unit_pb2
from tests.unit.controller.agents import ROLES, UNITS, Agent, Cluster, agents_at, eventually, links

INTERVAL = 0.1


class Shining:
    """A beacon in this process, with a key that is its unit's or is not."""

    def __init__(self, address: str, identity: unit_pb2.Beacon, key: bytes | None = None) -> None:
        self._line = beacon.dial(address)
        self._identity = identity
        self._key = key or identity.key
        self.number = 0
        self._task = asyncio.create_task(self._shine())

    async def _shine(self) -> None:
        while True:
            self.number += 1
            self.send(self.number)
            await asyncio.sleep(INTERVAL)

    async def heard(self) -> None:
        """Wait until a beat came after the unit had joined."""
        known = self.number
        while self.number < known + 2:  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(INTERVAL / 2)

    def send(self, number: int) -> None:
        self._line.send(beacon.seal(self._identity.nonce, self._key, number))

    async def stop(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    async def close(self) -> None:
        await self.stop()
        self._line.close()


@asynccontextmanager
async def shining_unit(directory: Path) -> AsyncIterator[tuple[Cluster, Agent, Shining]]:
    """A node that waits long for heartbeats, and one more unit in it, which has a beacon."""
    control = ControlUnit(Settings(directory / "state", directory / "c.sock", dead_after=1000))
    await control.start()
    address = f"unix:{directory / 'c.sock'}"
    identity = unit_pb2.Beacon(nonce=bytes(16), key=bytes(range(32)))
    identity.interval.FromMilliseconds(int(1000 * INTERVAL))
    try:
        async with agents_at(address) as node:
            unit = Agent("lit", address, ROLES["u1"], links(9, False), beacon=identity)
            shining = Shining(address, identity)
            unit.start()
            node.agents["lit"] = unit
            try:
                await node.joined()
                await shining.heard()
                yield node, unit, shining
            finally:
                await shining.close()
                await unit.stop()
    finally:
        await control.stop()


async def alive(node: Cluster) -> bool:
    return next(unit for unit in await node.node.units() if unit.name == "lit").alive


async def told_dead(node: Cluster) -> None:
    number = 2 + len(UNITS)
    await node["dist"].until(lambda: node["dist"].alive.get(number) is False)


@pytest.mark.req("D18")
async def test_a_host_whose_beacon_falls_silent_is_dead_and_lives_when_it_is_heard(tmp_path: Path) -> None:
    async with shining_unit(tmp_path) as (node, unit, shining):
        unit.beating = False
        await shining.stop()
        await told_dead(node)
        assert not await alive(node)
        # Neither a beat that was recorded nor one by another's key brings it back.
        for number in range(1, shining.number + 1):
            shining.send(number)
        forged = Shining(node.address, unit.beacon or unit_pb2.Beacon(), key=bytes(32))
        forged.number = 1000
        await asyncio.sleep(5 * INTERVAL)
        await forged.close()
        assert not await alive(node)
        shining.send(shining.number + 1)
        await eventually(lambda: alive(node))


async def test_a_unit_that_lost_only_its_beacon_lives_by_its_heartbeats(tmp_path: Path) -> None:
    async with shining_unit(tmp_path) as (node, _, shining):
        await shining.stop()
        await told_dead(node)
        await eventually(lambda: alive(node))
        await asyncio.sleep(8 * INTERVAL)
        assert await alive(node), "a beacon that was lost is not missed any more"


async def test_a_host_without_its_agent_lives_as_long_as_its_beacon(tmp_path: Path) -> None:
    async with shining_unit(tmp_path) as (node, unit, shining):
        number = 2 + len(UNITS)
        await unit.stop()
        await asyncio.sleep(8 * INTERVAL)
        assert node["dist"].alive.get(number) is not False
        await shining.stop()
        await told_dead(node)
