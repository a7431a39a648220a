"""Mpps through a host with live frames: steering in XDP against what a Linux host has instead."""

from __future__ import annotations

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

import numpy as np

from bench.lab import (
    CPU,
    DESTINATION_PORT,
    FIRST_DESTINATION,
    FIRST_SOURCE,
    OWN_MAC,
    SOURCE_PORT,
    Frames,
    Generator,
    Namespace,
    generator,
    namespace,
    wire,
)
from bench.registry import Goal, Result, measurement, noise
from controller.steering.model import (
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
)
from ebpf import devices
from ebpf.flow_batch import FlowBatch
from ebpf.loader import SteeringProgram

FLOWS, CHANNELS = 1024, 64
ROUNDS = 7
FEWEST = 64
DRAINED = 0.01
"""Seconds without an arrival after which the queues are empty."""
MANY, FEW = 1_000_000, 200_000
"""Frames of a round; few for the slowest."""
GOALS = {"Linux bridge": 3.0, "kernel forwarding": 3.0, "nft DNAT": 5.0, "OVS userspace": 15.0}
"""By how much steering must be faster."""
SINK_MAC = bytes.fromhex("020000000a01")
SINK = IPv4Address("10.2.0.2")


@dataclass(frozen=True)
class Lab:
    """``gen`` shoots into ``dut``, which is to bring the frames to ``sink``, where they are counted."""

    gen: Namespace
    dut: Namespace
    frames: Generator

    workers: list[int] = field(default_factory=list)
    """Processes that forward, for a contender outside the kernel."""

    def mpps(self, given: Frames, count: int) -> float:
        """Frames that arrived, per second from the first shot to the last arrival.

        Left out are the time of other tasks and the set-up of a run, which shots of almost nothing show.
        """
        self.frames.load(given)
        setup = statistics.median(self._shoot(given, FEWEST)[1] for _ in range(5))
        arrived, seconds = self._shoot(given, count)
        return arrived / (seconds - setup) / 1e6

    def _shoot(self, given: Frames, count: int) -> tuple[int, float]:
        """How many arrived, and in how many seconds."""
        before = self.frames.seen()
        shot = self.gen.inside(partial(self.frames.shoot, given, count, self.workers))
        arrived, end = self.frames.seen(), time.perf_counter()
        last = end
        while time.perf_counter() - last < DRAINED:
            time.sleep(0.0005)
            if (now := self.frames.seen()) != arrived:
                arrived, last = now, time.perf_counter()
        return arrived - before, shot + last - end


@contextlib.contextmanager
def lab() -> Iterator[Lab]:
    with namespace("gen") as gen, namespace("dut") as dut, namespace("sink") as far, generator() as frames:
        wire(gen, "g0", dut, "d0")
        wire(dut, "d1", far, "s0")
        dut.run("ip", "link", "set", "d0", "address", OWN_MAC.hex(":"))
        far.run("ip", "link", "set", "s0", "address", SINK_MAC.hex(":"))
        # In its own namespace: a devmap takes numbers of the one that its writer stands in.
        gen.inside(lambda: frames.direct(0, devices.index_of("g0")))
        far.inside(lambda: devices.attach_xdp(devices.index_of("s0"), frames.programs["sink"]))
        yield Lab(gen, dut, frames)


def steering(lab: Lab) -> AbstractContextManager[Frames]:
    tables = Tables()
    for number in range(1, CHANNELS + 1):
        tables.channel[number] = Channel(Selector.ZERO, 0, number, 1)
        tables.slot[SlotKey(number, 0)] = Slot(number)
        tables.endpoint[number] = endpoint(number)
    order = np.random.default_rng(1).permutation(FLOWS).astype(np.uint32)
    destination, source = int(FIRST_DESTINATION), int(FIRST_SOURCE)
    channel = 1 + order % CHANNELS
    flows = FlowBatch(FLOWS, destination, DESTINATION_PORT, channel, source + order, SOURCE_PORT)
    return steered(lab, tables, flows)


