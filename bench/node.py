"""What a user waits for on a whole node: a session without machines, and a machine that registers names."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import dipronn
from bench.registry import Goal, Result, measurement, noise
from dipronn.demo import bundles
from dipronn.node import starter
from dipronn.node.agent_config import CACHE
from dipronn.node.config import NodeConfig
from vmhost.agent.machines import prepare
from vmhost.vm.trial import try_machine

SESSIONS, STARTS = 100, 7

STRAIGHT = """
session straight {
  input in1 : udp rate 1Mbps to 192.0.2.1:5100;
  output out1 to 198.51.100.7:6100;
  data in1 -> out1;
}
"""
ONE_MACHINE = """
session machine {
  input in1 : udp rate 1Mbps to 192.0.2.1:5200;
  output out1 to 198.51.100.7:6200;
  param KEY "8f1e4b0d6a5c39e27714d0c2b9a863f5027bd41c5e96aa38f40b6d17c3e8952a";
  program seal { bundle "seal.tar"; in clear; out sealed; needs cpu 0.25, memory 64MiB; }
  data in1 -> seal.clear;
  data seal.sealed -> out1;
}
"""


@measurement
def establish() -> Iterator[Result]:
    """Latency of a session that needs no machine: admitted, stored, its rules in all kernels."""
    seconds = asyncio.run(_establish())
    ordered = sorted(seconds)
    conditions = (
        f"{SESSIONS} sessions one after the other on 4 units by gRPC with mutual TLS, SQLite synced; "
        f"noise ±{noise(seconds):.1%}"
    )
    yield Result("establish_p50_ms", statistics.median(ordered) * 1e3, "ms", conditions=conditions)
    yield Result("establish_p99_ms", ordered[int(len(ordered) * 0.99)] * 1e3, "ms", conditions=conditions)


@measurement
def machine_start() -> Iterator[Result]:
    """Spawn of a machine until its program has registered its names, against QEMU booting the same image."""
    registered, bare = asyncio.run(_machine_start())
    yield Result(
        "machine_start_ratio",
        statistics.median(registered) / statistics.median(bare),
        "ratio",
        Goal("<=", 1.3),
        {
            "spawn to registered, s": statistics.median(registered),
            "bare boot to user space, s": statistics.median(bare),
        },
        f"a C program of a session, and QEMU with the same kernel and base image alone, turn by turn; median "
        f"of {STARTS}, noise ±{noise(registered):.1%} and ±{noise(bare):.1%}",
    )


@asynccontextmanager
async def _node() -> AsyncIterator[dipronn.Node]:
    name = f"bench{os.getpid()}"
    await starter.up(NodeConfig(name=name), lambda _: None)
    try:
        async with dipronn.connect(f"unix:{starter.Places(name).socket}") as node:
            yield node
    finally:
        starter.down(name, lambda _: None)


async def _establish() -> list[float]:
    seconds = []
    async with _node() as node:
        for _ in range(SESSIONS):
            start = time.perf_counter()
            await node.establish(STRAIGHT)
            seconds.append(time.perf_counter() - start)
            await node.close_session("straight")
    return seconds


async def _machine_start() -> tuple[list[float], list[float]]:
    registered, bare = [], []
    images, machine = await prepare(CACHE)
    with tempfile.TemporaryDirectory() as scratch:
        seal = [bundle for bundle in bundles.DEMO_BUNDLES if bundle.name == "seal"]
        built = bundles.build(Path(scratch), seal)
        async with _node() as node:
            for _ in range(STARTS):
                session = await node.establish(ONE_MACHINE, bundles=built)
                registered.append(session.instances[0].start_time.ToNanoseconds() / 1e9)
                await node.close_session("machine")
                trial = await try_machine(machine, images)
                assert trial.seconds is not None, trial.failure
                bare.append(trial.seconds)
    return registered, bare
