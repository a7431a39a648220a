"""What this host can do for the steering program, found by trying it; with the reason where it cannot.

Each trial stands on the ones before, in a network namespace of its own that is gone afterwards.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Address

from controller.steering.drops import Drop
from controller.steering.model import (
    Channel,
    Endpoint,
    EndpointKind,
    Flow,
    FlowKey,
    ForkBranch,
    ForkKey,
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
from dipronn.errors import DipronnError, Unavailable
from ebpf import devices
from ebpf.btf import member_offsets
from ebpf.loader import SteeringProgram
from ebpf.maps import mount_bpffs

_CLONE_NEWNET = 0x40000000
_MAC = Mac(b"\2\0\0\0\0\1")
_TO = Socket(IPv4Address("192.0.2.1"), 5000)
_RECEIVERS = tuple(Socket(IPv4Address("198.51.100.1") + i, 6000) for i in range(2))
_PATIENCE = 5.0


@dataclass(frozen=True)
class Capability:
    """``missing``: why it is not there, or None."""

    name: str
    missing: str | None


def capabilities() -> list[Capability]:
    """All of them, in order; needs root. Takes about a second, with a cold cache a few."""
    with ThreadPoolExecutor(1, initializer=_new_namespace) as pool:
        return list(pool.submit(lambda: list(_try_all())).result())


def _new_namespace() -> None:
    """For the calling thread; it goes with the thread."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "no network namespace of its own; needs root")


def _try_all() -> Iterator[Capability]:
    with ExitStack() as stack:
        trial = _Trial(stack)
        steps: dict[str, Callable[[], None]] = {
            "bpffs": mount_bpffs,
            "kernel BTF": trial.offsets,
            "steering program": trial.load,
            "native XDP on veth": trial.attach_veth,
            "native XDP on tap": trial.attach_tap,
            "copies by devmap broadcast": trial.fork,
            "losses by raw tracepoints": trial.lose,
        }
        for name, step in steps.items():
            try:
                step()
            except (DipronnError, OSError) as error:
                yield Capability(name, str(error))
            else:
                yield Capability(name, None)


class _Trial:
    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._loaded: SteeringProgram | None = None

    @property
    def _program(self) -> SteeringProgram:
        if self._loaded is None:
            raise Unavailable("not tried: the steering program did not load")
        return self._loaded

    def offsets(self) -> None:
        member_offsets((("net_device", "ifindex"),))

    def load(self) -> None:
        self._loaded = self._stack.enter_context(SteeringProgram.load(pin_directory=None))

    def attach_veth(self) -> None:
        for name in ("near", "far"):
            devices.create_veth(name, f"{name}-end", 1500)
            devices.enable_gro(f"{name}-end")  # so that it takes redirected frames
            self._program.attach(name)

    def attach_tap(self) -> None:
        file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        self._stack.callback(os.close, file)
        fcntl.ioctl(
            file, 0x400454CA, struct.pack("16sH22x", b"probe", 0x1002)
        )  # TUNSETIFF, tap without header
        self._program.attach("probe")
        self._program.detach("probe")

    def fork(self) -> None:
        """A datagram comes in by near and leaves as two by far, each rewritten."""
        self._program.apply(_tables())
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as far:
            far.settimeout(_PATIENCE)
            far.bind(("far-end", 0x0800))
            self._shoot()
            hosts = [far.recv(2048)[30:34] for _ in _RECEIVERS]
        if hosts != [receiver.address.packed for receiver in _RECEIVERS]:
            raise Unavailable("copies arrive out of order or not rewritten")

    def _shoot(self) -> None:
        udp = struct.pack("!HHHH", 1, _TO.port, 8, 0)
        source = IPv4Address("203.0.113.1")
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, 17, 0, source.packed, _TO.address.packed)
        total = sum(struct.unpack("!10H", ip))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        ethernet, check = _MAC.octets + _MAC.octets + b"\x08\x00", struct.pack("!H", ~total & 0xFFFF)
        frame = ethernet + ip[:10] + check + ip[12:] + udp
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as near:
            near.bind(("near-end", 0))
            near.send(frame)

    def lose(self) -> None:
        """The same when far is down."""
        devices.set_down("far")
        self._shoot()
        deadline = time.monotonic() + _PATIENCE
        while not self._program.counters().drops.get(Drop.DEVICE_DROP):
            if time.monotonic() > deadline:
                raise Unavailable("frames that a device refused are not seen")


def _tables() -> Tables:
    tables = Tables()
    for name in ("near", "far"):
        tables.link[LinkKey(name)] = Link(LinkKind.OUTSIDE, _MAC)
    tables.flow[FlowKey(17, _TO)] = Flow(Target(TargetKind.FORK, 1), LinkScope.OUTSIDE)
    for i, receiver in enumerate(_RECEIVERS):
        number = i + 1
        tables.fork[ForkKey(1, i)] = ForkBranch(number)
        tables.channel[number] = Channel(Selector.ZERO, 0, number, 1)
        tables.slot[SlotKey(number, 0)] = Slot(number)
        tables.endpoint[number] = Endpoint(EndpointKind.RECEIVER, "far", _MAC, _MAC, receiver)
    return tables
