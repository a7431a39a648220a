"""XDP by BPF_PROG_RUN: the real program in the kernel, frame by frame, on devices that need not exist."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace

from controller.steering.drops import Drop
from controller.steering.model import ForkKey, Tables
from controller.steering.outcome import Counters, PacketCount
from ebpf import loader
from ebpf.loader import Sizes, SteeringProgram, TestOutcome, Verdict
from ebpf.outcome import OverrideCopy, PutCopy
from tests.conformance.network import DEVICES
from tests.conformance.plane import (
    START,
    Arrival,
    Event,
    Observation,
    Run,
    Sent,
    SetAlive,
    Write,
    observation,
)
from tests.conformance.programs import installed

SMALL = Sizes(
    flow=64,
    binding=64,
    peer=64,
    learnt=1024,
    artp=64,
    next_hop=64,
    fork=128,
    branch=256,
    channel=256,
    slot=256,
    endpoint=256,
    unit=32,
    program=8,
    vlan_link=64,
    ifindex=64,
)


class XdpTestRun:
    name = "xdp_test_run"
    edge = False
    artp = True
    virtual_time = True
    shortest_frame = 14

    def run(self, tables: Tables, events: Sequence[Event]) -> Run:
        devices = {name: index for index, name in enumerate(DEVICES, 2)}
        made = SteeringProgram.load(pin_directory=None, trace=True, sizes=SMALL, devices=devices)
        with made as program, ExitStack() as stack:
            stack.enter_context(installed(program))
            program.apply(tables)
            observations, now = [], START
            for event in events:
                if not isinstance(event, Arrival):
                    order(program, event)
                    continue
                now += event.wait
                observations.append(_receive(program, event.device, event.frame, now))
            return Run(observations, plain(program.counters()))


def _receive(program: SteeringProgram, device: str, frame: bytes, now: float) -> Observation:
    first = program.run(device, frame, now=now)
    outcomes = _ends(program, device, first, now)
    sent: list[Sent] = []
    drops = [reason for outcome in outcomes for reason in outcome.unmade]
    for outcome in outcomes:
        match outcome:
            case TestOutcome(verdict=Verdict.DROP, reason=None, unmade=(_, *_)):
                pass
            case TestOutcome(verdict=Verdict.REDIRECT, device=str(to)):
                sent.append(Sent(to, outcome.frame))
            case TestOutcome(verdict=Verdict.DROP, reason=Drop() as reason):
                drops.append(reason)
            case TestOutcome(verdict=Verdict.PASS):
                assert outcome.frame == frame, "what goes to the host goes as it came"
            case _:
                raise AssertionError(f"no fate: {outcome}")
    return observation(sent, drops, first.verdict is Verdict.PASS)


def _ends(program: SteeringProgram, device: str, first: TestOutcome, now: float) -> list[TestOutcome]:
    """What becomes of all copies, each at once, and of their copies."""
    if not first.copies:
        return [first]
    return [replace(first, verdict=Verdict.DROP)] * bool(first.unmade) + [
        end
        for copy in _copies(first)
        for end in _ends(
            program, device, program.run(device, first.frame, copy=copy, first=first, now=now), now
        )
    ]


def _copies(first: TestOutcome) -> list[ForkKey | OverrideCopy | PutCopy]:
    if first.puts is not None:
        return [PutCopy(first.puts, copy) for copy in range(first.copies)]
    if first.fork is None:
        return [OverrideCopy(first.copies, copy) for copy in range(first.copies)]
    return [ForkKey(first.fork, copy) for copy in range(first.copies)]


def order(program: SteeringProgram, event: SetAlive | Write) -> None:
    """Do to the program what the control unit does."""
    if isinstance(event, SetAlive):
        program.set_alive(event.unit, event.alive)
    elif event.row is None:
        program.delete(event.table, event.key)
    else:
        program.insert(event.table, event.key, event.row)


def plain(counters: loader.Counters) -> Counters:
    """The loader's counters in the oracle's form."""
    return Counters(
        counters.received,
        counters.copies,
        counters.sent,
        counters.to_host,
        Counter(counters.drops),
        {number: PacketCount(count.packets, count.bytes) for number, count in counters.channels.items()},
    )
