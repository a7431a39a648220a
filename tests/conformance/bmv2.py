"""The P4 pipeline on a real bmv2: one switch for all cases, its pipeline pushed anew for each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from finsy.proto import p4r

from controller.drivers.p4runtime.entries import Entries, EntryKey, Ports, encode, groups
from controller.drivers.p4runtime.pipeline import Pipeline, multicast_group
from controller.drivers.p4runtime.readings import (
    channel_counts,
    channel_entities,
    node_counters,
    node_entities,
    read_learnt,
    zero_surplus,
)
from controller.steering.model import Peer, PeerKey, Tables
from controller.steering.outcome import Counters
from tests.conformance.bmv2_switch import PATIENCE, Control, PacketPorts, switch_process
from tests.conformance.network import LAN, WAN
from tests.conformance.plane import Arrival, Event, Observation, Run, Sent, copy_of, observation, write

PORTS = {WAN: 1, LAN: 2}
INSERT, MODIFY, DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE


class Bmv2:
    name = "bmv2"
    edge = True
    artp = True
    virtual_time = False
    shortest_frame = 1

    def __init__(self, control: Control, packets: PacketPorts) -> None:
        self._control = control
        self.packets = packets
        self._pipeline = control.pipeline
        self._ports = Ports(PORTS)
        self._names = {number: name for name, number in PORTS.items()}
        self._groups: set[int] = set()
        self._learnt: dict[PeerKey, Peer] = {}

    def run(self, tables: Tables, events: Sequence[Event]) -> Run:
        # Else the next group of the same number would have the replicas of this one, too.
        self._control.write(DELETE, map(multicast_group, self._groups))
        self._groups = set()
        self._control.push()
        self._follow_digests()
        tables, self._learnt = copy_of(tables), {}
        entries = self._follow(tables, {})
        observations: list[Observation] = []
        before, learnt = self.counters()
        for event in events:
            if not isinstance(event, Arrival):
                write(tables, event)
                entries = self._follow(tables, entries)
                continue
            self.packets.send(PORTS[event.device], event.frame)
            after, learnt_after = self._fate(before)
            seen = self._observe(event.frame, before, after)
            if learnt_after > learnt:
                self._learn(tables)
                entries = self._follow(tables, entries)
            observations.append(seen)
            before, learnt = after, learnt_after
        before.channels = channel_counts(
            self._pipeline, self._control.read(channel_entities(self._pipeline, tables.channel))
        )
        return Run(observations, before)

    def _follow_digests(self) -> None:
        config = p4r.DigestEntry.Config(max_timeout_ns=0, max_list_size=1, ack_timeout_ns=0)
        entry = p4r.DigestEntry(digest_id=self._pipeline.digests["learn_t"], config=config)
        self._control.write(INSERT, [p4r.Entity(digest_entry=entry)])

    def _follow(self, tables: Tables, before: Entries) -> Entries:
        """A peer that the control unit wrote goes before a learnt one."""
        after = encode(replace(tables, peer=self._learnt | tables.peer), self._ports)
        self._change(before, after)
        return after

    def _change(self, before: Entries, after: Entries) -> None:
        """Bring the switch from some entries to others, as the driver would."""
        missing = groups(after.items()) - self._groups
        self._groups |= missing
        self._control.write(INSERT, map(multicast_group, missing))
        for kind, keys in (
            (DELETE, before.keys() - after.keys()),
            (INSERT, after.keys() - before.keys()),
            (MODIFY, {key for key in before.keys() & after.keys() if before[key] != after[key]}),
        ):
            self._control.write(kind, (self._pipeline.message(key, after.get(key)) for key in keys))
        self._clear_surplus(before.keys() - after.keys())

    def _clear_surplus(self, gone: Iterable[EntryKey]) -> None:
        """The counts of a channel go with its row."""
        for key in gone:
            if key.table == "channel":
                self._control.write(MODIFY, zero_surplus(self._pipeline, key.match[0]))

    def counters(self) -> tuple[Counters, int]:
        return node_counters(self._pipeline, self._control.read(node_entities(self._pipeline)))

    def _fate(self, before: Counters) -> tuple[Counters, int]:
        """The counters when the frame and all its copies have met their ends."""
        deadline = time.monotonic() + PATIENCE
        while True:
            after, learnt = self.counters()
            if (after.received > before.received and after.conserved) or time.monotonic() > deadline:
                return after, learnt

    def _observe(self, frame: bytes, before: Counters, after: Counters) -> Observation:
        sent = []
        for _ in range(after.sent - before.sent):
            port, out = self.packets.receive()
            sent.append(Sent(self._names[port], out))
        to_host = after.to_host > before.to_host
        if to_host:
            packet = self._control.receive().packet
            assert packet.payload == frame, "what goes to the host goes as it came"
        drops = list((Counter(after.drops) - Counter(before.drops)).elements())
        return observation(sent, drops, to_host)

    def _learn(self, tables: Tables) -> None:
        """Time stands still: a row that was learnt is left as it is."""
        macs = {key: link.mac for key, link in tables.link.items()}
        for learnt in read_learnt(self._control.receive().digest, self._ports, macs):
            self._learnt.setdefault(learnt.key, learnt.row)


@contextmanager
def bmv2() -> Iterator[Bmv2]:
    with switch_process() as process:
        control = Control(process.address, Pipeline.load())
        control.push()  # before that the switch has no ports
        packets = PacketPorts(process.packet_address)
        try:
            yield Bmv2(control, packets)
        finally:
            packets.close()
            control.close()
