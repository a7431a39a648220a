"""The units of the node: who they are, whether they live, and orders to them.

An agent that joins is a ``Member`` for the life of its stream.  Orders are answered by number.  A unit is
dead whose beacon falls silent: its host is gone, or the network to it.  Of a unit without a beacon the
heartbeats in its stream tell the same, later.  Where the stream is ended, the host has ended it, because the
agent died or was stopped; packets go on there, and an agent that is back within ``RESTART_SECONDS`` harms
nobody; so long its beacon goes on, too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import ip_interface

import structlog

from controller.steering.deployment import NodeLink, NodeUnit
from controller.steering.identifiers import Identifiers
from controller.steering.model import Mac
from controller.store import Store, StoredUnit
from dipronn import beacon
from dipronn.errors import DipronnError, InvalidProgram, InvalidSession, TimedOut, Unavailable
from dipronn.v1 import unit_pb2

_log = structlog.get_logger(__name__)

ORDER_SECONDS = 120.0
"""For one order: the first machine of a host takes longest, its image is made then."""
REJOIN_SECONDS = 5.0
"""How long units are trusted to be as they were after the control unit has started again."""
RESTART_SECONDS = 30.0
"""How long a unit whose agent ended, but whose host still answers, is trusted to steer on without it."""
SILENT_BEATS = 4
"""A beacon is silent after so many intervals without a beat."""
_BELIEVED_HEARTBEATS = 3
"""So many heartbeats after a beacon's silence tell that only the beacon is gone."""
_WATCH_SECONDS = 0.01
_NODE_OWNER = "node"


class OrderFailed(DipronnError):
    """A unit could not do what it was ordered to, and undid it; the message is the unit's."""


@dataclass
class Member:
    """One stream of an agent.  ``outgoing`` holds orders to be sent; None ends the stream."""

    unit: str
    outgoing: asyncio.Queue[unit_pb2.UnitOrder | None] = field(default_factory=asyncio.Queue)
    pending: dict[int, asyncio.Future[str]] = field(default_factory=dict)
    last_order: int = 0
    moved: bool = False
    """Its links are not those that it had before: rows of other units name MACs that are no more."""
    welcomed: bool = False
    """What it holds has been brought in line, so that its heartbeats tell that it is alive."""


@dataclass
class UnitState:
    """``member`` is None while the unit is away; ``alive`` is what the other units are told."""

    stored: StoredUnit
    member: Member | None = None
    alive: bool = False
    heard: float = 0.0
    counters: unit_pb2.UnitCounters = field(default_factory=unit_pb2.UnitCounters)
    beat: float = 0.0
    """When its beacon was last heard; 0: it has none that counts."""
    beat_number: int = 0
    heartbeats_since_dead: int = 0

    @property
    def name(self) -> str:
        return self.stored.hello.unit

    def has(self, role: unit_pb2.Role.ValueType) -> bool:
        return role in self.stored.hello.roles


Changed = Callable[[UnitState], None]


