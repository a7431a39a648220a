"""What a switch has against what is wanted of it: data in, findings out.

What the agent finds itself is not the control unit's to want: peers that packets taught, next hops of
destinations that ARTP packets name, and the next hop of a receiver's endpoint. It is let be.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

from controller.drivers.p4runtime.apply import GROUP_TABLE, with_groups
from controller.drivers.p4runtime.config import SwitchConfig
from controller.drivers.p4runtime.entries import (
    NEXT_HOPS,
    PEERS,
    Action,
    Entries,
    EntryKey,
    Ports,
    decode,
    encode,
)
from controller.drivers.p4runtime.pipeline import Pipeline
from controller.steering import wire
from controller.steering.model import Link, LinkKey, LinkKind, Mac, Tables, Unmatched
from controller.steering.wire import NO_MAC
from dipronn.unit.receivers import NextHop, completed
from dipronn.v1 import unit_pb2

_ADDRESSES = {"destination", "source", "local", "remote", "address", "permitted_source", "permitted_mask"}
"""Fields and parameters that hold one, where they are as wide as one."""
_MAC_BITS, _IPV4_BITS, _IPV6_BITS = 48, 32, 128


@dataclass(frozen=True)
class Switch:
    """A switch as its agent describes it."""

    address: str
    device_id: int
    ports: Ports
    links: Mapping[LinkKey, Link]


@dataclass(frozen=True)
class Difference:
    """``wanted``: it is, and is missing or different; else something is there that nobody wants."""

    wanted: bool
    what: str


def description(config: SwitchConfig) -> dict[str, Any]:
    """What agent.json says: who works here, in which network namespace, and with which switch."""
    links = [
        {
            "device": link.key.device,
            "vlan": link.key.vlan,
            "port": link.port,
            "kind": int(link.row.kind),
            "mac": str(link.mac),
            "unmatched": int(link.unmatched),
        }
        for link in config.links
    ]
    return {
        "unit": config.unit,
        "pid": os.getpid(),
        "namespace": str(Path("/proc/self/ns/net").readlink()),
        "switch": {"address": config.address, "device_id": config.device_id, "links": links},
    }


def described(facts: Mapping[str, Any]) -> Switch:
    """The switch of a ``description``."""
    links = {
        LinkKey(each["device"], each["vlan"]): Link(
            LinkKind(each["kind"]), Mac.parse(each["mac"]), Unmatched(each["unmatched"])
        )
        for each in facts["links"]
    }
    ports = Ports({each["device"]: each["port"] for each in facts["links"]})
    return Switch(facts["address"], facts["device_id"], ports, links)


def differences(
    switch: Switch, slices: Iterable[unit_pb2.Slice], held: Entries, pipeline: Pipeline
) -> list[Difference]:
    """Everything in which a switch differs from what it should be. Raises DipronnError for rows that it
    cannot have at all."""
    wanted = _wanted(switch, slices, held)
    names = _Names(pipeline)
    found = []
    for key, action in wanted.items():
        if key not in held:
            found.append(Difference(True, f"{names.entry(key)} is missing"))
        elif held[key] != action:
            found.append(Difference(True, f"{names.entry(key)}: {names.changes(action, held[key])}"))
    for key in held.keys() - wanted.keys():
        if key.table not in (*PEERS, *NEXT_HOPS):
            found.append(Difference(False, f"{names.entry(key)} is nobody's"))
    return sorted(found, key=lambda each: (not each.wanted, each.what))


def _wanted(switch: Switch, slices: Iterable[unit_pb2.Slice], held: Entries) -> Entries:
    rows = Tables()
    for slice_ in slices:
        rows.merge(wire.decode(slice_.tables))
    rows.link = dict(switch.links)
    for number, row in wire.unresolved(rows).items():
        rows.endpoint[number] = completed(row, _next_hop(switch, held.get(EntryKey("endpoint", (number,)))))
    return with_groups(encode(rows, switch.ports))


def _next_hop(switch: Switch, found: Action | None) -> NextHop:
    """The one that a receiver's endpoint has, if it can be one; else any, since it is wrong or missing."""
    if found:
        key = EntryKey("endpoint", (0,))
        row = decode({key: found}, switch.ports).endpoint[0]
        link = LinkKey(row.device, row.vlan)
        if link in switch.links:
            return NextHop(link, row.source_mac, row.destination_mac, row.mtu)
    return NextHop(next(iter(switch.links)), NO_MAC, NO_MAC, 0)


class _Names:
    """Entries in words, by the names that the P4Info gives."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._matches = {
            table.preamble.alias: [(field.name, field.bitwidth) for field in table.match_fields]
            for table in pipeline.info.tables
        }
        self._parameters = {
            action.preamble.alias: [(each.name, each.bitwidth) for each in action.params]
            for action in pipeline.info.actions
        }

    def entry(self, key: EntryKey) -> str:
        if key.table == GROUP_TABLE:
            return f"multicast group {key.match[0]}"
        return f"{key.table} entry {', '.join(_words(self._matches[key.table], key.match))}"

    def changes(self, wanted: Action, found: Action) -> str:
        if wanted.name != found.name:
            return f"its action is {found.name}, not {wanted.name}"
        if wanted.name not in self._parameters:
            return f"its copies are {list(found.parameters)}, not {list(wanted.parameters)}"
        fields = self._parameters[wanted.name]
        pairs = zip(_words(fields, found.parameters), _words(fields, wanted.parameters), strict=True)
        return ", ".join(f"{there}, not {want.partition(' ')[2]}" for there, want in pairs if there != want)


def _words(fields: Sequence[tuple[str, int]], values: Iterable[int]) -> Iterator[str]:
    for (name, bits), value in zip(fields, values, strict=True):
        yield f"{name} {_value(name, bits, value)}"


def _value(name: str, bits: int, value: int) -> str:
    if bits == _MAC_BITS:
        return str(Mac(value.to_bytes(6, "big")))
    if name in _ADDRESSES and bits == _IPV4_BITS:
        return str(IPv4Address(value))
    if name in _ADDRESSES and bits == _IPV6_BITS:
        return str(IPv6Address(value))
    return str(value)
