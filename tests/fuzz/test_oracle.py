"""No frame and no rows make the oracle fail or lose a packet."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.steering.model import Tables
from controller.steering.oracle import Oracle
from tests.conformance.network import DEVICES
from tests.conformance.plane import Arrival, Event, write
from tests.conformance.strategies import tables, worlds

slow = settings(suppress_health_check=[HealthCheck.too_slow])
noise = st.tuples(st.sampled_from((*DEVICES, "nowhere")), st.binary(max_size=200))


@pytest.mark.req("R9", "R10")
@slow
@given(tables(), st.lists(noise, max_size=20))
def test_noise_ends_in_one_fate_each(rows: Tables, frames: list[tuple[str, bytes]]) -> None:
    oracle = Oracle(rows)
    for device, frame in frames:
        outcome = oracle.receive(device, frame, now=0.0)
        fates = len(outcome.emissions) + len(outcome.drops) + outcome.to_host
        assert fates >= 1
        assert oracle.counters.conserved
    assert oracle.counters.received == len(frames)


@pytest.mark.req("R9", "R10")
@slow
@given(worlds())
def test_packets_are_conserved_whatever_happens(world: tuple[Tables, list[Event]]) -> None:
    rows, events = world
    oracle = Oracle(rows)
    now = 0.0
    for event in events:
        if not isinstance(event, Arrival):
            write(rows, event)
            continue
        now += event.wait
        before = oracle.counters.copies
        outcome = oracle.receive(event.device, event.frame, now)
        copies = oracle.counters.copies - before
        assert 1 + copies == len(outcome.emissions) + len(outcome.drops) + outcome.to_host
        assert oracle.counters.conserved
        verdicts = [step for step in outcome.trace if step.verdict]
        assert len(verdicts) == 1 + copies, "each copy's trace ends in a verdict"
