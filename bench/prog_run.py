"""ns per packet by BPF_PROG_RUN: each repeat a fresh packet of a random flow, what makes it subtracted."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

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
ROUNDS, WARM, REPEAT, LOADS = 11, 20_000, 200_000, 5
GOAL = 1.3
"""Times the program with one hash lookup."""
COUNTS = {"1": 1, "64k": 1 << 16, "1M": 1 << 20}

Values = dict[str, list[float]]


@measurement
def prog_run() -> Iterator[Result]:
    """The common path at three numbers of flows, then what is not so common."""
    for label, flows in COUNTS.items():
        hits: Values = {}
        others: Values = {}
        # Where code and tables come to lie moves a small figure by some ns: hence several loads.
        loads = LOADS if flows == 1 else 1
        for load in range(loads):
            with namespace("dut") as dut, namespace("far") as far, generator(max(flows, 1 << 10)) as frames:
                wire(dut, "out0", far, "in0")
                for name, found in dut.inside(partial(_hits, flows, frames)).items():
                    hits.setdefault(name, []).extend(found)
                if load == loads - 1:
                    others = dut.inside(partial(_others, flows, frames))
        yield from _results(label, flows, hits, others)


def _order(flows: int) -> npt.NDArray[np.uint32]:
    """Flows are installed in another order than they are looked up."""
    return np.random.default_rng(1).permutation(flows).astype(np.uint32)


def _exact(flows: int) -> FlowBatch:
    order = _order(flows)
    return FlowBatch(
        flows,
        destination=int(FIRST_DESTINATION),
        destination_port=DESTINATION_PORT,
        channel=1 + order % CHANNELS,
        source=int(FIRST_SOURCE) + order,
        source_port=SOURCE_PORT,
    )


def _hits(flows: int, frames: Generator) -> Values:
    exact = _exact(flows)
    frames.hops(exact, devices.index_of("out0"))
    return _measure(frames, exact, {"hit": Frames(sources=flows - 1)}, ("bare", "one_hash"))


def _others(flows: int, frames: Generator) -> Values:
    exact = _exact(flows)
    wild = replace(exact, source=0, source_port=0, destination=int(FIRST_DESTINATION) + _order(flows))
    by_destination = Frames(sources=flows - 1, destinations=flows - 1)
    unknown = replace(by_destination, destination_port=1)
    found = _measure(frames, wild, {"wild": by_destination, "miss": unknown})
    found |= _measure(frames, replace(exact, channel=HASHED), {"hash": Frames(sources=flows - 1)})
    if flows == 1:
        found |= _measure(frames, exact, {"binding": Frames()}, guest=True)
    return found


def _results(label: str, flows: int, hits: Values, others: Values) -> Iterator[Result]:
    bare, one_hash = (_net(hits, f"hit by {name}", "hit") for name in ("bare", "one_hash"))
    peers = {"bare rewrite and redirect": bare, "one hash lookup, rewrite and redirect": one_hash}
    for name in ("hit", "wild", "miss", "hash", "binding"):
        values = hits if name == "hit" else others
        if name in values:
            conditions = (
                f"BPF_PROG_RUN net of the stub, median of {len(values[name])} interleaved rounds of {REPEAT} "
                f"fresh 64 B packets, {flows} random flows over {CHANNELS} channels, "
                f"raw noise ±{noise(values[name]):.1%}"
            )
            goal = Goal("<=", GOAL * one_hash) if name == "hit" else None
            yield Result(f"{name}_ns_{label}", _net(values, name, name), "ns", goal, peers, conditions)


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
