"""Copies per second of a fork of three branches to one device, by live frames."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from bench.forwarding import MANY, endpoint, lab, steered
from bench.lab import CPU, DESTINATION_PORT, FIRST_DESTINATION
from bench.registry import Result, measurement, noise
from controller.steering.model import (
    Channel,
    Flow,
    FlowKey,
    ForkBranch,
    ForkKey,
    LinkScope,
    Selector,
    Slot,
    SlotKey,
    Socket,
    Tables,
    Target,
    TargetKind,
)

BRANCHES, ROUNDS = 3, 5


def _tables(selector: Selector) -> Tables:
    """Each branch has two slots; with selector zero nothing is left to choose."""
    tables = Tables()
    to = Socket(FIRST_DESTINATION, DESTINATION_PORT)
    tables.flow[FlowKey(17, to)] = Flow(Target(TargetKind.FORK, 1), LinkScope.OUTSIDE)
    for number in range(1, BRANCHES + 1):
        tables.fork[ForkKey(1, number - 1)] = ForkBranch(number)
        tables.channel[number] = Channel(selector, 1, 2 * number, 1)
        for index in range(2):
            tables.slot[SlotKey(2 * number, index)] = Slot(2 * number + index)
            tables.endpoint[2 * number + index] = endpoint(2 * number + index)
    return tables


@measurement
def forks() -> Iterator[Result]:
    kinds = {"certain": Selector.ZERO, "choosing": Selector.COUNTER}
    rates: dict[str, list[float]] = {name: [] for name in kinds}
    with lab() as made:
        for _ in range(ROUNDS):
            for name, selector in kinds.items():
                with steered(made, _tables(selector)) as frames:
                    made.mpps(frames, 20_000)
                    rates[name].append(made.mpps(frames, MANY // 4))
    for name, values in rates.items():
        conditions = (
            f"{BRANCHES} copies with a rewrite each to one veth, live frames of 64 B, generator and path on "
            f"core {CPU}, arrivals counted; median of {ROUNDS} rounds, noise ±{noise(values):.0%}"
        )
        yield Result(f"fork_copies_mpps_{name}", statistics.median(values), "Mpps", None, {}, conditions)
