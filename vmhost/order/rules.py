"""What a sequencer is told: plain data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

DEVICE_MTU = 3498
"""What a veth carries under XDP without fragments, less a VLAN tag."""
MAX_OUTPUTS = 16
"""As in sequencer.c."""


class Token(IntEnum):
    """Where a packet's place in its stream is read. As in token.h."""

    ARTP = 0
    RTP = 1


class Order(IntEnum):
    NONE = 0
    WINDOW = 1
    STRICT = 2


class Merge(IntEnum):
    NONE = 0
    ALL = 1
    FIRST = 2
    K_OF_N = 3


@dataclass(frozen=True)
class OrderedOutput:
    """``port``: the UDP port by which its packets come. ``window_ns``: no packet waits longer.
    ``copies``: how many must agree, of ``K_OF_N``."""

    name: str
    port: int
    token: Token
    order: Order
    window_ns: int
    merge: Merge = Merge.NONE
    copies: int = 0

    def argument(self) -> str:
        """For the command line of the sequencer."""
        fields = (self.port, self.token, self.order, self.window_ns, self.merge, self.copies)
        return ":".join(str(int(field)) for field in fields)


@dataclass(frozen=True)
class Sequencer:
    """One session's. ``device`` is the steering program's end of its veth, ``mac`` that end's."""

    session: int
    device: str
    mac: str
    outputs: tuple[OrderedOutput, ...]

    @property
    def far_device(self) -> str:
        return f"{self.device}x"
