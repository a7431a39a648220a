"""The steering model: the rows of the node's tables as plain data.

Three executors read these rows and must agree packet for packet: the oracle (``oracle.py``, the truth),
XDP (``ebpf/``) and P4 (``p4/``).  The tables and their names are those of the architecture document; a driver
turns device names into interface or port numbers and nothing else.

Identifiers (channel, fork, endpoint, group, artp, unit) are small positive integers, allocated by the
control unit and unique on one unit, so that the data planes can hold these tables as arrays.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from enum import IntEnum, IntFlag
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

UDP = 17
NAME_PORT = 7070
"""TCP port of the name protocol on every guest link's gateway."""
PEER_LIFETIME = 60.0
"""Seconds for which a learnt outside source may be answered (R5)."""


@dataclass(frozen=True, order=True)
class Mac:
    """A 48-bit Ethernet address."""

    octets: bytes

    def __post_init__(self) -> None:
        if len(self.octets) != 6:
            raise ValueError(f"a MAC address has 6 octets, not {len(self.octets)}")

    @classmethod
    def parse(cls, text: str) -> Mac:
        return cls(bytes.fromhex(text.replace(":", "")))

    def __str__(self) -> str:
        return self.octets.hex(":")


@dataclass(frozen=True)
class Socket:
    """An address and a UDP port."""

    address: Address
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{host}:{self.port}"


# link


class LinkKind(IntEnum):
    """What lies behind a link."""

    OUTSIDE = 1
    NODE = 2
    GUEST = 3
    FORK = 4
    CONTROL = 5
    """The control network: the node's own traffic, and the control channels of sessions beside it."""


class LinkScope(IntFlag):
    """From which kinds of link a flow row may be entered; a bit per ``LinkKind`` (1 << kind)."""

    OUTSIDE = 1 << LinkKind.OUTSIDE
    NODE = 1 << LinkKind.NODE
    CONTROL = 1 << LinkKind.CONTROL


class Unmatched(IntEnum):
    """What happens to a packet that meets no row: guests always drop."""

    DROP = 0
    HOST = 1
    REQUEST = 2


@dataclass(frozen=True)
class LinkKey:
    """A device of the unit and a VLAN id on it, 0 = untagged."""

    device: str
    vlan: int = 0


@dataclass(frozen=True)
class Link:
    """How packets that enter by one link are treated.

    ``mac`` is the own MAC of the unit there: a unicast frame to another is not ours.  The rest is for
    guests: the slice it belongs to, the only MAC and addresses (at most ``MAX_GUEST_ADDRESSES``) that it
    may use, its gateways (the unit's addresses on that link, at most one of each family), and the number of
    its instance in its session, which the unit writes into what it sends by ARTP (0: none).
    """

    kind: LinkKind
    mac: Mac
    unmatched: Unmatched = Unmatched.DROP
    slice: int = 0
    guest_mac: Mac | None = None
    addresses: tuple[Address, ...] = ()
    gateways: tuple[Address, ...] = ()
    instance: int = 0


MAX_GUEST_ADDRESSES = 4


# limit


class Service(IntEnum):
    """The class of a channel's packets: who may still send when a device is near its limit."""

    BEST_EFFORT = 0
    ASSURED = 1
    REALTIME = 2


@dataclass(frozen=True)
class Limit:
    """How much may pass a device, in bit/s of IP packets; 0 is as much as it takes.

    ``received``: what a guest sends, and so enters by its device.  ``sent``: what leaves by a device.
    ``burst``: bytes that may pass at once after a pause; a longer packet never does.  On its way out
    ``BEST_EFFORT`` has one burst, ``ASSURED`` two, ``REALTIME`` three: what one leaves over is there for
    those above it, so that they come before it.
    """

    received: int = 0
    sent: int = 0
    burst: int = 1 << 16


MAX_BURST = 1 << 29
"""Its time at 1 bit/s, for every class, fits into 64 bits of nanoseconds."""


def sending_time(octets: int, rate: int) -> int:
    """Nanoseconds that so many bytes take at a rate in bit/s, rounded down as the kernel does it."""
    return octets * 8_000_000_000 // rate


# what a lookup finds


class TargetKind(IntEnum):
    CHANNEL = 0
    FORK = 1
    ARTP = 2


@dataclass(frozen=True)
class Target:
    """What a lookup finds: a channel or a fork; of a flow or binding that speaks ARTP, its ``artp`` row."""

    kind: TargetKind
    id: int

    def __str__(self) -> str:
        return f"{self.kind.name.lower()} {self.id}"


@dataclass(frozen=True)
class FlowKey:
    """``source is None`` stands for any source: tried when the exact five-tuple misses."""

    protocol: int
    destination: Socket
    source: Socket | None = None


@dataclass(frozen=True)
class Flow:
    """``permitted_source`` is checked after the hit and is never a key."""

    target: Target
    links: LinkScope
    permitted_source: Network | None = None


@dataclass(frozen=True)
class BindingKey:
    """How a packet leaves a program: from a registered port, to its gateway (any port but 7070)."""

    link: LinkKey
    source: Socket


@dataclass(frozen=True)
class PutKey:
    """What a kernel program puts to one of its streams, both by number."""

    program: int
    stream: int


MAX_STREAMS = 31
"""Of a kernel program."""


@dataclass(frozen=True)
class Binding:
    """``target``: of a ``PutKey`` a channel or a fork."""

    target: Target


# ARTP


