"""The rows and maps of ``steering.h`` and ``maps.h``, as Python writes them.

Addresses and ports stand in network order. A test compares sizes and offsets with what the compiler made.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import ClassVar

from controller.steering.model import MAX_GUEST_ADDRESSES
from ebpf.bpf import MapType

u8, u16, u32, u64 = ctypes.c_uint8, ctypes.c_uint16, ctypes.c_uint32, ctypes.c_uint64
Mac = u8 * 6
Address4 = u8 * 4
Address6 = u8 * 16

TARGET_FORK = 0x8000_0000
TARGET_ARTP = 0x4000_0000
ANY_SOURCE = 255
UNIT_DEAD, UNIT_ALIVE = 1, 2
LINK_FORK = 4
OVERRIDE_PLANS = 4
FORK_MAGIC = 0xD1F07C09
DROPS = 64
STREAMS = 32
MOST_PUTS = 32
PLAN_PUTS = 0x8000_0000
EVENT_FRAME = 192


class LinkKey(ctypes.Structure):
    _fields_: ClassVar = [("ifindex", u32), ("vlan", u32)]


class LinkRow(ctypes.Structure):
    _fields_: ClassVar = [
        ("kind", u8),
        ("unmatched", u8),
        ("mac", Mac),
        ("guest_mac", Mac),
        ("has_guest_mac", u8),
        ("families", u8),
        ("slice", u32),
        ("gateway4", Address4),
        ("address4", Address4 * MAX_GUEST_ADDRESSES),
        ("gateway6", Address6),
        ("address6", Address6 * MAX_GUEST_ADDRESSES),
        ("scope", u32),
        ("instance", u16),
        ("fill", u16),
    ]


class Meter(ctypes.Structure):
    _fields_: ClassVar = [("rate", u64), ("depth", u64), ("full", u64), ("refused", u64)]


class LimitRow(ctypes.Structure):
    _fields_: ClassVar = [("received", Meter), ("sent", Meter), ("burst", u64)]


class Flow4Key(ctypes.Structure):
    _fields_: ClassVar = [
        ("source", Address4),
        ("destination", Address4),
        ("source_port", u16),
        ("destination_port", u16),
        ("protocol", u8),
        ("pad", u8 * 3),
    ]


class Flow6Key(ctypes.Structure):
    _fields_: ClassVar = [
        ("source", Address6),
        ("destination", Address6),
        ("source_port", u16),
        ("destination_port", u16),
        ("protocol", u8),
        ("pad", u8 * 3),
    ]


class Flow4Row(ctypes.Structure):
    _fields_: ClassVar = [
        ("target", u32),
        ("links", u8),
        ("prefix_length", u8),
        ("common", u8),
        ("pad", u8),
        ("prefix", Address4),
        ("mask", Address4),
    ]


class Flow6Row(ctypes.Structure):
    _fields_: ClassVar = [
        ("target", u32),
        ("links", u8),
        ("prefix_length", u8),
        ("pad", u16),
        ("prefix", Address6),
        ("mask", Address6),
    ]


class ArtpRow(ctypes.Structure):
    _fields_: ClassVar = [
        ("present", u32),
        ("target", u32),
        ("control", u32),
        ("everyone", u32),
        ("named", u32),
        ("channel", u32),
        ("family", u8),
        ("prefix_length", u8),
        ("has_source", u8),
        ("pad", u8),
        ("source_port", u16),
        ("fill", u16),
        ("prefix", Address6),
        ("mask", Address6),
        ("source", Address6),
    ]


class NextHopKey(ctypes.Structure):
    _fields_: ClassVar = [("address", Address6)]


class NextHopRow(ctypes.Structure):
    _fields_: ClassVar = [
        ("ifindex", u32),
        ("vlan", u16),
        ("mtu", u16),
        ("source_mac", Mac),
        ("destination_mac", Mac),
    ]


class Binding4Key(ctypes.Structure):
    _fields_: ClassVar = [
        ("ifindex", u32),
        ("vlan", u32),
        ("source", Address4),
        ("source_port", u16),
        ("pad", u16),
    ]


class Binding6Key(ctypes.Structure):
    _fields_: ClassVar = [
        ("ifindex", u32),
        ("vlan", u32),
        ("source", Address6),
        ("source_port", u16),
        ("pad", u16),
    ]


class BindingRow(ctypes.Structure):
    _fields_: ClassVar = [("target", u32)]


class Peer4Key(ctypes.Structure):
    _fields_: ClassVar = [
        ("local", Address4),
        ("remote", Address4),
        ("local_port", u16),
        ("remote_port", u16),
    ]


class Peer6Key(ctypes.Structure):
    _fields_: ClassVar = [
        ("local", Address6),
        ("remote", Address6),
        ("local_port", u16),
        ("remote_port", u16),
    ]


class PeerRow(ctypes.Structure):
    _fields_: ClassVar = [
        ("seen", u64),
        ("ifindex", u32),
        ("vlan", u16),
        ("mtu", u16),
        ("source_mac", Mac),
        ("destination_mac", Mac),
        ("source", Address6),
        ("source_port", u16),
        ("has_source", u8),
        ("artp", u8),
        ("control", u64),
    ]


class ForkRow(ctypes.Structure):
    _fields_: ClassVar = [("copies", u32), ("plan", u32), ("mtu", u32), ("pad", u32)]


class BranchKey(ctypes.Structure):
    _fields_: ClassVar = [("plan", u32), ("copy", u32)]


class CloneKey(ctypes.Structure):
    _fields_: ClassVar = [("plan", u32), ("ifindex", u32), ("ordinal", u32)]


class ChannelRow(ctypes.Structure):
    _fields_: ClassVar = [
        ("present", u32),
        ("selector", u32),
        ("mask", u32),
        ("group", u32),
        ("session", u32),
        ("member", u32),
        ("endpoint", u32),
        ("ifindex", u32),
        ("address", Address4),
        ("source", Address4),
        ("unit", u32),
        ("mtu", u16),
        ("port", u16),
        ("source_port", u16),
        ("writes_source", u8),
        ("service", u8),
        ("destination_mac", Mac),
        ("source_mac", Mac),
    ]


class SlotRow(ctypes.Structure):
    _fields_: ClassVar = [("group", u32), ("endpoint", u32), ("backup", u32), ("pad", u32)]


class EndpointRow(ctypes.Structure):
    _fields_: ClassVar = [
        ("ifindex", u32),
        ("kind", u8),
        ("family", u8),
        ("has_source", u8),
        ("has_public", u8),
        ("vlan", u16),
        ("mtu", u16),
        ("port", u16),
        ("source_port", u16),
        ("public_port", u16),
        ("source_mac", Mac),
        ("destination_mac", Mac),
        ("pad", u16),
        ("unit", u32),
        ("address", Address6),
        ("source", Address6),
        ("public", Address6),
        ("program", u32),
        ("stream", u32),
        ("fill", u32 * 9),
    ]


class Traffic(ctypes.Structure):
    _fields_: ClassVar = [("packets", u64), ("bytes", u64)]


class Totals(ctypes.Structure):
    _fields_: ClassVar = [
        ("received", u64),
        ("copies", u64),
        ("sent", u64),
        ("steered", u64),
        ("to_host", u64),
        ("forked", u64),
        ("arrived", u64),
        ("drops", u64 * DROPS),
        ("egress_drops", u64),
        ("requested", u64),
        ("serial", u64),
    ]


class Numbering(ctypes.Structure):
    _fields_: ClassVar = [("serial", u64), ("ordinal", u64)]


class Config(ctypes.Structure):
    _fields_: ClassVar = [
        ("netns", u32),
        ("fork_tx", u32),
        ("tx", u32),
        ("offset_ifindex", u32),
        ("offset_net", u32),
        ("offset_inum", u32),
        ("guest_interval", u64),
        ("guest_burst", u64),
        ("control_interval", u64 * 2),
        ("control_burst", u64 * 2),
    ]


class CrcTable(ctypes.Structure):
    _fields_: ClassVar = [("entry", u32 * 256 * 4)]


class DevmapValue(ctypes.Structure):
    _fields_: ClassVar = [("ifindex", u32), ("bpf_prog", u32)]


class Event(ctypes.Structure):
    _fields_: ClassVar = [
        ("time", u64),
        ("ifindex", u32),
        ("reason", u32),
        ("length", u32),
        ("captured", u32),
        ("frame", u8 * EVENT_FRAME),
    ]


class CopyMeta(ctypes.Structure):
    _fields_: ClassVar = [
        ("magic", u32),
        ("plan", u32),
        ("copy", u32),
        ("ifindex", u32),
        ("serial", u64),
        ("vlan", u16),
        ("wild", u8),
        ("programs", u8),
        ("artp", u32),
    ]


class Passage(ctypes.Structure):
    _fields_: ClassVar = [
        ("program", u32),
        ("programs", u32),
        ("ifindex", u32),
        ("vlan", u32),
        ("channel", u32),
        ("copy", u32),
        ("kind", u32),
        ("puts", u32),
        ("stream", u32),
        ("written", u32),
        ("empty", u32),
        ("beyond", u32),
    ]


class Trace(ctypes.Structure):
    _fields_: ClassVar = [
        ("now", u64),
        ("ifindex", u32),
        ("reason", u32),
        ("channel", u32),
        ("endpoint", u32),
        ("device", u32),
        ("fork", u32),
        ("copies", u32),
        ("wild", u32),
        ("artp", u32),
        ("program", u32),
        ("programs", u32),
        ("puts", u32),
        ("vlan", u32),
        ("empty", u32),
        ("beyond", u32),
    ]


@dataclass(frozen=True)
class Sizes:
    """How many rows each table holds. Arrays and preallocated hashes: this is memory too."""

    flow: int = 1 << 17
    binding: int = 1 << 13
    peer: int = 1 << 12
    learnt: int = 1 << 16
    artp: int = 1 << 12
    next_hop: int = 1 << 12
    fork: int = 1 << 10
    branch: int = 1 << 14
    channel: int = 1 << 13
    slot: int = 1 << 16
    endpoint: int = 1 << 14
    unit: int = 1 << 8
    program: int = 1 << 8
    vlan_link: int = 1 << 10
    ifindex: int = 1 << 16
    events: int = 1 << 18
    """Bytes of the ring buffer; a power of two."""


@dataclass(frozen=True)
class MapLayout:
    kind: MapType
    key: type[ctypes.Structure] | None
    """None: a number of 32 bits."""
    value: type[ctypes.Structure] | type[ctypes.c_uint32] | type[ctypes.c_uint64] | None
    size: str
    """The field of ``Sizes``, or a number."""
    factor: int = 1

    def entries(self, sizes: Sizes) -> int:
        return self.factor * (int(self.size) if self.size.isdigit() else int(getattr(sizes, self.size)))

    @property
    def key_size(self) -> int:
        return 0 if self.kind is MapType.RINGBUF else ctypes.sizeof(self.key) if self.key else 4

    @property
    def value_size(self) -> int:
        return ctypes.sizeof(self.value) if self.value else 0


_A, _H, _L, _P = MapType.ARRAY, MapType.HASH, MapType.LRU_HASH, MapType.PERCPU_ARRAY
MAPS = {
    "link": MapLayout(_A, None, LinkRow, "ifindex"),
    "link_vlan": MapLayout(_H, LinkKey, LinkRow, "vlan_link"),
    "limit": MapLayout(_A, None, LimitRow, "ifindex"),
    "flow4": MapLayout(_H, Flow4Key, Flow4Row, "flow"),
    "flow6": MapLayout(_H, Flow6Key, Flow6Row, "flow"),
    "binding4": MapLayout(_H, Binding4Key, BindingRow, "binding"),
    "binding6": MapLayout(_H, Binding6Key, BindingRow, "binding"),
    "peer4": MapLayout(_H, Peer4Key, PeerRow, "peer"),
    "peer6": MapLayout(_H, Peer6Key, PeerRow, "peer"),
    "learnt4": MapLayout(_L, Peer4Key, PeerRow, "learnt"),
    "learnt6": MapLayout(_L, Peer6Key, PeerRow, "learnt"),
    "artp": MapLayout(_A, None, ArtpRow, "artp"),
    "next_hop": MapLayout(_H, NextHopKey, NextHopRow, "next_hop"),
    "fork": MapLayout(_A, None, ForkRow, "fork"),
    "branch": MapLayout(_H, BranchKey, u32, "branch", 2),
    "clone": MapLayout(_H, CloneKey, u32, "branch", 2),
    "channel": MapLayout(_A, None, ChannelRow, "channel"),
    "slot": MapLayout(_A, None, SlotRow, "slot"),
    "endpoint": MapLayout(_A, None, EndpointRow, "endpoint"),
    "unit": MapLayout(_A, None, u32, "unit"),
    "counter": MapLayout(_A, None, u32, "slot"),
    "traffic": MapLayout(_P, None, Traffic, "channel"),
    "retired": MapLayout(_A, None, Traffic, "channel"),
    "totals": MapLayout(_P, None, Totals, "1"),
    "binding_put": MapLayout(_A, None, u32, "program", STREAMS),
    "passage": MapLayout(_P, None, Passage, "1"),
    "programs": MapLayout(MapType.PROG_ARRAY, None, u32, "program", STREAMS),
    "onward": MapLayout(MapType.PROG_ARRAY, None, u32, "1"),
    "numbering": MapLayout(_P, None, Numbering, "ifindex"),
    "bucket": MapLayout(_L, LinkKey, u64, "vlan_link", 4),
    "config": MapLayout(_A, None, Config, "1"),
    "crc": MapLayout(_A, None, CrcTable, "1"),
    "events": MapLayout(MapType.RINGBUF, None, None, "events"),
    "tx": MapLayout(MapType.DEVMAP, None, DevmapValue, "ifindex"),
    "plans": MapLayout(MapType.ARRAY_OF_MAPS, None, u32, "fork", 4),
    "put_plans": MapLayout(MapType.ARRAY_OF_MAPS, None, u32, str(MOST_PUTS + 1)),
    "attached": MapLayout(_H, None, u32, "vlan_link"),
}
"""All maps but ``plan_devices`` (one per plan, made with it) and ``trace`` (the test build's). ``attached``
is the
loader's own: the devices that a program of ours was attached to."""
TRACE_MAP = MapLayout(_A, None, Trace, "1")
