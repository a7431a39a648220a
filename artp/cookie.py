"""The number of a connection: a MAC that any instance of a channel verifies without memory (section 5)."""

from __future__ import annotations

import hashlib
import hmac
import socket
from typing import NamedTuple

KEY_BYTES = 16


class Source(NamedTuple):
    """Where a packet came from: 16 bytes of address, IPv4 as mapped, and the port."""

    address: bytes
    port: int

    @classmethod
    def of(cls, address: str, port: int) -> Source:
        if ":" in address:
            return cls(socket.inet_pton(socket.AF_INET6, address.partition("%")[0]), port)
        return cls(bytes(10) + b"\xff\xff" + socket.inet_pton(socket.AF_INET, address), port)


def client_cookie(key: bytes, session: int, origin: int, source: Source) -> int:
    """K of a connection by handshake."""
    return _mac(
        key,
        b"\1"
        + session.to_bytes(4, "big")
        + origin.to_bytes(4, "big")
        + source.address
        + source.port.to_bytes(2, "big"),
    )


def group_cookie(key: bytes, session: int, origin: int) -> int:
    """K of a group's sender, which shares ``key`` with its receivers."""
    return _mac(key, b"\2" + session.to_bytes(4, "big") + origin.to_bytes(4, "big"))


def _mac(key: bytes, message: bytes) -> int:
    # 0 stands for "no connection yet"; one MAC in 2^64 would be it.
    return int.from_bytes(hashlib.blake2s(message, digest_size=8, key=key).digest(), "big") or 1


def equal(a: int, b: int) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(a.to_bytes(8, "big"), b.to_bytes(8, "big"))