@dataclass(frozen=True)
class Override:
    """What becomes of destinations that an ARTP packet names instead of an output's receivers (R7).

    ``permitted``: where all of them must lie; None: nowhere.  ``source``: what the packets leave with, None
    keeps their own.  ``channel`` counts them; its slots play no part.
    """

    permitted: Network | None
    channel: int
    source: Socket | None = None


@dataclass(frozen=True)
class Artp:
    """Where the ARTP packets of a flow or binding go; each a channel or a fork, or None.

    ``target``: those that nothing else applies to.  ``control``: control information (R6).  ``everyone``: a
    CLOSE that is for all instances.  ``named``: packets that name the instance that shall get them.
    ``override`` is an output's: None lets destinations pass unread, to be used further on.
    """

    target: Target | None = None
    control: Target | None = None
    everyone: Target | None = None
    named: Target | None = None
    override: Override | None = None


@dataclass(frozen=True)
class NextHop:
    """How packets for an address that ARTP named leave.  The unit's own row: it finds next hops itself."""

    device: str
    vlan: int
    source_mac: Mac
    destination_mac: Mac
    mtu: int = 1500


# return traffic


@dataclass(frozen=True)
class PeerKey:
    """``local``: an instance's input, or, where distribution meets the outside, the public address."""

    local: Socket
    remote: Socket


@dataclass(frozen=True)
class Peer:
    """Where an answer to ``remote`` leaves, and the public source that it leaves with (None = kept).

    ``artp``: the answer is an ARTP packet.  ``control``: it goes over the control network, at its rate.
    """

    device: str
    vlan: int
    source_mac: Mac
    destination_mac: Mac
    source: Socket | None = None
    mtu: int = 1500
    artp: bool = False
    control: bool = False


# forks, channels, slots, endpoints, units


@dataclass(frozen=True)
class ForkKey:
    """Copies of one fork are numbered 0 … n-1 without gaps."""

    fork: int
    copy: int


@dataclass(frozen=True)
class ForkBranch:
    channel: int


class Selector(IntEnum):
    """What is masked into a slot index (R2)."""

    ZERO = 0
    COUNTER = 1
    HASH = 2
    DATAGRAM = 3
    INSTANCE = 4


@dataclass(frozen=True)
class Channel:
    """One channel: index = selector & mask, in the group of mask + 1 slots (a power of two).

    ``member``: the instance that it leads to, where that is one of a control group: its own control
    information does not return to it (R6).  0: no matter.
    """

    selector: Selector
    mask: int
    group: int
    session: int
    member: int = 0
    service: Service = Service.BEST_EFFORT


@dataclass(frozen=True)
class SlotKey:
    """A group of 2^k slots owns the numbers group … group + 2^k - 1: group + index is unique on a unit."""

    group: int
    index: int


@dataclass(frozen=True)
class Slot:
    endpoint: int
    backup: int | None = None


class EndpointKind(IntEnum):
    GUEST = 1
    KERNEL = 2
    NODE = 3
    RECEIVER = 4
    CONTROL = 5
    """As ``NODE``, over the control network and at no more than its rate."""


@dataclass(frozen=True)
class Endpoint:
    """Where a packet can be sent next, with everything that the rewrite needs.

    ``source``: None keeps the packet's own.  For a guest endpoint the source is always kept (R5); there
    ``public`` is the address that answers of this input leave with, and None for an input that only other
    programs feed.  ``mtu``: bytes of the IP packet.  ``unit``: whose liveness decides; 0 is always alive.
    A kernel endpoint has nothing but ``program`` and ``stream``: see ``kernel_endpoint``.
    """

    kind: EndpointKind
    device: str
    source_mac: Mac
    destination_mac: Mac
    destination: Socket
    vlan: int = 0
    source: Socket | None = None
    public: Socket | None = None
    mtu: int = 1500
    unit: int = 0
    program: int = 0
    stream: int = 0


def kernel_endpoint(program: int, stream: int) -> Endpoint:
    """A stream of a kernel program on this unit: the frame is handed over as it is."""
    nowhere = Mac(bytes(6))
    end = Socket(IPv4Address(0), 0)
    return Endpoint(EndpointKind.KERNEL, "", nowhere, nowhere, end, program=program, stream=stream)


@dataclass(frozen=True)
class Unit:
    alive: bool


@dataclass
class Tables:
    """All rows of one unit."""

    link: dict[LinkKey, Link] = field(default_factory=dict)
    limit: dict[str, Limit] = field(default_factory=dict)
    """By device, whatever VLAN its packets carry."""
    flow: dict[FlowKey, Flow] = field(default_factory=dict)
    artp: dict[int, Artp] = field(default_factory=dict)
    next_hop: dict[Address, NextHop] = field(default_factory=dict)
    binding: dict[BindingKey | PutKey, Binding] = field(default_factory=dict)
    peer: dict[PeerKey, Peer] = field(default_factory=dict)
    fork: dict[ForkKey, ForkBranch] = field(default_factory=dict)
    channel: dict[int, Channel] = field(default_factory=dict)
    slot: dict[SlotKey, Slot] = field(default_factory=dict)
    endpoint: dict[int, Endpoint] = field(default_factory=dict)
    unit: dict[int, Unit] = field(default_factory=dict)

    def rows(self) -> Iterator[tuple[str, object, object]]:
        """Every row as (table, key, value)."""
        for table in fields(self):
            for key, value in getattr(self, table.name).items():
                yield table.name, key, value

    def merge(self, other: Tables) -> None:
        """Add the rows of ``other``; the same key with another value is a programming error."""
        for table, key, value in other.rows():
            mine = getattr(self, table)
            if mine.setdefault(key, value) != value:
                raise ValueError(f"{table} row {key} stands twice with different values")
