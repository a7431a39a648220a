"""Namespaces and wires for measurements, and the generator of packets; gone when the block ends."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypeVar

import numpy as np

from ebpf.bpf import LIVE_FRAMES, Map, MapType, ProgramType, possible_cpus, run_program
from ebpf.compiler import compile
from ebpf.flow_batch import FlowBatch

Value = TypeVar("Value")

SOURCE = Path(__file__).with_name("prog_run.bpf.c")
FUNCTIONS = ("fresh", "stub", "bare", "one_hash", "emit", "sink")
RUNS = 10
GENERATOR = 48
"""Bytes of ``struct generator``."""
FIRST_SOURCE = IPv4Address("10.64.0.0")
FIRST_DESTINATION = IPv4Address("10.1.0.0")
SOURCE_PORT, DESTINATION_PORT = 4000, 5000
OWN_MAC, FAR_MAC = bytes.fromhex("020000000002"), bytes.fromhex("020000000001")
CPU = max(os.sched_getaffinity(0))
"""Everything that is measured runs on one core."""


class Namespace:
    """A network namespace and a thread that lives in it, on the measuring core."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._thread = ThreadPoolExecutor(1, initializer=self._enter)

    def _enter(self) -> None:
        descriptor = os.open(Path("/run/netns", self.name), os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0x40000000):
                raise OSError(ctypes.get_errno(), f"cannot enter namespace {self.name}")
        finally:
            os.close(descriptor)
        os.sched_setaffinity(0, {CPU})

    def inside(self, work: Callable[[], Value]) -> Value:
        return self._thread.submit(work).result()

    def run(self, *command: str) -> str:
        enter = ("nsenter", f"--net=/run/netns/{self.name}")
        return subprocess.run([*enter, *command], check=True, capture_output=True, text=True).stdout

    def leave(self) -> None:
        """End the thread; the namespace stays."""
        self._thread.shutdown()

    def close(self) -> None:
        self.leave()
        subprocess.run(["ip", "netns", "delete", self.name], check=True)


