"""A unit's counters as a message, whatever data plane counted. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from controller.steering.drops import Drop
from dipronn.v1 import unit_pb2


class Traffic(Protocol):
    @property
    def packets(self) -> int: ...

    @property
    def bytes(self) -> int: ...


class Counted(Protocol):
    """What was counted since the unit's start; ``channels`` by their numbers."""

    @property
    def received(self) -> int: ...

    @property
    def copies(self) -> int: ...

    @property
    def sent(self) -> int: ...

    @property
    def to_host(self) -> int: ...

    @property
    def drops(self) -> Mapping[Drop, int]: ...

    @property
    def channels(self) -> Mapping[int, Traffic]: ...


class Refused(Protocol):
    """Packets beyond a device's limit."""

    @property
    def received(self) -> int: ...

    @property
    def sent(self) -> int: ...


def counters_report(counted: Counted, refused: Mapping[str, Refused] | None = None) -> unit_pb2.UnitCounters:
    """``refused``: by device."""
    return unit_pb2.UnitCounters(
        received=counted.received,
        copies=counted.copies,
        sent=counted.sent,
        to_host=counted.to_host,
        drops={reason.label: count for reason, count in counted.drops.items() if count},
        channels={
            channel: unit_pb2.PacketCount(packets=traffic.packets, bytes=traffic.bytes)
            for channel, traffic in counted.channels.items()
        },
        refused={
            device: unit_pb2.Refused(received=each.received, sent=each.sent)
            for device, each in (refused or {}).items()
        },
    )
