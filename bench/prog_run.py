"""ns per packet by BPF_PROG_RUN: each repeat a fresh packet of a random flow, what makes it subtracted."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from bench.lab import (
    DESTINATION_PORT,
    FAR_MAC,
    FIRST_DESTINATION,
    FIRST_SOURCE,
    OWN_MAC,
    SOURCE_PORT,
    Frames,
    Generator,
    generator,
    namespace,
    wire,
)
from bench.registry import Goal, Result, interleaved, measurement, noise
from controller.steering.drops import Drop
from controller.steering.model import (
    Binding,
    BindingKey,
    Channel,
    Endpoint,
    EndpointKind,
    Link,
    LinkKey,
    LinkKind,
    Mac,
    Selector,
    Slot,
    SlotKey,
    Socket,
    Tables,
    Target,
    TargetKind,
)
from ebpf import devices
from ebpf.flow_batch import FlowBatch
from ebpf.loader import Sizes, SteeringProgram

CHANNELS = 1000
HASHED = CHANNELS + 1
"""The channel that spreads by hash over 64 slots."""
ROUNDS, WARM, REPEAT = 11, 20_000, 200_000
GOAL = 1.3
"""Times the program with one hash lookup."""
COUNTS = {"1": 1, "64k": 1 << 16, "1M": 1 << 20}

Values = dict[str, list[float]]


@measurement
def prog_run() -> Iterator[Result]:
    """The common path at three numbers of flows, then what is not so common."""
    for label, flows in COUNTS.items():
        with namespace("dut") as dut, namespace("far") as far, generator(max(flows, 1 << 10)) as frames:
            wire(dut, "out0", far, "in0")
            yield from dut.inside(lambda: list(_at(label, flows, frames)))  # noqa: B023 - called at once


def _at(label: str, flows: int, frames: Generator) -> Iterator[Result]:
    order = np.random.default_rng(1).permutation(flows).astype(np.uint32)  # not in the order of the lookups
    exact = FlowBatch(
        flows,
        destination=int(FIRST_DESTINATION),
        destination_port=DESTINATION_PORT,
        channel=1 + order % CHANNELS,
        source=int(FIRST_SOURCE) + order,
        source_port=SOURCE_PORT,
    )
    by_source = Frames(sources=flows - 1)
    frames.hops(exact, devices.index_of("out0"))
    values = _measure(frames, exact, {"hit": by_source}, ("bare", "one_hash"))
    bare, one_hash = (_net(values, f"hit by {name}", "hit") for name in ("bare", "one_hash"))
    peers = {"bare rewrite and redirect": bare, "one hash lookup, rewrite and redirect": one_hash}

    def result(name: str, found: Values, goal: Goal | None = None) -> Result:
        conditions = (
            f"BPF_PROG_RUN net of the stub, median of {ROUNDS} interleaved rounds of {REPEAT} fresh 64 B "
            f"packets, {flows} random flows over {CHANNELS} channels, raw noise ±{noise(found[name]):.1%}"
        )
        return Result(f"{name}_ns_{label}", _net(found, name, name), "ns", goal, peers, conditions)

    yield result("hit", values, Goal("<=", GOAL * one_hash))
    wild = replace(exact, source=0, source_port=0, destination=int(FIRST_DESTINATION) + order)
    by_destination = Frames(sources=flows - 1, destinations=flows - 1)
    unknown = replace(by_destination, destination_port=1)
    others = _measure(frames, wild, {"wild": by_destination, "miss": unknown})
    others |= _measure(frames, replace(exact, channel=HASHED), {"hash": by_source})
    if flows == 1:
        others |= _measure(frames, exact, {"binding": by_source}, guest=True)
    for name in ("wild", "miss", "hash", "binding"):
        if name in others:
            yield result(name, others)


def _net(values: Values, name: str, frames: str) -> float:
    return statistics.median(values[name]) - statistics.median(values[f"{frames} stub"])


def _measure(
    frames: Generator,
    flows: FlowBatch,
    given: dict[str, Frames],
    peers: tuple[str, ...] = (),
    *,
    guest: bool = False,
) -> Values:
    """The steering program with these flows for each kind of frames; stub and peers with the same frames."""
    sizes = replace(Sizes(), flow=max(flows.count, 1 << 10), learnt=2 * max(flows.count, 1 << 10))
    with SteeringProgram.load(pin_directory=None, sizes=sizes) as program:
        program.apply(_guest_tables() if guest else _tables())
        program.insert_flows(flows)
        contenders: dict[str, Callable[[], float]] = {}
        for name, each in given.items():
            contenders[f"{name} stub"] = partial(_run, frames, each, frames.programs["stub"])
            for peer in peers:
                contenders[f"{name} by {peer}"] = partial(_run, frames, each, frames.programs[peer])
            contenders[name] = partial(_run, frames, each, program.programs["steer"])
        values = interleaved(contenders, ROUNDS)
        counters, runs = program.counters(), ROUNDS * (WARM + REPEAT)
        missed = runs if "miss" in given else 0
        assert counters.sent == runs * len(given) - missed, f"not what was to be measured: {counters}"
        assert counters.drops.get(Drop.NO_FLOW, 0) == missed, f"not what was to be measured: {counters}"
        return values


def _run(frames: Generator, given: Frames, program: int) -> float:
    frames.load(given)
    frames.aim(program)
    frames.nanoseconds(given, WARM)
    return frames.nanoseconds(given, REPEAT)


def _tables() -> Tables:
    """Packets come by lo, which is where BPF_PROG_RUN says that they do."""
    tables = Tables(link={LinkKey("lo"): Link(LinkKind.OUTSIDE, Mac(OWN_MAC))})
    for number in range(1, CHANNELS + 1):
        tables.channel[number] = Channel(Selector.ZERO, 0, number, 1)
        tables.slot[SlotKey(number, 0)] = Slot(number)
        tables.endpoint[number] = Endpoint(
            EndpointKind.NODE,
            "out0",
            Mac(OWN_MAC),
            Mac(FAR_MAC),
            Socket(FIRST_DESTINATION + (1 << 16) + number, 9),
            source=Socket(FIRST_DESTINATION + (1 << 17), 7),
        )
    tables.channel[HASHED] = Channel(Selector.HASH, 63, HASHED, 1)
    for index in range(64):
        tables.slot[SlotKey(HASHED, index)] = Slot(index + 1)
    return tables


def _guest_tables() -> Tables:
    tables = _tables()
    tables.link[LinkKey("lo")] = Link(
        LinkKind.GUEST,
        Mac(OWN_MAC),
        guest_mac=Mac(FAR_MAC),
        addresses=(FIRST_SOURCE,),
        gateways=(FIRST_DESTINATION,),
    )
    key = BindingKey(LinkKey("lo"), Socket(FIRST_SOURCE, SOURCE_PORT))
    tables.binding[key] = Binding(Target(TargetKind.CHANNEL, 1))
    return tables
