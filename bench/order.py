"""An ordered output behind four instances of unequal delay: what it carries, in which order, what it adds.

Four namespaces send what instances of four delays make of one stream. The unit steers it through the
sequencer to a receiver outside. The same without order tells how far packets were out of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from bench.lab import Namespace, namespace, wire
from bench.registry import Goal, Result, measurement
from controller.steering import addressing
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
)
from ebpf.loader import SteeringProgram
from ebpf.maps import BPFFS, remove_pins
from vmhost.order.rules import Order, OrderedOutput, Sequencer, Token
from vmhost.order.sequencers import Sequencers, end_all

SOURCE = Path(__file__).with_name("order_traffic.c")
DELAYS_US = (100, 700, 1500, 3000)
WINDOW_NS = 50_000_000
RATES = (50_000, 100_000, 125_000, 150_000)
SECONDS = 4
ROUNDS = 3
PUBLIC, RECEIVER = "10.6.0.1", "10.6.0.2"
INTERNAL, ORDERED, RECEIVING = 5001, 5002, 6000
START_NS = 300_000_000
"""From now on until the first packet: time to start."""
SESSION = 1


@dataclass(frozen=True)
class Lab:
    unit: Namespace
    outside: Namespace
    instances: tuple[Namespace, ...]
    traffic: Path
    folder: Path

    def macs(self, device: str) -> tuple[Mac, Mac]:
        """Of the unit's end of a wire and of the other, which are made alike."""
        number = 9 if device == "out" else int(device.removeprefix("i"))
        return Mac(bytes([2, 0, 0, 0, 0, number])), Mac(bytes([2, 0, 0, 0, 1, number]))


@contextmanager
def _lab() -> Iterator[Lab]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-order-")))
        traffic = folder / "order_traffic"
        subprocess.run(["gcc", "-O2", "-o", str(traffic), str(SOURCE)], check=True)
        unit, outside = (stack.enter_context(namespace(role)) for role in ("unit", "out"))
        instances = tuple(stack.enter_context(namespace(f"i{i}")) for i in range(len(DELAYS_US)))
        lab = Lab(unit, outside, instances, traffic, folder)
        ends = [("out", outside, RECEIVER, PUBLIC)]
        ends += [(f"i{i}", each, f"10.7.{i}.2", f"10.7.{i}.1") for i, each in enumerate(instances)]
        for device, end, address, gateway in ends:
            wire(unit, device, end, "eth0")
            near, far = lab.macs(device)
            unit.run("ip", "link", "set", device, "address", str(near))
            end.run("ip", "link", "set", "eth0", "address", str(far))
            end.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")
            end.run("ip", "neigh", "add", gateway, "lladdr", str(near), "dev", "eth0")
        yield lab


def _tables(lab: Lab, ordered: bool) -> Tables:
    near, far = lab.macs("out")
    receiver = Socket(ip_address(RECEIVER), RECEIVING)
    tables = Tables(link={LinkKey("out"): Link(LinkKind.OUTSIDE, near)})

    def channel(number: int, endpoint: Endpoint) -> Target:
        tables.channel[number] = Channel(Selector.ZERO, 0, number, SESSION)
        tables.slot[SlotKey(number, 0)] = Slot(number)
        tables.endpoint[number] = endpoint
        return Target(TargetKind.CHANNEL, number)

    for i in range(len(lab.instances)):
        tables.link[LinkKey(f"i{i}")] = Link(LinkKind.NODE, lab.macs(f"i{i}")[0])
    out = channel(1, Endpoint(EndpointKind.RECEIVER, "out", near, far, receiver))
    if ordered:
        mac, device = addressing.ORDER_MAC, addressing.order_device(SESSION)
        tables.link[LinkKey(device)] = Link(LinkKind.NODE, mac)
        tables.flow[FlowKey(UDP, Socket(ip_address(PUBLIC), ORDERED))] = Flow(out, LinkScope.NODE)
        back = Endpoint(EndpointKind.NODE, device, mac, mac, Socket(ip_address(PUBLIC), ORDERED))
        out = channel(2, back)
    for i in range(len(lab.instances)):
        tables.flow[FlowKey(UDP, Socket(ip_address(f"10.7.{i}.1"), INTERNAL))] = Flow(out, LinkScope.NODE)
    return tables


