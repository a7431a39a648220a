"""Random sessions and random faults: whenever the dust has settled, what is read back is what is desired."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from controller.drivers.p4runtime.apply import Change
from controller.drivers.p4runtime.switch import Switch
from controller.steering.model import Mac, Selector, Tables
from controller.steering.oracle import Oracle
from dipronn.errors import Unavailable
from dipronn.v1 import unit_pb2
from tests.fake_switch.server import FakeSwitch
from tests.system.switch_agent.conftest import LAN_MAC, LAN_PORT, PIPELINE, AnySwitch, Edge, Network
from tests.system.switch_agent.rows import base, public, random_session, resolved, slice_

pytestmark = pytest.mark.timeout(180)

STEPS = 20
_MARK = b"to be compared"
RECEIVER_MAC = Mac.parse("02:00:00:00:00:10")
DEEDS = ("remove", "alive", "restart switch", "restart agent", "kill agent", "steal")


class Faults(Protocol):
    """Each happens once: the n-th write is done by half and its answer is lost; the n-th update, or one in
    the n-th write, is refused."""

    def lose(self, number: int) -> None: ...

    def refuse(self, number: int) -> None: ...

    def release(self) -> None: ...


class DriverFaults:
    """For a switch that has no faults of its own: in the driver, just before the wire."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.release()
        write = Switch.write

        async def faulty(switch: Switch, changes: Sequence[Change]) -> Mapping[int, str]:
            self._lose -= 1
            self._refuse -= 1
            if self._lose == 0:
                await write(switch, changes[: len(changes) // 2])
                switch._broken.set()
                raise Unavailable("the answer was lost")
            if self._refuse == 0:
                refused = len(changes) // 2
                kept = [change for index, change in enumerate(changes) if index != refused]
                return {refused: "no"} if not await write(switch, kept) else {}
            return await write(switch, changes)

        monkeypatch.setattr(Switch, "write", faulty)

    def lose(self, number: int) -> None:
        self._lose = number

    def refuse(self, number: int) -> None:
        self._refuse = number

    def release(self) -> None:
        self._lose = self._refuse = -1


@pytest.fixture
def faults(switch: AnySwitch, monkeypatch: pytest.MonkeyPatch) -> Faults:
    return switch.faults if isinstance(switch, FakeSwitch) else DriverFaults(monkeypatch)


@pytest.mark.parametrize(
    ("switch", "seed"),
    [
        *(pytest.param("fake", seed, marks=pytest.mark.fake_switch) for seed in range(5)),
        *(pytest.param("bmv2", seed, marks=pytest.mark.bmv2) for seed in range(2)),
        pytest.param("fake", None, marks=[pytest.mark.fake_switch, pytest.mark.soak]),
        pytest.param("bmv2", None, marks=[pytest.mark.bmv2, pytest.mark.soak]),
    ],
    indirect=["switch"],
)
async def test_what_is_read_back_is_what_is_desired(
    edge: Edge, network: Network, faults: Faults, seed: int | None
) -> None:
    """Soaking, every round has a seed of its own."""
    seed = time.time_ns() if seed is None else seed
    chance = random.Random(seed)
    alive, sessions = True, dict[int, Tables]()
    await edge.start()
    assert await edge.control.order(slice_(0, base())) == ""
    story: list[tuple[object, ...]] = [("seed", seed)]
    for step in range(STEPS):
        number = chance.randint(1, 4)
        deed = chance.choice(["apply"] * 4 + [*DEEDS])
        fault = chance.choice(["none", "none", "lose", "refuse"]) if deed != "steal" else "none"
        if fault == "lose":
            faults.lose(chance.randint(1, 6))
        elif fault == "refuse":
            faults.refuse(chance.randint(1, 30))
        answer = ""
        match deed:
            case "apply":
                rows = random_session(chance, number)
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
            case "kill agent":
                rows = random_session(chance, number)
                order = asyncio.create_task(edge.control.order(slice_(number, rows, step + 1)))
                for _ in range(chance.randint(0, 40)):
                    await asyncio.sleep(0)
                await edge.stop()
                order.cancel()
                faults.release()
                hello = await edge.start()
                # Whether the order had been stored is for the agent to say; half of it is not.
                if (number, step + 1) in {(held.session, held.generation) for held in hello.held}:
                    sessions[number] = resolved(rows, RECEIVER_MAC, LAN_MAC)
            case "steal":
                await _steal(edge)
        faults.release()
        story.append((deed, number, fault, answer))
        wanted = edge.expected(base(alive=alive), *sessions.values())
        try:
            await edge.until(lambda wanted=wanted: edge.has() == wanted)  # type: ignore[misc]
        except TimeoutError:
            assert edge.has() == wanted, story
    if not isinstance(edge.switch, FakeSwitch):
        assert await edge.control.order(unit_pb2.SetAlive(unit=1, alive=True)) == ""
        await network.settle()
        await _packets_agree_with_the_oracle(edge, network, sessions, story)


async def _packets_agree_with_the_oracle(
    edge: Edge, network: Network, sessions: Mapping[int, Tables], story: object
) -> None:
    """A packet into each session, but for those that take turns: how many came before is not known."""
    rows = Tables(link={link.key: link.row for link in edge.config.links})
    rows.merge(base())
    for each in sessions.values():
        rows.merge(each)
    oracle, expected = Oracle(rows), Counter[tuple[int, bytes]]()
    for number in sessions:
        packet = Ether(src="02:00:00:00:00:20", dst=str(LAN_MAC)) / IP(src="192.0.2.20", dst="192.0.2.1")
        frame = bytes(packet / UDP(sport=4321, dport=public(number).port) / _MARK)
        emissions = oracle.receive("lan0", frame, 0.0).emissions
        channels = [rows.channel[each.channel] for each in emissions if each.channel is not None]
        if all(channel.selector != Selector.COUNTER for channel in channels):
            expected.update((edge.config.ports.number(each.device), each.frame) for each in emissions)
            network.send(LAN_PORT, frame)

    def arrived() -> Counter[tuple[int, bytes]]:
        return Counter(each for each in network.arrived if each[1].endswith(_MARK))

    with contextlib.suppress(TimeoutError):
        await edge.until(lambda: arrived() == expected)
    assert arrived() == expected, story


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
