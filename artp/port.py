"""A UDP socket on the event loop: reads in batches, keeps the order of what it could not send yet."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections import Counter, deque
from collections.abc import Callable

BATCH = 64
"""Packets read before others on the event loop have their turn."""
BUFFER = 4 << 20
_MAX_PACKET = 65535
_SO_RCVBUFFORCE = 33


async def resolve(address: tuple[str, int]) -> tuple[int, tuple[str, int]]:
    """The address family, and the address as numbers; OSError when the name is not known."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(address[0], address[1], type=socket.SOCK_DGRAM)
    family, _, _, _, resolved = found[0]
    return family, (str(resolved[0]), int(resolved[1]))


def udp_socket(family: int, local: tuple[str, int] | None) -> socket.socket:
    """Bound to ``local``, if there is one; OSError."""
    udp = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if local is not None:
            udp.bind(local)
    except BaseException:
        udp.close()
        raise
    return udp


class Port:
    """Takes over ``udp``. ``on_packets`` gets what was read in one go.

    ``on_room`` is called when a full socket takes more.
    """

    def __init__(
        self,
        udp: socket.socket,
        remote: tuple[str, int] | None,
        on_packets: Callable[[list[tuple[bytes, tuple[str, int]]]], None],
        on_room: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_packets = on_packets
        self._on_room = on_room
        self._waiting: deque[tuple[bytes, tuple[str, int]]] = deque()
        self.counters: Counter[str] = Counter()
        self._remote = remote
        self._socket = udp
        self._socket.setblocking(False)
        self._enlarge_buffers()
        if remote is not None:
            self._socket.connect(remote)
        self._loop.add_reader(self._socket.fileno(), self._readable)

    def _enlarge_buffers(self) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        with contextlib.suppress(OSError):  # beyond the system's limit for those who may
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, BUFFER)

    @property
    def address(self) -> tuple[str, int]:
        """The socket's own address and port."""
        name = self._socket.getsockname()
        return str(name[0]), int(name[1])

    @property
    def family(self) -> int:
        return self._socket.family

    @property
    def full(self) -> bool:
        """The socket takes nothing more just now."""
        return bool(self._waiting)

    def send(self, packet: bytes, target: tuple[str, int]) -> None:
        """Send, or keep for later when the socket is full."""
        if self._socket.fileno() < 0:
            return
        if self._waiting or not self._sent(packet, target):
            if not self._waiting:
                self._loop.add_writer(self._socket.fileno(), self._writable)
            self._waiting.append((packet, target))

    def _sent(self, packet: bytes, target: tuple[str, int]) -> bool:
        try:
            if self._remote is None:
                self._socket.sendto(packet, target)
            else:
                self._socket.send(packet)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                return False
            # As if the network had lost it: an ICMP error, or no route for a moment.
            self.counters["send_errors"] += 1
        return True

    def _writable(self) -> None:
        while self._waiting:
            if not self._sent(*self._waiting[0]):
                return
            self._waiting.popleft()
        self._loop.remove_writer(self._socket.fileno())
        self._on_room()

    def _readable(self) -> None:
        packets = []
        receive, remote = self._socket.recvfrom, self._remote
        for _ in range(BATCH):
            try:
                data, source = receive(_MAX_PACKET)
            except BlockingIOError:
                break
            except OSError:
                self.counters["receive_errors"] += 1
                break
            packets.append((data, remote or (source[0], source[1])))
        if packets:
            self._on_packets(packets)

    def close(self) -> None:
        if self._socket.fileno() < 0:
            return
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._socket.close()
