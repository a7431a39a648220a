"""The P4 pipeline on a real bmv2: one switch for all cases, its pipeline pushed anew for each."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from finsy.proto import p4r

from controller.drivers.p4runtime.entries import (
    EntryKey,
    Ports,
    encode,
    encode_peer,
    encode_peer_key,
    encode_unit,
    groups,
)
from controller.drivers.p4runtime.pipeline import Pipeline, multicast_group
from controller.drivers.p4runtime.readings import (
    channel_counts,
    channel_entities,
    node_counters,
    node_entities,
    read_learnt,
)
from controller.steering.model import Tables, Unit
from controller.steering.outcome import Counters
from tests.conformance.bmv2_switch import PATIENCE, Control, PacketPorts, switch_process
from tests.conformance.network import LAN, WAN
from tests.conformance.plane import Event, Observation, Run, Sent, SetAlive, observation

PORTS = {WAN: 1, LAN: 2}
INSERT, MODIFY, DELETE = p4r.Update.INSERT, p4r.Update.MODIFY, p4r.Update.DELETE


class Bmv2:
    name = "bmv2"
    edge = True
    virtual_time = False
    shortest_frame = 1

    def __init__(self, control: Control, packets: PacketPorts) -> None:
        self._control = control
        self._packets = packets
        self._pipeline = control.pipeline
        self._ports = Ports(PORTS)
        self._names = {number: name for name, number in PORTS.items()}

    def run(self, tables: Tables, events: Sequence[Event]) -> Run:
        self._control.push()
        self._follow_digests()
        self._install(tables)
        self._peers = set(tables.peer)
        self._units = set(tables.unit)
        observations: list[Observation] = []
        before, learnt = self._counters()
        for event in events:
            if isinstance(event, SetAlive):
                self._set_alive(event)
                continue
            self._packets.send(PORTS[event.device], event.frame)
            after, learnt_after = self._fate(before)
            seen = self._observe(event.frame, before, after)
            if learnt_after > learnt:
                self._learn()
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

    def _install(self, tables: Tables) -> None:
        entries = encode(tables, self._ports)
        self._control.write(INSERT, map(multicast_group, sorted(groups(entries.items()))))
        self._control.write(INSERT, (self._pipeline.message(*item) for item in entries.items()))

    def _set_alive(self, event: SetAlive) -> None:
        message = self._pipeline.message(EntryKey("unit", (event.unit,)), encode_unit(Unit(event.alive)))
        self._control.write(MODIFY if event.unit in self._units else INSERT, [message])
        self._units.add(event.unit)

    def _counters(self) -> tuple[Counters, int]:
        return node_counters(self._pipeline, self._control.read(node_entities(self._pipeline)))

    def _fate(self, before: Counters) -> tuple[Counters, int]:
        """The counters when the frame and all its copies have met their ends."""
        deadline = time.monotonic() + PATIENCE
        while True:
            after, learnt = self._counters()
            if (after.received > before.received and after.conserved) or time.monotonic() > deadline:
                return after, learnt

    def _observe(self, frame: bytes, before: Counters, after: Counters) -> Observation:
        sent = []
        for _ in range(after.sent - before.sent):
            port, out = self._packets.receive()
            sent.append(Sent(self._names[port], out))
        to_host = after.to_host > before.to_host
        if to_host:
            packet = self._control.receive().packet
            assert packet.payload == frame, "what goes to the host goes as it came"
        drops = list((Counter(after.drops) - Counter(before.drops)).elements())
        return observation(sent, drops, to_host)

    def _learn(self) -> None:
        """What the driver does with a digest.  Time stands still: a row that was learnt is left as it is."""
        digest = self._control.receive().digest
        for learnt in read_learnt(digest, self._ports):
            if learnt.key not in self._peers:
                self._peers.add(learnt.key)
                message = self._pipeline.message(
                    encode_peer_key(learnt.key), encode_peer(learnt.row, self._ports)
                )
                self._control.write(INSERT, [message])


@contextmanager
def bmv2() -> Iterator[Bmv2]:
    with switch_process() as process:
        control = Control(process.address, Pipeline.load())
        packets = PacketPorts(process.packet_address)
        try:
            yield Bmv2(control, packets)
        finally:
            packets.close()
            control.close()
