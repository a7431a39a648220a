"""The P4 pipeline on bmv2 against the least that forwards IPv4 on the same build (``p4/reference/l3.p4``)."""

from __future__ import annotations

import contextlib
import itertools
import queue
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path

import grpc
from finsy.proto import p4r, p4r_grpc

from bench.lab import (
    CPU,
    DESTINATION_PORT,
    FIRST_DESTINATION,
    FIRST_SOURCE,
    OWN_MAC,
    SOURCE_PORT,
    Frames,
    Namespace,
    namespace,
    wire,
)
from bench.registry import Goal, Result, interleaved, measurement, noise
from controller.drivers.p4runtime.entries import Ports, encode
from controller.drivers.p4runtime.pipeline import CONTROLLER_PORT, Pipeline
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
from controller.steering.packet import checksum

PROGRAM = "simple_switch_grpc"
DEVICE_ID = 1
ETH_P_ALL = 3
FLOWS, SLOTS = 1024, 8
ROUNDS = 7
FRAMES, WARM = 4096, 256
BURST = 32
"""bmv2 holds 64 packets for each port; more than that it loses without a word."""
PATIENCE = 20.0
GOAL = 0.75
SINK_MAC = bytes.fromhex("020000000a01")
SINK = IPv4Address("10.2.0.2")
PORTS = {"d0": 1, "d1": 2}

Program = tuple[Pipeline, list[p4r.Entity]]
"""A pipeline and the entries in its tables."""


def frames() -> list[bytes]:
    """One of each flow, with a UDP checksum to be corrected (one that was wrong stays wrong)."""
    template, made = bytearray(Frames().first), []
    template[40:42] = b"\x12\x34"
    for i in range(FLOWS):
        template[24:26] = bytes(2)
        template[26:30] = (FIRST_SOURCE + i).packed
        template[24:26] = checksum(bytes(template[14:34])).to_bytes(2, "big")
        made.append(bytes(template))
    return made


class Switch:
    """A bmv2 on the measuring core; gone with ``close``."""

    def __init__(self, dut: Namespace, folder: Path, program: Program) -> None:
        address = f"unix:{folder}/p4runtime"
        self._stack = contextlib.ExitStack()
        ports = (part for name, number in PORTS.items() for part in ("-i", f"{number}@{name}"))
        command = [
            *("nsenter", f"--net=/run/netns/{dut.name}", "taskset", "-c", str(CPU)),
            *("setpriv", "--pdeathsig", "KILL", PROGRAM, "--no-p4", "--log-level", "off", *ports),
            *("--device-id", str(DEVICE_ID), "--notifications-addr", f"ipc://{folder}/notifications"),
            *("--", "--cpu-port", str(CONTROLLER_PORT), "--grpc-server-addr", address),
        ]
        log = self._stack.enter_context((folder / "log").open("w"))
        self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self._stack.callback(self._process.wait)
        self._stack.callback(self._process.kill)
        try:
            self._load(self._stack.enter_context(grpc.insecure_channel(address)), *program)
        except BaseException:
            self.close()
            raise

    def _load(self, channel: grpc.Channel, pipeline: Pipeline, entries: list[p4r.Entity]) -> None:
        grpc.channel_ready_future(channel).result(PATIENCE)
        stub, primary = p4r_grpc.P4RuntimeStub(channel), p4r.Uint128(low=1)
        requests: queue.SimpleQueue[p4r.StreamMessageRequest | None] = queue.SimpleQueue()
        self._stack.callback(requests.put, None)
        arbitration = p4r.MasterArbitrationUpdate(device_id=DEVICE_ID, election_id=primary)
        requests.put(p4r.StreamMessageRequest(arbitration=arbitration))
        self._primary = stub.StreamChannel(iter(requests.get, None))  # as long as it is held
        next(self._primary)
        stub.SetForwardingPipelineConfig(
            p4r.SetForwardingPipelineConfigRequest(
                device_id=DEVICE_ID,
                election_id=primary,
                action=p4r.SetForwardingPipelineConfigRequest.VERIFY_AND_COMMIT,
                config=pipeline.forwarding(),
            )
        )
        updates = [p4r.Update(type=p4r.Update.INSERT, entity=entry) for entry in entries]
        stub.Write(p4r.WriteRequest(device_id=DEVICE_ID, election_id=primary, updates=updates))

    def processor_seconds(self) -> float:
        """Of all threads, in the program and in the kernel (Documentation/scheduler/sched-stats.rst)."""
        threads = Path("/proc", str(self._process.pid), "task").iterdir()
        return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9

    def close(self) -> None:
        self._stack.close()


def minimal() -> Program:
    """One route, to all that the generator sends."""
    pipeline = Pipeline.load(program="l3")
    (table,), action = pipeline.tables.values(), pipeline.actions["forward"]
    route = p4r.TableEntry(table_id=table.id)
    prefix = p4r.FieldMatch.LPM(value=FIRST_DESTINATION.packed, prefix_len=16)
    route.match.append(p4r.FieldMatch(field_id=table.fields[0], lpm=prefix))
    route.action.action.action_id = action.id
    for number, value in zip(action.fields, (SINK_MAC, bytes([PORTS["d1"]])), strict=True):
        route.action.action.params.add(param_id=number, value=value)
    return pipeline, [p4r.Entity(table_entry=route)]


