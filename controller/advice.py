"""What the load of a program's instances asks for: more, fewer, or other weights.  Pure (D51, A22)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import inf, sqrt

from dipronn.errors import DipronnError


@dataclass(frozen=True)
class Thresholds:
    """Loads as parts of a reservation, times in seconds.

    What is added is far from what is taken away: with two instances at ``grow_above``, three are at 0.53.
    """

    grow_above: float = 0.8
    grow_after: float = 3.0
    shrink_below: float = 0.5
    """The load that the rest would have."""
    shrink_after: float = 30.0
    idle_below: float = 0.1
    idle_after: float = 3.0
    drain_at_most: float = 60.0
    join_within: float = 120.0
    retry_after: float = 30.0
    """After an attempt to grow that failed."""
    balance_after: float = 3.0
    """Between changes of weights."""


class BadThresholds(DipronnError):
    """Thresholds that cannot be used; the message names the entry and the remedy."""


def thresholds(stated: Mapping[str, object]) -> Thresholds:
    """From a configuration, where what is not stated keeps its default.  Raises BadThresholds."""
    known = [one.name for one in fields(Thresholds)]
    for name, value in stated.items():
        if name not in known:
            raise BadThresholds(f"no threshold {name!r}; there are {', '.join(known)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < inf:
            raise BadThresholds(f"threshold {name} is a number from 0, not {value!r}")
    return Thresholds(**{name: float(str(value)) for name, value in stated.items()})


@dataclass
class Trend:
    """Since when a program's load asks for a change, by whatever clock."""

    high: float | None = None
    low: float | None = None

    def advice(self, given: Thresholds, now: float, loads: Sequence[float], least: int, most: int) -> int:
        """1: one more; -1: one less; 0: as it is.  ``loads``: of each instance that takes packets."""
        count, whole = len(loads), sum(loads)
        high = least <= count < most and whole > given.grow_above * count
        low = count > least and whole < given.shrink_below * (count - 1)
        self.high = (self.high if self.high is not None else now) if high else None
        self.low = (self.low if self.low is not None else now) if low else None
        if self.high is not None and now - self.high >= given.grow_after:
            return 1
        if self.low is not None and now - self.low >= given.shrink_after:
            return -1
        return 0


LARGEST_WEIGHT = 16
_UNEVEN, _LIGHT = 0.1, 0.05
"""Weights stay as they are where loads differ by less, or are lower on the mean."""


def balanced(weights: Sequence[int], loads: Sequence[float]) -> list[int]:
    """Weights under which the loads would be nearer to each other, or the same weights.

    A load grows with its weight, so the weight is divided by the load; half of the way at a time, since loads
    are heard of late.
    """
    mean = sum(loads) / len(loads)
    if mean < _LIGHT or max(loads) - min(loads) < _UNEVEN * mean:
        return list(weights)
    wanted = [weight * sqrt(mean / max(load, mean / 4)) for weight, load in zip(weights, loads, strict=True)]
    return [max(1, round(LARGEST_WEIGHT * one / max(wanted))) for one in wanted]
