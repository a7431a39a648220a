"""Steering rows as entries of the P4 pipeline's tables, and back: data in, data out.

Keys and parameters stand in the order of ``p4/shared/tables.p4``; all matches are exact.  It differs from
the model in this: ``flow`` and ``peer`` are for IPv4, ``flow6`` and ``peer6`` for IPv6; flows without a
source stand in ``flow_wild`` and ``flow6_wild`` and tell whether there are others to their destination; the
row of a fork's copy 0 also tells the number of copies, which is the number of the multicast group that makes
them; a slot without a backup has the backup 0, which is no endpoint's number; the row of a channel without a
choice, which is no member's, holds its slot; the override of a row of ``artp`` stands in ``override``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from controller.steering.model import (
    UDP,
    Address,
    Artp,
    Channel,
    Endpoint,
    EndpointKind,
    Flow,
    FlowKey,
    ForkBranch,
    ForkKey,
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
    Selector,
    Slot,
    SlotKey,
    Socket,
    Tables,
    Target,
    TargetKind,
    Unit,
    Unmatched,
)
from dipronn.errors import DipronnError

FORK_BRANCHES = 256
"""``FORK_BRANCHES`` of ``p4/shared/sizes.p4``: a fork has fewer copies."""
CHANNEL_SIZE = 16384
GROUP_SIZE = 65536
"""Of the same file: numbers of channels and groups index counters and registers, and lie below."""
PEERS = ("peer", "peer6")
NEXT_HOPS = ("next_hop", "next_hop6")
MOST_DESTINATIONS = 4
"""That an ARTP packet names: so many copies an override makes."""
_FORK = 1 << 31
"""In a target of an ``artp`` row: it is a fork."""
_MAPPED = 0xFFFF << 32
_MAPPED_BITS = 96
"""What stands before an IPv4 address that is written as one of IPv6 (RFC 4291, 2.5.5.2)."""


class Sources(IntEnum):
    """``SOURCES_*`` of ``p4/shared/headers.p4``: which rows a flow's destination has."""

    ALL = 1
    SOME = 2
    """This one for all sources, others for single ones."""
    ONE = 3


class NotForSwitches(DipronnError):
    """A row that an edge switch cannot hold; says which and why."""


@dataclass(frozen=True)
class EntryKey:
    table: str
    match: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.table}({', '.join(map(str, self.match))})"


@dataclass(frozen=True)
class Action:
    name: str
    parameters: tuple[int, ...] = ()


Entries = dict[EntryKey, Action]


class Ports:
    """Device names and the switch's port numbers for them."""

    def __init__(self, numbers: Mapping[str, int]) -> None:
        self._numbers = dict(numbers)
        self._names = {number: name for name, number in numbers.items()}

    def number(self, device: str) -> int:
        if device not in self._numbers:
            known = ", ".join(sorted(self._numbers)) or "none"
            raise NotForSwitches(f"the switch has no port named {device!r}; it has {known}")
        return self._numbers[device]

    def name(self, number: int) -> str:
        return self._names.get(number, f"port {number}")


# encode


def encode(tables: Tables, ports: Ports) -> Entries:
    """The entries for these rows.  Endpoints without a device are left out: their next hop is not known yet.

    Raises ``NotForSwitches``.
    """
    entries: Entries = {}
    for binding_key in tables.binding:
        raise NotForSwitches(f"binding {binding_key}: a switch has no guests")
    for device in tables.limit:
        raise NotForSwitches(f"limit of {device}: switches do not count bits per second yet")
    for link_key, link in tables.link.items():
        entries[EntryKey("link", (ports.number(link_key.device), link_key.vlan))] = _link(link_key, link)
    singled = {key.destination for key in tables.flow if key.source is not None}
    for flow_key, flow in tables.flow.items():
        sources = Sources.SOME if flow_key.destination in singled else Sources.ALL
        sources = sources if flow_key.source is None else Sources.ONE
        entries[_flow_key(flow_key)] = _flow(flow_key, flow, sources)
    for peer_key, peer in tables.peer.items():
        entries[encode_peer_key(peer_key)] = encode_peer(peer_key, peer, ports)
    for number, row in tables.artp.items():
        entries[EntryKey("artp", (number,))] = _artp(row)
        if row.override is not None:
            entries[EntryKey("override", (number,))] = _override(row.override)
    for address, hop in tables.next_hop.items():
        entries[encode_next_hop_key(address)] = encode_next_hop(hop, ports)
    for fork_key, branch in tables.fork.items():
        copies = _copies(tables, fork_key.fork) if fork_key.copy == 0 else 0
        entries[EntryKey("fork", (fork_key.fork, fork_key.copy))] = Action("branch", (branch.channel, copies))
    for number, channel in tables.channel.items():
        if number >= CHANNEL_SIZE or channel.group >= GROUP_SIZE:
            raise NotForSwitches(
                f"channel {number}, group {channel.group}: a switch has channels below {CHANNEL_SIZE} "
                f"and groups below {GROUP_SIZE}"
            )
        entries[EntryKey("channel", (number,))] = _channel(
            channel, tables.slot.get(SlotKey(channel.group, 0))
        )
    for slot_key, slot in tables.slot.items():
        entries[EntryKey("slot", (slot_key.group, slot_key.index))] = Action("set_slot", _slot(slot))
    for number, endpoint in tables.endpoint.items():
        if endpoint.device:
            entries[EntryKey("endpoint", (number,))] = _endpoint(number, endpoint, ports)
    for number, unit in tables.unit.items():
        entries[EntryKey("unit", (number,))] = encode_unit(unit)
    return entries


