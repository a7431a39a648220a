"""Steering tables as the API carries them: ``Tables`` to ``dipronn.v1.steering_pb2.Tables`` and back.

``decode`` trusts nothing: whatever it returns is well-formed (names, ranges, families, no key twice), though
a row may still point to a row that is not there, which costs packets (``no_rule``) and nothing else.

An endpoint whose next hop is left to the unit has no device and no MACs in the message.  In the model its
``device`` is empty and its MACs are zero: ``unresolved`` finds such rows, ``dataclasses.replace`` completes
them.  Next hops of destinations that ARTP names are the unit's own and in no message.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import Literal, TypeVar

from controller.steering.model import (
    MAX_BURST,
    MAX_GUEST_ADDRESSES,
    MAX_STREAMS,
    UDP,
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
from dipronn.errors import DipronnError
from dipronn.v1 import steering_pb2 as pb

NO_MAC = Mac(bytes(6))
MAX_VLAN = 4094
_DEVICE = re.compile(r"(?!\.\.?$)[^\s/:\0]{1,15}")

K = TypeVar("K")
V = TypeVar("V")
R = TypeVar("R")
E = TypeVar("E", bound=IntEnum)


class MalformedTables(DipronnError):
    """A message that is no set of steering rows; says which row of which table, and what is wrong with it."""


def unresolved(tables: Tables) -> dict[int, Endpoint]:
    """The endpoints whose next hop the unit must find."""
    kernel = EndpointKind.KERNEL
    return {n: row for n, row in tables.endpoint.items() if not row.device and row.kind is not kernel}


# encode


def encode(tables: Tables) -> pb.Tables:
    """The message for these rows."""
    message = pb.Tables()
    for link_key, link in tables.link.items():
        message.link.add(
            device=link_key.device,
            vlan=link_key.vlan,
            kind=link.kind,
            mac=link.mac.octets,
            unmatched=link.unmatched,
            slice=link.slice,
            guest_mac=link.guest_mac.octets if link.guest_mac else b"",
            addresses=[address.packed for address in link.addresses],
            gateways=[address.packed for address in link.gateways],
            instance=link.instance,
        )
    for device, limit in tables.limit.items():
        message.limit.add(device=device, received=limit.received, sent=limit.sent, burst=limit.burst)
    for flow_key, flow in tables.flow.items():
        prefix = flow.permitted_source
        message.flow.add(
            protocol=flow_key.protocol,
            destination=_socket(flow_key.destination),
            source=_socket(flow_key.source),
            target=_target(flow.target),
            links=flow.links,
            permitted_source=prefix.network_address.packed if prefix else b"",
            permitted_prefix_length=prefix.prefixlen if prefix else 0,
        )
    for number, artp in tables.artp.items():
        message.artp.add(
            artp=number,
            target=_optional_target(artp.target),
            control=_optional_target(artp.control),
            everyone=_optional_target(artp.everyone),
            named=_optional_target(artp.named),
            override=_override(artp.override),
        )
    for binding_key, binding in tables.binding.items():
        if isinstance(binding_key, PutKey):
            message.put.add(
                program=binding_key.program, stream=binding_key.stream, target=_target(binding.target)
            )
            continue
        message.binding.add(
            device=binding_key.link.device,
            vlan=binding_key.link.vlan,
            source=_socket(binding_key.source),
            target=_target(binding.target),
        )
    for peer_key, peer in tables.peer.items():
        message.peer.add(
            local=_socket(peer_key.local),
            remote=_socket(peer_key.remote),
            device=peer.device,
            vlan=peer.vlan,
            source_mac=peer.source_mac.octets,
            destination_mac=peer.destination_mac.octets,
            source=_socket(peer.source),
            mtu=peer.mtu,
            artp=peer.artp,
            control=peer.control,
        )
    for fork_key, branch in tables.fork.items():
        message.fork.add(fork=fork_key.fork, copy=fork_key.copy, channel=branch.channel)
    for number, channel in tables.channel.items():
        message.channel.add(
            channel=number,
            selector=channel.selector,
            mask=channel.mask,
            group=channel.group,
            session=channel.session,
            member=channel.member,
            service=channel.service,
        )
    for slot_key, slot in tables.slot.items():
        message.slot.add(
            group=slot_key.group, index=slot_key.index, endpoint=slot.endpoint, backup=slot.backup
        )
    for number, endpoint in tables.endpoint.items():
        message.endpoint.add(
            endpoint=number,
            kind=endpoint.kind,
            device=endpoint.device,
            vlan=endpoint.vlan,
            source_mac=endpoint.source_mac.octets if endpoint.device else b"",
            destination_mac=endpoint.destination_mac.octets if endpoint.device else b"",
            destination=_socket(endpoint.destination),
            source=_socket(endpoint.source),
            public=_socket(endpoint.public),
            mtu=endpoint.mtu,
            unit=endpoint.unit,
            program=endpoint.program,
            stream=endpoint.stream,
        )
    for number, unit in tables.unit.items():
        message.unit.add(unit=number, alive=unit.alive)
    return message


def _socket(socket: Socket | None) -> pb.Socket | None:
    return pb.Socket(address=socket.address.packed, port=socket.port) if socket else None


def _target(target: Target) -> pb.TargetRef:
    return pb.TargetRef(kind=target.kind, id=target.id)


def _optional_target(target: Target | None) -> pb.TargetRef | None:
    return _target(target) if target else None


def _override(row: Override | None) -> pb.OverrideRow | None:
    if row is None:
        return None
    return pb.OverrideRow(
        permitted=row.permitted.network_address.packed if row.permitted else b"",
        permitted_prefix_length=row.permitted.prefixlen if row.permitted else 0,
        channel=row.channel,
        source=_socket(row.source),
    )


# decode


def decode(message: pb.Tables) -> Tables:
    """The rows of a message.  Raises ``MalformedTables``."""
    tables = Tables(
        link=_rows("link", message.link, _read_link),
        limit=_rows("limit", message.limit, _read_limit),
        flow=_rows("flow", message.flow, _read_flow),
        artp=_rows("artp", message.artp, _read_artp),
        binding={**_rows("binding", message.binding, _read_binding), **_rows("put", message.put, _read_put)},
        peer=_rows("peer", message.peer, _read_peer),
        fork=_rows("fork", message.fork, _read_fork),
        channel=_rows("channel", message.channel, _read_channel),
        slot=_rows("slot", message.slot, _read_slot),
        endpoint=_rows("endpoint", message.endpoint, _read_endpoint),
        unit=_rows("unit", message.unit, _read_unit),
    )
    owners: dict[int, SlotKey] = {}
    for key in tables.slot:
        other = owners.setdefault(key.group + key.index, key)
        if other != key:
            raise MalformedTables(
                f"slot {key.group}+{key.index} and {other.group}+{other.index} are one slot"
            )
    return tables


def _rows(table: str, messages: Iterable[R], read: Callable[[R], tuple[K, V]]) -> dict[K, V]:
    rows: dict[K, V] = {}
    for i, message in enumerate(messages):
        try:
            key, value = read(message)
            _require(key not in rows, f"the key {key} stands twice")
        except ValueError as error:
            raise MalformedTables(f"{table} row {i}: {error}") from None
        rows[key] = value
    return rows


def _read_link(row: pb.LinkRow) -> tuple[LinkKey, Link]:
    kind = _enum(LinkKind, row.kind, "kind")
    guest = kind is LinkKind.GUEST
    link = Link(
        kind,
        _mac(row.mac, "mac"),
        _enum(Unmatched, row.unmatched, "unmatched"),
        row.slice,
        _mac(row.guest_mac, "guest_mac") if row.guest_mac or guest else None,
        tuple(_address(address, "addresses") for address in row.addresses),
        tuple(_address(address, "gateways") for address in row.gateways),
        row.instance,
    )
    families = [gateway.version for gateway in link.gateways]
    _require(guest or not (link.guest_mac or link.addresses or link.gateways), "only a guest has addresses")
    _require(link.instance <= (0xFFFF if guest else 0), f"instance {link.instance}")
    _require(not guest or link.unmatched is Unmatched.DROP, "a guest's unmatched packets are dropped")
    _require(len(link.addresses) <= MAX_GUEST_ADDRESSES, f"more than {MAX_GUEST_ADDRESSES} addresses")
    _require(len(set(families)) == len(families), "two gateways of one family")
    return _link_key(row.device, row.vlan), link


def _read_limit(row: pb.LimitRow) -> tuple[str, Limit]:
    device = _link_key(row.device, 0).device
    _require(0 < row.burst <= MAX_BURST, f"burst {row.burst} is not in 1..{MAX_BURST}")
    return device, Limit(row.received, row.sent, row.burst)


def _read_flow(row: pb.FlowRow) -> tuple[FlowKey, Flow]:
    _require(row.protocol == UDP, f"protocol {row.protocol} is not UDP")
    destination = _required_socket(row, "destination")
    source = _same_family(destination, _optional_socket(row, "source"), "source")
    _require(
        row.links != 0 and not row.links & ~int(LinkScope.OUTSIDE | LinkScope.NODE | LinkScope.CONTROL),
        f"links {row.links:#x}",
    )
    permitted = _network(row.permitted_source, row.permitted_prefix_length, "permitted_source")
    same = permitted is None or permitted.version == destination.address.version
    _require(same, "permitted_source is of another family")
    key = FlowKey(row.protocol, destination, source)
    return key, Flow(_read_target(row, "target"), LinkScope(row.links), permitted)


def _read_artp(row: pb.ArtpRow) -> tuple[int, Artp]:
    override = None
    if row.HasField("override"):
        its = row.override
        permitted = _network(its.permitted, its.permitted_prefix_length, "permitted")
        override = Override(permitted, _number(its.channel, "channel"), _optional_socket(its, "source"))
    return _number(row.artp, "artp"), Artp(
        _plain_target(row, "target"),
        _plain_target(row, "control"),
        _plain_target(row, "everyone"),
        _plain_target(row, "named"),
        override,
    )


def _plain_target(row: pb.ArtpRow, name: Literal["target", "control", "everyone", "named"]) -> Target | None:
    target = _read_target(row, name) if row.HasField(name) else None
    _require(target is None or target.kind is not TargetKind.ARTP, f"{name} is an artp row again")
    return target


def _read_binding(row: pb.BindingRow) -> tuple[BindingKey, Binding]:
    return BindingKey(_link_key(row.device, row.vlan), _required_socket(row, "source")), Binding(
        _read_target(row, "target")
    )


def _read_put(row: pb.PutRow) -> tuple[PutKey, Binding]:
    target = _read_target(row, "target")
    _require(target.kind is not TargetKind.ARTP, "kernel programs do not speak ARTP")
    return _stream(row), Binding(target)


def _stream(row: pb.PutRow | pb.EndpointRow) -> PutKey:
    _require(row.stream < MAX_STREAMS, f"stream {row.stream} is above {MAX_STREAMS - 1}")
    return PutKey(_number(row.program, "program"), row.stream)


def _read_peer(row: pb.PeerRow) -> tuple[PeerKey, Peer]:
    local = _required_socket(row, "local")
    remote = _required_socket(row, "remote")
    _same_family(local, remote, "remote")
    link = _link_key(row.device, row.vlan)
    peer = Peer(
        link.device,
        link.vlan,
        _mac(row.source_mac, "source_mac"),
        _mac(row.destination_mac, "destination_mac"),
        _same_family(local, _optional_socket(row, "source"), "source"),
        _mtu(row.mtu),
        row.artp,
        row.control,
    )
    return PeerKey(local, remote), peer


def _read_fork(row: pb.ForkRow) -> tuple[ForkKey, ForkBranch]:
    return ForkKey(_number(row.fork, "fork"), row.copy), ForkBranch(_number(row.channel, "channel"))


def _read_channel(row: pb.ChannelRow) -> tuple[int, Channel]:
    _require(row.mask & (row.mask + 1) == 0, f"mask {row.mask:#x} is not a power of two less one")
    return _number(row.channel, "channel"), Channel(
        _enum(Selector, row.selector, "selector"),
        row.mask,
        _number(row.group, "group"),
        row.session,
        row.member,
        _enum(Service, row.service, "service"),
    )


def _read_slot(row: pb.SlotRow) -> tuple[SlotKey, Slot]:
    backup = _number(row.backup, "backup") if row.HasField("backup") else None
    return SlotKey(_number(row.group, "group"), row.index), Slot(_number(row.endpoint, "endpoint"), backup)


def _read_endpoint(row: pb.EndpointRow) -> tuple[int, Endpoint]:
    kind = _enum(EndpointKind, row.kind, "kind")
    destination = _required_socket(row, "destination")
    if kind is EndpointKind.KERNEL:
        key, number = _stream(row), _number(row.endpoint, "endpoint")
        endpoint = kernel_endpoint(key.program, key.stream)
        _require(
            row == encode(Tables(endpoint={number: endpoint})).endpoint[0], "a kernel endpoint with more"
        )
        return number, endpoint
    _require(not (row.program or row.stream), "only the kernel has programs")
    resolved = bool(row.device)
    if resolved:
        _link_key(row.device, row.vlan)
    else:
        _require(not (row.source_mac or row.destination_mac or row.vlan), "MACs or VLAN without a device")
        _require(kind is not EndpointKind.GUEST, "a guest without a device")
    return _number(row.endpoint, "endpoint"), Endpoint(
        kind,
        row.device,
        _mac(row.source_mac, "source_mac") if resolved else NO_MAC,
        _mac(row.destination_mac, "destination_mac") if resolved else NO_MAC,
        destination,
        row.vlan,
        _same_family(destination, _optional_socket(row, "source"), "source"),
        _same_family(destination, _optional_socket(row, "public"), "public"),
        _mtu(row.mtu),
        row.unit,
    )


def _read_unit(row: pb.UnitRow) -> tuple[int, Unit]:
    return _number(row.unit, "unit"), Unit(row.alive)


# fields


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _enum(kind: type[E], value: int, name: str) -> E:
    _require(value in kind.__members__.values(), f"unknown {name} {value}")
    return kind(value)


def _number(value: int, name: str) -> int:
    _require(value > 0, f"{name} must be positive")
    return value


def _mtu(value: int) -> int:
    _require(68 <= value <= 65535, f"mtu {value} is not in 68..65535")  # 68: RFC 791
    return value


def _mac(octets: bytes, name: str) -> Mac:
    _require(len(octets) == 6, f"{name} has {len(octets)} octets, not 6")
    return Mac(octets)


def _network(packed: bytes, length: int, name: str) -> Network | None:
    if not packed:
        _require(length == 0, f"a prefix length without {name}")
        return None
    return ip_network((_address(packed, name), length))  # refuses host bits and lengths


def _address(packed: bytes, name: str) -> Address:
    _require(len(packed) in (4, 16), f"{name} has {len(packed)} bytes, not 4 or 16")
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)


def _link_key(device: str, vlan: int) -> LinkKey:
    _require(_DEVICE.fullmatch(device) is not None, f"device {device!r} is no interface name")
    _require(vlan <= MAX_VLAN, f"vlan {vlan} is above {MAX_VLAN}")
    return LinkKey(device, vlan)


def _required_socket(row: pb.FlowRow | pb.BindingRow | pb.PeerRow | pb.EndpointRow, name: str) -> Socket:
    socket = _optional_socket(row, name)
    if socket is None:
        raise ValueError(f"{name} is missing")
    return socket


def _optional_socket(
    row: pb.FlowRow | pb.BindingRow | pb.PeerRow | pb.EndpointRow | pb.OverrideRow, name: str
) -> Socket | None:
    if not row.HasField(name):  # type: ignore[arg-type]  # the name is one of the row's own
        return None
    message: pb.Socket = getattr(row, name)
    _require(message.port <= 65535, f"{name} has port {message.port}")
    return Socket(_address(message.address, name), message.port)


def _same_family(first: Socket, second: Socket | None, name: str) -> Socket | None:
    same = second is None or first.address.version == second.address.version
    _require(same, f"{name} is of another family")
    return second


def _read_target(row: pb.FlowRow | pb.BindingRow | pb.PutRow | pb.ArtpRow, name: str) -> Target:
    _require(row.HasField(name), f"{name} is missing")  # type: ignore[arg-type]  # one of the row's own
    message: pb.TargetRef = getattr(row, name)
    return Target(_enum(TargetKind, message.kind, f"{name} kind"), _number(message.id, name))
