"""A packet's way through several units, told by their oracles: what ``Explain`` answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from controller.steering.oracle import Oracle
from controller.steering.outcome import Outcome

Place = tuple[str, str]
"""A unit and a device of it."""

MAX_HOPS = 1000
"""Frames handled in one walk: a loop ends by its TTL, a loop with a fork in it would end much later."""


@dataclass(frozen=True)
class Hop:
    """One frame that entered one unit, and what became of it there.  ``previous`` is the hop (its place in
    the list) whose emission number ``emission`` it is; None for the first."""

    unit: str
    device: str
    frame: bytes
    outcome: Outcome
    previous: int | None = None
    emission: int = 0


def follow(
    oracles: Mapping[str, Oracle],
    wires: Mapping[Place, Place],
    unit: str,
    device: str,
    frame: bytes,
    now: float = 0.0,
) -> list[Hop]:
    """Follow one frame from where it enters to where every copy ends, nearest hops first.

    ``wires`` tells where an emission arrives: (unit, device) to (unit, device).  A device without a wire
    leads out of the node, to a receiver or a guest.  The oracles are left as they were.  After ``MAX_HOPS``
    the walk ends; the last emissions are then not followed.  Raises ``KeyError`` for a unit without
    an oracle.
    """
    oracles = {name: oracle.clone() for name, oracle in oracles.items()}
    hops: list[Hop] = []
    arriving: deque[tuple[Place, bytes, int | None, int]] = deque([((unit, device), frame, None, 0)])
    while arriving and len(hops) < MAX_HOPS:
        (unit, device), frame, previous, number = arriving.popleft()
        outcome = oracles[unit].receive(device, frame, now)
        for i, emission in enumerate(outcome.emissions):
            place = wires.get((unit, emission.device))
            if place is not None:
                arriving.append((place, emission.frame, len(hops), i))
        hops.append(Hop(unit, device, frame, outcome, previous, number))
    return hops