def groups(entries: Iterable[tuple[EntryKey, Action]]) -> set[int]:
    """The multicast groups that the entries need: group n makes the copies 0 to n - 1."""
    sizes: set[int] = set()
    for key, action in entries:
        if key.table == "fork":
            sizes.add(action.parameters[1])
        elif key.table == "override":
            sizes.update(range(MOST_DESTINATIONS + 1))
    return {size for size in sizes if size > 1}


def encode_unit(unit: Unit) -> Action:
    return Action("alive" if unit.alive else "dead")


def encode_peer_key(key: PeerKey) -> EntryKey:
    six, local = _address(key.local.address)
    remote = _address(key.remote.address)[1]
    return EntryKey(f"peer{six}", (local, key.local.port, remote, key.remote.port))


def encode_peer(key: PeerKey, peer: Peer, ports: Ports) -> Action:
    six = _address(key.local.address)[0]
    return Action(
        f"answer{_as(peer.source)}{six}",
        (
            ports.number(peer.device),
            peer.vlan,
            _mac(peer.source_mac),
            _mac(peer.destination_mac),
            *_source(peer.source),
            peer.mtu,
            int(peer.artp),
        ),
    )


def encode_next_hop_key(address: Address) -> EntryKey:
    return EntryKey(f"next_hop{_address(address)[0]}", (int(address),))


def encode_next_hop(hop: NextHop, ports: Ports) -> Action:
    return Action(
        "set_next_hop",
        (ports.number(hop.device), hop.vlan, _mac(hop.source_mac), _mac(hop.destination_mac), hop.mtu),
    )


def _artp(row: Artp) -> Action:
    return Action("set_artp", tuple(map(_target, (row.target, row.control, row.everyone, row.named))))


def _target(target: Target | None) -> int:
    if target is None:
        return 0
    return target.id | _FORK if target.kind is TargetKind.FORK else target.id


def _override(row: Override) -> Action:
    written, address, port = 0, 0, 0
    if row.source is not None:
        written, address, port = 1, int(row.source.address), row.source.port
        if row.source.address.version == 4:
            address |= _MAPPED
    return Action("set_override", (*_permitted(row.permitted), row.channel, written, address, port))


def _permitted(network: Network | None) -> tuple[int, int, int]:
    """Family (0: nothing is permitted), prefix and mask, of IPv4 as IPv4-mapped."""
    if network is None:
        return 0, 0, 0
    prefix, mask = int(network.network_address), int(network.netmask)
    if isinstance(network, IPv4Network):
        upper = (1 << _MAPPED_BITS) - 1 << 32
        prefix, mask = prefix | _MAPPED, mask | upper
    return network.version, prefix, mask


def _link(key: LinkKey, link: Link) -> Action:
    if link.kind not in (LinkKind.OUTSIDE, LinkKind.NODE):
        raise NotForSwitches(f"link {key}: a switch has no links of kind {link.kind.name.lower()}")
    if link.instance:
        raise NotForSwitches(f"link {key}: a switch has no instance {link.instance} behind it")
    return Action("set_link", (int(link.kind), _mac(link.mac), int(link.unmatched)))


