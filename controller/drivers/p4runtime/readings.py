"""What a switch tells: its counters in the node's words, and the peers that it wants to learn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from finsy.proto import p4r

from controller.drivers.p4runtime.entries import EntryKey, Ports
from controller.drivers.p4runtime.pipeline import Pipeline
from controller.steering.drops import Drop
from controller.steering.model import Address, LinkKey, Mac, Peer, PeerKey, Socket
from controller.steering.outcome import Counters, PacketCount

ETHERNET = 14
LEARNT_MTU = 1500
SURPLUS_BITS = 16
_FATES = ("sent", "to_host", "drops")
_CAUSES = ("learnt", "forked", "received")
"""Read after the fates: while packets are under way, causes may then be ahead of fates but never behind."""


@dataclass(frozen=True)
class Learnt:
    """A peer that the switch met (step 20 of ``docs/steering.md``)."""

    key: PeerKey
    row: Peer


def node_entities(pipeline: Pipeline) -> list[p4r.Entity]:
    """What to read for ``node_counters``, in this order."""
    return [pipeline.counter(name) for name in (*_FATES, *_CAUSES)]


def node_counters(pipeline: Pipeline, entities: Iterable[p4r.Entity]) -> tuple[Counters, int]:
    """All counters but the channels', and how many peers were reported for learning."""
    names = {number: name for name, number in pipeline.counters.items()}
    cells: dict[str, Counter[int]] = {name: Counter() for name in names.values()}
    for entity in entities:
        entry = entity.counter_entry
        if entry.data.packet_count:
            cells[names[entry.counter_id]][entry.index.index] = entry.data.packet_count
    counters = Counters(
        received=cells["received"].total(),
        copies=sum((size - 1) * count for size, count in cells["forked"].items()),
        sent=cells["sent"].total(),
        to_host=cells["to_host"].total(),
        drops=Counter({Drop(reason): count for reason, count in cells["drops"].items()}),
    )
    return counters, cells["learnt"].total()


def channel_entities(pipeline: Pipeline, channels: Iterable[int]) -> Iterator[p4r.Entity]:
    """What to read for ``channel_counts``: a channel's own counter and its cells of ``surplus``."""
    for channel in channels:
        entry = pipeline.message(EntryKey("channel", (channel,))).table_entry
        yield p4r.Entity(direct_counter_entry=p4r.DirectCounterEntry(table_entry=entry))
        yield from _surplus(pipeline, channel)


def _surplus(pipeline: Pipeline, channel: int) -> Iterator[p4r.Entity]:
    """The channel's cells of ``p4/v1model/surplus.p4``, one for each bit."""
    for bit in range(SURPLUS_BITS):
        yield pipeline.counter(f"surplus_{bit}", channel)


def zero_surplus(pipeline: Pipeline, channel: int) -> Iterator[p4r.Entity]:
    """What to write when the channel's row, and with it the row's own counter, goes."""
    for cell in _surplus(pipeline, channel):
        cell.counter_entry.data.packet_count = 0
        yield cell


def channel_counts(pipeline: Pipeline, entities: Iterable[p4r.Entity]) -> dict[int, PacketCount]:
    """Packets and bytes of IP packets by channel.

    The switch counts bytes of whole frames; from these go 14 per packet and the surplus, bit by bit.
    """
    bits = {pipeline.counters[f"surplus_{bit}"]: bit for bit in range(SURPLUS_BITS)}
    counts: dict[int, PacketCount] = {}
    surplus: Counter[int] = Counter()
    for entity in entities:
        if entity.HasField("direct_counter_entry"):
            entry = entity.direct_counter_entry
            channel = int.from_bytes(entry.table_entry.match[0].exact.value, "big")
            packets = entry.data.packet_count
            counts[channel] = PacketCount(packets, entry.data.byte_count - ETHERNET * packets)
        elif entity.counter_entry.data.packet_count:
            cell = entity.counter_entry
            surplus[cell.index.index] += cell.data.packet_count << bits[cell.counter_id]
    for channel, extra in surplus.items():
        counts[channel].bytes -= extra
    return counts


def read_learnt(digest: p4r.DigestList, ports: Ports, macs: Mapping[LinkKey, Mac]) -> Iterator[Learnt]:
    """The peers in digests ``learn_t``; ``macs`` are the switch's own, by link."""
    for values in _fields(digest, 1, 1, 9, 12, 48, 16, 16, 128, 128):
        six, artp, port, vlan, mac, local_port, remote_port, local, remote = values
        link = LinkKey(ports.name(port), vlan)
        if link not in macs:
            continue  # it has gone meanwhile
        key = PeerKey(Socket(_address(six, local), local_port), Socket(_address(six, remote), remote_port))
        next_hop = Mac(mac.to_bytes(6, "big"))
        row = Peer(link.device, vlan, macs[link], next_hop, None, LEARNT_MTU, bool(artp))
        yield Learnt(key, row)


def read_destinations(digest: p4r.DigestList) -> Iterator[Address]:
    """The addresses without a next hop in digests ``next_hop_t``."""
    for six, number in _fields(digest, 1, 128):
        yield _address(six, number)


def _fields(digest: p4r.DigestList, *widths: int) -> Iterator[list[int]]:
    """What stands in the one member of each digest (``p4/v1model/digests.p4``), from the first bit on."""
    for item in digest.data:
        (member,) = item.struct.members
        number, values = int.from_bytes(member.bitstring, "big"), []
        for width in reversed(widths):
            values.append(number & (1 << width) - 1)
            number >>= width
        yield values[::-1]


def _address(six: int, number: int) -> Address:
    return IPv6Address(number) if six else IPv4Address(number)