def steering(exact: bool = False, selector: Selector = Selector.ZERO) -> Program:
    """A session's way in at distribution: from outside to instances on another, living unit; sources kept."""
    slots = 1 if selector is Selector.ZERO else SLOTS
    public = Socket(FIRST_DESTINATION, DESTINATION_PORT)
    sources = [Socket(FIRST_SOURCE + i, SOURCE_PORT) for i in range(FLOWS)] if exact else [None]
    flow = Flow(Target(TargetKind.CHANNEL, 1), LinkScope.OUTSIDE)
    tables = Tables(
        link={LinkKey("d0"): Link(LinkKind.OUTSIDE, Mac(OWN_MAC))},
        flow={FlowKey(UDP, public, source): flow for source in sources},
        channel={1: Channel(selector, slots - 1, 1, 1)},
        slot={SlotKey(1, index): Slot(1 + index) for index in range(slots)},
        unit={1: Unit(True)},
    )
    for index in range(slots):
        to = Socket(SINK + index, 9)
        tables.endpoint[1 + index] = Endpoint(
            EndpointKind.NODE, "d1", Mac(OWN_MAC), Mac(SINK_MAC), to, unit=1
        )
    pipeline = Pipeline.load()
    return pipeline, [pipeline.message(key, action) for key, action in encode(tables, Ports(PORTS)).items()]


CONTENDERS: dict[str, Callable[[], Program]] = {
    "minimal L3": minimal,
    "one endpoint": steering,
    "exact flow": partial(steering, exact=True),
    "round robin": partial(steering, selector=Selector.COUNTER),
    "hash": partial(steering, selector=Selector.HASH),
}


class Lab:
    """A wire into the switch's namespace, one out of it, and a socket at the far end of each."""

    def __init__(self, dut: Namespace, source: socket.socket, sink: socket.socket) -> None:
        self._dut, self._source, self._sink = dut, source, sink
        self._frames = frames()
        self.lost = 0

    def kpps(self, program: Program) -> float:
        """Frames that arrived per millisecond of the switch's processor time, all its threads on one core.

        Bursts small enough for bmv2's queues, each after the arrival of the one before: time in which the
        switch waits for frames, or for the core, does not count.
        """
        with tempfile.TemporaryDirectory(prefix="bench-p4-") as folder:
            switch = Switch(self._dut, Path(folder), program)
            try:
                self._send(WARM)
                before = switch.processor_seconds()
                arrived = self._send(FRAMES)
                spent = switch.processor_seconds() - before
            finally:
                switch.close()
        self.lost += FRAMES - arrived
        return arrived / spent / 1e3

    def _send(self, count: int) -> int:
        """How many arrived."""
        endless, arrived = itertools.cycle(self._frames), 0
        for _ in range(count // BURST):
            for frame in itertools.islice(endless, BURST):
                self._source.send(frame)
            for _ in range(BURST):
                try:
                    self._sink.recv(2048)
                except TimeoutError:
                    break
                arrived += 1
            else:
                continue
            if not arrived:
                raise TimeoutError("no frame came through the switch")
        return arrived


@contextlib.contextmanager
def lab() -> Iterator[Lab]:
    with contextlib.ExitStack() as stack:
        gen, dut, far = (stack.enter_context(namespace(role)) for role in ("gen", "dut", "sink"))
        wire(gen, "g0", dut, "d0")
        wire(dut, "d1", far, "s0")
        for device in PORTS:
            # Else libpcap's ring in bmv2 holds 8 frames.
            dut.run("ethtool", "-K", device, "gro", "off", "gso", "off")
        source, sink = (
            stack.enter_context(end.inside(partial(_tap, device)))
            for end, device in ((gen, "g0"), (far, "s0"))
        )
        yield Lab(dut, source, sink)


def _tap(device: str) -> socket.socket:
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    opened.bind((device, 0))
    opened.settimeout(PATIENCE)
    return opened


@measurement
def p4_forwarding() -> Iterator[Result]:
    if shutil.which(PROGRAM) is None:
        sys.stderr.write(f"P4 on bmv2 is not measured: {PROGRAM} is not on PATH\n")
        return
    with lab() as made:
        programs = {name: program() for name, program in CONTENDERS.items()}
        rates = interleaved(
            {name: partial(made.kpps, program) for name, program in programs.items()}, rounds=ROUNDS
        )
        lost = made.lost
    # Neighbours in a round met the same machine: the median of their ratios, not the ratio of medians.
    floor = rates.pop("minimal L3")
    peers = {"minimal L3": statistics.median(floor)}
    conditions = (
        f"bmv2 {build()}; 64 B frames of {FLOWS} flows with UDP checksums over veth, bursts of {BURST}, "
        f"arrivals per second of the switch's processor time, all threads on core {CPU}; medians of {ROUNDS} "
        f"interleaved rounds, noise ±{noise(floor):.0%}; {lost} frames lost"
    )
    for name, values in rates.items():
        label = name.replace(" ", "_")
        yield Result(f"p4_kpps_{label}", statistics.median(values), "kpps", None, peers, conditions)
        ratio = statistics.median(ours / least for ours, least in zip(values, floor, strict=True))
        yield Result(f"p4_ratio_{label}", ratio, "x minimal L3", Goal(">=", GOAL), peers, conditions)


def build() -> str:
    """Version, and whether log statements were compiled in: they cost most of its time, logging or not."""
    version = subprocess.run(
        [PROGRAM, "--version"], check=True, capture_output=True, text=True
    ).stdout.strip()
    logs = b"hit with handle" in Path(shutil.which(PROGRAM) or "").resolve().read_bytes()
    return f"{version}, {'with' if logs else 'without'} log statements"
