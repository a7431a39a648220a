"""How near a switch's policies come to the shares that they promise."""

from __future__ import annotations

import itertools
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

from bench.lab import DESTINATION_PORT, FIRST_DESTINATION, OWN_MAC, namespace, wire
from bench.p4_forwarding import PORTS, SINK, SINK_MAC, Program, Switch, build, frames
from bench.registry import Result, measurement
from bench.switch_process import missing
from controller.drivers.p4runtime.entries import Ports, encode
from controller.drivers.p4runtime.pipeline import Pipeline
from controller.steering.model import (
    UDP,
    Channel,
    Endpoint,
    EndpointKind,
    Flow,
    FlowKey,
    Link,
    LinkKey,
    LinkKind,
    LinkScope,
    Mac,
    Selector,
    Slot,
    SlotKey,
    Socket,
    Tables,
    Target,
    TargetKind,
    Unit,
)
from controller.steering.slots import cyclic, maglev, weighted

PACKETS, BURST = 8192, 32
PATIENCE = 20.0
WEIGHTS = {"round robin": (1, 1, 1), "weighted": (1, 2, 5), "hash": (1, 1, 1)}
"""Three members each: no power of two, so that no share comes out by itself."""
POLICIES: dict[str, tuple[Selector, Sequence[int]]] = {
    "round robin": (Selector.COUNTER, cyclic(3)),
    "weighted": (Selector.COUNTER, weighted(WEIGHTS["weighted"])),
    "hash": (Selector.HASH, maglev(["one", "two", "three"])),
}


@measurement
def switch_fairness() -> Iterator[Result]:
    """The largest deviation of a member's part of the packets from its share, as a part of that share."""
    if missing("the fairness of policies in a switch"):
        return
    for policy, (selector, slots) in POLICIES.items():
        counts = _counts(_program(selector, slots))
        total, weights = sum(counts.values()), WEIGHTS[policy]
        shares = [weight / sum(weights) for weight in weights]
        parts = [counts[member] / total for member in range(len(weights))]
        error = max(abs(part - share) / share for part, share in zip(parts, shares, strict=True))
        yield Result(
            f"switch_fairness_{policy.replace(' ', '_')}",
            error,
            "largest deviation from the share",
            peers={
                f"member {member} of share {share:.3f}": part
                for member, (part, share) in enumerate(zip(parts, shares, strict=True))
            },
            conditions=f"bmv2 {build()}; {total} of {PACKETS} packets of {len(frames())} flows in turn, "
            f"{len(slots)} slots; of hash, chance alone makes several per cent over so few flows",
        )


def _program(selector: Selector, slots: Sequence[int]) -> Program:
    tables = Tables(
        link={LinkKey("d0"): Link(LinkKind.OUTSIDE, Mac(OWN_MAC))},
        flow={
            FlowKey(UDP, Socket(FIRST_DESTINATION, DESTINATION_PORT)): Flow(
                Target(TargetKind.CHANNEL, 1), LinkScope.OUTSIDE
            )
        },
        channel={1: Channel(selector, len(slots) - 1, 1, 1)},
        slot={SlotKey(1, index): Slot(1 + member) for index, member in enumerate(slots)},
        unit={1: Unit(True)},
        endpoint={
            1 + member: Endpoint(
                EndpointKind.NODE, "d1", Mac(OWN_MAC), Mac(SINK_MAC), Socket(SINK + member, 9), unit=1
            )
            for member in set(slots)
        },
    )
    pipeline = Pipeline.load()
    return pipeline, [pipeline.message(key, action) for key, action in encode(tables, Ports(PORTS)).items()]


def _counts(program: Program) -> Counter[int]:
    """Packets by member."""
    counts: Counter[int] = Counter()
    with ExitStack() as stack:
        generator, dut, far = (stack.enter_context(namespace(role)) for role in ("gen", "dut", "sink"))
        wire(generator, "g0", dut, "d0")
        wire(dut, "d1", far, "s0")
        for device in PORTS:
            # Else libpcap's ring in bmv2 holds 8 frames.
            dut.run("ethtool", "-K", device, "gro", "off", "gso", "off")
        source = stack.enter_context(generator.inside(partial(_tap, "g0")))
        sink = stack.enter_context(far.inside(partial(_tap, "s0")))
        switch = Switch(dut, Path(stack.enter_context(tempfile.TemporaryDirectory())), program)
        stack.callback(switch.close)
        endless = itertools.cycle(frames())
        for _ in range(PACKETS // BURST):
            for frame in itertools.islice(endless, BURST):
                source.send(frame)
            for _ in range(BURST):
                destination = IPv4Address(sink.recv(2048)[30:34])
                counts[int(destination) - int(SINK)] += 1
    return counts


def _tap(device: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    opened.bind((device, 0))
    opened.settimeout(PATIENCE)
    return opened
