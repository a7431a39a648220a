"""Tables and events for Hypothesis: consistent rule sets over a small network, frames that mostly hit them.

Few addresses and ports, so that rows meet packets and each other; now and then a row is missing, a frame is
almost right, broken in one or two places, or noise.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from functools import cache
from ipaddress import IPv6Address, ip_network

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy, composite

from controller.steering.model import (
    Address,
    Artp,
    Binding,
    BindingKey,
    Channel,
    Endpoint,
    EndpointKind,
    Flow,
    FlowKey,
    ForkBranch,
    ForkKey,
    Limit,
    Link,
    LinkKey,
    LinkKind,
    LinkScope,
    Mac,
    Network,
    NextHop,
    Override,
    Peer,
    PeerKey,
    PutKey,
    Selector,
    Service,
    Slot,
    SlotKey,
    Socket,
    Tables,
    Target,
    TargetKind,
    Unit,
    Unmatched,
    kernel_endpoint,
)
from tests.conformance.artp_packet import CHOSEN, CLOSE, CONTROL, DATA, ORDER, ArtpPacket
from tests.conformance.frames import Frame
from tests.conformance.network import (
    DEVICES,
    GATEWAYS0,
    GATEWAYS1,
    GUEST0,
    GUEST1,
    LAN,
    LAN_MAC,
    OWN_MACS,
    PEER_MACS,
    VM0,
    VM1,
    WAN,
    address,
    links,
)
from tests.conformance.plane import Arrival, Event, SetAlive, Write
from tests.conformance.programs import IN, OTHER, OUT, SOURCES

GUESTS = {VM0: (GUEST0, GATEWAYS0), VM1: (GUEST1, GATEWAYS1)}
PUBLIC = (address("192.0.2.1"), address("192.0.2.2"), address("2001:db8::1"))
OUTSIDE = (address("198.51.100.7"), address("198.51.100.8"), address("203.0.113.9"), address("2001:db8:1::7"))
INSIDE = (address("10.9.0.2"), address("10.9.0.3"), address("fd00:9::2"))
PORTS = (4000, 5000, 5001, 7000)
GROUPS = {4: {8: 1, 16: 2, 32: 4}, 6: {40: 1, 48: 2}}
"""For endpoints of each family: first slot number and number of slots."""
CHANNELS = {4: (1, 2, 3), 6: (4, 5)}
FORKS = {4: 1, 6: 2}
ENDPOINTS = {4: (1, 2, 3, 4), 6: (5, 6)}
ARTP = {4: (1, 2), 6: (3,)}
INSTANCES = (0, 0, 1, 2, 3)
PROGRAMS = st.sampled_from((*SOURCES, 2, 2, 2, *SOURCES, 5))
NOWHERE = 99
PLAIN, THROUGH = 50, 51
"""The number of no row."""
UNITS = range(1, 4)
PREFIXES: dict[int, tuple[Network, ...]] = {
    4: (ip_network("198.51.100.0/24"), ip_network("198.51.100.8/29"), ip_network("0.0.0.0/0")),
    6: (ip_network("2001:db8:1::/48"), ip_network("2001:db8::/33"), ip_network("2001:db8:1::7/128")),
}
LINKS = [key for key in links() if key.device in (WAN, LAN)]

seldom = st.sampled_from([False] * 12 + [True])


@cache
def sockets(addresses: tuple[Address, ...], version: int | None = None) -> SearchStrategy[Socket]:
    fitting = [one for one in addresses if version in (None, one.version)]
    return st.builds(Socket, st.sampled_from(fitting), st.sampled_from(PORTS))


@cache
def mostly(version: int, choices: tuple[tuple[int, ...], tuple[int, ...]]) -> SearchStrategy[int]:
    """Of the choices for IPv4 and IPv6 those that fit, and seldom another."""
    fitting, other = choices if version == 4 else choices[::-1]
    return st.sampled_from([*(fitting * 12), *other, NOWHERE])


@cache
def targets(version: int, artp: bool) -> SearchStrategy[Target]:
    """With ``artp`` also rows of ARTP."""
    rows = st.builds(Target, st.just(TargetKind.ARTP), mostly(version, (ARTP[4], ARTP[6])))
    return st.one_of(plain_targets(version), plain_targets(version), rows) if artp else plain_targets(version)


@cache
def plain_targets(version: int) -> SearchStrategy[Target]:
    channels = mostly(version, (CHANNELS[4], CHANNELS[6]))
    forks = mostly(version, ((FORKS[4],), (FORKS[6],)))
    return st.one_of(
        st.builds(Target, st.just(TargetKind.CHANNEL), channels),
        st.builds(Target, st.just(TargetKind.FORK), forks),
    )


@composite
def endpoints(draw: DrawFn, version: int, guests: bool) -> Endpoint:
    kinds = [EndpointKind.NODE, EndpointKind.RECEIVER]
    kinds += [EndpointKind.GUEST, EndpointKind.GUEST, EndpointKind.CONTROL] * guests
    kinds += [EndpointKind.KERNEL, EndpointKind.KERNEL, EndpointKind.KERNEL] * guests
    kind = draw(st.sampled_from(kinds))
    if kind is EndpointKind.KERNEL:
        return kernel_endpoint(draw(PROGRAMS), draw(st.sampled_from([IN] * 9 + [OUT])))
    if kind is EndpointKind.GUEST:
        device = draw(st.sampled_from((VM0, VM1)))
        destination = draw(sockets(GUESTS[device][0], version))
    else:
        device = draw(st.sampled_from((WAN, LAN)))
        destination = draw(sockets(OUTSIDE if kind is EndpointKind.RECEIVER else INSIDE, version))
    return Endpoint(
        kind,
        device,
        OWN_MACS[device],
        PEER_MACS[device],
        destination,
        vlan=draw(st.sampled_from((0, 0, 5, 4094))),
        source=draw(st.none() | sockets(PUBLIC, version)),
        public=draw(st.none() | sockets(PUBLIC, version)),
        mtu=draw(st.sampled_from((1500, 1500, 1500, 100, 68))),
        unit=draw(st.sampled_from((0, 0, *UNITS))),
    )


@composite
def flows(draw: DrawFn, guests: bool, artp: bool) -> tuple[FlowKey, Flow]:
    destination = draw(sockets(PUBLIC + INSIDE))
    version = destination.address.version
    source = draw(st.none() | sockets(OUTSIDE, version))
    either = LinkScope.OUTSIDE | LinkScope.NODE
    everywhere = either | LinkScope.CONTROL if guests else either
    scope = draw(st.sampled_from((LinkScope.OUTSIDE, LinkScope.NODE, either, everywhere)))
    permitted = draw(st.none() | st.sampled_from(PREFIXES[version]))
    return FlowKey(17, destination, source), Flow(draw(targets(version, artp)), scope, permitted)


@composite
def bindings(draw: DrawFn, artp: bool) -> tuple[BindingKey, Binding]:
    device = draw(st.sampled_from((VM0, VM1)))
    source = draw(sockets(GUESTS[device][0]))
    return BindingKey(LinkKey(device), source), Binding(draw(targets(source.address.version, artp)))


@composite
def puts(draw: DrawFn) -> tuple[PutKey, Binding]:
    program = draw(PROGRAMS)
    # Never back to a program that makes copies: eight rounds of several puts are a flood.
    number = draw(st.sampled_from((PLAIN, PLAIN, THROUGH, NOWHERE) if program != 1 else (PLAIN,)))
    key = PutKey(program, draw(st.sampled_from((OUT, OUT, OTHER))))
    return key, Binding(Target(TargetKind.CHANNEL, number))


def behind_programs() -> Tables:
    """Where programs put: a channel to another unit, and one to a program that puts to that."""
    rows = Tables()
    for number, endpoint in (
        (PLAIN, Endpoint(EndpointKind.NODE, LAN, OWN_MACS[LAN], PEER_MACS[LAN], Socket(INSIDE[0], 5000))),
        (THROUGH, kernel_endpoint(1, IN)),
    ):
        rows.channel[number] = Channel(Selector.ZERO, 0, 100 + number, session=1)
        rows.slot[SlotKey(100 + number, 0)] = Slot(number)
        rows.endpoint[number] = endpoint
    return rows


@composite
def peers(draw: DrawFn, guests: bool, artp: bool) -> tuple[PeerKey, Peer]:
    local = draw(sockets(PUBLIC + (GUEST0 + GUEST1) * guests))
    version = local.address.version
    remote = draw(sockets(OUTSIDE + (GUEST0 + GUEST1) * guests, version))
    device = draw(st.sampled_from(DEVICES if guests else (WAN, LAN)))
    row = Peer(
        device,
        draw(st.sampled_from((0, 0, 5))),
        OWN_MACS[device],
        PEER_MACS[device],
        draw(st.none() | sockets(PUBLIC, version)),
        draw(st.sampled_from((1500, 1500, 80))),
        artp and draw(st.booleans()),
        guests and draw(st.booleans()),
    )
    return PeerKey(local, remote), row


@composite
def artp_rows(draw: DrawFn, version: int) -> Artp:
    some = st.none() | plain_targets(version)
    permitted = st.sampled_from((None, *PREFIXES[version] * 3, *PREFIXES[10 - version]))
    override = st.builds(
        Override, permitted, mostly(version, (CHANNELS[4], CHANNELS[6])), st.none() | sockets(PUBLIC, version)
    )
    target = draw(st.sampled_from((draw(plain_targets(version)),) * 6 + (None,)))
    return Artp(target, draw(some), draw(some), draw(some), draw(st.none() | override))


@composite
def next_hops(draw: DrawFn) -> NextHop:
    device = draw(st.sampled_from((WAN, LAN)))
    vlan, mtu = draw(st.sampled_from((0, 0, 5))), draw(st.sampled_from((1500, 1500, 130)))
    return NextHop(device, vlan, OWN_MACS[device], PEER_MACS[device], mtu)


SELECTORS = st.sampled_from(Selector)


@composite
def channel_rows(draw: DrawFn, version: int, artp: bool) -> Channel:
    group = draw(st.sampled_from(tuple(GROUPS[version])))
    member = draw(st.sampled_from(INSTANCES)) if artp else 0
    return Channel(draw(SELECTORS), GROUPS[version][group] - 1, group, session=1, member=member)


@composite
def tables(draw: DrawFn, guests: bool = True, artp: bool | None = None) -> Tables:
    """The rows of one unit; ``guests=False`` for a switch; ``artp``: of ARTP too (None: if with guests)."""
    artp = guests if artp is None else artp
    rows = Tables(link=links(draw(st.sampled_from(Unmatched)), guests))
    rows.flow = dict(draw(st.lists(flows(guests, artp), min_size=2, max_size=6)))
    rows.peer = dict(draw(st.lists(peers(guests, artp), max_size=2)))
    if guests:
        if draw(st.booleans()):
            rows.link[LinkKey(LAN, 5)] = Link(LinkKind.CONTROL, LAN_MAC, Unmatched.HOST)
        rows.binding = dict(draw(st.lists(bindings(artp), min_size=1, max_size=4)))
        rows.binding |= dict(draw(st.lists(puts(), min_size=2, max_size=6)))
        rows.merge(behind_programs())
        if artp:
            for key in (LinkKey(VM0), LinkKey(VM1)):
                rows.link[key] = replace(rows.link[key], instance=draw(st.sampled_from(INSTANCES)))
    for version in (4, 6):
        channels = mostly(version, (CHANNELS[4], CHANNELS[6]))
        branches = draw(st.lists(channels, min_size=1, max_size=5))
        rows.fork |= {
            ForkKey(FORKS[version], copy): ForkBranch(branch) for copy, branch in enumerate(branches)
        }
        for channel in CHANNELS[version]:
            rows.channel[channel] = draw(channel_rows(version, artp))
        for number in ARTP[version] if artp else ():
            if not draw(seldom):
                rows.artp[number] = draw(artp_rows(version))
        numbers = mostly(version, (ENDPOINTS[4], ENDPOINTS[6]))
        for group, size in GROUPS[version].items():
            for index in range(size):
                if not draw(seldom):
                    rows.slot[SlotKey(group, index)] = Slot(draw(numbers), draw(st.none() | numbers))
        for number in ENDPOINTS[version]:
            rows.endpoint[number] = draw(endpoints(version, guests))
    if artp:
        rows.next_hop = {each: draw(next_hops()) for each in OUTSIDE if draw(st.booleans())}
    for unit in UNITS:
        if not draw(seldom):
            rows.unit[unit] = Unit(draw(st.booleans()))
    return rows


# Frames

LOADS = st.sampled_from((b"", b"x", b"payload", bytes(13), bytes(range(64)), b"\xff" * 200))
TTLS = st.sampled_from((64, 64, 64, 64, 64, 255, 2, 1, 0))


def _frame(device: str, source: Socket, destination: Socket, vlan: int = 0) -> Frame:
    return Frame(
        OWN_MACS[device],
        PEER_MACS[device],
        source.address,
        destination.address,
        source.port,
        destination.port,
        vlan=vlan or None,
    )


@composite
def flow_frames(draw: DrawFn, rows: Tables) -> tuple[str, Frame]:
    """A frame that hits a flow, from a link that it is often valid for."""
    key, flow = draw(st.sampled_from(list(rows.flow.items())))
    fitting = [link for link in LINKS if flow.links >> rows.link[link].kind & 1]
    link = draw(st.sampled_from(fitting * 4 + LINKS))
    source = key.source or draw(sockets(OUTSIDE, key.destination.address.version))
    return link.device, _frame(link.device, source, key.destination, link.vlan)


@composite
def binding_frames(draw: DrawFn, rows: Tables) -> tuple[str, Frame]:
    """A frame from a guest to its gateway, mostly from a bound port."""
    key = draw(st.sampled_from([key for key in rows.binding if isinstance(key, BindingKey)]))
    gateways = GUESTS[key.link.device][1]
    version = key.source.address.version
    gateway = next(one for one in gateways if one.version == version)
    port = draw(st.sampled_from((*PORTS, 7070)))
    source = replace(key.source, port=draw(st.sampled_from([key.source.port] * 4 + [7001])))
    return key.link.device, _frame(key.link.device, source, Socket(gateway, port))


@composite
def answer_frames(draw: DrawFn, rows: Tables, guests: bool) -> tuple[str, Frame]:
    """A guest or another unit sends to someone outside: an answer, if the peer is known."""
    answers_known = bool(rows.peer) and draw(st.booleans())
    if answers_known:
        key = draw(st.sampled_from(list(rows.peer)))
        local, remote = key.local, key.remote
    else:
        local = draw(sockets((GUEST0 + GUEST1) * guests + PUBLIC))
        remote = draw(sockets(OUTSIDE, local.address.version))
    device = next((name for name, (own, _) in GUESTS.items() if local.address in own), LAN)
    return device, _frame(device, local, remote)


@composite
def any_frames(draw: DrawFn, guests: bool) -> tuple[str, Frame]:
    device = draw(st.sampled_from(DEVICES if guests else (WAN, LAN)))
    everyone = PUBLIC + OUTSIDE + INSIDE + GUEST0 + GUEST1 + GATEWAYS0
    source = draw(sockets(everyone))
    return device, _frame(device, source, draw(sockets(everyone, source.address.version)))


@composite
def housekeeping_frames(draw: DrawFn) -> tuple[str, bytes]:
    """What a guest may send to the host, and what comes close to it."""
    device = draw(st.sampled_from((VM0, VM1)))
    own, gateways = GUESTS[device]
    if draw(st.booleans()):
        return device, draw(arp_frames(device))
    six = draw(st.booleans())
    version = 6 if six else 4
    mine = [one for one in own if one.version == version]
    gateway = next(one for one in gateways if one.version == version)
    others: list[Address] = [IPv6Address("fe80::1"), IPv6Address("::")] if six else [address("0.0.0.0")]
    source = draw(st.sampled_from(mine * 3 + others + [address("10.0.4.9"), address("fd00:7::1")]))
    destinations = [gateway, *mine, address("192.0.2.1"), address("ff02::1"), address("255.255.255.255")]
    fitting = [one for one in [gateway, *destinations] if one.version == source.version]
    destination = draw(st.sampled_from(fitting or [source]))
    protocol, layer4 = draw(layer4s())
    frame = Frame(
        OWN_MACS[device],
        PEER_MACS[device],
        source,
        destination,
        ttl=draw(st.sampled_from((255, 64))),
        protocol=protocol,
        layer4=layer4,
    )
    return device, draw(broken(frame)).build()


@composite
def layer4s(draw: DrawFn) -> tuple[int, bytes]:
    kind = draw(st.sampled_from(("icmp", "tcp", "dhcp", "other")))
    cut = draw(st.sampled_from((None, None, None, 7, 8, 19, 0)))
    if kind == "icmp":
        message = bytes([draw(st.sampled_from((8, 0, 128, 133, 134, 135, 136))), 0]) + bytes(26)
        return draw(st.sampled_from((1, 58))), message[:cut]
    if kind == "tcp":
        port = draw(st.sampled_from((7070, 7070, 22)))
        return 6, (struct.pack("!HH", 40000, port) + bytes(8) + b"\x50\x02" + bytes(6))[:cut]
    if kind == "dhcp":
        ports = draw(st.sampled_from(((68, 67), (546, 547), (67, 68), (68, 7070))))
        return 17, (struct.pack("!HHHH", *ports, 12, 0xABCD) + bytes(4))[:cut]
    return draw(st.integers(0, 255)), bytes(24)[:cut]


@composite
def arp_frames(draw: DrawFn, device: str) -> bytes:
    own, gateways = GUESTS[device]
    choices = [one for one in (*own, *gateways) if one.version == 4] + [
        address("0.0.0.0"),
        address("10.0.4.2"),
    ]
    mac = draw(st.sampled_from([PEER_MACS[device]] * 4 + [OWN_MACS[device]]))
    header = draw(st.sampled_from([(1, 0x0800, 6, 4, 1)] * 5 + [(6, 0x0800, 6, 4, 1), (1, 0x0800, 6, 16, 2)]))
    sender, target = draw(st.sampled_from(choices)), draw(st.sampled_from(choices))
    packet = struct.pack("!HHBBH", *header) + mac.octets + sender.packed + bytes(6) + target.packed
    destination = draw(st.sampled_from((b"\xff" * 6, OWN_MACS[device].octets)))
    frame = destination + PEER_MACS[device].octets + b"\x08\x06" + packet
    return frame[: draw(st.sampled_from((None, None, None, 41, 20)))]


@composite
def artp_loads(draw: DrawFn, version: int) -> bytes:
    """Mostly right, and seldom with one field that is not."""
    kind = draw(st.sampled_from((DATA, DATA, DATA, CLOSE, 1, 2, 4, 7)))
    flags = draw(st.sampled_from((0, ORDER, CONTROL, CHOSEN)))
    if kind not in (DATA, CLOSE):
        flags &= ~CONTROL
    fragments = draw(st.sampled_from((1, 1, 2, 64))) if kind == DATA else 0
    packet = ArtpPacket(
        kind,
        flags,
        draw(st.sampled_from((0, 1, 2, 3, 0xFFFFFFFF))),
        draw(st.integers(0, fragments - 1)) if fragments else 0,
        fragments,
        draw(st.sampled_from((*INSTANCES, 0x100, 0xFFFF))),
        tuple(draw(st.lists(sockets(OUTSIDE + PUBLIC, version), max_size=4))),
        draw(st.sampled_from((b"", b"x", b"body"))),
    )
    if draw(seldom):
        faults: dict[str, SearchStrategy[object]] = {
            "type": st.integers(0, 15),
            "flags": st.integers(0, 255),
            "fragment": st.sampled_from((1, 2, 64, 0xFFFF)),
            "fragments": st.sampled_from((0, 1, 65, 0xFFFF)),
            "version": st.integers(0, 15),
            "length": st.integers(0, 300),
            "count": st.integers(0, 255),
            "zeros": st.binary(min_size=5, max_size=5),
            "cut": st.integers(0, 60),
            "destinations": st.just(
                (Socket(address("2001:db8:1::7"), 1), Socket(address("198.51.100.7"), 2))
            ),
        }
        fault = draw(st.sampled_from(list(faults)))
        packet = replace(packet, **{fault: draw(faults[fault])})  # type: ignore[arg-type]
    return packet.build()


MACS = st.sampled_from(
    [*OWN_MACS.values(), *PEER_MACS.values(), Mac(b"\xff" * 6), Mac(b"\x01\0\x5e\0\0\x01")]
)


BAD_SOURCES = {
    4: tuple(map(address, ("0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"))),
    6: tuple(map(address, ("::", "::1", "ff02::1"))),
}
LIKELY_FAULTS = (
    "source",
    "udp_checksum",
    "source_mac",
    "destination_mac",
    "fragment",
    "protocol",
    "protocol",
)


@composite
def broken(draw: DrawFn, frame: Frame) -> Frame:
    """Often as it was, else with one or two faults."""
    faults: dict[str, SearchStrategy[object]] = {
        "destination_mac": MACS,
        "source_mac": MACS,
        "source": st.sampled_from(BAD_SOURCES[frame.source.version]),
        "source_port": st.integers(0, 65535),
        "destination_port": st.integers(0, 65535),
        "vlan": st.sampled_from((None, 0, 0xE000, 5, 0x2005, 7, 99)),
        "tag_type": st.just(0x88A8),
        "second_tag": st.just(True),
        "ethertype": st.sampled_from((0x0800, 0x86DD, 0x0806, 0x88CC, 0x8100, 0x0000)),
        "protocol": st.sampled_from((0, 1, 6, 17, 43, 44, 50, 51, 58, 59, 60, 135, 139, 140, 253, 254)),
        "version": st.integers(0, 15),
        "header_words": st.integers(0, 15),
        "options": st.sampled_from((b"\1\1\1\1", b"\1" * 40)),
        "tos": st.integers(0, 255),
        "fragment": st.sampled_from((0, 0x2000, 0x8000, 1, 0x1FFF, 0x6000)),
        "length_error": st.sampled_from((-100, -9, -8, -1, 1, 2, 20000)),
        "checksum_error": st.integers(1, 65534),
        "udp_length_error": st.sampled_from((-100, -8, -1, 1, 7)),
        "udp_checksum": st.sampled_from((0, 0, 1, 0xFFFF, 0x1234)),
        "padding": st.sampled_from((b"\0", bytes(18), b"\xff" * 7)),
        "cut": st.integers(0, 90),
    }
    chosen = draw(st.sampled_from((0, 0, 1, 1, 2)))
    for _ in range(chosen):
        fault = draw(st.sampled_from([*faults, *LIKELY_FAULTS]))
        frame = replace(frame, **{fault: draw(faults[fault])})  # type: ignore[arg-type]
    if frame.options and frame.header_words == 5:
        frame = replace(frame, header_words=5 + len(frame.options) // 4)
    return frame


def _speaks_artp(rows: Tables, frame: Frame) -> bool:
    """Whether ARTP is expected of a frame that was not broken."""
    source = Socket(frame.source, frame.source_port)
    destination = Socket(frame.destination, frame.destination_port)
    found = [row.target for key, row in rows.flow.items() if key.destination == destination]
    guests = [(key, row) for key, row in rows.binding.items() if isinstance(key, BindingKey)]
    found += [row.target for key, row in guests if key.source == source]
    peers = [row.artp for key, row in rows.peer.items() if key.local == source]
    return any(peers) or any(target.kind is TargetKind.ARTP for target in found)


ETHERTYPES = st.sampled_from((b"\x88\xcc", b"\x08\0", b"\x86\xdd", b"\x08\x06", b"\0\x26"))


@composite
def arrivals(draw: DrawFn, rows: Tables, guests: bool, artp: bool, waits: bool) -> Arrival:
    wait = draw(st.sampled_from((0.0, 0.0, 0.0, 0.5, 1.5, 30.0, 61.0))) if waits else 0.0
    kinds = (
        ["flow"] * 9 + ["answer"] * 3 + ["any", "noise"] + ["binding"] * 3 * guests + ["house"] * 2 * guests
    )
    kind = draw(st.sampled_from(kinds))
    if kind == "noise":
        device = draw(st.sampled_from(DEVICES if guests else (WAN, LAN)))
        noise = draw(st.binary(max_size=100))
        if draw(st.booleans()):
            noise = OWN_MACS[device].octets + PEER_MACS[device].octets + draw(ETHERTYPES) + noise
        return Arrival(device, noise, wait)
    if kind == "house":
        return Arrival(*draw(housekeeping_frames()), wait)
    strategy = {
        "flow": flow_frames(rows),
        "binding": binding_frames(rows),
        "answer": answer_frames(rows, guests),
        "any": any_frames(guests),
    }[kind]
    device, frame = draw(strategy)
    likely = _speaks_artp(rows, frame) != draw(seldom)
    load = draw(artp_loads(frame.source.version) if artp and likely else LOADS)
    frame = draw(broken(replace(frame, load=load, ttl=draw(TTLS))))
    return Arrival(device, frame.build(), wait)


@composite
def writes(draw: DrawFn, rows: Tables, guests: bool, artp: bool) -> Write:
    """The control unit changes or deletes a row; often one that a fork's copies depend on."""
    tables = ["fork", "fork", "channel", "slot", "endpoint", "flow", "peer"]
    table = draw(st.sampled_from(tables + ["binding"] * guests + ["artp", "next_hop"] * artp))
    version = draw(st.sampled_from((4, 4, 6)))
    key: object
    row: object
    if table == "fork":
        key = ForkKey(FORKS[version], draw(st.integers(0, 4)))
        row = ForkBranch(draw(mostly(version, (CHANNELS[4], CHANNELS[6]))))
    elif table == "channel":
        key, row = draw(st.sampled_from(CHANNELS[version])), draw(channel_rows(version, artp))
    elif table == "slot":
        group = draw(st.sampled_from(tuple(GROUPS[version])))
        key = SlotKey(group, draw(st.integers(0, GROUPS[version][group] - 1)))
        numbers = mostly(version, (ENDPOINTS[4], ENDPOINTS[6]))
        row = Slot(draw(numbers), draw(st.none() | numbers))
    elif table == "endpoint":
        key, row = draw(st.sampled_from(ENDPOINTS[version])), draw(endpoints(version, guests))
    elif table == "flow":
        key, row = draw(st.one_of(flows(guests, artp), st.sampled_from(list(rows.flow.items()))))
    elif table == "peer":
        key, row = draw(peers(guests, artp))
    elif table == "artp":
        key, row = draw(st.sampled_from(ARTP[version])), draw(artp_rows(version))
    elif table == "next_hop":
        key, row = draw(st.sampled_from(OUTSIDE)), draw(next_hops())
    else:
        key, row = draw(st.one_of(bindings(artp), puts()))
    return Write(table, key, None if draw(st.integers(0, 3)) == 0 else row)


