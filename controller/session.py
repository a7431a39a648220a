"""A session as it is observed: what its units hold, how its machines and names are, who watches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from google.protobuf.timestamp_pb2 import Timestamp

from controller.order_counts import output_orders
from controller.plan import Rank
from controller.record import InstanceRecord, Membership, SessionRecord
from controller.steering import addressing
from controller.steering.model import Socket
from dipronn.v1 import session_pb2 as pb
from dipronn.v1 import unit_pb2

_WAITING_EVENTS = 1000
"""Events that a slow watcher may be behind; then it only gets the present state."""


@dataclass
class LiveSession:
    """``desired`` and ``held``: slices by unit.  ``counted``: the channel numbers of each named channel."""

    record: SessionRecord
    state: pb.SessionState.ValueType = pb.SESSION_STATE_ADMITTED
    message: str = ""
    desired: dict[str, unit_pb2.Slice] = field(default_factory=dict)
    held: dict[str, unit_pb2.Slice] = field(default_factory=dict)
    counted: Mapping[str, frozenset[int]] = field(default_factory=dict)
    spawned: dict[str, float] = field(default_factory=dict)
    """When each machine was spawned, by the clock of ``time.monotonic``."""
    hints: dict[str, str] = field(default_factory=dict)
    """By name: why a registration was not taken."""
    failure: str = ""
    """Why the session cannot become active."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while its slices change."""
    stale: bool = False
    """Its machines or names are not those that its slices were compiled from."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by every report on one of its machines or names."""
    watchers: set[asyncio.Queue[pb.SessionEvent | None]] = field(default_factory=set)

    def note_change(self) -> None:
        """A machine or a name of it is not what it was."""
        self.stale = True
        self.changed.set()

    def as_stored(self) -> SessionRecord:
        """The record to be stored now: stale rows must not pass for its own after a restart."""
        if self.stale:
            self.record.generation += 1
        return self.record

    def instances_in(self, machine: str) -> list[InstanceRecord]:
        return [one for one in self.record.instances if one.machine == machine]

    def ranks(self) -> dict[str, Rank]:
        """By unit: the last of its roles in this session on the packets' way."""
        ranks = dict.fromkeys([*self.record.units(), *self.held], Rank.PROCESSING)
        ranks.update({exit_.unit: Rank.AGGREGATION for exit_ in self.record.exits.values()})
        ranks.update({entrance.unit: Rank.DISTRIBUTION for entrance in self.record.entrances.values()})
        return ranks

    # watching

    def publish(self, event: pb.SessionEvent) -> None:
        for queue in self.watchers:
            while queue.qsize() >= _WAITING_EVENTS:
                queue.get_nowait()
            queue.put_nowait(event)

    def end_watching(self) -> None:
        for queue in self.watchers:
            queue.put_nowait(None)


def snapshot(session: LiveSession, counters: Mapping[str, unit_pb2.UnitCounters]) -> pb.Session:
    """The session as users see it; ``counters`` by unit, as last reported."""
    record = session.record
    message = pb.Session(
        name=record.name,
        id=record.number,
        state=session.state,
        message=session.message,
        program=record.program,
        instances=[
            _instance(session, one, counters.get(one.unit, unit_pb2.UnitCounters()))
            for one in record.instances
        ],
        inputs=[
            pb.AssignedInput(name=name, address=_address(one.socket))
            for name, one in record.entrances.items()
        ],
        outputs=[
            pb.AssignedOutput(name=name, public_address=_address(one.public))
            for name, one in record.exits.items()
        ],
        generation=record.generation,
    )
    for name, numbers in session.counted.items():
        counts = [
            counters[unit].channels[number]
            for unit in record.units()
            if unit in counters
            for number in numbers
            if number in counters[unit].channels
        ]
        message.channels.add(
            channel=name, packets=sum(one.packets for one in counts), bytes=sum(one.bytes for one in counts)
        )
    reported = {unit: counters[unit] for unit in record.units() if unit in counters}
    message.orders.extend(output_orders(record.number, reported))
    if record.established:
        message.established.FromNanoseconds(int(record.established * 1e9))
    return message


def event(message: pb.Session, text: str) -> pb.SessionEvent:
    now = Timestamp()
    now.FromNanoseconds(time.time_ns())
    return pb.SessionEvent(time=now, session=message, message=text)


def _instance(session: LiveSession, instance: InstanceRecord, counted: unit_pb2.UnitCounters) -> pb.Instance:
    record = session.record
    message = pb.Instance(
        program=instance.program,
        index=instance.index,
        unit=instance.unit,
        address=str(addressing.instance_address(instance.number, record.version)),
        state=_instance_state(session, instance),
        message=instance.message,
        restarts=instance.restarts,
        names=[
            pb.RegisteredName(port=port, real_port=real)
            for port, real in sorted(instance.ports.items())
            if not instance.kernel
        ],
    )
    for report in counted.programs if instance.kernel else ():
        if report.number == instance.kernel:
            message.drops.update(report.drops)
    if instance.start_seconds:
        message.start_time.FromNanoseconds(int(instance.start_seconds * 1e9))
    return message


def _instance_state(session: LiveSession, instance: InstanceRecord) -> pb.InstanceState.ValueType:
    if instance.exited:
        return pb.INSTANCE_STATE_EXITED
    if not instance.alive:
        return pb.INSTANCE_STATE_DEAD
    if instance.membership is Membership.LEAVING:
        return pb.INSTANCE_STATE_LEAVING
    return (
        pb.INSTANCE_STATE_RUNNING if is_registered(session.record, instance) else pb.INSTANCE_STATE_STARTING
    )


def is_registered(record: SessionRecord, instance: InstanceRecord) -> bool:
    """Whether it has registered every name that stands in a data line."""
    ends = (
        port
        for channel in record.program.channels
        if channel.kind == pb.CHANNEL_KIND_DATA
        for port in (channel.source, channel.destination)
    )
    return all(port.name in instance.ports for port in ends if port.program == instance.program)


def _address(socket: Socket) -> pb.SocketAddress:
    return pb.SocketAddress(address=str(socket.address), port=socket.port)