class Units:
    """``on_alive`` is called whenever a unit dies or comes back."""

    def __init__(self, store: Store, identifiers: Identifiers, dead_after: float) -> None:
        self._store = store
        self._identifiers = identifiers
        self._dead_after = dead_after
        self.on_alive: Changed = lambda _: None
        # Units are as they were until they had time to join again: nobody stops because we did.
        trusted = time.monotonic() + REJOIN_SECONDS
        self.known: dict[str, UnitState] = {
            name: UnitState(stored, alive=stored.alive, heard=trusted)
            for name, stored in store.units().items()
        }

    # who they are

    def node_units(self) -> dict[str, NodeUnit]:
        return {name: node_unit(state.stored) for name, state in self.known.items()}

    def alive_rows(self) -> dict[int, bool]:
        return {state.stored.number: state.alive for state in self.known.values()}

    def living(self, role: unit_pb2.Role.ValueType) -> list[UnitState]:
        """Units of a role that are alive and joined, by name."""
        living = [one for one in self.known.values() if one.alive and one.member and one.has(role)]
        return sorted(living, key=lambda one: one.name)

    def living_any(self) -> list[UnitState]:
        """Of whatever role."""
        return sorted(
            (one for one in self.known.values() if one.alive and one.member), key=lambda one: one.name
        )

    # membership

    def join(self, hello: unit_pb2.Hello) -> UnitState:
        """A unit joins; its identity is its name.  Raises InvalidSession for a Hello that makes no sense."""
        name = hello.unit
        if not name or not hello.roles:
            raise InvalidSession("a unit says Hello without a name or without roles")
        number = self._identifiers.number("unit", _NODE_OWNER, name)
        identity = unit_pb2.Hello()
        identity.CopyFrom(hello)
        del identity.held[:]
        state = self.known.get(name)
        stored = StoredUnit(number, identity, state.stored.alive if state else False)
        try:
            node_unit(stored)
        except ValueError as error:
            raise InvalidSession(f"unit {name}: {error}") from error
        if state is None or state.stored != stored:
            self._store.save_unit(name, stored)
        if state is None:
            state = self.known[name] = UnitState(stored)
        moved = list(state.stored.hello.links) != list(hello.links)
        state.stored = stored
        if state.member is not None:
            _log.warning("a unit joined again before its former stream ended", unit=name)
            self.leave(state.member)
        state.member = Member(name, moved=moved)
        state.heard = time.monotonic()
        state.beat, state.beat_number = 0.0, 0
        return state

    def leave(self, member: Member) -> None:
        """A stream has ended: nobody will answer its orders any more."""
        state = self.known[member.unit]
        if state.member is member:
            state.member = None
            # A stream that was ended was ended by a living host: its agent is gone, its kernel steers on.
            state.heard = time.monotonic() + RESTART_SECONDS
        member.outgoing.put_nowait(None)
        for future in member.pending.values():
            if not future.done():
                future.set_exception(Unavailable(f"unit {member.unit} went away before it had answered"))
        member.pending.clear()

    def dismiss(self) -> None:
        """End all streams in good order: the agents will look for the next control unit."""
        for state in self.known.values():
            if state.member:
                state.member.outgoing.put_nowait(None)

    def heartbeat(self, state: UnitState) -> None:
        """Something came by its stream."""
        state.heard = time.monotonic()

    def lives_without_beacon(self, state: UnitState) -> bool:
        """A dead unit's heartbeat came: whether it lives.  One alone may have been under way when it died."""
        state.heartbeats_since_dead += 1
        if state.beat and state.heartbeats_since_dead < _BELIEVED_HEARTBEATS:
            return False
        state.beat = 0.0
        return True

    def beat(self, datagram: bytes) -> UnitState | None:
        """A datagram came where beacons are heard; the unit that it tells of, if it does."""
        told = beacon.parse(datagram)
        state = told and next(
            (one for one in self.known.values() if one.stored.hello.beacon.nonce == told[0]), None
        )
        if not told or not state or told[1] <= state.beat_number:
            return None
        if not beacon.is_genuine(datagram, state.stored.hello.beacon.key):
            return None
        state.beat_number = told[1]
        state.beat = time.monotonic()
        return state

    def set_alive(self, state: UnitState, alive: bool) -> None:
        if state.alive != alive:
            state.alive = alive
            state.heartbeats_since_dead = 0
            state.stored = replace(state.stored, alive=alive)
            try:
                self._store.save_unit(state.name, state.stored)
            except DipronnError as error:  # the units are told all the same
                _log.error("cannot store who is alive", unit=state.name, error=str(error))
            _log.info("unit is alive" if alive else "unit is dead", unit=state.name)
            self.on_alive(state)

    async def watch(self) -> None:
        """Mark units dead that fall silent, for ever.

        A control unit that was itself held up has not listened meanwhile and blames nobody for it.
        """
        expected = time.monotonic()
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            now = time.monotonic()
            held_up = now - expected - _WATCH_SECONDS
            expected = now
            for state in list(self.known.values()):
                if held_up > _WATCH_SECONDS:
                    state.heard += held_up
                    state.beat += held_up if state.beat else 0.0
                if state.alive and self._is_silent(state, now):
                    self.set_alive(state, False)

    def _is_silent(self, state: UnitState, now: float) -> bool:
        if state.beat:
            interval = state.stored.hello.beacon.interval.ToNanoseconds() / 1e9
            return now - state.beat > SILENT_BEATS * interval
        return now - state.heard > self._dead_after

    # orders

    async def order(self, unit: str, order: unit_pb2.UnitOrder, timeout: float = ORDER_SECONDS) -> None:
        """Send an order and wait until it is done.  Raises Unavailable, TimedOut, OrderFailed."""
        state = self.known.get(unit)
        if state is None or state.member is None:
            raise Unavailable(f"unit {unit} is not joined; start its agent or see its log")
        member = state.member
        member.last_order += 1
        order.order = member.last_order
        future = member.pending[order.order] = asyncio.get_running_loop().create_future()
        member.outgoing.put_nowait(order)
        try:
            async with asyncio.timeout(timeout):
                error = await future
        except TimeoutError:
            what = order.WhichOneof("what")
            raise TimedOut(f"unit {unit} did not answer the order to {what} within {timeout:g} s") from None
        finally:
            member.pending.pop(order.order, None)
        if error:
            raise OrderFailed(f"unit {unit}: {error}")

    def done(self, member: Member, report: unit_pb2.OrderDone) -> None:
        future = member.pending.get(report.order)
        if future and not future.done():
            if report.invalid_program:
                future.set_exception(InvalidProgram(report.error))
            else:
                future.set_result(report.error)


def node_unit(stored: StoredUnit) -> NodeUnit:
    """Raises ValueError for addresses or MACs that are none."""
    links = tuple(
        NodeLink(
            link.device,
            link.vlan,
            link.network,
            link.outside,
            Mac(link.mac),
            tuple(ip_interface(address) for address in link.addresses),
            link.mtu or 1500,
            link.control,
        )
        for link in stored.hello.links
    )
    return NodeUnit(stored.hello.unit, stored.number, links)
