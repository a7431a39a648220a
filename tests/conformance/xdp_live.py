"""XDP on real veths and taps: frames in and out at the far ends, fates from the counters."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from controller.steering.model import Tables
from controller.steering.outcome import Counters
from ebpf.loader import SteeringProgram
from tests.conformance.network import DEVICES
from tests.conformance.plane import Arrival, Event, Observation, Run, Sent, observation
from tests.conformance.programs import installed
from tests.conformance.wires import Wires
from tests.conformance.xdp_test_run import SMALL, order, plain

PATIENCE = 10.0
"""Seconds until a frame that has no fate counts as lost."""


class XdpLive:
    name = "xdp_live"
    edge = False
    artp = True
    virtual_time = False
    shortest_frame = 14

    def __init__(self, wires: Wires) -> None:
        self._wires = wires

    def run(self, tables: Tables, events: Sequence[Event]) -> Run:
        return self._wires.inside(lambda: self._run(tables, events))

    def _run(self, tables: Tables, events: Sequence[Event]) -> Run:
        sizes = replace(SMALL, ifindex=1 << 10)
        with SteeringProgram.load(pin_directory=None, sizes=sizes) as program, installed(program):
            program.apply(tables)
            for device in DEVICES:
                program.attach(device)
            observations, before = [], plain(program.counters())
            for event in events:
                if not isinstance(event, Arrival):
                    order(program, event)
                    continue
                seen, before = self._receive(program, before, event.device, event.frame)
                observations.append(seen)
            return Run(observations, plain(program.counters()))

    def _receive(
        self, program: SteeringProgram, before: Counters, device: str, frame: bytes
    ) -> tuple[Observation, Counters]:
        self._wires.send(device, frame)
        deadline = time.monotonic() + PATIENCE
        while True:
            after = plain(program.counters())
            if (after.received > before.received and after.conserved) or time.monotonic() > deadline:
                break
        arrived = self._wires.collect(after.sent - before.sent, deadline)
        drops = list((Counter(after.drops) - Counter(before.drops)).elements())
        sent = [Sent(name, frame) for name, frame in arrived]
        return observation(sent, drops, after.to_host > before.to_host), after
