"""Outcomes of two targets, compared."""

from __future__ import annotations

from collections import defaultdict

from phonepl.targets import Outcome


def by_stream(outcome: Outcome) -> tuple[dict[tuple[int, str], list[bytes]], dict[str, int]]:
    """What each arrival put to each stream, in order, and the drops: there is no order across streams."""
    made: dict[tuple[int, str], list[bytes]] = defaultdict(list)
    for departure in outcome.departures:
        made[departure.arrival, departure.stream].append(departure.data)
    return dict(made), outcome.drops
