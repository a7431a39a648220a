"""How fast sessions are placed, and how near to the best that a long solve finds."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from random import Random

from bench.registry import Goal, Result, measurement, noise
from controller.placement import BestPlacer, Demand, Offer, Problem
from controller.placement.admission import Amount
from controller.placement.solver import solve
from controller.placement.table import Table

UNITS, PROGRAMS, PROBLEMS, COMPARED = 100, 50, 21, 5
LONG_SECONDS = 30.0
MIB, MBPS = 1 << 20, 10**6


@measurement
def placement() -> Iterator[Result]:
    """100 units that others use already, sessions of 50 programs, some of them several times."""
    problems = [generated(seed) for seed in range(PROBLEMS)]
    placer = BestPlacer()
    placer.place(problems[0])  # the solver is loaded
    milliseconds, costs = [], []
    for problem in problems:
        start = time.perf_counter()
        placed = placer.place(problem)
        milliseconds.append((time.perf_counter() - start) * 1e3)
        costs.append(placed)
    instances = statistics.median(len(problem.demands) for problem in problems)
    conditions = (
        f"{PROBLEMS} generated sessions of {PROGRAMS} programs, {instances:g} instances, on {UNITS} unlike "
        f"units in part reserved; noise ±{noise(milliseconds):.1%}"
    )
    yield Result(
        "placement_ms",
        statistics.median(milliseconds),
        "ms",
        Goal("<=", 200),
        {"slowest": max(milliseconds)},
        conditions,
    )
    ratios = [
        _against_long(problem, placed)
        for problem, placed in list(zip(problems, costs, strict=True))[:COMPARED]
    ]
    yield Result(
        "placement_cost_ratio",
        max(ratios),
        "ratio",
        Goal("<=", 1.05),
        {"median": statistics.median(ratios)},
        f"traffic between units against the best of {LONG_SECONDS:g} s on all units, worst of {COMPARED}",
    )


def generated(seed: int) -> Problem:
    """A session and a node on paper, the same for the same seed."""
    random = Random(seed)
    offers = []
    for number in range(UNITS):
        total = Amount(random.choice([4, 8, 16, 32]), random.choice([8, 16, 32, 64]) << 30, 10**10)
        used = random.uniform(0, 0.8)
        offers.append(Offer(f"u{number}", total, Amount(total.cpu * used, int(total.memory_bytes * used))))
    instances: list[list[str]] = []
    demands: list[Demand] = []
    between: list[tuple[str, str, int]] = []
    with_units: list[tuple[str, str, int]] = []
    for number in range(PROGRAMS):
        needs = Amount(random.choice([0.25, 0.5, 1, 2, 4]), random.choice([128, 256, 512, 1024, 4096]) * MIB)
        (count,) = random.choices([1, 2, 3, 4], [0.7, 0.15, 0.1, 0.05])
        mine = [Demand(f"p{number}", index, needs) for index in range(count)]
        demands += mine
        instances.append([one.name for one in mine])
        before = instances[max(0, number - 6) : number]
        for others in random.sample(before, min(len(before), random.choice([1, 1, 1, 2, 2, 3]))):
            bps = random.choice([1, 3, 10, 50, 200]) * MBPS // (len(others) * count)
            between += [(one, other, bps) for one in others for other in instances[-1]]
        if number < 3:
            with_units += [(name, "distribution", 100 * MBPS // count) for name in instances[-1]]
    return Problem(demands, offers, between, with_units)


def _against_long(problem: Problem, placed: dict[str, str]) -> float:
    table = Table(problem)
    names = {offer.unit: index for index, offer in enumerate(problem.offers)}
    start = [names[placed[demand.name]] for demand in problem.demands]
    best, _ = solve(table, start, LONG_SECONDS)
    assert best is not None and table.fits(start) and table.cost(start) < table.apart
    return table.cost(start) / table.cost(best)
