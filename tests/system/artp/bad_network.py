"""Two hosts and a router between them that treats packets as a seed says; in namespaces of the test's own."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ebpf.bpf import Map, MapType, ProgramType
from ebpf.compiler import compile
from ebpf.devices import attach_xdp

Value = TypeVar("Value")
SOURCE = Path(__file__).with_name("faults.bpf.c")
NEAR, FAR = "10.77.1.1", "10.77.2.1"
ROUTERS = {"in": "10.77.1.254", "out": "10.77.2.254"}
_LANE = struct.Struct("=6Q5I12s")
SLOW_QUEUE = ("tbf", "rate", "40mbit", "burst", "3000", "limit", "10000000")
"""What a delayed packet waits in: 0.3 ms for each one before it."""


@dataclass(frozen=True)
class Faults:
    """Parts of all packets of either direction, from 0 to 1."""

    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    bit_errors: float = 0.0


@dataclass(frozen=True)
class Done:
    """What the router did in one direction."""

    packets: int
    lost: int
    doubled: int
    delayed: int
    damaged: int


class Host:
    """A namespace and a thread that lives in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        subprocess.run(["ip", "netns", "add", name], check=True)
        self._thread = ThreadPoolExecutor(1, initializer=self._enter)

    def _enter(self) -> None:
        descriptor = os.open(Path("/run/netns", self.name), os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0x40000000):
                raise OSError(ctypes.get_errno(), f"cannot enter namespace {self.name}")
        finally:
            os.close(descriptor)

    def start(self, work: Callable[[], Value]) -> Future[Value]:
        return self._thread.submit(work)

    def inside(self, work: Callable[[], Value]) -> Value:
        return self.start(work).result()

    def command(self, *words: str) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.name}", *words]

    def run(self, *words: str) -> str:
        return subprocess.run(self.command(*words), check=True, capture_output=True, text=True).stdout

    def mac(self, device: str) -> bytes:
        words = self.run("ip", "-oneline", "link", "show", "dev", device).split()
        return bytes.fromhex(words[words.index("link/ether") + 1].replace(":", ""))

    def close(self) -> None:
        self._thread.shutdown()
        subprocess.run(["ip", "netns", "delete", self.name], check=True)


class BadNetwork:
    """``near`` and ``far`` reach each other by NEAR and FAR."""

    def __init__(self, near: Host, router: Host, far: Host) -> None:
        self.near, self.router, self.far = near, router, far
        self.maps = {
            "lanes": Map.create("lanes", MapType.HASH, 4, _LANE.size, 2),
            "once": Map.create("once", MapType.DEVMAP, 4, 8, 2),
            "twice_there": Map.create("twice_there", MapType.DEVMAP, 4, 8, 2),
            "twice_back": Map.create("twice_back", MapType.DEVMAP, 4, 8, 2),
        }
        self._program = compile(SOURCE, ("spoil",)).load("spoil", ProgramType.XDP, self.maps)
        self._indices = router.inside(lambda: [socket.if_nametoindex(name) for name in ("in", "out")])

    def behave(self, seed: int, faults: Faults) -> None:
        """From now on; counts start anew."""
        macs = (
            self.far.mac("eth0") + self.router.mac("out"),
            self.near.mac("eth0") + self.router.mac("in"),
        )
        rates = (faults.loss, faults.duplication, faults.reordering, faults.bit_errors)
        parts = [round(rate * 65536) for rate in rates]
        for slot in (0, 1):
            out = self._indices[1 - slot]
            name = "twice_back" if slot else "twice_there"
            device = struct.pack("=Ii", out, -1)

            def write(slot: int = slot, name: str = name, device: bytes = device) -> None:
                self.maps["once"].update(struct.pack("=I", slot), device)
                for copy in (0, 1):
                    self.maps[name].update(struct.pack("=I", copy), device)

            # A devmap takes an interface of the namespace that the caller is in.
            self.router.inside(write)
            lane = _LANE.pack(2 * seed + slot, 0, 0, 0, 0, 0, *parts, slot, macs[slot])
            self.maps["lanes"].update(struct.pack("=I", self._indices[slot]), lane)
        for index in self._indices:
            self.router.inside(lambda index=index: attach_xdp(index, self._program))  # type: ignore[misc]

    def done(self) -> tuple[Done, Done]:
        """There and back."""
        lanes = [self.maps["lanes"].lookup(struct.pack("=I", index)) or b"" for index in self._indices]
        there, back = (Done(*_LANE.unpack(lane)[1:6]) for lane in lanes)
        return there, back

    def close(self) -> None:
        os.close(self._program)
        for each in self.maps.values():
            each.close()


@contextlib.contextmanager
def bad_network(prefix: str) -> Iterator[BadNetwork]:
    with contextlib.ExitStack() as stack:
        hosts = []
        for role in ("n", "r", "f"):
            hosts.append(Host(prefix + role))
            stack.callback(hosts[-1].close)
        near, router, far = hosts
        router.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        for host, name, address, gateway in (
            (near, "in", NEAR, ROUTERS["in"]),
            (far, "out", FAR, ROUTERS["out"]),
        ):
            router.run("ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", host.name)
            for end, device, own in ((router, name, gateway), (host, "eth0", address)):
                end.run("ip", "addr", "add", f"{own}/24", "dev", device)
                end.run("ip", "link", "set", device, "up")
                end.run("ethtool", "-K", device, "gro", "on", "tx", "off")
            host.run("ip", "route", "add", "default", "via", gateway)
            router.run("tc", "qdisc", "add", "dev", name, "root", *SLOW_QUEUE)
        network = BadNetwork(near, router, far)
        stack.callback(network.close)
        yield network
