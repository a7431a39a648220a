"""ARTP packets as the payload of UDP, field by field, right unless told otherwise (``docs/artp.md``).

Without the oracle's code and without ``artp/``, so that all cannot be wrong in the same way.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

from controller.steering.model import Socket

HELLO, COOKIE, DATA, ACK, CLOSE, RESET, PING = range(1, 8)
CONTROL, CHOSEN, ORDER = 0x80, 0x40, 0x20


@dataclass(frozen=True)
class ArtpPacket:
    """None stands for the right value."""

    type: int = DATA
    flags: int = 0
    number: int = 0
    fragment: int = 0
    fragments: int | None = None
    instance: int = 0
    destinations: tuple[Socket, ...] = ()
    body: bytes = b"body"
    version: int = 1
    length: int | None = None
    count: int | None = None
    zeros: bytes = bytes(5)
    connection: int = 0x0123456789ABCDEF
    cut: int | None = None
    """Keep only so many bytes."""

    def build(self) -> bytes:
        listed = b"".join(_address(each) + each.port.to_bytes(2, "big") for each in self.destinations)
        options = struct.pack("!BBIBBI", 2, 4, 0xC0FFEE, 1, 4, 0)  # origin and check, which nobody looks at
        fragments = (1 if self.type == DATA else 0) if self.fragments is None else self.fragments
        length = 40 + len(listed) + len(options) if self.length is None else self.length
        count = len(self.destinations) if self.count is None else self.count
        header = struct.pack(
            "!BBHIQIHHHB",
            self.version << 4 | self.type,
            self.flags,
            length,
            7,
            self.connection,
            self.number,
            self.fragment,
            fragments,
            self.instance,
            count,
        )
        return (header + self.zeros + bytes(8) + listed + options + self.body)[: self.cut]


def _address(socket: Socket) -> bytes:
    packed = socket.address.packed
    return bytes(10) + b"\xff\xff" + packed if isinstance(socket.address, IPv4Address) else packed


def artp(**fields: object) -> bytes:
    """The payload of a packet with these fields."""
    return ArtpPacket(**fields).build()  # type: ignore[arg-type]
