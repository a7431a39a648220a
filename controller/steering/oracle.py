"""The oracle: what happens to a packet, in the plainest possible Python.

It is the truth that XDP and P4 are held against, packet for packet, and what ``Explain`` answers from.  It
follows ``docs/steering.md`` step by step; the numbers in square brackets are the steps of that document.
Nothing here is fast.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from controller.steering.artp import CLOSE, ArtpHeader, parse_artp, with_instance
from controller.steering.drops import Drop
from controller.steering.model import (
    NAME_PORT,
    PEER_LIFETIME,
    UDP,
    BindingKey,
    Channel,
    Endpoint,
    EndpointKind,
    FlowKey,
    ForkKey,
    LinkKey,
    LinkKind,
    Network,
    Override,
    Peer,
    PeerKey,
    PutKey,
    Selector,
    Service,
    SlotKey,
    Socket,
    Tables,
    Target,
    TargetKind,
    Unmatched,
    sending_time,
)
from controller.steering.outcome import Counters, Emission, Outcome, PacketCount, Step
from controller.steering.packet import (
    ARP,
    ETHERNET,
    ICMP,
    ICMPV6,
    IPV4,
    IPV6,
    LINK_LOCAL_V6,
    TCP,
    UNSPECIFIED_V4,
    UNSPECIFIED_V6,
    Datagram,
    Dropped,
    Udp,
    flow_hash,
    frame_of,
    is_bad_source,
    parse_arp,
    parse_ethernet,
    parse_ip,
    parse_udp,
    rewrite,
)

GUEST_RATE = 200.0
"""Packets per second that a guest link may send to the host."""
GUEST_BURST = 200.0
CONTROL_RATES = ((2000.0, 200.0), (20000.0, 1000.0))
"""Packets per second over the control network, and burst: of an instance, by a device of the unit."""
INSTANCES: tuple[Network, ...] = (IPv4Network("100.64.0.0/10"), IPv6Network("fd64:6970:726f::/64"))
"""Where the addresses of the node's instances lie (``addressing.py``)."""
LEARNT_MTU = 1500
NEIGHBOUR_DISCOVERY = (133, 135, 136)  # router solicitation, neighbour solicitation and advertisement
ON_LINKS_OF_THE_UNIT = range(133, 138)  # router advertisements and redirects as well
MAX_PROGRAMS = 8
"""Kernel programs that a packet may pass."""
REFRESH_INTERVAL = 1.0
"""Seconds for which a learnt row is left as it is."""


def _is_neighbour_discovery(datagram: Datagram) -> bool:
    """What ARP is for IPv4; it never crosses a router, hence the hop limit (RFC 4861)."""
    payload = datagram.payload
    is_icmp = datagram.source.version == 6 and datagram.protocol == ICMPV6 and len(payload) >= 8
    return is_icmp and payload[0] in ON_LINKS_OF_THE_UNIT and datagram.ttl == 255


@dataclass
class _Bucket:
    tokens: float
    filled: float


@dataclass(frozen=True)
class Handled:
    """What a kernel program made of a frame: frames by the number of the stream, and why others are none.

    Nothing of both: only the program itself knows.
    """

    puts: tuple[tuple[int, bytes], ...] = ()
    drops: tuple[Drop, ...] = ()


KernelProgram = Callable[[int, bytes, float], Handled]
"""Handles a frame that came by a stream, by its number, at a time."""


