"""Random sessions and random faults: whenever the dust has settled, what is read back is what is desired."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence

import pytest

from controller.drivers.p4runtime.apply import Change
from controller.drivers.p4runtime.switch import Switch
from controller.steering.model import Mac, Tables
from dipronn.errors import Unavailable
from dipronn.v1 import unit_pb2
from tests.system.switch_agent.conftest import LAN_MAC, PIPELINE, Edge, Network
from tests.system.switch_agent.rows import base, resolved, session, slice_

pytestmark = pytest.mark.timeout(180)

STEPS = 25
RECEIVER_MAC = Mac.parse("02:00:00:00:00:10")


class Faults:
    """Between the agent and its switch: loses a request, or lets the switch refuse one change of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lose = self.refuse = -1
        write = Switch.write

        async def faulty(switch: Switch, changes: Sequence[Change]) -> Mapping[int, str]:
            self.lose -= 1
            self.refuse -= 1
            if self.lose == 0:
                await write(switch, changes[: len(changes) // 2])
                switch._broken.set()
                raise Unavailable("the answer was lost")
            if self.refuse == 0:
                refused = len(changes) // 2
                kept = [change for index, change in enumerate(changes) if index != refused]
                return {refused: "no"} if not await write(switch, kept) else {}
            return await write(switch, changes)

        monkeypatch.setattr(Switch, "write", faulty)


@pytest.mark.parametrize("seed", range(4))
async def test_what_is_read_back_is_what_is_desired(
    edge: Edge, network: Network, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance, faults = random.Random(seed), Faults(monkeypatch)
    alive, sessions = True, dict[int, Tables]()
    await edge.start()
    assert await edge.control.order(slice_(0, base())) == ""
    story = []
    for step in range(STEPS):
        number = chance.randint(1, 4)
        deed = chance.choice(["apply"] * 4 + ["remove", "alive", "restart switch", "restart agent", "steal"])
        fault = chance.choice(["none", "none", "lose", "refuse"]) if deed != "steal" else "none"
        faults.lose = chance.randint(1, 6) if fault == "lose" else -1
        faults.refuse = chance.randint(1, 6) if fault == "refuse" else -1
        answer = ""
        match deed:
            case "apply":
                rows = session(number, chance.randint(1, 6))
                answer = await edge.control.order(slice_(number, rows, step + 1))
                if not answer:
                    sessions[number] = resolved(rows, RECEIVER_MAC, LAN_MAC)
            case "remove":
                answer = await edge.control.order(unit_pb2.RemoveSlice(session=number))
                if not answer:
                    sessions.pop(number, None)
            case "alive":
                answer = await edge.control.order(unit_pb2.SetAlive(unit=1, alive=not alive))
                alive = alive if answer else not alive
            case "restart switch":
                edge.switch.stop()
                edge.switch.start()
            case "restart agent":
                await edge.stop()
                await edge.start()
            case "steal":
                await _steal(edge)
        story.append((deed, number, fault, answer))
        wanted = edge.expected(base(alive=alive), *sessions.values())
        try:
            await edge.until(lambda wanted=wanted: edge.has() == wanted)  # type: ignore[misc]
        except TimeoutError:
            assert edge.has() == wanted, story


async def _steal(edge: Edge) -> None:
    """Another controller takes the switch, deletes what lets packets in, and leaves."""

    async def nothing(_: object) -> None:
        return None

    thief = Switch(
        *(edge.switch.address, edge.config.device_id, 1000, PIPELINE),
        ready=nothing,
        packet=lambda *_: None,
        digest=lambda _: None,
    )
    task = asyncio.create_task(thief.run())
    await thief.require_up(30)
    gone = [key for key in edge.has() if key.table.startswith("flow")]
    await thief.write([Change(key, row, None) for key, row in edge.has().items() if key in gone])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
