"""Rows of the steering model to the kernel's, and back. Device names are translated by a ``Devices``."""

from __future__ import annotations

import ctypes
import socket
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Protocol, TypeVar

from controller.steering.model import (
    MAX_BURST,
    MAX_GUEST_ADDRESSES,
    MAX_STREAMS,
    Address,
    Artp,
    Binding,
    BindingKey,
    Channel,
    Endpoint,
    EndpointKind,
    Flow,
    FlowKey,
    Limit,
    Link,
    LinkKey,
    LinkKind,
    LinkScope,
    Mac,
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
    Target,
    TargetKind,
    Unit,
    Unmatched,
    kernel_endpoint,
    sending_time,
)
from ebpf import layout

Structure = TypeVar("Structure", bound=ctypes.Structure)
Encoded = tuple[str, bytes, bytes]
"""Map, key, value."""


class Devices(Protocol):
    """Device names and interface numbers of one network namespace."""

    def index(self, name: str) -> int: ...
    def name(self, index: int) -> str: ...


_TARGETS = {TargetKind.CHANNEL: 0, TargetKind.FORK: layout.TARGET_FORK, TargetKind.ARTP: layout.TARGET_ARTP}


def number(value: int) -> bytes:
    return value.to_bytes(4, "little")


def _require(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(what)


def _family(*addresses: Address | None) -> int:
    versions = {address.version for address in addresses if address is not None}
    _require(len(versions) == 1, f"one row, one IP family: {', '.join(str(a) for a in addresses if a)}")
    return versions.pop()


def _target(target: Target) -> int:
    _require(target.id & (layout.TARGET_FORK | layout.TARGET_ARTP) == 0, f"target {target.id} is too large")
    return target.id | _TARGETS[target.kind]


def _read_target(raw: int) -> Target:
    kind = next(kind for kind, bit in reversed(_TARGETS.items()) if raw & bit == bit)
    return Target(kind, raw & ~_TARGETS[kind])


def _put(field: ctypes.Array[ctypes.c_uint8], packed: bytes) -> None:
    ctypes.memmove(field, packed, len(packed))


def _address(raw: ctypes.Array[ctypes.c_uint8], family: int) -> Address:
    return ip_address(bytes(raw)[: 4 if family == 4 else 16])


def _read(type_: type[Structure], raw: bytes) -> Structure:
    return type_.from_buffer_copy(raw)


def _mac(raw: ctypes.Array[ctypes.c_uint8]) -> Mac:
    return Mac(bytes(raw))


# link


def encode_link(devices: Devices, key: LinkKey, row: Link) -> Encoded:
    _require(row.kind is not LinkKind.FORK, "fork links are the data plane's own; a fork makes them")
    _require(len(row.addresses) <= MAX_GUEST_ADDRESSES, f"{key.device}: a guest has at most 4 addresses")
    _require(row.kind is not LinkKind.GUEST or row.guest_mac is not None, f"{key.device}: a guest has a MAC")
    scope = 0 if row.kind is LinkKind.GUEST else 1 << row.kind
    raw = layout.LinkRow(kind=row.kind, unmatched=row.unmatched, slice=row.slice, scope=scope)
    raw.instance = socket.htons(row.instance)
    _put(raw.mac, row.mac.octets)
    if row.guest_mac is not None:
        raw.has_guest_mac = 1
        _put(raw.guest_mac, row.guest_mac.octets)
    for address in row.gateways:
        _put(raw.gateway4 if address.version == 4 else raw.gateway6, address.packed)
    for i, address in enumerate(row.addresses):
        raw.families |= (address.version == 6) << i
        _put((raw.address4 if address.version == 4 else raw.address6)[i], address.packed)
    return *_encode_link_key(devices, key), bytes(raw)


def _encode_link_key(devices: Devices, key: LinkKey) -> tuple[str, bytes]:
    if key.vlan:
        return "link_vlan", bytes(layout.LinkKey(devices.index(key.device), key.vlan))
    return "link", number(devices.index(key.device))


def decode_link(devices: Devices, key: bytes, value: bytes) -> tuple[LinkKey, Link] | None:
    """None for an empty array element, and for fork links."""
    raw = _read(layout.LinkRow, value)
    if raw.kind in (0, LinkKind.FORK):
        return None
    where = _read(layout.LinkKey, key.ljust(8, b"\0"))
    addresses: list[Address] = []
    for i in range(MAX_GUEST_ADDRESSES):
        family = 6 if raw.families >> i & 1 else 4
        address = _address((raw.address4 if family == 4 else raw.address6)[i], family)
        if int(address):
            addresses.append(address)
    gateways = [_address(raw.gateway4, 4), _address(raw.gateway6, 6)]
    return LinkKey(devices.name(where.ifindex), where.vlan), Link(
        kind=LinkKind(raw.kind),
        mac=_mac(raw.mac),
        unmatched=Unmatched(raw.unmatched),
        slice=raw.slice,
        guest_mac=_mac(raw.guest_mac) if raw.has_guest_mac else None,
        addresses=tuple(addresses),
        gateways=tuple(address for address in gateways if int(address)),
        instance=socket.ntohs(raw.instance),
    )


# limit


def _encode_limit_key(devices: Devices, key: str) -> tuple[str, bytes]:
    return "limit", number(devices.index(key))


def encode_limit(devices: Devices, key: str, row: Limit) -> Encoded:
    _require(0 < row.burst <= MAX_BURST, f"limit of {key}: a burst of {row.burst} bytes")
    meters = (
        layout.Meter(rate, sending_time(row.burst, rate)) if rate else layout.Meter()
        for rate in (row.received, row.sent)
    )
    return *_encode_limit_key(devices, key), bytes(layout.LimitRow(*meters, row.burst))


def decode_limit(devices: Devices, key: bytes, value: bytes) -> tuple[str, Limit] | None:
    raw = _read(layout.LimitRow, value)
    if not raw.burst:
        return None
    return devices.name(int.from_bytes(key, "little")), Limit(raw.received.rate, raw.sent.rate, raw.burst)


# flow


def _encode_flow_key(_: Devices, key: FlowKey) -> tuple[str, bytes]:
    family = _family(key.destination.address, key.source.address if key.source else None)
    raw = layout.Flow4Key() if family == 4 else layout.Flow6Key()
    raw.protocol = key.protocol
    _put(raw.destination, key.destination.address.packed)
    raw.destination_port = socket.htons(key.destination.port)
    if key.source is not None:
        _put(raw.source, key.source.address.packed)
        raw.source_port = socket.htons(key.source.port)
    return f"flow{family}", bytes(raw)


def encode_flow(devices: Devices, key: FlowKey, row: Flow) -> Encoded:
    table, raw_key = _encode_flow_key(devices, key)
    raw = layout.Flow4Row() if table == "flow4" else layout.Flow6Row()
    raw.target, raw.links, raw.prefix_length = _target(row.target), row.links, layout.ANY_SOURCE
    if row.permitted_source is not None:
        _family(key.destination.address, row.permitted_source.network_address)
        raw.prefix_length = row.permitted_source.prefixlen
        _put(raw.prefix, row.permitted_source.network_address.packed)
        _put(raw.mask, row.permitted_source.netmask.packed)
    if isinstance(raw, layout.Flow4Row):
        source = key.source.address if key.source else None
        permitted = row.permitted_source is None or source is None or source in row.permitted_source
        common = permitted and not (source and is_bad_source(source.packed[0]))
        raw.common = row.links if common and row.target.kind is not TargetKind.ARTP else 0
    return table, raw_key, bytes(raw)


def is_bad_source(first: int) -> bool:
    """Whether nothing may come from an IPv4 address with this first byte (docs/steering.md, 9)."""
    return first in (0, 127) or first >= 224


def decode_flow(key: bytes, value: bytes, family: int) -> tuple[FlowKey, Flow]:
    where = _read(layout.Flow4Key if family == 4 else layout.Flow6Key, key)
    raw = _read(layout.Flow4Row if family == 4 else layout.Flow6Row, value)
    source = Socket(_address(where.source, family), socket.ntohs(where.source_port))
    return FlowKey(
        where.protocol,
        Socket(_address(where.destination, family), socket.ntohs(where.destination_port)),
        source if int(source.address) else None,
    ), Flow(
        _read_target(raw.target),
        LinkScope(raw.links),
        None
        if raw.prefix_length == layout.ANY_SOURCE
        else ip_network((bytes(raw.prefix), raw.prefix_length)),
    )


# ARTP


def _mapped(address: Address) -> bytes:
    """As ARTP writes it."""
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed


def encode_artp(_: Devices, key: int, row: Artp) -> Encoded:
    targets = (row.target, row.control, row.everyone, row.named)
    _require(
        all(target is None or target.kind is not TargetKind.ARTP for target in targets), "no artp in artp"
    )
    raw = layout.ArtpRow(1, *(_target(target) if target else 0 for target in targets))
    if row.override is not None:
        _require(row.override.channel > 0, f"artp {key}: channels are positive numbers")
        raw.channel = row.override.channel
        if (permitted := row.override.permitted) is not None:
            raw.family, raw.prefix_length = permitted.version, permitted.prefixlen
            _put(raw.prefix, _mapped(permitted.network_address))
            mask = permitted.netmask.packed
            _put(raw.mask, mask.rjust(16, b"\xff"))
        if (source := row.override.source) is not None:
            raw.has_source, raw.source_port = source.address.version, socket.htons(source.port)
            _put(raw.source, source.address.packed)
    return "artp", number(key), bytes(raw)


def decode_artp(key: bytes, value: bytes) -> tuple[int, Artp] | None:
    raw = _read(layout.ArtpRow, value)
    if not raw.present:
        return None
    targets = (_read_target(each) if each else None for each in (raw.target, raw.control, raw.everyone))
    target, control, everyone = targets
    override = None
    if raw.channel:
        packed = bytes(raw.prefix)[12:] if raw.family == 4 else bytes(raw.prefix)
        permitted = ip_network((packed, raw.prefix_length)) if raw.family else None
        source = Socket(_address(raw.source, raw.has_source), socket.ntohs(raw.source_port))
        override = Override(permitted, raw.channel, source if raw.has_source else None)
    named = _read_target(raw.named) if raw.named else None
    return int.from_bytes(key, "little"), Artp(target, control, everyone, named, override)


def _encode_next_hop_key(_: Devices, key: Address) -> tuple[str, bytes]:
    return "next_hop", _mapped(key)


def encode_next_hop(devices: Devices, key: Address, row: NextHop) -> Encoded:
    raw = layout.NextHopRow(ifindex=devices.index(row.device), vlan=row.vlan, mtu=row.mtu)
    _put(raw.source_mac, row.source_mac.octets)
    _put(raw.destination_mac, row.destination_mac.octets)
    return *_encode_next_hop_key(devices, key), bytes(raw)


def decode_next_hop(devices: Devices, key: bytes, value: bytes) -> tuple[Address, NextHop]:
    raw, address = _read(layout.NextHopRow, value), IPv6Address(key)
    return address.ipv4_mapped or address, NextHop(
        devices.name(raw.ifindex), raw.vlan, _mac(raw.source_mac), _mac(raw.destination_mac), raw.mtu
    )


# binding


def _encode_binding_key(devices: Devices, key: BindingKey) -> tuple[str, bytes]:
    family = key.source.address.version
    raw = layout.Binding4Key() if family == 4 else layout.Binding6Key()
    raw.ifindex, raw.vlan = devices.index(key.link.device), key.link.vlan
    _put(raw.source, key.source.address.packed)
    raw.source_port = socket.htons(key.source.port)
    return f"binding{family}", bytes(raw)


def check_put(key: PutKey) -> None:
    right = key.program > 0 and 0 <= key.stream < MAX_STREAMS
    _require(right, f"{key}: programs from 1, streams from 0 to {MAX_STREAMS - 1}")


def _put_number(key: PutKey) -> bytes:
    return number(key.program * layout.STREAMS + key.stream)


def encode_binding(devices: Devices, key: BindingKey | PutKey, row: Binding) -> Encoded:
    if isinstance(key, PutKey):
        check_put(key)
        _require(row.target.kind is not TargetKind.ARTP, f"{key}: kernel programs do not speak ARTP")
        return "binding_put", _put_number(key), number(_target(row.target))
    return *_encode_binding_key(devices, key), number(_target(row.target))


def decode_put(key: bytes, value: bytes) -> tuple[PutKey, Binding] | None:
    program, stream = divmod(int.from_bytes(key, "little"), layout.STREAMS)
    target = int.from_bytes(value, "little")
    return (PutKey(program, stream), Binding(_read_target(target))) if target else None


def decode_binding(devices: Devices, key: bytes, value: bytes, family: int) -> tuple[BindingKey, Binding]:
    raw = _read(layout.Binding4Key if family == 4 else layout.Binding6Key, key)
    return BindingKey(
        LinkKey(devices.name(raw.ifindex), raw.vlan),
        Socket(_address(raw.source, family), socket.ntohs(raw.source_port)),
    ), Binding(_read_target(int.from_bytes(value, "little")))


# peer


def _encode_peer_key(_: Devices, key: PeerKey) -> tuple[str, bytes]:
    family = _family(key.local.address, key.remote.address)
    raw = layout.Peer4Key() if family == 4 else layout.Peer6Key()
    _put(raw.local, key.local.address.packed)
    _put(raw.remote, key.remote.address.packed)
    raw.local_port, raw.remote_port = socket.htons(key.local.port), socket.htons(key.remote.port)
    return f"peer{family}", bytes(raw)


def encode_peer(devices: Devices, key: PeerKey, row: Peer) -> Encoded:
    raw = layout.PeerRow(ifindex=devices.index(row.device), vlan=row.vlan, mtu=row.mtu, artp=row.artp)
    raw.control = row.control
    _put(raw.source_mac, row.source_mac.octets)
    _put(raw.destination_mac, row.destination_mac.octets)
    if row.source is not None:
        _family(key.local.address, row.source.address)
        raw.has_source = 1
        raw.source_port = socket.htons(row.source.port)
        _put(raw.source, row.source.address.packed)
    return *_encode_peer_key(devices, key), bytes(raw)


def decode_peer(devices: Devices, key: bytes, value: bytes, family: int) -> tuple[PeerKey, Peer]:
    where = _read(layout.Peer4Key if family == 4 else layout.Peer6Key, key)
    raw = _read(layout.PeerRow, value)
    source = Socket(_address(raw.source, family), socket.ntohs(raw.source_port))
    return PeerKey(
        Socket(_address(where.local, family), socket.ntohs(where.local_port)),
        Socket(_address(where.remote, family), socket.ntohs(where.remote_port)),
    ), Peer(
        devices.name(raw.ifindex),
        raw.vlan,
        _mac(raw.source_mac),
        _mac(raw.destination_mac),
        source if raw.has_source else None,
        raw.mtu,
        bool(raw.artp),
        bool(raw.control),
    )


# channel, slot, endpoint, unit


def encode_channel(
    devices: Devices, key: int, row: Channel, number_: int = 0, endpoint: Endpoint | None = None
) -> Encoded:
    """``endpoint``, with its number: that of the channel's only slot, if it has one."""
    _require(row.mask & (row.mask + 1) == 0, f"channel {key}: mask {row.mask} is not 2^k - 1")
    raw = layout.ChannelRow(1, row.selector, row.mask, row.group, row.session, row.member)
    if endpoint is not None and endpoint.kind is EndpointKind.KERNEL:
        endpoint = None
    raw.service = row.service
    if endpoint is not None and endpoint.destination.address.version == 4 and not endpoint.vlan:
        raw.endpoint, raw.ifindex = number_, devices.index(endpoint.device)
        raw.unit, raw.mtu = endpoint.unit, endpoint.mtu
        raw.port = socket.htons(endpoint.destination.port)
        _put(raw.address, endpoint.destination.address.packed)
        _put(raw.source_mac, endpoint.source_mac.octets)
        _put(raw.destination_mac, endpoint.destination_mac.octets)
        if endpoint.source is not None and endpoint.kind is not EndpointKind.GUEST:
            raw.writes_source, raw.source_port = 1, socket.htons(endpoint.source.port)
            _put(raw.source, endpoint.source.address.packed)
    return "channel", number(key), bytes(raw)


def decode_channel(key: bytes, value: bytes) -> tuple[int, Channel] | None:
    raw = _read(layout.ChannelRow, value)
    if not raw.present:
        return None
    return int.from_bytes(key, "little"), Channel(
        Selector(raw.selector), raw.mask, raw.group, raw.session, raw.member, Service(raw.service)
    )


def encode_slot(_: Devices, key: SlotKey, row: Slot) -> Encoded:
    _require(row.endpoint > 0 and row.backup != 0, f"slot {key}: endpoints are positive numbers")
    raw = layout.SlotRow(key.group, row.endpoint, row.backup or 0)
    return "slot", number(key.group + key.index), bytes(raw)


def decode_slot(key: bytes, value: bytes) -> tuple[SlotKey, Slot] | None:
    raw = _read(layout.SlotRow, value)
    if not raw.endpoint:
        return None
    return SlotKey(raw.group, int.from_bytes(key, "little") - raw.group), Slot(
        raw.endpoint, raw.backup or None
    )


def encode_endpoint(devices: Devices, key: int, row: Endpoint) -> Encoded:
    if row.kind is EndpointKind.KERNEL:
        _require(
            row == kernel_endpoint(row.program, row.stream), f"endpoint {key}: a kernel program's stream"
        )
        check_put(PutKey(row.program, row.stream))
        raw = layout.EndpointRow(kind=row.kind, program=row.program, stream=row.stream)
        return "endpoint", number(key), bytes(raw)
    others = [end.address for end in (row.source, row.public) if end is not None]
    family = _family(row.destination.address, *others)
    raw = layout.EndpointRow(
        ifindex=devices.index(row.device),
        kind=row.kind,
        family=family,
        vlan=row.vlan,
        mtu=row.mtu,
        port=socket.htons(row.destination.port),
        unit=row.unit,
    )
    _put(raw.source_mac, row.source_mac.octets)
    _put(raw.destination_mac, row.destination_mac.octets)
    _put(raw.address, row.destination.address.packed)
    if row.source is not None:
        raw.has_source, raw.source_port = 1, socket.htons(row.source.port)
        _put(raw.source, row.source.address.packed)
    if row.public is not None:
        raw.has_public, raw.public_port = 1, socket.htons(row.public.port)
        _put(raw.public, row.public.address.packed)
    return "endpoint", number(key), bytes(raw)


def decode_endpoint(devices: Devices, key: bytes, value: bytes) -> tuple[int, Endpoint] | None:
    raw = _read(layout.EndpointRow, value)
    if not raw.kind:
        return None
    if raw.kind == EndpointKind.KERNEL:
        return int.from_bytes(key, "little"), kernel_endpoint(raw.program, raw.stream)

    def end(address: ctypes.Array[ctypes.c_uint8], port: int) -> Socket:
        return Socket(_address(address, raw.family), socket.ntohs(port))

    return int.from_bytes(key, "little"), Endpoint(
        kind=EndpointKind(raw.kind),
        device=devices.name(raw.ifindex),
        source_mac=_mac(raw.source_mac),
        destination_mac=_mac(raw.destination_mac),
        destination=end(raw.address, raw.port),
        vlan=raw.vlan,
        source=end(raw.source, raw.source_port) if raw.has_source else None,
        public=end(raw.public, raw.public_port) if raw.has_public else None,
        mtu=raw.mtu,
        unit=raw.unit,
    )


def encode_unit(_: Devices, key: int, row: Unit) -> Encoded:
    return "unit", number(key), number(layout.UNIT_ALIVE if row.alive else layout.UNIT_DEAD)


def decode_unit(key: bytes, value: bytes) -> tuple[int, Unit] | None:
    state = int.from_bytes(value, "little")
    return (int.from_bytes(key, "little"), Unit(state == layout.UNIT_ALIVE)) if state else None


# by table

ENCODE: dict[str, Callable[..., Encoded]] = {
    "link": encode_link,
    "limit": encode_limit,
    "flow": encode_flow,
    "artp": encode_artp,
    "next_hop": encode_next_hop,
    "binding": encode_binding,
    "peer": encode_peer,
    "slot": encode_slot,
    "endpoint": encode_endpoint,
    "unit": encode_unit,
}
"""table → (devices, key, row) → map, key, value.

Forks are compiled (``forks.py``), channels need their slot.
"""


def encode_key(devices: Devices, table: str, key: object) -> tuple[str, bytes]:
    """Map and key of a row that is to be deleted."""
    match key:
        case LinkKey():
            return _encode_link_key(devices, key)
        case FlowKey():
            return _encode_flow_key(devices, key)
        case PutKey():
            return "binding_put", _put_number(key)
        case BindingKey():
            return _encode_binding_key(devices, key)
        case PeerKey():
            return _encode_peer_key(devices, key)
        case SlotKey():
            return table, number(key.group + key.index)
        case str():
            return _encode_limit_key(devices, key)
        case IPv4Address() | IPv6Address():
            return _encode_next_hop_key(devices, key)
        case int():
            return table, number(key)
    raise TypeError(f"no table {table} has keys like {key!r}")


def decode(
    devices: Devices, table: str, map_name: str, items: Iterator[tuple[bytes, bytes]]
) -> Iterator[tuple[object, object]]:
    """The model rows among a map's items."""
    family = 4 if map_name.endswith("4") else 6
    for key, value in items:
        row: tuple[object, object] | None
        match table:
            case "link":
                row = decode_link(devices, key, value)
            case "limit":
                row = decode_limit(devices, key, value)
            case "flow":
                row = decode_flow(key, value, family)
            case "artp":
                row = decode_artp(key, value)
            case "next_hop":
                row = decode_next_hop(devices, key, value)
            case "binding" if map_name == "binding_put":
                row = decode_put(key, value)
            case "binding":
                row = decode_binding(devices, key, value, family)
            case "peer":
                row = decode_peer(devices, key, value, family)
            case "channel":
                row = decode_channel(key, value)
            case "slot":
                row = decode_slot(key, value)
            case "endpoint":
                row = decode_endpoint(devices, key, value)
            case "unit":
                row = decode_unit(key, value)
            case _:
                raise ValueError(f"no such table: {table}")
        if row is not None:
            yield row