@dataclass
class Oracle:
    """One unit.  ``tables`` is read live: rows may come and go between packets."""

    tables: Tables
    guest_rate: float = GUEST_RATE
    guest_burst: float = GUEST_BURST
    counters: Counters = field(default_factory=Counters)
    programs: Mapping[int, KernelProgram] = field(default_factory=dict)
    learnt: dict[PeerKey, tuple[Peer, float]] = field(default_factory=dict)
    """Learnt peers and when."""
    round_robin: Counter[int] = field(default_factory=Counter)
    """Packets so far, by group."""
    _buckets: dict[tuple[LinkKey, bool], _Bucket] = field(default_factory=dict)
    _full: dict[tuple[str, str], int] = field(default_factory=dict)
    """When the buckets of a device's limit are full, ns; by device and direction."""

    def receive(self, device: str, frame: bytes, now: float) -> Outcome:
        """Handle one frame that came in by ``device`` at ``now`` (seconds, monotonic), to its end."""
        return _Passage(self, device, frame, now).run()

    def take_token(self, link: LinkKey, now: float) -> bool:
        """One of those that a guest has for the host."""
        return self._take_token((link, False), self.guest_rate, self.guest_burst, now)

    def take_control_token(self, sender: LinkKey, device: LinkKey, now: float) -> bool:
        """One of the sender's for the control network, and then one of the device that leads there."""
        return all(
            self._take_token((link, True), rate, burst, now)
            for link, (rate, burst) in zip((sender, device), CONTROL_RATES, strict=True)
        )

    def _take_token(self, key: tuple[LinkKey, bool], rate: float, burst: float, now: float) -> bool:
        bucket = self._buckets.setdefault(key, _Bucket(burst, now))
        elapsed = now - bucket.filled
        bucket.tokens = min(burst, bucket.tokens + elapsed * rate)
        bucket.filled = now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def may_pass(self, device: str, direction: str, octets: int, bursts: int, now: float) -> bool:
        """Whether the device's limit lets so many bytes pass ``received`` or ``sent``."""
        limit = self.tables.limit.get(device)
        rate: int = getattr(limit, direction) if limit else 0
        if limit is None or not rate:
            return True
        time = int(now * 1e9)
        full = max(time, self._full.get((device, direction), 0)) + sending_time(octets, rate)
        if full - time > sending_time(limit.burst, rate) * bursts:
            return False
        self._full[device, direction] = full
        return True

    def find_peer(self, key: PeerKey, now: float) -> Peer | None:
        """A row of the control unit, or a learnt one that is young enough."""
        written = self.tables.peer.get(key)
        if written is not None:
            return written
        row, learnt = self.learnt.get(key, (None, 0.0))
        return row if now - learnt <= PEER_LIFETIME else None

    def learn(self, key: PeerKey, row: Peer, now: float) -> None:
        if key not in self.learnt or now - self.learnt[key][1] >= REFRESH_INTERVAL:
            self.learnt[key] = (row, now)