def endpoint(number: int) -> Endpoint:
    to, source = Socket(SINK + number, 9), Socket(SINK - 1, 7)
    return Endpoint(EndpointKind.NODE, "d1", Mac(OWN_MAC), Mac(SINK_MAC), to, source=source)


@contextlib.contextmanager
def steered(lab: Lab, tables: Tables, flows: FlowBatch | None = None) -> Iterator[Frames]:
    """The steering program on d0, with these rows and flows."""

    def load() -> SteeringProgram:
        program = SteeringProgram.load(pin_directory=None)
        program.apply(tables)
        program.insert("link", LinkKey("d0"), Link(LinkKind.OUTSIDE, Mac(OWN_MAC)))
        if flows is not None:
            program.insert_flows(flows)
        program.attach("d0")
        return program

    program = lab.dut.inside(load)
    try:
        yield Frames(sources=FLOWS - 1)
    finally:
        lab.dut.inside(lambda: program.close(unpin=True))


@contextlib.contextmanager
def bridge(lab: Lab) -> Iterator[Frames]:
    """Moves frames and rewrites nothing."""
    run = lab.dut.run
    run("ip", "link", "add", "br0", "type", "bridge")
    try:
        for device in ("d0", "d1"):
            run("ip", "link", "set", device, "master", "br0")
        run("ip", "link", "set", "br0", "up")
        run("bridge", "fdb", "replace", SINK_MAC.hex(":"), "dev", "d1", "master", "static")
        for family in ("ip", "ip6", "arp"):
            setting = Path(f"/proc/sys/net/bridge/bridge-nf-call-{family}tables")
            if setting.exists():
                run("sysctl", "-qw", f"net.bridge.bridge-nf-call-{family}tables=0")
        yield Frames(sources=FLOWS - 1, destination_mac=SINK_MAC)
    finally:
        run("ip", "link", "delete", "br0")


@contextlib.contextmanager
def kernel_forwarding(lab: Lab) -> Iterator[Frames]:
    with _routed(lab):
        lab.dut.run("ip", "route", "add", "10.1.0.0/16", "via", str(SINK))
        yield Frames(sources=FLOWS - 1)


@contextlib.contextmanager
def nft_dnat(lab: Lab) -> Iterator[Frames]:
    """What comes nearest to a rewrite by flow: destination and source translated, by connection."""
    with _routed(lab):
        rules = f"""
        table ip bench {{
          chain pre {{ type nat hook prerouting priority -100;
            ip daddr {FIRST_DESTINATION} udp dport {DESTINATION_PORT} dnat to {SINK}:9; }}
          chain post {{ type nat hook postrouting priority 100; oif d1 snat to {SINK - 1}; }}
        }}"""
        lab.dut.run("nft", rules)
        try:
            yield Frames(sources=FLOWS - 1)
        finally:
            lab.dut.run("nft", "flush", "ruleset")


@contextlib.contextmanager
def _routed(lab: Lab) -> Iterator[None]:
    run = lab.dut.run
    run(
        "sysctl",
        "-qw",
        "net.ipv4.ip_forward=1",
        "net.ipv4.conf.all.rp_filter=0",
        "net.ipv4.conf.d0.rp_filter=0",
    )
    try:
        run("ip", "address", "add", f"{FIRST_SOURCE - 1}/10", "dev", "d0")
        run("ip", "address", "add", f"{SINK - 1}/24", "dev", "d1")
        run(
            "ip",
            "neighbour",
            "replace",
            str(SINK),
            "lladdr",
            SINK_MAC.hex(":"),
            "dev",
            "d1",
            "nud",
            "permanent",
        )
        yield
    finally:
        run("ip", "address", "flush", "dev", "d0")
        run("ip", "address", "flush", "dev", "d1")
        run("sysctl", "-qw", "net.ipv4.ip_forward=0")


