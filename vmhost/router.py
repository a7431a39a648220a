"""Router advertisements for the one guest of a tap (RFC 4861): its gateway and MTU over IPv6.

They say that this unit is the router, that nothing is on the link besides it (the prefix is not on-link), and
that addresses are managed (RFC 4861, 4.2: M): an address is allotted, and cannot be derived from a MAC.
What is heard is a solicitation's type and hop limit, and nothing else of it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address

import structlog

from dipronn.errors import Unavailable
from vmhost.bucket import Bucket

log = structlog.get_logger(__name__)

SOLICITATION, ADVERTISEMENT = 133, 134
LIFETIME_SECONDS = 9000
"""The longest there is: guests have a gateway also while no agent runs."""
REPEAT_SECONDS = 600.0
_MANAGED = 0x80
_SOURCE_MAC, _PREFIX, _MTU = 1, 3, 5
_PREFIX_LENGTH = 64
_EVERYBODY = "ff02::1"
_ROUTERS = "ff02::2"
_ICMP6_FILTER = 1


@dataclass(frozen=True, slots=True)
class Router:
    """``mac``: of the unit on the link; ``gateway``: its address there."""

    mac: bytes
    gateway: IPv6Address
    mtu: int


def advertisement(router: Router) -> bytes:
    """The packet, its checksum left to the kernel."""
    head = struct.pack("!BBHBBHII", ADVERTISEMENT, 0, 0, 64, _MANAGED, LIFETIME_SECONDS, 0, 0)
    prefix = router.gateway.packed[: _PREFIX_LENGTH // 8].ljust(16, b"\0")
    return b"".join(
        (
            head,
            struct.pack("!BB6s", _SOURCE_MAC, 1, router.mac),
            struct.pack("!BBHI", _MTU, 1, 0, router.mtu),
            # Neither on-link nor for addresses: it only says which prefix the link belongs to.
            struct.pack(
                "!BBBBIII16s",
                *(_PREFIX, 4, _PREFIX_LENGTH, 0, LIFETIME_SECONDS, LIFETIME_SECONDS, 0, prefix),
            ),
        )
    )


def is_solicitation(packet: bytes, hop_limit: int | None) -> bool:
    """Whether to answer. Only what has come over no router has the full hop limit (RFC 4861, 6.1.1)."""
    return len(packet) >= 8 and packet[0] == SOLICITATION and packet[1] == 0 and hop_limit == 255


class Advertiser:
    """Advertises on one link: now and then, and when asked, but not as often as a guest may ask."""

    def __init__(self, device: str, router: Router) -> None:
        self._device = device
        self._packet = advertisement(router)
        self._bucket = Bucket(burst=5, per_second=1)
        self._socket: socket.socket | None = None
        self._repeating: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Raises Unavailable."""
        try:
            opened = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        except OSError as error:
            raise Unavailable(f"router advertisements on {self._device}: {error.strerror}") from error
        try:
            index = socket.if_nametoindex(self._device)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._device.encode())
            opened.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, _only(SOLICITATION))
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
            group = socket.inet_pton(socket.AF_INET6, _ROUTERS) + struct.pack("@I", index)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
            opened.setblocking(False)
        except OSError as error:
            opened.close()
            raise Unavailable(
                f"router advertisements on {self._device}: {error.strerror or error}"
            ) from error
        self._socket = opened
        asyncio.get_running_loop().add_reader(opened, self._hear, opened)
        self._repeating = asyncio.create_task(self._repeat(opened), name=f"router {self._device}")

    def close(self) -> None:
        if self._repeating is not None:
            self._repeating.cancel()
            self._repeating = None
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    async def _repeat(self, opened: socket.socket) -> None:
        while True:
            await asyncio.sleep(REPEAT_SECONDS)
            self._advertise(opened)

    def _hear(self, opened: socket.socket) -> None:
        try:
            packet, told, _, _ = opened.recvmsg(2048, socket.CMSG_SPACE(4))
        except OSError:
            return
        if is_solicitation(packet, _hop_limit(told)) and self._bucket.take():
            self._advertise(opened)

    def _advertise(self, opened: socket.socket) -> None:
        try:
            opened.sendto(self._packet, (_EVERYBODY, 0))
        except OSError as error:  # the tap is going, or its queue is full
            log.debug("no router advertisement", device=self._device, error=str(error))


def _only(kind: int) -> bytes:
    """An ICMP6_FILTER (RFC 3542, 3.2) that blocks everything else."""
    words = [0xFFFFFFFF] * 8
    words[kind >> 5] &= ~(1 << (kind & 31)) & 0xFFFFFFFF
    return struct.pack("@8I", *words)


def _hop_limit(told: Iterable[tuple[int, int, bytes]]) -> int | None:
    for level, kind, data in told:
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT) and len(data) >= 4:
            return int.from_bytes(data[:4], "little")
    return None