def _flow_key(key: FlowKey) -> EntryKey:
    if key.protocol != UDP:
        raise NotForSwitches(f"flow {key}: only UDP is steered")
    six, destination = _address(key.destination.address)
    if key.source is None:
        return EntryKey(f"flow{six}_wild", (destination, key.destination.port))
    source = _address(key.source.address)[1]
    return EntryKey(f"flow{six}", (destination, key.destination.port, source, key.source.port))


def _flow(key: FlowKey, flow: Flow, sources: Sources) -> Action:
    network = mask = 0
    if flow.permitted_source is not None:
        if flow.permitted_source.version != key.destination.address.version:
            raise NotForSwitches(
                f"flow {key}: the permitted source {flow.permitted_source} is of another family"
            )
        network, mask = int(flow.permitted_source.network_address), int(flow.permitted_source.netmask)
    action = f"to_{flow.target.kind.name.lower()}{_address(key.destination.address)[0]}"
    return Action(action, (flow.target.id, int(flow.links), network, mask, sources))


def _channel(channel: Channel, slot: Slot | None) -> Action:
    """``slot``: of the group's index 0, to which a channel without a choice leads."""
    notes = (channel.mask, channel.group, channel.session)
    if channel.selector is Selector.ZERO and slot is not None and not channel.member:
        return Action("lead", (*_slot(slot), *notes))
    return Action("set_channel", (int(channel.selector), *notes, channel.member))


def _slot(slot: Slot) -> tuple[int, int]:
    return slot.endpoint, slot.backup or 0


def _copies(tables: Tables, fork: int) -> int:
    """Up to the first gap."""
    count = 0
    while ForkKey(fork, count) in tables.fork:
        count += 1
    if count >= FORK_BRANCHES:
        raise NotForSwitches(f"fork {fork}: {count} copies, a switch makes at most {FORK_BRANCHES - 1}")
    return count


def _endpoint(number: int, endpoint: Endpoint, ports: Ports) -> Action:
    if endpoint.kind not in (EndpointKind.NODE, EndpointKind.RECEIVER):
        raise NotForSwitches(f"endpoint {number}: a switch has no {endpoint.kind.name.lower()} behind it")
    six, destination = _address(endpoint.destination.address)
    return Action(
        f"set_endpoint{_as(endpoint.source)}{six}",
        (
            int(endpoint.kind),
            ports.number(endpoint.device),
            endpoint.vlan,
            _mac(endpoint.source_mac),
            _mac(endpoint.destination_mac),
            destination,
            endpoint.destination.port,
            *_source(endpoint.source),
            endpoint.mtu,
            endpoint.unit,
        ),
    )


def _as(source: Socket | None) -> str:
    """What the names of actions that write a source have more."""
    return "" if source is None else "_as"


def _source(source: Socket | None) -> tuple[int, ...]:
    """Address and port, if it is written."""
    return () if source is None else (int(source.address), source.port)


def _address(address: Address) -> tuple[str, int]:
    """What the names of tables and actions for its family end with; its number."""
    return "6" if address.version == 6 else "", int(address)


def _mac(mac: Mac) -> int:
    return int.from_bytes(mac.octets, "big")


# decode


def decode(entries: Entries, ports: Ports) -> Tables:
    """The rows that ``encode`` makes these entries of, without ``public``, which an edge has no use for."""
    tables = Tables()
    for key, action in entries.items():
        match, values = key.match, iter(action.parameters)
        match key.table:
            case "link":
                kind, mac, unmatched = values
                tables.link[LinkKey(ports.name(match[0]), match[1])] = Link(
                    LinkKind(kind), _read_mac(mac), Unmatched(unmatched)
                )
            case "flow" | "flow_wild" | "flow6" | "flow6_wild":
                six = "6" in key.table
                tables.flow[_read_flow_key(six, match)] = _read_flow(six, action)
            case table if table in PEERS:
                six = table == "peer6"
                local, remote = _read_socket(six, *match[:2]), _read_socket(six, *match[2:])
                tables.peer[PeerKey(local, remote)] = Peer(
                    ports.name(next(values)),
                    next(values),
                    _read_mac(next(values)),
                    _read_mac(next(values)),
                    _read_source(six, action, values),
                    next(values),
                    bool(next(values)),
                )
            case "artp":
                override = entries.get(EntryKey("override", match))
                tables.artp[match[0]] = _read_artp(action, override)
            case "override":
                pass  # read with its row of artp
            case table if table in NEXT_HOPS:
                address = _read_address(table == "next_hop6", match[0])
                port, vlan, source_mac, destination_mac, mtu = values
                tables.next_hop[address] = NextHop(
                    ports.name(port), vlan, _read_mac(source_mac), _read_mac(destination_mac), mtu
                )
            case "fork":
                tables.fork[ForkKey(*match)] = ForkBranch(next(values))
            case "channel":
                tables.channel[match[0]] = _read_channel(action)
            case "slot":
                endpoint, backup = values
                tables.slot[SlotKey(*match)] = Slot(endpoint, backup or None)
            case "endpoint":
                tables.endpoint[match[0]] = _read_endpoint(action, ports)
            case "unit":
                tables.unit[match[0]] = Unit(action.name == "alive")
            case other:
                raise ValueError(f"no such table: {other}")
    return tables


