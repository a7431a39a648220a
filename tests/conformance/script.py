"""How golden cases are written down: what arrives, and what must become of it, by hand."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Packet, Raw

from controller.steering.drops import Drop
from controller.steering.model import Mac, Socket, Tables
from controller.steering.outcome import Counters, PacketCount
from tests.conformance.plane import Arrival, Event, Observation, Run, Sent, SetAlive, observation


def ip(
    source: Socket, destination: Socket, load: bytes = b"payload", ttl: int = 64, **ip_fields: Any
) -> Packet:
    """An IP/UDP packet; scapy fills in lengths and checksums where ``ip_fields`` do not."""
    six = source.address.version == 6
    addresses: dict[str, Any] = {"src": str(source.address), "dst": str(destination.address)}
    header = IPv6(**addresses, hlim=ttl, **ip_fields) if six else IP(**addresses, ttl=ttl, **ip_fields)
    return header / UDP(sport=source.port, dport=destination.port) / Raw(load)


def ethernet(source: Mac, destination: Mac, packet: Packet, vlan: int | None = None) -> bytes:
    header = Ether(src=str(source), dst=str(destination))
    return bytes(header / packet if vlan is None else header / Dot1Q(vlan=vlan) / packet)


@dataclass(frozen=True)
class End:
    """What becomes of one copy: a frame, a drop or the host; ``channel`` is the one that counted it."""

    sent: Sent | None = None
    drop: Drop | None = None
    channel: int | None = None


def out(device: str, frame: bytes, channel: int | None = None) -> End:
    return End(sent=Sent(device, frame), channel=channel)


def lost(reason: Drop, channel: int | None = None) -> End:
    return End(drop=reason, channel=channel)


HOST = End()


@dataclass
class Script:
    """Tables, what happens, and what is expected of it."""

    tables: Tables
    events: list[Event] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    counters: Counters = field(default_factory=Counters)

    def arrives(self, device: str, frame: bytes, *ends: End, wait: float = 0.0) -> None:
        """A frame enters; one end for each copy of it."""
        self.events.append(Arrival(device, frame, wait))
        sent = [end.sent for end in ends if end.sent is not None]
        drops = [end.drop for end in ends if end.drop is not None]
        to_host = HOST in ends
        self.observations.append(observation(sent, drops, to_host))
        self.counters.received += 1
        self.counters.copies += len(ends) - 1
        self.counters.sent += len(sent)
        self.counters.to_host += to_host
        self.counters.drops += Counter(drops)
        for end in ends:
            if end.channel is not None:
                count = self.counters.channels.setdefault(end.channel, PacketCount())
                count.packets += 1
                count.bytes += _ip_length(frame)

    def counts(self, channel: int, size: int) -> None:
        """One more packet that a channel counted on the way to an end, behind a kernel program."""
        count = self.counters.channels.setdefault(channel, PacketCount())
        count.packets += 1
        count.bytes += size

    def becomes(self, unit: int, alive: bool) -> None:
        self.events.append(SetAlive(unit, alive))

    @property
    def expected(self) -> Run:
        return Run(self.observations, self.counters)


def _ip_length(frame: bytes) -> int:
    offset = 14
    (ethertype,) = struct.unpack_from("!H", frame, 12)
    if ethertype in (0x8100, 0x88A8):
        offset = 18
    if frame[offset] >> 4 == 4:
        return int(struct.unpack_from("!H", frame, offset + 2)[0])
    return 40 + int(struct.unpack_from("!H", frame, offset + 4)[0])


@dataclass(frozen=True)
class Case:
    """``edge``: it holds on a unit without guests too. ``artp``: ARTP is spoken. ``waits``: time passes."""

    name: str
    requirements: tuple[str, ...]
    edge: bool
    script: Script
    artp: bool = False

    @property
    def waits(self) -> bool:
        return any(isinstance(event, Arrival) and event.wait for event in self.script.events)

    @property
    def shortest_frame(self) -> int:
        return min(len(event.frame) for event in self.script.events if isinstance(event, Arrival))


CASES: list[Case] = []


def case(
    *requirements: str, edge: bool, artp: bool = False
) -> Callable[[Callable[[], Script]], Callable[[], Script]]:
    """Register a golden case: the function returns its script, its name is the case's."""

    def register(write: Callable[[], Script]) -> Callable[[], Script]:
        CASES.append(Case(write.__name__, requirements, edge, write(), artp))
        return write

    return register
