"""A unit's devices in a namespace of the test's own, the far ends of their wires in the test's hands."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TypeVar

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw

from controller.steering.model import (
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
from ebpf.loader import Counters, SteeringProgram

Result = TypeVar("Result")
OWN = Mac.parse("02:00:00:00:00:02")
FAR = Mac.parse("02:00:00:00:00:01")
SENDER, PUBLIC = "10.9.0.1", "10.9.0.2"
SENDER6, PUBLIC6 = "2001:db8::1", "2001:db8::2"
PATIENCE = 20.0


class Wire:
    """The far end of a veth, as a packet socket."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(263, 8, 1)  # PACKET_AUXDATA: the VLAN tag
        self.socket.setsockopt(263, 23, 1)  # PACKET_IGNORE_OUTGOING
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 1 << 27)  # SO_RCVBUFFORCE
        self.socket.bind((device, 3))

    def send(self, packet: Packet | bytes) -> None:
        self.socket.send(bytes(packet))

    def receive(self, count: int) -> list[bytes]:
        """``count`` frames; fewer only when they do not come in time."""
        frames: list[bytes] = []
        end = time.monotonic() + PATIENCE
        while len(frames) < count and time.monotonic() < end:
            self.socket.settimeout(max(0.001, end - time.monotonic()))
            with contextlib.suppress(TimeoutError):
                frames.append(self._next())
        return frames + self.rest()

    def rest(self) -> list[bytes]:
        """What is there already."""
        frames = []
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                frames.append(self._next())
        return frames

    def _next(self) -> bytes:
        frame, control, _, _ = self.socket.recvmsg(1 << 16, 64)
        for _, _, data in control:
            status, tag, kind = struct.unpack_from("=I12xHH", data)
            if status & 1 << 4:
                frame = frame[:12] + struct.pack("!HH", kind, tag) + frame[12:]
        return frame


class Rig:
    """``inside`` runs in the namespace, always in the same thread."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._thread = ThreadPoolExecutor(1, initializer=_enter, initargs=(namespace,))
        self.wires: dict[str, Wire] = {}

    def inside(self, work: Callable[[], Result]) -> Result:
        return self._thread.submit(work).result()

    def run(self, *command: str) -> None:
        """A command in the namespace, which keeps the mounts."""
        subprocess.run(["nsenter", f"--net=/run/netns/{self.namespace}", *command], check=True)

    def veth(self, name: str, *, gro: bool = True) -> Wire:
        far = f"{name}-far"
        self.run("ip", "link", "add", name, "type", "veth", "peer", "name", far)
        self.run("ip", "link", "set", name, "address", str(OWN), "up")
        self.run("ip", "link", "set", far, "up")
        self.run("ethtool", "-K", far, "gro", "on" if gro else "off")
        self.wires[name] = self.inside(lambda: Wire(far))
        return self.wires[name]

    def close(self) -> None:
        for wire in self.wires.values():
            wire.socket.close()
        self._thread.shutdown()


@contextlib.contextmanager
def rig(namespace: str) -> Iterator[Rig]:
    subprocess.run(["ip", "netns", "add", namespace], check=True)
    try:
        quiet = ("net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        subprocess.run(["ip", "netns", "exec", namespace, "sysctl", "-qw", *quiet], check=True)
        made = Rig(namespace)
        try:
            yield made
        finally:
            made.close()
    finally:
        subprocess.run(["ip", "netns", "delete", namespace], check=True)


def _enter(namespace: str) -> None:
    descriptor = os.open(Path("/run/netns", namespace), os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0x40000000):
            raise OSError(ctypes.get_errno(), f"cannot enter network namespace {namespace}")
    finally:
        os.close(descriptor)


def settled(program: SteeringProgram, received: int) -> Counters:
    """The counters once ``received`` packets have come in and none is under way."""
    end = time.monotonic() + PATIENCE
    while True:
        found = program.counters()
        if found.received >= received and found.unaccounted == 0:
            return found
        assert time.monotonic() < end, f"not settled at {received} received: {found}, {found.unaccounted}"


# Rows and packets


def target(number: int) -> Target:
    return Target(TargetKind.CHANNEL, number)


def fork(number: int) -> Target:
    return Target(TargetKind.FORK, number)


def receiver(device: str, host: int, **more: object) -> Endpoint:
    """A receiver 10.9.1.HOST:9 (or 2001:db8:1::HOST), by ``device``."""
    fields: dict[str, object] = {
        "kind": EndpointKind.RECEIVER,
        "device": device,
        "source_mac": Mac(bytes([2, 0, 0, 0, 1, host])),
        "destination_mac": Mac(bytes([2, 0, 0, 0, 2, host])),
        "destination": Socket(ip_address(f"10.9.1.{host}"), 9),
    }
    return Endpoint(**(fields | more))  # type: ignore[arg-type]


def add_channel(
    tables: Tables, number: int, *endpoints: Endpoint, selector: Selector = Selector.ZERO
) -> None:
    """Channel NUMBER over one slot per endpoint, a power of two; their numbers start at 100 × NUMBER."""
    tables.channel[number] = Channel(selector, len(endpoints) - 1, 100 * number, 1)
    for index, endpoint in enumerate(endpoints):
        tables.slot[SlotKey(100 * number, index)] = Slot(100 * number + index)
        tables.endpoint[100 * number + index] = endpoint


def wild(port: int, address: str = PUBLIC) -> FlowKey:
    return FlowKey(17, Socket(ip_address(address), port))


def tables_for(devices: list[str], flows: dict[int, Target]) -> Tables:
    """Outside links, and a flow from anywhere to each public port."""
    anywhere = LinkScope.OUTSIDE | LinkScope.NODE
    return Tables(
        link={LinkKey(device): Link(LinkKind.OUTSIDE, OWN) for device in devices},
        flow={wild(port): Flow(to, anywhere) for port, to in flows.items()},
    )


def datagram(
    port: int,
    payload: bytes = b"payload",
    *,
    source_port: int = 1000,
    vlan: int = 0,
    ttl: int = 64,
    source: str = SENDER,
    destination: str = PUBLIC,
    ether: tuple[Mac, Mac] = (FAR, OWN),
) -> bytes:
    frame: Packet = Ether(src=str(ether[0]), dst=str(ether[1]))
    if vlan:
        frame /= Dot1Q(vlan=vlan)
    if ip_address(source).version == 4:
        frame /= IP(src=source, dst=destination, ttl=ttl)
    else:
        frame /= IPv6(src=source, dst=destination, hlim=ttl)
    return bytes(frame / UDP(sport=source_port, dport=port) / Raw(payload))


def ends(frame: bytes) -> tuple[str, int, str, int]:
    """Source and destination of an IP packet, whose checksums must be right."""
    packet = Ether(frame)
    layer = packet[IPv6] if packet.haslayer(IPv6) else packet[IP]
    again = Ether(frame)
    for each in (IP, UDP):
        if again.haslayer(each):
            del again[each].chksum
    assert bytes(again) == frame, f"a checksum is wrong: {packet.show(dump=True)}"
    udp = packet[UDP]
    return layer.src, udp.sport, layer.dst, udp.dport


def host_of(frame: bytes) -> int:
    """The last byte of the destination address."""
    packed: IPv4Address | IPv6Address = ip_address(ends(frame)[2])
    return packed.packed[-1]
