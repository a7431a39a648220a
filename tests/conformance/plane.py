"""What a data plane is to these tests: tables and frames in; frames, verdicts and counters out.

To add one, write a class with ``run`` and put it into ``planes.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

from scapy.layers.l2 import Ether

from controller.steering.drops import Drop
from controller.steering.model import Tables, Unit
from controller.steering.oracle import Oracle
from controller.steering.outcome import Counters, Step
from tests.conformance.programs import interpreted

START = 1000.0
"""When the first frame arrives, seconds; a lifetime before it lies in the past, not below zero."""


@dataclass(frozen=True)
class Arrival:
    """A frame enters by ``device``, ``wait`` seconds after the step before."""

    device: str
    frame: bytes
    wait: float = 0.0


@dataclass(frozen=True)
class SetAlive:
    """The control unit declares a unit alive or dead (R3)."""

    unit: int
    alive: bool


@dataclass(frozen=True)
class Write:
    """The control unit writes one row, or deletes it (None)."""

    table: str
    key: Any
    row: Any


Event = Arrival | SetAlive | Write


@dataclass(frozen=True, order=True)
class Sent:
    device: str
    frame: bytes


@dataclass(frozen=True)
class Observation:
    """What became of one frame; ``sent`` and ``drops`` sorted, since copies may overtake each other."""

    sent: tuple[Sent, ...] = ()
    drops: tuple[Drop, ...] = ()
    to_host: bool = False

    def __str__(self) -> str:
        parts = [f"sent on {sent.device}: {sent.frame.hex()}" for sent in self.sent]
        parts += [f"dropped {drop.label}" for drop in self.drops] + ["to host"] * self.to_host
        return "; ".join(parts) or "nothing at all"


def observation(sent: Sequence[Sent], drops: Sequence[Drop], to_host: bool) -> Observation:
    return Observation(tuple(sorted(sent)), tuple(sorted(drops)), to_host)


@dataclass(frozen=True)
class Run:
    """One observation for each ``Arrival``, and the counters after the last."""

    observations: list[Observation]
    counters: Counters


class DataPlane(Protocol):
    """An executor of the steering rules."""

    name: str
    edge: bool
    """It has no guests: no bindings, no rows of kind guest (P4)."""
    artp: bool
    """It reads ARTP."""
    virtual_time: bool
    """``Arrival.wait`` costs no real time."""
    shortest_frame: int
    """Bytes; shorter frames cannot be brought to it."""

    def run(self, tables: Tables, events: Sequence[Event]) -> Run:
        """Start anew with ``tables``, all counters zero and nothing learnt, and let the events happen."""
        ...


class OraclePlane:
    name = "oracle"
    edge = False
    artp = True
    virtual_time = True
    shortest_frame = 0

    def run(self, tables: Tables, events: Sequence[Event]) -> Run:
        return self.explain(tables, events)[0]

    def explain(self, tables: Tables, events: Sequence[Event]) -> tuple[Run, list[list[Step]]]:
        """Also which rules each frame met."""
        tables = copy_of(tables)
        oracle, now = Oracle(tables, programs=interpreted()), START
        observations, traces = [], []
        for event in events:
            if not isinstance(event, Arrival):
                write(tables, event)
                if isinstance(event, Write) and event.table == "channel" and event.row is None:
                    oracle.counters.channels.pop(event.key, None)  # counts go with their row
                continue
            now += event.wait
            outcome = oracle.receive(event.device, event.frame, now)
            sent = [Sent(emission.device, emission.frame) for emission in outcome.emissions]
            observations.append(observation(sent, outcome.drops, outcome.to_host))
            traces.append(outcome.trace)
        return Run(observations, oracle.counters), traces


def copy_of(tables: Tables) -> Tables:
    """The same rows in tables of their own."""
    return Tables(**{each.name: dict(getattr(tables, each.name)) for each in fields(tables)})


def write(tables: Tables, event: SetAlive | Write) -> None:
    """Let the control unit's doing happen to tables."""
    if isinstance(event, SetAlive):
        tables.unit[event.unit] = Unit(event.alive)
    elif event.row is None:
        getattr(tables, event.table).pop(event.key, None)
    else:
        getattr(tables, event.table)[event.key] = event.row


def check(tables: Tables, events: Sequence[Event], expected: Run, actual: Run, plane: str) -> None:
    """Raise an AssertionError that reproduces the first difference."""
    arrivals = [event for event in events if isinstance(event, Arrival)]
    assert len(expected.observations) == len(arrivals), "an expectation for each frame"
    assert len(actual.observations) == len(arrivals), f"{plane} lost count of the frames"
    for number, (wanted, seen) in enumerate(zip(expected.observations, actual.observations, strict=True)):
        if seen != wanted:
            happened = events[: _place(events, number) + 1]
            raise AssertionError(_report(tables, happened, f"frame {number}", wanted, seen, plane))
    wanted_counters, counters = _plain(expected.counters), _plain(actual.counters)
    if counters != wanted_counters:
        raise AssertionError(_report(tables, events, "the counters", wanted_counters, counters, plane))
    assert actual.counters.conserved, f"{plane}: packets are not conserved (R10): {actual.counters}"


def _place(events: Sequence[Event], number: int) -> int:
    """Where among the events the frame of that number arrives."""
    return [i for i, event in enumerate(events) if isinstance(event, Arrival)][number]


def _plain(counters: Counters) -> dict[str, object]:
    """Without what counted nothing."""
    return {
        "received": counters.received,
        "copies": counters.copies,
        "sent": counters.sent,
        "to_host": counters.to_host,
        "drops": {drop.label: count for drop, count in sorted(counters.drops.items()) if count},
        "channels": {
            number: (count.packets, count.bytes)
            for number, count in sorted(counters.channels.items())
            if count.packets
        },
    }


def _report(
    tables: Tables, happened: Sequence[Event], what: str, expected: object, actual: object, plane: str
) -> str:
    lines = [f"{plane} disagrees on {what}", f"expected: {expected}", f"{plane}: {actual}", "", "events:"]
    traces = iter(OraclePlane().explain(tables, happened)[1])
    for event in happened:
        if isinstance(event, Arrival):
            lines.append(f"    after {event.wait} s: {scapy_line(event)}")
            lines.append("        oracle: " + " | ".join(map(str, next(traces))))
        else:
            lines.append(f"    {event}")
    lines += ["", "tables before the first of them:"]
    lines += [f"    {table} {key}: {row}" for table, key, row in tables.rows()]
    return "\n".join(lines)


def scapy_line(arrival: Arrival) -> str:
    """A line for a scapy prompt that sends this very frame."""
    frame = f'Ether(bytes.fromhex("{arrival.frame.hex()}"))'
    return f'sendp({frame}, iface="{arrival.device}")  # {_summary(arrival)}'


def _summary(arrival: Arrival) -> str:
    try:
        return str(Ether(arrival.frame).summary())
    except Exception as error:  # scapy's dissectors meet frames that were broken on purpose
        return f"{len(arrival.frame)} bytes ({error!r})"