def representable(tables: Tables) -> Tables:
    """The rows as ``decode`` gives them back."""
    endpoint = {number: replace(row, public=None) for number, row in tables.endpoint.items() if row.device}
    flow = {key: _without_any(row) for key, row in tables.flow.items()}
    return replace(tables, endpoint=endpoint, flow=flow)


def _without_any(flow: Flow) -> Flow:
    """A prefix that permits everyone is none."""
    anyone = flow.permitted_source is not None and flow.permitted_source.prefixlen == 0
    return replace(flow, permitted_source=None) if anyone else flow


def _read_flow_key(six: bool, match: tuple[int, ...]) -> FlowKey:
    source = _read_socket(six, *match[2:]) if len(match) > 2 else None
    return FlowKey(UDP, _read_socket(six, *match[:2]), source)


def _read_flow(six: bool, action: Action) -> Flow:
    target, links, network, mask, _ = action.parameters
    permitted: Network | None = None
    if mask:
        permitted = ip_network((_read_address(six, network), mask.bit_count()))
    kind = TargetKind[action.name.removeprefix("to_").removesuffix("6").upper()]
    return Flow(Target(kind, target), LinkScope(links), permitted)


def _read_channel(action: Action) -> Channel:
    if action.name == "lead":
        mask, group, session = action.parameters[2:]
        return Channel(Selector.ZERO, mask, group, session)
    selector, mask, group, session, member = action.parameters
    return Channel(Selector(selector), mask, group, session, member)


def _read_artp(action: Action, override: Action | None) -> Artp:
    target, control, everyone, named = map(_read_target, action.parameters)
    return Artp(target, control, everyone, named, _read_override(override) if override else None)


def _read_target(number: int) -> Target | None:
    if not number:
        return None
    return Target(TargetKind.FORK if number & _FORK else TargetKind.CHANNEL, number & ~_FORK)


def _read_override(action: Action) -> Override:
    family, prefix, mask, channel, written, address, port = action.parameters
    source = Socket(IPv6Address(address).ipv4_mapped or IPv6Address(address), port) if written else None
    return Override(_read_permitted(family, prefix, mask), channel, source)


def _read_permitted(family: int, prefix: int, mask: int) -> Network | None:
    if family == 4:
        return IPv4Network((prefix & 0xFFFFFFFF, mask.bit_count() - _MAPPED_BITS))
    return IPv6Network((prefix, mask.bit_count())) if family else None


def _read_endpoint(action: Action, ports: Ports) -> Endpoint:
    six, values = action.name.endswith("6"), iter(action.parameters)
    kind, port, vlan, source_mac, destination_mac, destination, destination_port = (
        next(values) for _ in range(7)
    )
    source = _read_source(six, action, values)
    mtu, unit = values
    return Endpoint(
        EndpointKind(kind),
        ports.name(port),
        _read_mac(source_mac),
        _read_mac(destination_mac),
        _read_socket(six, destination, destination_port),
        vlan,
        source,
        None,
        mtu,
        unit,
    )


def _read_source(six: bool, action: Action, values: Iterator[int]) -> Socket | None:
    return _read_socket(six, next(values), next(values)) if "_as" in action.name else None


def _read_socket(six: bool, address: int, port: int) -> Socket:
    return Socket(_read_address(six, address), port)


def _read_address(six: bool, number: int) -> Address:
    return IPv6Address(number) if six else IPv4Address(number)


def _read_mac(number: int) -> Mac:
    return Mac(number.to_bytes(6, "big"))
