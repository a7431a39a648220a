"""Flow entries installed per second, 100,000 at once."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address

import numpy as np

from bench.lab import CPU, FIRST_DESTINATION, FIRST_SOURCE, SOURCE_PORT, namespace
from bench.registry import Goal, Result, measurement, noise
from controller.steering.model import Flow, FlowKey, LinkScope, Socket, Tables, Target, TargetKind
from ebpf.flow_batch import FlowBatch
from ebpf.loader import Sizes, SteeringProgram

COUNT, ROUNDS = 100_000, 7
GOAL = 500_000


@measurement
def flow_installs() -> Iterator[Result]:
    with namespace("dut") as dut:
        columns, objects = dut.inside(_measure)
    yield Result(
        "flow_installs_per_s",
        statistics.median(columns),
        "1/s",
        Goal(">=", GOAL),
        {"from rows of the model, one object each": statistics.median(objects)},
        f"{COUNT} exact IPv4 flows into an empty table of twice the size, from columns to the kernel, "
        f"encoding included; median of {ROUNDS} rounds on core {CPU}, noise ±{noise(columns):.1%}",
    )


def _measure() -> tuple[list[float], list[float]]:
    order = np.random.default_rng(1).permutation(COUNT).astype(np.uint32)
    target, port = Target(TargetKind.CHANNEL, 1), 5000
    anywhere = LinkScope.OUTSIDE | LinkScope.NODE
    rows = {
        FlowKey(
            17, Socket(FIRST_DESTINATION, port), Socket(IPv4Address(int(FIRST_SOURCE) + int(i)), SOURCE_PORT)
        ): Flow(target, anywhere)
        for i in order
    }
    columns: list[float] = []
    objects: list[float] = []
    for _ in range(ROUNDS):
        with SteeringProgram.load(pin_directory=None, sizes=replace(Sizes(), flow=2 * COUNT)) as program:
            start = time.perf_counter()
            program.insert_flows(
                FlowBatch(COUNT, int(FIRST_DESTINATION), port, 1, int(FIRST_SOURCE) + order, SOURCE_PORT)
            )
            columns.append(COUNT / (time.perf_counter() - start))
            if not objects:
                assert program.rows(("flow",)).flow == rows, "what was installed is what was meant"
        with SteeringProgram.load(pin_directory=None, sizes=replace(Sizes(), flow=2 * COUNT)) as program:
            start = time.perf_counter()
            program.insert_all(Tables(flow=rows))
            objects.append(COUNT / (time.perf_counter() - start))
    return columns, objects
