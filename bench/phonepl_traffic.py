"""Phonepl on XDP between devices: rates by size, loss below saturation, Gbit/s of a core, delay."""

from __future__ import annotations

import contextlib
import socket
import statistics
import time
from collections.abc import Iterator, Mapping
from functools import partial

from bench.forwarding import Lab, lab
from bench.lab import CPU, Frames, Namespace, namespace, wire
from bench.phonepl import ALIKE, compiled
from bench.registry import Goal, Result, measurement, noise
from phonepl.targets.xdp.attachment import Attachment

FRAMES = 200_000
ROUNDS = 11
SIZES = (64, 256, 512, 1024, 1400)
BURST, BURSTS = 2048, 100
PACED = 2000
PAUSE = 0.0005
"""Seconds between frames whose delay is measured: none waits for another."""
PATIENCE = 20.0
ETH_P_ALL = 3
PAPER_GBPS, PAPER_DELAY, PAPER_SIGMA = 7.5, 178.0, 24.0
"""Of the paper, on a network processor of 2015."""

PROGRAMS = {
    "pass-through": ("pass_through", "NetStream1", "NetStream2"),
    "add": ("add_rem_mac", "NetStream1", "NetStream2"),
    "delete": ("add_rem_mac", "NetStream2", "NetStream1"),
}
"""Program, the stream of what comes in, and of what goes out."""


@contextlib.contextmanager
def _forwarder(dut: Namespace, name: str) -> Iterator[None]:
    program, inbound, outbound = PROGRAMS[name]
    with compiled(program) as ours:
        bindings: Mapping[str, str] = {inbound: "d0", outbound: "d1"}
        attached = dut.inside(lambda: Attachment(ours, bindings))
        try:
            yield
        finally:
            dut.inside(attached.close)


@measurement
def phonepl_traffic() -> Iterator[Result]:
    """What real frames meet."""
    with lab() as rig:
        for size in SIZES:
            yield from _rates(rig, size)
        yield _loss(rig)
    yield _delay()


def _rates(rig: Lab, size: int) -> Iterator[Result]:
    """Mpps of pass-through, add and delete.

    Each round gives each program's part of the round's pass-through, so that what slows a whole round down
    changes nothing, and the order turns, so that nobody is always the one behind.
    """
    found: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    names = list(PROGRAMS)
    for number in range(ROUNDS):
        for name in names[number % 3 :] + names[: number % 3]:
            with _forwarder(rig.dut, name):
                found[name].append(rig.mpps(Frames(size=size), FRAMES))
    through = found["pass-through"]
    parts = {
        name: statistics.median(mine / its for mine, its in zip(values, through, strict=True))
        for name, values in found.items()
    }
    conditions = (
        f"live frames over veth, {size} B, generator and sink on the same core {CPU}; medians of {ROUNDS} "
        f"rounds of {FRAMES} in turning order, noise ±{noise(through):.0%}"
    )
    rates = {f"{name} Mpps": statistics.median(values) for name, values in found.items()}
    spread = 1 - min(parts.values()) / max(parts.values())
    yield Result(f"phonepl_spread_{size}", spread, "of the fastest", Goal("<=", ALIKE), rates, conditions)
    if size == SIZES[-1]:
        gigabits = statistics.median(through) * size * 8 / 1e3
        yield Result(
            "phonepl_gbps_per_core", gigabits, "Gbit/s", None, {"the paper's Gbit/s": PAPER_GBPS}, conditions
        )


def _loss(rig: Lab) -> Result:
    """Part of the frames that do not arrive at half of the rate at which they can be forwarded."""
    given = Frames(size=256)
    with _forwarder(rig.dut, "add"):
        capacity = rig.mpps(given, FRAMES) * 1e6
        rig.frames.load(given)
        before, start = rig.frames.seen(), time.perf_counter()
        for burst in range(BURSTS):
            rig.gen.inside(partial(rig.frames.shoot, given, BURST))
            rest = start + (burst + 1) * 2 * BURST / capacity - time.perf_counter()
            if rest > 0:
                time.sleep(rest)
        seconds = time.perf_counter() - start
        sent, deadline = BURST * BURSTS, time.perf_counter() + PATIENCE
        while rig.frames.seen() - before < sent and time.perf_counter() < deadline:
            time.sleep(0.01)
        arrived = rig.frames.seen() - before
    return Result(
        "phonepl_loss_below_saturation",
        1 - arrived / sent,
        "of the frames",
        Goal("<=", 0.0),
        {"offered Mpps": sent / seconds / 1e6, "saturation Mpps": capacity / 1e6, "lost": sent - arrived},
        f"adding a header, 256 B, {BURSTS} bursts of {BURST} at full speed, each with as long a pause",
    )


def _delay() -> Result:
    """Microseconds from one socket to the other, with a header added, and over a bare redirect."""
    found: dict[str, list[float]] = {"pass-through": [], "add": []}
    with contextlib.ExitStack() as stack:
        gen, dut, far = (stack.enter_context(namespace(role)) for role in ("gen", "dut", "sink"))
        wire(gen, "g0", dut, "d0")
        wire(dut, "d1", far, "s0")
        source = stack.enter_context(gen.inside(partial(_tap, "g0")))
        sink = stack.enter_context(far.inside(partial(_tap, "s0")))
        frame = Frames(size=256).first
        for name in list(found) * 5:
            with _forwarder(dut, name):
                found[name] += _delays(source, sink, frame, PACED // 5)
    values = found["add"]
    return Result(
        "phonepl_delay",
        statistics.mean(values),
        "µs",
        None,
        {
            "σ µs": statistics.stdev(values),
            "median µs": statistics.median(values),
            "pass-through µs": statistics.mean(found["pass-through"]),
            "the paper's µs": PAPER_DELAY,
            "the paper's σ µs": PAPER_SIGMA,
        },
        f"adding a header, 256 B, {PACED} frames one at a time from socket to socket over two veths, "
        f"system calls included",
    )


def _delays(source: socket.socket, sink: socket.socket, frame: bytes, count: int) -> list[float]:
    found = []
    for _ in range(count):
        time.sleep(PAUSE)
        start = time.perf_counter_ns()
        source.send(frame)
        sink.recv(2048)
        found.append((time.perf_counter_ns() - start) / 1e3)
    return found


def _tap(device: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    opened.bind((device, 0))
    opened.settimeout(PATIENCE)
    return opened
