"""A switch's agent on a real bmv2: sessions installed one by one, and all of them after a restart."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from ipaddress import IPv4Address, ip_interface
from pathlib import Path

from bench.p4_forwarding import build
from bench.registry import Result, measurement, noise
from bench.switch_process import DEVICE_ID, SwitchProcess, missing, switch_process
from controller.drivers.p4runtime.agent import SwitchAgent
from controller.drivers.p4runtime.config import SwitchConfig, SwitchLink
from controller.drivers.p4runtime.entries import encode
from controller.drivers.p4runtime.pipeline import Pipeline
from controller.steering import wire
from controller.steering.model import (
    UDP,
    Channel,
    Endpoint,
    EndpointKind,
    Flow,
    FlowKey,
    ForkBranch,
    ForkKey,
    LinkKey,
    LinkScope,
    Mac,
    Selector,
    Slot,
    SlotKey,
    Socket,
    Tables,
    Target,
    TargetKind,
    Unit,
    Unmatched,
)
from dipronn.unit.config import Control
from dipronn.unit.slices import SliceStore
from dipronn.v1 import unit_pb2

SESSIONS, RESTARTS = 1000, 7
OWN, UNIT_MAC = Mac.parse("02:d1:90:00:00:01"), Mac.parse("02:d1:90:00:01:01")
OWN_ADDRESS = IPv4Address("192.0.2.1")
PATIENCE = 120.0


@measurement
def switch_sessions() -> Iterator[Result]:
    """A session is stored durably, compared with what the switch has, installed and acknowledged."""
    if missing("installing sessions in a switch"):
        return
    seconds, restarts, entries = asyncio.run(_measure())
    rate = len(seconds) / sum(seconds)
    conditions = (
        f"bmv2 {build()}; {SESSIONS} sessions of {entries // SESSIONS} entries, orders one after the other"
    )
    yield Result(
        "switch_sessions",
        rate,
        "sessions/s",
        peers={"p50 ms": statistics.median(seconds) * 1e3, "p99 ms": sorted(seconds)[-10] * 1e3},
        conditions=f"{conditions}, noise ±{noise(seconds):.0%}",
    )
    yield Result(
        "switch_repair",
        statistics.median(restarts),
        "s",
        peers={"longest": max(restarts)},
        conditions=f"{conditions}; from when a new bmv2 listens until it has pipeline and entries again; "
        f"median of {RESTARTS} restarts, noise ±{noise(restarts):.0%}",
    )


async def _measure() -> tuple[list[float], list[float], int]:
    """Seconds for each session, seconds for each restart, and entries of all sessions."""
    with switch_process() as process, tempfile.TemporaryDirectory(prefix="bench-agent-") as folder:
        config = _config(process.address, Path(folder))
        async with _running(config) as agent:
            await agent.apply(_slice(0, Tables(unit={1: Unit(True)})))
            seconds, entries = [], 0
            for number in range(1, SESSIONS + 1):
                rows = _session(number)
                entries += len(encode(rows, config.ports))
                order = _slice(number, rows)
                start = time.perf_counter()
                await agent.apply(order)
                seconds.append(time.perf_counter() - start)
            return seconds, [await _restart(process, agent) for _ in range(RESTARTS)], entries


async def _restart(process: SwitchProcess, agent: SwitchAgent) -> float:
    process.stop()
    await _until(lambda: not agent.up)
    await asyncio.to_thread(process.start)
    start = time.perf_counter()
    await _until(lambda: agent.up)
    return time.perf_counter() - start


async def _until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not happened():  # noqa: ASYNC110
            await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def _running(config: SwitchConfig) -> AsyncIterator[SwitchAgent]:
    store = SliceStore(config.state)
    store.open()
    agent = SwitchAgent(config, store, Pipeline.load())
    task = asyncio.create_task(agent.run())
    try:
        await _until(lambda: agent.up)
        yield agent
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _config(address: str, folder: Path) -> SwitchConfig:
    """Nobody answers as control unit: orders are given directly."""
    own = (ip_interface(f"{OWN_ADDRESS}/24"),)
    link = SwitchLink(LinkKey("data0"), "data", True, Unmatched.HOST, 1, OWN, own, 1500)
    control = Control(f"unix:{folder}/nobody", None, 0.25)
    roles = (unit_pb2.ROLE_DISTRIBUTION,)
    return SwitchConfig("edge", roles, folder / "state", control, address, DEVICE_ID, 100, (link,))


def _session(number: int) -> Tables:
    """Its input goes to a fork of two, and is answered by a group of two instances with backups."""
    first = number * 8
    rows = Tables()
    for index in range(2):
        to = Socket(IPv4Address("10.77.0.2"), 10000 + first + index)
        rows.endpoint[first + index] = Endpoint(EndpointKind.NODE, "data0", OWN, UNIT_MAC, to, unit=1)
        rows.slot[SlotKey(first, index)] = Slot(first + index, first + 1 - index)
        rows.channel[first + index] = Channel(Selector.COUNTER, 1, first, number)
        rows.fork[ForkKey(first, index)] = ForkBranch(first + index)
    public = Socket(OWN_ADDRESS, 5000 + number)
    rows.flow[FlowKey(UDP, public)] = Flow(Target(TargetKind.FORK, first), LinkScope.OUTSIDE)
    return rows


def _slice(number: int, rows: Tables) -> unit_pb2.Slice:
    return unit_pb2.Slice(session=number, name=f"s{number}", generation=1, tables=wire.encode(rows))