@contextlib.contextmanager
def namespace(role: str) -> Iterator[Namespace]:
    """Quiet: without IPv6 of the kernel's own."""
    name = f"bench{os.getpid()}{role}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    made = Namespace(name)
    try:
        quiet = ("net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        subprocess.run(["ip", "netns", "exec", name, "sysctl", "-qw", *quiet], check=True)
        made.run("ip", "link", "set", "lo", "up")
        yield made
    finally:
        made.close()


def wire(one: Namespace, name: str, other: Namespace, far: str) -> None:
    """A veth between two namespaces, both ends able to take redirected frames, without offloads."""
    one.run("ip", "link", "add", name, "type", "veth", "peer", "name", far, "netns", other.name)
    for end, device in ((one, name), (other, far)):
        end.run("ip", "link", "set", device, "up")
        end.run("ethtool", "-K", device, "gro", "on", "tx", "off")


@dataclass(frozen=True)
class Frames:
    """Frames of random flows; masks are numbers of flows less one."""

    sources: int = 0
    destinations: int = 0
    destination_port: int = DESTINATION_PORT
    destination_mac: bytes = OWN_MAC
    size: int = 64

    @property
    def first(self) -> bytes:
        payload = self.size - 42
        ip = struct.pack(
            "!BBHHHBBH4s4s",
            0x45,
            0,
            28 + payload,
            1,
            0,
            64,
            17,
            0,
            FIRST_SOURCE.packed,
            FIRST_DESTINATION.packed,
        )
        udp = struct.pack("!HHHH", SOURCE_PORT, self.destination_port, 8 + payload, 0)
        return self.destination_mac + FAR_MAC + b"\x08\x00" + ip + udp + bytes(payload)


class Generator:
    """The programs of ``prog_run.bpf.c`` over maps of their own."""

    def __init__(self, flows: int = 1024) -> None:
        self.maps = {
            "generator": Map.create("generator", MapType.PERCPU_ARRAY, 4, GENERATOR, 1),
            "hops": Map.create("hops", MapType.HASH, 16, 28, flows),
            "target": Map.create("target", MapType.PROG_ARRAY, 4, 4, 1),
            "out": Map.create("out", MapType.DEVMAP, 4, 8, 1 << 12),
            "seen": Map.create("seen", MapType.PERCPU_ARRAY, 4, 8, 1),
        }
        compiled = compile(SOURCE, FUNCTIONS)
        self.programs = {name: compiled.load(name, ProgramType.XDP, self.maps) for name in FUNCTIONS}

    def close(self) -> None:
        for descriptor in self.programs.values():
            os.close(descriptor)
        for each in self.maps.values():
            each.close()

    def aim(self, program: int) -> None:
        """What each fresh packet is handed to."""
        self.maps["target"].update(bytes(4), struct.pack("=i", program))

    def direct(self, slot: int, ifindex: int) -> None:
        self.maps["out"].update(struct.pack("=I", slot), struct.pack("=Ii", ifindex, -1))

    def load(self, frames: Frames) -> None:
        header = bytearray(frames.first[:42])
        words = struct.unpack("=10H", bytes(header[14:24]) + bytes(2) + bytes(8))
        total = sum(words)
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        # macs, source_mac_end, ports, udp_length, ip, protocol: struct generator
        pieces = (header[:8], header[8:12], header[34:38], header[38:42], header[14:26], header[12:14])
        numbers = struct.pack("=HIII", total, 0x9E3779B9, frames.sources, frames.destinations)
        value = b"".join(pieces) + numbers
        self.maps["generator"].update(bytes(4), value * possible_cpus())

    def hops(self, flows: FlowBatch, ifindex: int) -> None:
        """The same flows for the program with one hash lookup; its table has just their number of entries."""
        hop = np.dtype([("to", ">u4", 2), ("ports", ">u2", 2), ("macs", "u1", 12), ("out", "<u4")])
        rows = np.zeros(flows.count, hop)
        rows["to"], rows["ports"], rows["out"] = int(FIRST_DESTINATION), SOURCE_PORT, ifindex
        self.maps["hops"].update_batch(flows.keys(), rows.tobytes(), flows.count)
        self.direct(0, ifindex)
        self.direct(ifindex, ifindex)

    def nanoseconds(self, frames: Frames, repeat: int) -> float:
        """Of one packet, with what makes it; by the kernel, which leaves out others' time.

        It tells whole ns, so this is a mean of several runs.
        """
        runs = [run_program(self.programs["fresh"], frames.first, repeat=repeat // RUNS) for _ in range(RUNS)]
        return sum(run.nanoseconds for run in runs) / RUNS

    def shoot(self, frames: Frames, count: int, workers: Sequence[int] = ()) -> float:
        """Send real frames by entry 0 of ``out``; seconds, without those in which others had the core.

        ``workers``: processes besides the kernel that bring the frames on their way.
        """
        start, waited, worked = time.perf_counter(), _waited(), _worked(workers)
        run_program(self.programs["emit"], frames.first, repeat=count, flags=LIVE_FRAMES, batch=64)
        return time.perf_counter() - start - (_waited() - waited) + _worked(workers) - worked

    def seen(self) -> int:
        """By the sink."""
        cells = self.maps["seen"].lookup(bytes(4)) or b""
        return sum(struct.unpack(f"={len(cells) // 8}Q", cells))


def _schedstat(folder: Path) -> tuple[float, float]:
    """Seconds that a thread ran, and that it waited for a core (Documentation/scheduler/sched-stats.rst)."""
    ran, waited, _ = (folder / "schedstat").read_text().split()
    return int(ran) / 1e9, int(waited) / 1e9


def _waited() -> float:
    return _schedstat(Path("/proc/thread-self"))[1]


def _worked(workers: Sequence[int]) -> float:
    """What others did for the frames: the kernel's thread for packets on this core, and ``workers``."""
    threads = [Path("/proc", str(_ksoftirqd()))]
    for worker in workers:
        threads += Path("/proc", str(worker), "task").iterdir()
    return sum(_schedstat(thread)[0] for thread in threads)


@cache
def _ksoftirqd() -> int:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # it ended meanwhile
                if (folder / "comm").read_text().strip() == f"ksoftirqd/{CPU}":
                    return int(folder.name)
    raise LookupError(f"no ksoftirqd on core {CPU}")


@contextlib.contextmanager
def generator(flows: int = 1024) -> Iterator[Generator]:
    made = Generator(flows)
    try:
        yield made
    finally:
        made.close()
