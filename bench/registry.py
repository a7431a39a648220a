"""What a measurement is, and the list of them.

A module in this folder decorates a function with ``@measurement``; it yields results. Nothing else is needed
to join.
"""

from __future__ import annotations

import importlib
import pkgutil
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import bench


@dataclass(frozen=True)
class Goal:
    op: Literal["<=", ">="]
    value: float

    def met(self, value: float) -> bool:
        return value <= self.value if self.op == "<=" else value >= self.value


@dataclass(frozen=True)
class Result:
    """``peers``: others measured in the same rounds. ``conditions``: under which, with the noise."""

    name: str
    value: float
    unit: str
    goal: Goal | None = None
    peers: Mapping[str, float] = field(default_factory=dict)
    conditions: str = ""

    @property
    def ok(self) -> bool:
        return self.goal is None or self.goal.met(self.value)

    def to_json(self) -> dict[str, object]:
        goal = {"op": self.goal.op, "value": self.goal.value} if self.goal else None
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "goal": goal,
            "ok": self.ok,
            "peers": dict(self.peers),
            "conditions": self.conditions,
        }


Measure = Callable[[], Iterable[Result]]
MEASUREMENTS: dict[str, Measure] = {}


def measurement(function: Measure) -> Measure:
    """Register under the function's name."""
    MEASUREMENTS[function.__name__] = function
    return function


def discover() -> dict[str, Measure]:
    """Import every module here; what they registered, by name."""
    for module in pkgutil.iter_modules(bench.__path__):
        if not module.name.startswith("_"):
            importlib.import_module(f"bench.{module.name}")
    return MEASUREMENTS


def interleaved(contenders: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Values of each contender, all of them once in every round, so that a disturbance meets all alike."""
    values: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            values[name].append(run())
    return values


def noise(values: Sequence[float]) -> float:
    """Half the distance between the quartiles, as a part of the median."""
    first, _, third = statistics.quantiles(values, n=4)
    middle = statistics.median(values)
    return (third - first) / 2 / middle if middle else 0.0
