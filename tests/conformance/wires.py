"""Real devices in a network namespace of the test's own, and the far ends of their wires.

``wan`` and ``lan`` are veths, ``vm0`` and ``vm1`` taps.  What is sent at a far end enters by the device; what
the device sends arrives there, byte for byte.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from tests.conformance.network import LAN, OWN_MACS, VM0, VM1, WAN

Result = TypeVar("Result")

CLONE_NEWNET = 0x40000000
SOL_PACKET = 263
PACKET_AUXDATA = 8
PACKET_IGNORE_OUTGOING = 23
TP_STATUS_VLAN_VALID = 1 << 4
TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
ETH_P_ALL = 3


class FarEnd(Protocol):
    def fileno(self) -> int: ...

    def send(self, frame: bytes) -> None: ...

    def receive(self) -> bytes:
        """The next frame; blocks."""
        ...

    def close(self) -> None: ...


class _VethEnd:
    """The other veth of the pair, by a packet socket."""

    def __init__(self, device: str) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.bind((device, ETH_P_ALL))

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, frame: bytes) -> None:
        self._socket.send(frame)

    def receive(self) -> bytes:
        frame, control, _, _ = self._socket.recvmsg(1 << 16, 64)
        for _, _, data in control:
            status, tag, kind = struct.unpack_from("=I12xHH", data)
            if status & TP_STATUS_VLAN_VALID:  # the kernel took the tag out of the frame
                frame = frame[:12] + struct.pack("!HH", kind, tag) + frame[12:]
        return frame

    def close(self) -> None:
        self._socket.close()


class _TapEnd:
    """The file of a tap, as QEMU holds it: not blocking, else the kernel would take its slow path to XDP, on
    which metadata, and so the copies of a fork, are lost."""

    def __init__(self, device: str) -> None:
        self._file = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        request = struct.pack("16sH22x", device.encode(), IFF_TAP | IFF_NO_PI)
        fcntl.ioctl(self._file, TUNSETIFF, request)

    def fileno(self) -> int:
        return self._file

    def send(self, frame: bytes) -> None:
        os.write(self._file, frame)

    def receive(self) -> bytes:
        return os.read(self._file, 1 << 16)

    def close(self) -> None:
        os.close(self._file)


class Wires:
    """The devices, and a thread that lives in their namespace.  That has no name: it ends with the thread,
    however the thread ends."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, initializer=_leave_for_a_new_namespace)
        self.ends: dict[str, FarEnd] = {}

    def inside(self, work: Callable[[], Result]) -> Result:
        """Do something in the namespace: always in the same thread."""
        return self._thread.submit(work).result()

    def send(self, device: str, frame: bytes) -> None:
        self.ends[device].send(frame)

    def collect(self, count: int, deadline: float) -> list[tuple[str, bytes]]:
        """Frames that arrived at far ends: ``count`` of them and what else is already there, or fewer at
        ``deadline`` (of ``time.monotonic``)."""
        frames: list[tuple[str, bytes]] = []
        names = {end.fileno(): name for name, end in self.ends.items()}
        while True:
            missing = len(frames) < count
            timeout = max(0.0, deadline - time.monotonic()) if missing else 0.0
            ready, _, _ = select.select(list(names), [], [], timeout)
            if not ready:
                return frames
            frames += [(names[file], self.ends[names[file]].receive()) for file in ready]

    def open(self) -> None:
        # The kernel's own neighbour discovery would count as received.
        _run("sysctl", "-q", "-w", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        for device in (WAN, LAN):
            far = f"{device}-far"
            _run("ip", "link", "add", device, "type", "veth", "peer", "name", far)
            _run("ip", "link", "set", far, "up")
            _run("ip", "link", "set", device, "address", str(OWN_MACS[device]), "up")
            _run("ethtool", "-K", far, "gro", "on")  # without it the pair takes no redirected frames
            self.ends[device] = _VethEnd(far)
        for device in (VM0, VM1):
            self.ends[device] = _TapEnd(device)
            _run("ip", "link", "set", device, "address", str(OWN_MACS[device]), "up")

    def close(self) -> None:
        for end in self.ends.values():
            end.close()
        self._thread.shutdown()


@contextlib.contextmanager
def wires() -> Iterator[Wires]:
    """New devices in a new namespace; gone afterwards."""
    made = Wires()
    try:
        made.inside(made.open)
        yield made
    finally:
        made.close()


def open_tap(device: str) -> FarEnd:
    """A tap of the calling thread's namespace, made if it is not there."""
    return _TapEnd(device)


def _run(*words: str) -> None:
    """In the namespace of the calling thread."""
    subprocess.run(words, check=True)


def _leave_for_a_new_namespace() -> None:
    assert threading.current_thread() is not threading.main_thread()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot make a network namespace")