@contextlib.contextmanager
def ovs_userspace(lab: Lab) -> Iterator[Frames]:
    """Open vSwitch with its userspace data path, in folders and processes of our own."""
    with tempfile.TemporaryDirectory(prefix="bench-ovs-") as folder, contextlib.ExitStack() as stack:
        inside = ["nsenter", f"--net=/run/netns/{lab.dut.name}", "taskset", "-c", str(CPU)]
        paths = {f"OVS_{name}": folder for name in ("RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR")}
        environment = os.environ | paths
        database, switch = f"{folder}/db", f"unix:{folder}/db.sock"

        def run(*command: str) -> None:
            subprocess.run([*inside, *command], env=environment, check=True, capture_output=True)

        def start(*command: str) -> None:
            log = stack.enter_context(Path(folder, "log").open("a"))
            process = subprocess.Popen([*inside, *command], env=environment, stdout=log, stderr=log)
            lab.workers.append(process.pid)
            stack.callback(lab.workers.remove, process.pid)
            stack.callback(process.wait)
            stack.callback(process.terminate)

        run("ovsdb-tool", "create", database, "/usr/share/openvswitch/vswitch.ovsschema")
        start("ovsdb-server", database, f"--remote=punix:{folder}/db.sock", "--no-chdir")
        _wait_for(Path(folder, "db.sock"))
        control = ("ovs-vsctl", f"--db={switch}", "--timeout=20")
        run(*control, "--no-wait", "init")
        start("ovs-vswitchd", switch, "--no-chdir")
        run(
            *control,
            "add-br",
            "br0",
            "--",
            "set",
            "bridge",
            "br0",
            "datapath_type=netdev",
            "fail-mode=secure",
        )
        stack.callback(run, *control, "del-br", "br0")
        for device in ("d0", "d1"):
            run(*control, "add-port", "br0", device)
        _wait_for(Path(folder, "br0.mgmt"))
        rewrite = f"mod_nw_dst:{SINK},mod_tp_dst:9,mod_dl_dst:{SINK_MAC.hex(':')},dec_ttl"
        target = f"unix:{folder}/br0.mgmt"
        run("ovs-ofctl", "add-flow", target, f"udp,tp_dst={DESTINATION_PORT},actions={rewrite},output:2")
        yield Frames(sources=FLOWS - 1)


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} does not appear")
        time.sleep(0.01)


CONTENDERS: dict[str, Callable[[Lab], AbstractContextManager[Frames]]] = {
    "steering": steering,
    "Linux bridge": bridge,
    "kernel forwarding": kernel_forwarding,
    "nft DNAT": nft_dnat,
    "OVS userspace": ovs_userspace,
}


@measurement
def forwarding() -> Iterator[Result]:
    rates: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    if shutil.which("ovs-vswitchd") is None:
        sys.stderr.write("OVS userspace is not measured: install openvswitch-switch\n")
        del rates["OVS userspace"]
    with lab() as made:
        for _ in range(ROUNDS):
            for name in rates:
                with CONTENDERS[name](made) as given:
                    made.mpps(given, 20_000)
                    rates[name].append(made.mpps(given, FEW if name == "OVS userspace" else MANY))
    middle = {name: statistics.median(values) for name, values in rates.items()}
    ours = middle.pop("steering")
    conditions = (
        f"64 B live frames of {FLOWS} flows over veth, generator and path on core {CPU}, addresses rewritten "
        f"(not by the bridge), arrivals counted, set-up and other tasks' time left out; medians of {ROUNDS} "
        f"interleaved rounds, noise ±{noise(rates['steering']):.0%}; a veth is no NIC, and from sockets "
        f"there is no such lead"
    )
    yield Result("forwarding_mpps", ours, "Mpps", None, middle, conditions)
    for name, rate in middle.items():
        label = name.lower().replace(" ", "_")
        ratio = ours / rate if rate else 0.0
        yield Result(f"lead_over_{label}", ratio, "x", Goal(">=", GOALS[name]), {name: rate}, conditions)