@contextmanager
def _unit(lab: Lab, ordered: bool) -> Iterator[Sequencers]:
    """The steering program, and a sequencer if there is to be order."""
    pins = BPFFS / f"bench{os.getpid()}order"
    sequencers = Sequencers(lab.folder, pins, lab.folder)
    output = OrderedOutput("y", ORDERED, Token.RTP, Order.WINDOW, WINDOW_NS)
    device = addressing.order_device(SESSION)
    spec = Sequencer(SESSION, device, str(addressing.ORDER_MAC), (output,))
    program = lab.unit.inside(lambda: SteeringProgram.load(pin_directory=None))

    def start() -> None:
        if ordered:
            sequencers.start(spec)
        tables = _tables(lab, ordered)
        for key in tables.link:
            program.attach(key.device)
        program.apply(tables)

    try:
        lab.unit.inside(start)
        yield sequencers
    finally:
        lab.unit.inside(lambda: program.close(unpin=True))
        lab.unit.inside(lambda: end_all(lab.folder, pins))
        remove_pins(pins)


def _run(lab: Lab, where: Namespace, *words: str) -> subprocess.Popen[str]:
    command = ["nsenter", f"--net=/run/netns/{where.name}", str(lab.traffic), *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    if words[0] == "sink" and process.stdout.readline() != "ready\n":
        raise RuntimeError(f"{words[0]} did not start")
    return process


def _pass(lab: Lab, rate: int) -> Mapping[str, float]:
    """What the receiver saw, and the rate that the slowest instance reached."""
    count = rate * SECONDS
    sink = _run(lab, lab.outside, "sink", str(RECEIVING), str(count))
    start = time.monotonic_ns() + START_NS
    instances = []
    for i, (each, delay) in enumerate(zip(lab.instances, DELAYS_US, strict=True)):
        share = (str(i), str(len(DELAYS_US)), str(delay), str(rate), str(count), str(start))
        instances.append(_run(lab, each, "instance", *share, f"10.7.{i}.1", str(INTERNAL)))
    sent: list[dict[str, float]] = [json.loads(each.communicate(timeout=120)[0]) for each in instances]
    seen: dict[str, float] = json.loads(sink.communicate(timeout=120)[0])
    return {**seen, "sent": count, "pps": count / max(one["seconds"] for one in sent)}


def _ordered_pass(lab: Lab, rate: int) -> tuple[Mapping[str, float], dict[str, int]]:
    with _unit(lab, ordered=True) as sequencers:
        seen = _pass(lab, rate)
        (found,) = lab.unit.inside(sequencers.counts)
    return seen, {**found.outputs[0].counts, **found.losses}


@measurement
def order() -> Iterator[Result]:
    conditions = (
        f"RTP of 64 bytes from four instances (delays {', '.join(map(str, DELAYS_US))} µs) through one unit; "
        f"all of it and the receiver share the cores; window {WINDOW_NS // 1_000_000} ms, "
        f"{SECONDS} s each, best of {ROUNDS}"
    )
    with _lab() as lab:
        carried, best = 0.0, {"depth": -1.0}
        details: dict[str, float] = {}
        for rate in RATES:
            for _ in range(ROUNDS):
                seen, counts = _ordered_pass(lab, rate)
                whole = seen["received"] == seen["sent"] and seen["pps"] > 0.98 * rate
                if whole and not seen["depth"] and not counts["late_released"]:
                    carried = max(carried, seen["pps"])
                    best = dict(seen)
                    details = {
                        "depth before": counts["depth_before"],
                        "mean delay us": counts["delay_ns"] / counts["released"] / 1e3,
                        "longest delay us": counts["delay_most_ns"] / 1e3,
                        "timeouts": counts["timeouts"],
                    }
                    break
        with _unit(lab, ordered=False):
            without = _pass(lab, 100_000)
        peers = {**details, "without order: depth": without["depth"], "behind": without["behind"]}
        yield Result(
            "order_rate", carried, "packets/s in order, none lost", Goal(">=", 100_000), peers, conditions
        )
        yield Result("order_depth", best["depth"], "packets after", Goal("<=", 0), peers, conditions)