LIMITS = st.builds(
    Limit, st.sampled_from((0, 8, 800)), st.sampled_from((0, 8, 800)), st.sampled_from((1, 28, 40, 100))
)
"""In bits and bytes so few that frames of a test meet them."""


@composite
def worlds(
    draw: DrawFn,
    guests: bool = True,
    artp: bool | None = None,
    waits: bool = True,
    shortest_frame: int = 0,
    least: int = 10,
    most: int = 40,
) -> tuple[Tables, list[Event]]:
    """Tables, and events that happen to them."""
    artp = guests if artp is None else artp
    rows = draw(tables(guests, artp))
    if guests and waits and draw(st.integers(0, 3)) == 0:  # in real time a bucket fills when it likes
        rows.limit = draw(st.dictionaries(st.sampled_from(DEVICES), LIMITS, min_size=1))
        for number in sorted(rows.channel):
            rows.channel[number] = replace(rows.channel[number], service=draw(st.sampled_from(Service)))
    deaths = st.builds(SetAlive, st.sampled_from(UNITS), st.booleans())
    arrival = arrivals(rows, guests, artp, waits).filter(lambda event: len(event.frame) >= shortest_frame)
    orders = [deaths, writes(rows, guests, artp)]
    events = draw(st.lists(st.one_of(*[arrival] * 10, *orders), min_size=least, max_size=most))
    return rows, events
