"""How long packets still go to a unit whose host has died."""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import dipronn
from bench.lab import Namespace
from bench.plots import draw_distribution
from bench.registry import Goal, Result, measurement
from dipronn import beacon
from dipronn.demo import bundles
from dipronn.node import starter
from dipronn.node.config import NodeConfig

KILLS = 50
RATE = 2000
"""Packets a second, half of them for the unit that dies."""
LISTEN_SECONDS = 0.4
PICTURE = Path(__file__).parents[1] / "docs" / "bench" / "failover.svg"
_TIMESTAMPS = 35  # SO_TIMESTAMPNS
_EVERYTHING = 3  # ETH_P_ALL
_DISABLED, _FORWARDING = 0, 3  # BR_STATE_*

TWO_UNITS = """
session failover {
  input in1 : udp rate 4Mbps to 192.0.2.1:5300;
  output out1 to 198.51.100.7:6300;
  param KEY "8f1e4b0d6a5c39e27714d0c2b9a863f5027bd41c5e96aa38f40b6d17c3e8952a";
  program seal { bundle "seal.tar"; in clear; out sealed; parallelizable 2 by round_robin;
                 needs cpu 0.25, memory 64MiB; }
  data in1 -> seal.clear;
  data seal.sealed -> out1;
}
"""


@measurement
def failover() -> Iterator[Result]:
    """From the death of a unit's host to the last packet that distribution still sends to it."""
    seconds = sorted(asyncio.run(last_misdirected("xdp", KILLS)))
    milliseconds = [each * 1e3 for each in seconds]
    draw_distribution(milliseconds, "ms from a host's death to the last packet sent there", PICTURE)
    yield Result(
        "failover_last_misdirected_ms",
        milliseconds[-1],
        "ms",
        Goal("<=", 100),
        {
            "median": statistics.median(milliseconds),
            "nine of ten": milliseconds[int(0.9 * len(milliseconds))],
            "least": milliseconds[0],
        },
        f"the longest of {KILLS} deaths; two units in turn at {RATE} packets/s, one cut off from both "
        "networks at once; seen on the wire behind distribution",
    )


async def last_misdirected(dataplane: str, kills: int, listen: float = LISTEN_SECONDS) -> list[float]:
    """For each of so many deaths of a unit's host: seconds until the last packet that still went there.

    ``listen``: seconds from a death to the unit's return; what is later is not seen.
    """
    name = f"bench{os.getpid()}"
    await starter.up(NodeConfig(name=name, dataplane=dataplane, beacon=beacon.INTERVAL), lambda _: None)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            seal = [bundle for bundle in bundles.DEMO_BUNDLES if bundle.name == "seal"]
            built = bundles.build(Path(scratch), seal)
            async with dipronn.connect(f"unix:{starter.Places(name).socket}") as node:
                session = await node.establish(TWO_UNITS, bundles=built)
                victim = session.instances[1].unit
                mac = next(
                    link.mac for unit in await node.units() if unit.name == victim for link in unit.links
                )
                found = []
                with _packets(name), closing(_Wire(name, mac)) as wire, closing(_Host(name, victim)) as host:
                    for _ in range(kills):
                        await asyncio.to_thread(wire.wait_for_one)
                        found.append(await asyncio.to_thread(_kill, host, wire, listen))
                return found
    finally:
        starter.down(name, lambda _: None)


class _Wire:
    """Frames for one MAC address on the wire behind distribution, with the kernel's times."""

    def __init__(self, node: str, mac: bytes) -> None:
        place = Namespace(f"{node}-switch")
        self._mac = mac
        self._socket = place.inside(
            lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING))
        )
        # The port of distribution, the first unit; a tap for one protocol only would stand behind the bridge.
        place.inside(lambda: self._socket.bind(("data0", _EVERYTHING)))
        place.leave()
        self._socket.setsockopt(socket.SOL_SOCKET, _TIMESTAMPS, 1)

    def wait_for_one(self) -> None:
        """Return when the unit gets packets (again). TimeoutError after a minute."""
        self.drain()
        self._socket.settimeout(60)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if self._socket.recv(2048)[:6] == self._mac:
                return
        raise TimeoutError("the unit does not get packets again")

    def drain(self) -> list[float]:
        """Times (CLOCK_REALTIME) of the frames that came since."""
        self._socket.setblocking(False)
        times: list[float] = []
        while True:
            try:
                frame, ancillary, _, _ = self._socket.recvmsg(2048, 64)
            except BlockingIOError:
                return times
            if frame[:6] == self._mac:
                seconds, nanoseconds = struct.unpack("qq", ancillary[0][2])
                times.append(seconds + nanoseconds / 1e9)

    def close(self) -> None:
        self._socket.close()


class _Host:
    """A unit's ports at both networks, which can be cut off at once; their links stay up."""

    def __init__(self, node: str, unit: str) -> None:
        number = int(unit.removeprefix("unit"))
        self._ports: list[tuple[subprocess.Popen[str], str]] = []
        for namespace, port in ((f"{node}-control", f"unit{number}"), (f"{node}-switch", f"data{number}")):
            # It waits for commands, so that none has to be started when the moment has come.
            command = ["nsenter", f"--net=/run/netns/{namespace}", "bridge", "-batch", "-"]
            self._ports.append((subprocess.Popen(command, stdin=subprocess.PIPE, text=True), port))

    def set_state(self, state: int) -> None:
        for process, port in self._ports:
            assert process.stdin
            process.stdin.write(f"link set dev {port} state {state}\n")
            process.stdin.flush()

    def close(self) -> None:
        for process, _ in self._ports:
            process.communicate()


def _kill(host: _Host, wire: _Wire, listen: float) -> float:
    """Seconds until the last frame; the unit is connected again."""
    wire.drain()
    died = time.time()
    try:
        host.set_state(_DISABLED)
        time.sleep(listen)
        return max([died, *wire.drain()]) - died
    finally:
        host.set_state(_FORWARDING)


@contextmanager
def _packets(node: str) -> Iterator[None]:
    """Packets enter the session all the while."""
    place = Namespace(f"{node}-source")
    sender = place.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    place.leave()
    over = threading.Event()

    def send() -> None:
        due = time.monotonic()
        while not over.is_set():
            sender.sendto(b"packet", ("192.0.2.1", 5300))
            due += 1 / RATE
            time.sleep(max(0.0, due - time.monotonic()))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        sender.close()
