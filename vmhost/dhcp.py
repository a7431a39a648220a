"""DHCP for the one guest of a tap (RFC 2131, 2132), so that any guest learns its address and gateway.

There is nothing to allot: a guest has one address, which is known before it boots. So nothing is remembered,
and the answer to a packet is a pure function of it. Nothing that arrives is trusted.

The address comes with a mask of 32 bits, as in public clouds: all that a guest sends goes to its gateway,
which is not on a common network with it. Guests that want it told have the routes as option 121 (RFC 3442).
"""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address

import structlog

from dipronn.errors import Unavailable
from vmhost.bucket import Bucket

log = structlog.get_logger(__name__)

SERVER_PORT, CLIENT_PORT = 67, 68
LEASE_SECONDS = 86400
MAX_PACKET = 1500
_SHORTEST = 300
"""Some clients take no packet that is shorter than BOOTP's (RFC 1542, 2.1)."""
_HEAD = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
_COOKIE = bytes([99, 130, 83, 99])
_BROADCAST_FLAG = 0x8000
_PAD, _END = 0, 255


class Kind(IntEnum):
    """DHCP's message types."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


class Option(IntEnum):
    MASK = 1
    ROUTER = 3
    HOST_NAME = 12
    MTU = 26
    REQUESTED = 50
    LEASE = 51
    KIND = 53
    SERVER = 54
    ROUTES = 121


@dataclass(frozen=True, slots=True)
class Lease:
    """What the guest of a link is told; it asks from ``mac``."""

    mac: bytes
    address: IPv4Address
    gateway: IPv4Address
    mtu: int
    host_name: str


@dataclass(frozen=True, slots=True)
class Answer:
    packet: bytes
    destination: IPv4Address


def answer(packet: bytes, lease: Lease) -> Answer | None:
    """What a packet is answered with; None: nothing. Never raises."""
    if len(packet) < _HEAD.size or len(packet) > MAX_PACKET:
        return None
    op, kind, length, _, xid, _, flags, client, _, _, relay, hardware, _, _, cookie = _HEAD.unpack_from(
        packet
    )
    if (op, kind, length, cookie) != (1, 1, 6, _COOKIE) or hardware[:6] != lease.mac or any(relay):
        return None
    options = _options(packet[_HEAD.size :])
    asked = options.get(Option.KIND, b"")
    server = options.get(Option.SERVER)
    if len(asked) != 1 or (server is not None and server != lease.gateway.packed):
        return None  # no DHCP, or meant for another server
    match asked[0]:
        case Kind.DISCOVER:
            told = Kind.OFFER
        case Kind.REQUEST:
            wanted = options.get(Option.REQUESTED, client)
            told = Kind.ACK if wanted == lease.address.packed else Kind.NAK
        case Kind.INFORM if client == lease.address.packed:
            told = Kind.ACK
        case _:
            return None
    informed = asked[0] == Kind.INFORM
    yours = bytes(4) if informed or told is Kind.NAK else lease.address.packed
    known = client if told is Kind.ACK and client == lease.address.packed else bytes(4)
    head = _HEAD.pack(
        2, 1, 6, 0, xid, 0, flags, known, yours, bytes(4), bytes(4), hardware, bytes(64), bytes(128), _COOKIE
    )
    reply = (head + _told(told, lease, informed)).ljust(_SHORTEST, b"\0")
    everyone = told is Kind.NAK or (not any(known) and flags & _BROADCAST_FLAG)
    return Answer(reply, IPv4Address("255.255.255.255") if everyone else lease.address)


def _told(kind: Kind, lease: Lease, informed: bool) -> bytes:
    options = [(Option.KIND, bytes([kind])), (Option.SERVER, lease.gateway.packed)]
    if kind is not Kind.NAK:
        gateway = lease.gateway.packed
        if not informed:
            options.append((Option.LEASE, LEASE_SECONDS.to_bytes(4, "big")))
        options += [
            (Option.MASK, bytes([255, 255, 255, 255])),
            (Option.ROUTER, gateway),
            # The gateway is on the link; everything else is behind it.
            (Option.ROUTES, bytes([32]) + gateway + bytes(4) + bytes([0]) + gateway),
            (Option.MTU, lease.mtu.to_bytes(2, "big")),
            (Option.HOST_NAME, lease.host_name.encode("ascii", "ignore")[:63]),
        ]
    return b"".join(bytes([code, len(value)]) + value for code, value in options if value) + bytes([_END])


def _options(data: bytes) -> dict[int, bytes]:
    """The first of each; a malformed rest is left out. Those in place of the name fields count nothing."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data) and data[at] != _END:
        if data[at] == _PAD:
            at += 1
            continue
        if at + 2 > len(data) or at + 2 + data[at + 1] > len(data):
            break
        found.setdefault(data[at], data[at + 2 : at + 2 + data[at + 1]])
        at += 2 + data[at + 1]
    return found


class DhcpServer:
    """Answers one link. A guest that floods it is answered slowly, and costs no more than that."""

    def __init__(self, device: str, lease: Lease) -> None:
        self._device = device
        self._lease = lease
        self._bucket = Bucket(burst=16, per_second=4)
        self._socket: socket.socket | None = None

    def start(self) -> None:
        """Raises Unavailable."""
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, self._device.encode())
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            server.setblocking(False)
            server.bind(("", SERVER_PORT))
        except OSError as error:
            server.close()
            raise Unavailable(f"DHCP on {self._device}: {error.strerror or error}") from error
        self._socket = server
        asyncio.get_running_loop().add_reader(server, self._hear, server)

    def close(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _hear(self, server: socket.socket) -> None:
        try:
            packet = server.recv(MAX_PACKET + 1)
            if not self._bucket.take():
                return
            if told := answer(packet, self._lease):
                server.sendto(told.packet, (str(told.destination), CLIENT_PORT))
        except OSError as error:  # the tap is going, or its queue is full: the guest asks again
            log.debug("dhcp not answered", device=self._device, error=str(error))