@dataclass
class _Passage:
    """One frame's way through one unit; ``link``, ``key`` and ``ethernet`` are set on its way in."""

    oracle: Oracle
    device: str
    frame: bytes
    now: float
    outcome: Outcome = field(default_factory=Outcome)
    programs: int = 0
    """Of the kernel that it has passed."""

    def __post_init__(self) -> None:
        self.artp: ArtpHeader | None = None
        self.service = Service.BEST_EFFORT
        self.tables = self.oracle.tables
        self.counters = self.oracle.counters

    def run(self) -> Outcome:
        try:
            self._enter()
        except Dropped as dropped:
            self._drop(0, dropped.reason)
        return self.outcome

    # Sections 1 to 4

    def _enter(self) -> None:
        self.counters.received += 1  # [1]
        self.ethernet = ethernet = parse_ethernet(self.frame)  # [1, 2]
        self.key = LinkKey(self.device, ethernet.vlan)
        found = self.tables.link.get(self.key)  # [3]
        if found is None:
            raise Dropped(Drop.NO_LINK)
        if found.kind is LinkKind.FORK:
            self.counters.received -= 1
            return
        self.link = link = found
        self._met(0, "link", f"{self._link_name}: {link.kind.name.lower()}")
        guest = link.kind is LinkKind.GUEST
        multicast = ethernet.destination.octets[0] & 1
        if not multicast and ethernet.destination != link.mac:  # [4]
            raise Dropped(Drop.NOT_FOR_US)
        if guest and ethernet.source != link.guest_mac:  # [5]
            raise Dropped(Drop.SPOOFED_MAC)
        if ethernet.ethertype == ARP:  # [6]
            if guest:
                self._guest_arp()
            else:
                self._to_host()
            return
        if ethernet.ethertype not in (IPV4, IPV6):  # [7]
            if guest:
                raise Dropped(Drop.GUEST_FORBIDDEN)
            self._unmatched(Drop.NOT_IP)
            return
        datagram = parse_ip(ethernet.ethertype, ethernet.payload)  # [8]
        if is_bad_source(datagram.source):  # [9]
            dhcp = guest and datagram.source == UNSPECIFIED_V4 and datagram.protocol == UDP
            detection = datagram.source == UNSPECIFIED_V6 and datagram.protocol == ICMPV6
            if not dhcp and not detection:
                raise Dropped(Drop.BAD_ADDRESS)
        if datagram.protocol != UDP:
            if guest:
                self._guest_not_udp(datagram)
            elif _is_neighbour_discovery(datagram):  # [11]
                self._to_host()
            else:
                self._unmatched(Drop.NO_FLOW)
            return
        udp = parse_udp(datagram)  # [12]
        if guest:
            self._guest_udp(udp)
        else:
            self._udp(udp)

    def _unmatched(self, reason: Drop) -> None:
        """What no session can want [7, 11]."""
        if self.link.unmatched is Unmatched.DROP:
            raise Dropped(reason)
        self._to_host()

    def _guest_arp(self) -> None:  # [6]
        link, arp = self.link, parse_arp(self.ethernet.payload)
        if arp is None:
            raise Dropped(Drop.GUEST_FORBIDDEN)
        probe = arp.sender == UNSPECIFIED_V4
        if arp.sender_mac != link.guest_mac or (arp.sender not in link.addresses and not probe):
            raise Dropped(Drop.SPOOFED_ADDRESS)
        if arp.target not in link.gateways and arp.target not in link.addresses:
            raise Dropped(Drop.GUEST_FORBIDDEN)
        self._guest_to_host()

    def _guest_not_udp(self, datagram: Datagram) -> None:  # [10]
        payload, source = datagram.payload, datagram.source
        six = source.version == 6
        own = source in self.link.addresses
        is_icmp = datagram.protocol == (ICMPV6 if six else ICMP) and len(payload) >= 8
        icmp_type = payload[0] if is_icmp else None
        on_link = own or source == UNSPECIFIED_V6 or source in LINK_LOCAL_V6
        if six and icmp_type in NEIGHBOUR_DISCOVERY and datagram.ttl == 255 and on_link:
            self._guest_to_host()
            return
        if not own:
            raise Dropped(Drop.SPOOFED_ADDRESS)
        echo = icmp_type == (128 if six else 8)
        is_tcp = datagram.protocol == TCP and len(payload) >= 20
        name_protocol = is_tcp and struct.unpack_from("!H", payload, 2) == (NAME_PORT,)
        if datagram.destination not in self.link.gateways or not (echo or name_protocol):
            raise Dropped(Drop.GUEST_FORBIDDEN)
        self._guest_to_host()

    # Section 5: UDP

    def _guest_udp(self, udp: Udp) -> None:  # [13]
        source, destination = udp.source, udp.destination
        own = source.address in self.link.addresses
        ports = (source.port, destination.port)
        if source.address.version == 4:
            dhcp = ports == (68, 67) and (own or source.address == UNSPECIFIED_V4)
        else:
            dhcp = ports == (546, 547) and source.address in LINK_LOCAL_V6
        if dhcp:
            self._guest_to_host()
            return
        if not own:
            raise Dropped(Drop.SPOOFED_ADDRESS)
        if destination.address not in self.link.gateways:
            peer = self.oracle.find_peer(PeerKey(source, destination), self.now)
            if peer is None:
                raise Dropped(Drop.GUEST_FORBIDDEN)
            self._pass_guest_limit(udp)
            self._answer(udp, peer)
            return
        if destination.port == NAME_PORT:
            raise Dropped(Drop.GUEST_FORBIDDEN)
        binding = self.tables.binding.get(BindingKey(self.key, source))
        if binding is None:
            raise Dropped(Drop.NO_BINDING)
        self._met(0, "binding", f"{source} on {self._link_name} → {binding.target}")
        self._pass_guest_limit(udp)
        self._found(binding.target, udp, wild=False)

    def _pass_guest_limit(self, udp: Udp) -> None:  # [13a]
        if not self.oracle.may_pass(self.device, "received", udp.datagram.length, 1, self.now):
            raise Dropped(Drop.RATE_LIMITED)
        limit = self.tables.limit.get(self.device)
        if limit and limit.received:
            self.service = Service.ASSURED

    def _udp(self, udp: Udp) -> None:  # [14]
        key = FlowKey(UDP, udp.destination, udp.source)
        if key not in self.tables.flow:
            key = FlowKey(UDP, udp.destination)
        flow = self.tables.flow.get(key)
        if flow is None:
            self._no_flow(udp)
            return
        self._met(0, "flow", f"udp {key.destination} from {key.source or 'anywhere'} → {flow.target}")
        if not flow.links & (1 << self.link.kind):
            raise Dropped(Drop.WRONG_LINK)
        if flow.permitted_source is not None and udp.source.address not in flow.permitted_source:
            raise Dropped(Drop.SOURCE_REFUSED)
        self._found(flow.target, udp, wild=key.source is None)

    def _no_flow(self, udp: Udp) -> None:
        if self.link.kind is LinkKind.NODE:
            peer = self.oracle.find_peer(PeerKey(udp.source, udp.destination), self.now)
            if peer is not None:
                self._answer(udp, peer)
                return
        if self.link.kind is LinkKind.CONTROL:
            if any(udp.source.address in network for network in INSTANCES):
                raise Dropped(Drop.NO_FLOW)
            self._to_host()
            return
        if self.link.unmatched is Unmatched.REQUEST:
            raise Dropped(Drop.REQUESTED)
        self._unmatched(Drop.NO_FLOW)

    # Section 5a: ARTP

    def _found(self, target: Target, udp: Udp, wild: bool) -> None:
        if target.kind is TargetKind.ARTP:
            self._artp(target.id, udp, wild)
        else:
            self._steer(target, udp, wild)

    def _artp(self, number: int, udp: Udp, wild: bool) -> None:
        row = self.tables.artp.get(number)
        if row is None:
            raise Dropped(Drop.NO_RULE)
        udp, header = self._read_artp(udp)  # [14a, 14b]
        if header.control and header.type != CLOSE:  # [14c]
            target, nobody = row.control, Drop.OWN_CONTROL
        elif header.control and row.everyone is not None:  # [14d]
            target, nobody = row.everyone, Drop.NO_BINDING
        elif header.chosen and row.named is not None:  # [14e]
            target, nobody = row.named, Drop.NO_BINDING
        elif header.destinations and row.override is not None:  # [14f]
            self._override(row.override, header.destinations, udp)
            return
        else:  # [14g]
            target, nobody = row.target, Drop.NO_BINDING
        if target is None:
            raise Dropped(nobody)
        self._met(0, "artp", f"{number} → {target}")
        self._steer(target, udp, wild)

    def _read_artp(self, udp: Udp) -> tuple[Udp, ArtpHeader]:
        """The header, and the packet with its sender's number in it if it came from an instance."""
        header = parse_artp(udp)
        if self.link.instance and not header.chosen:
            udp = with_instance(udp, self.link.instance)
            behind = self.ethernet.payload[udp.datagram.length :]
            head = self.frame[: len(self.frame) - len(self.ethernet.payload)]
            self.frame = head + udp.datagram.header + udp.datagram.payload + behind
            header = parse_artp(udp)
        self.artp = header
        return udp, header

    def _override(self, row: Override, destinations: tuple[Socket, ...], udp: Udp) -> None:  # [14f]
        if row.permitted is None or any(each.address not in row.permitted for each in destinations):
            raise Dropped(Drop.OVERRIDE_REFUSED)
        self.counters.copies += len(destinations) - 1
        for copy, destination in enumerate(destinations):
            try:
                self._to_destination(copy, row, destination, udp)
            except Dropped as dropped:
                self._drop(copy, dropped.reason)

    def _to_destination(self, copy: int, row: Override, destination: Socket, udp: Udp) -> None:
        if row.channel not in self.tables.channel:
            raise Dropped(Drop.NO_RULE)
        self._count(row.channel, udp)
        self._met(copy, "override", f"{destination} in {row.permitted}")
        if destination.address.version != udp.source.address.version:
            raise Dropped(Drop.FAMILY_MISMATCH)
        hop = self.tables.next_hop.get(destination.address)
        if hop is None:
            raise Dropped(Drop.NO_NEXT_HOP)
        self._check_size(udp.datagram, hop.mtu)
        packet = rewrite(udp, row.source, destination)
        frame = frame_of(packet, hop.destination_mac, hop.source_mac, hop.vlan)
        service = self.tables.channel[row.channel].service
        self._send(Emission(hop.device, frame, copy, row.channel), udp, service)

    # Sections 6 and 7: target and channel

    def _steer(self, target: Target, udp: Udp | None, wild: bool) -> None:  # [15]
        channels = [target.id]
        if target.kind is TargetKind.FORK:
            channels = self._branches(target.id)
            if not channels:
                raise Dropped(Drop.NO_RULE)
        self.counters.copies += len(channels) - 1
        for copy, channel in enumerate(channels):
            if target.kind is TargetKind.FORK:
                self._met(copy, "fork", f"{target.id} copy {copy} → channel {channel}")
            try:
                self._channel(copy, channel, udp, wild)
            except Dropped as dropped:
                self._drop(copy, dropped.reason)

    def _branches(self, fork: int) -> list[int]:
        channels: list[int] = []
        while (branch := self.tables.fork.get(ForkKey(fork, len(channels)))) is not None:
            channels.append(branch.channel)
        return channels

    def _channel(self, copy: int, number: int, udp: Udp | None, wild: bool) -> None:
        channel = self.tables.channel.get(number)
        if channel is None:
            raise Dropped(Drop.NO_RULE)
        self._count(number, udp)  # [16]
        if channel.member and self.artp and self.artp.instance == channel.member:
            raise Dropped(Drop.OWN_CONTROL)
        index = self._select(channel, udp) & channel.mask  # [17]
        self._met(copy, "channel", f"{number}: {channel.selector.name.lower()} gives {index}")
        endpoint_number = self._choose(copy, channel, index)
        endpoint = self.tables.endpoint[endpoint_number]
        if endpoint.kind is EndpointKind.KERNEL:
            self._enter_program(copy, endpoint)
            return
        if udp is None:
            raise Dropped(Drop.NOT_REWRITABLE)
        self._met(copy, "endpoint", f"{endpoint_number}: {endpoint.kind.name.lower()} {endpoint.destination}")
        datagram = udp.datagram
        if endpoint.destination.address.version != datagram.source.version:  # [19]
            raise Dropped(Drop.FAMILY_MISMATCH)
        self._check_size(datagram, endpoint.mtu)
        if endpoint.kind is EndpointKind.CONTROL:
            self._control_network(endpoint.device, endpoint.vlan)
        if wild:
            self._learn(udp, endpoint)
        source = None if endpoint.kind is EndpointKind.GUEST else endpoint.source
        packet = rewrite(udp, source, endpoint.destination)  # [21]
        frame = frame_of(packet, endpoint.destination_mac, endpoint.source_mac, endpoint.vlan)
        self._send(Emission(endpoint.device, frame, copy, number, endpoint_number), udp, channel.service)

    def _select(self, channel: Channel, udp: Udp | None) -> int:
        match channel.selector:
            case Selector.COUNTER:
                before = self.oracle.round_robin[channel.group]
                self.oracle.round_robin[channel.group] = (before + 1) & 0xFFFFFFFF
                return before
            case _ if udp is None:
                return 0
            case Selector.HASH:
                return flow_hash(udp)
            case Selector.DATAGRAM:
                return self.artp.datagram if self.artp else 0
            case Selector.INSTANCE:
                return self.artp.instance if self.artp else 0
            case Selector.ZERO:
                return 0

    def _choose(self, copy: int, channel: Channel, index: int) -> int:
        """The number of the endpoint that takes the packet [18]; its row exists."""
        key = SlotKey(channel.group, index)
        slot = self.tables.slot.get(key)
        if slot is None:
            by_instance = channel.selector is Selector.INSTANCE
            raise Dropped(Drop.NO_SUCH_INSTANCE if by_instance else Drop.NO_RULE)
        self._met(copy, "slot", f"{key.group}+{key.index} → endpoint {slot.endpoint}, backup {slot.backup}")
        for number in (slot.endpoint, slot.backup):
            if number is None:
                continue
            endpoint = self.tables.endpoint.get(number)
            if endpoint is None:
                raise Dropped(Drop.NO_RULE)
            if self._alive(endpoint.unit):
                return number
            self._met(copy, "unit", f"{endpoint.unit}: dead")
        raise Dropped(Drop.NO_LIVE_ENDPOINT)

    def _alive(self, number: int) -> bool:
        unit = self.tables.unit.get(number)
        return number == 0 or (unit is not None and unit.alive)

    def _learn(self, udp: Udp, endpoint: Endpoint) -> None:  # [20]
        if endpoint.kind is EndpointKind.GUEST and endpoint.public is not None:
            local, public = endpoint.destination, endpoint.public
        elif endpoint.kind is EndpointKind.NODE and self.link.kind is LinkKind.OUTSIDE:
            local, public = udp.destination, None
        else:
            return
        mac, artp = self.ethernet.source, self.artp is not None
        row = Peer(self.device, self.key.vlan, self.link.mac, mac, public, LEARNT_MTU, artp)
        self.oracle.learn(PeerKey(local, udp.source), row, self.now)

    # Section 9: kernel programs

    def _enter_program(self, copy: int, endpoint: Endpoint) -> None:  # [23]
        self._met(copy, "endpoint", f"kernel program {endpoint.program} stream {endpoint.stream}")
        if self.programs == MAX_PROGRAMS:
            raise Dropped(Drop.CHAIN_TOO_LONG)
        handle = self.oracle.programs.get(endpoint.program)
        if handle is None:
            raise Dropped(Drop.NO_RULE)
        handled = handle(endpoint.stream, self.frame, self.now)
        if not handled.puts and not handled.drops:
            self.outcome.trace.append(Step(copy, "", "", "handed to the program"))
            return
        self.counters.copies += len(handled.puts) + len(handled.drops) - 1  # [24]
        for reason in handled.drops:
            self._drop(copy, reason)
        for stream, frame in handled.puts:
            way = _Passage(self.oracle, self.device, frame, self.now, self.outcome, self.programs + 1)
            way.key = self.key
            try:
                way.put(copy, PutKey(endpoint.program, stream))
            except Dropped as dropped:
                self._drop(copy, dropped.reason)

    def put(self, copy: int, key: PutKey) -> None:  # [25]
        binding = self.tables.binding.get(key)
        if binding is None:
            raise Dropped(Drop.NO_BINDING)
        self._met(copy, "binding", f"program {key.program} puts to {key.stream} → {binding.target}")
        self._steer(binding.target, self._rewritable(), wild=False)

    def _rewritable(self) -> Udp | None:  # [26]
        try:
            ethernet = parse_ethernet(self.frame)
            if ethernet.ethertype not in (IPV4, IPV6):
                return None
            datagram = parse_ip(ethernet.ethertype, ethernet.payload)
            if datagram.protocol != UDP or is_bad_source(datagram.source):
                return None
            return parse_udp(datagram)
        except Dropped:
            return None

    # Section 8: answer

    def _answer(self, udp: Udp, peer: Peer) -> None:  # [22]
        self._met(0, "peer", f"{udp.source} may answer {udp.destination} → {peer.device}")
        if peer.artp:
            udp, _ = self._read_artp(udp)
        self._check_size(udp.datagram, peer.mtu)
        if peer.control:
            self._control_network(peer.device, peer.vlan)
        packet = rewrite(udp, source=peer.source)
        frame = frame_of(packet, peer.destination_mac, peer.source_mac, peer.vlan)
        self._send(Emission(peer.device, frame), udp, self.service)

    # What becomes of a packet

    def _count(self, channel: int, udp: Udp | None) -> None:
        count = self.counters.channels.setdefault(channel, PacketCount())
        count.packets += 1
        count.bytes += udp.datagram.length if udp else len(self.frame) - ETHERNET

    def _control_network(self, device: str, vlan: int) -> None:  # [19a]
        if not self.oracle.take_control_token(self.key, LinkKey(device, vlan), self.now):
            raise Dropped(Drop.CONTROL_RATE)

    @staticmethod
    def _check_size(datagram: Datagram, mtu: int) -> None:
        if datagram.ttl <= 1:
            raise Dropped(Drop.TTL_EXPIRED)
        if datagram.length > mtu:
            raise Dropped(Drop.TOO_BIG)

    @property
    def _link_name(self) -> str:
        return f"{self.device} vlan {self.key.vlan}" if self.key.vlan else self.device

    def _met(self, copy: int, table: str, rule: str) -> None:
        self.outcome.trace.append(Step(copy, table, rule))

    def _drop(self, copy: int, reason: Drop) -> None:
        self.counters.drops[reason] += 1
        self.outcome.drops.append(reason)
        self.outcome.trace.append(Step(copy, "", "", f"dropped {reason.label}"))

    def _to_host(self) -> None:
        self.counters.to_host += 1
        self.outcome.to_host = True
        self.outcome.trace.append(Step(0, "", "", "to host"))

    def _guest_to_host(self) -> None:
        if not self.oracle.take_token(self.key, self.now):
            raise Dropped(Drop.GUEST_RATE)
        self._to_host()

    def _send(self, emission: Emission, udp: Udp, service: Service) -> None:
        octets, bursts = udp.datagram.length, service + 1
        if not self.oracle.may_pass(emission.device, "sent", octets, bursts, self.now):  # [21a]
            raise Dropped(Drop.RATE_LIMITED)
        self.counters.sent += 1
        self.outcome.emissions.append(emission)
        where = f"on {emission.device}" if emission.device else "to the next hop"  # which the unit will find
        self.outcome.trace.append(Step(emission.copy, "", "", f"sent {where}"))
