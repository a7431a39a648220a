"""The agent of one switch: the switch is a unit of the node, and the control unit cannot tell the difference.

Orders become desired state on disk, then entries, then changes to the switch; what the switch has is known by
reading it back whenever a session with it begins, and by what was written since.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Coroutine
from contextlib import aclosing, suppress
from importlib.metadata import version
from itertools import islice

import structlog
from finsy.proto import p4r

from controller.drivers.p4runtime import apply
from controller.drivers.p4runtime.config import SwitchConfig
from controller.drivers.p4runtime.destinations import Destinations
from controller.drivers.p4runtime.entries import (
    PEERS,
    Entries,
    EntryKey,
    decode,
    encode,
    encode_peer,
    encode_peer_key,
)
from controller.drivers.p4runtime.inspection import description
from controller.drivers.p4runtime.neighbours import SwitchNeighbours
from controller.drivers.p4runtime.peers import LearntPeers
from controller.drivers.p4runtime.pipeline import Pipeline
from controller.drivers.p4runtime.readings import (
    channel_counts,
    channel_entities,
    node_counters,
    node_entities,
    read_destinations,
    read_learnt,
)
from controller.drivers.p4runtime.switch import Pushed, Switch
from controller.steering import wire
from controller.steering.model import Tables
from controller.steering.outcome import Counters, PacketCount
from dipronn.errors import DipronnError, InvalidSession
from dipronn.unit.counters import counters_report
from dipronn.unit.join import Membership
from dipronn.unit.orders import BASE, carry_out, with_alive
from dipronn.unit.owners import RowOwners
from dipronn.unit.receivers import Changed, NextHop, Receivers, completed
from dipronn.unit.slices import SliceStore
from dipronn.v1 import unit_pb2

_log = structlog.get_logger(__name__)

COUNTERS_SECONDS = 1.0
"""Counters are read and reported this often, and after every order."""
PATIENCE = 5.0
"""Seconds for which an order waits for a switch that is away: it may be starting again."""
AGE_SECONDS = 1.0
_READ_TOGETHER = 64


class SwitchAgent:
    """One switch of the node. ``run`` until cancelled; the switch steers on without its agent."""

    def __init__(self, config: SwitchConfig, store: SliceStore, pipeline: Pipeline) -> None:
        self._config = config
        self._store = store
        self._ports = config.ports
        self._macs = {link.key: link.mac for link in config.links}
        self._pipeline = pipeline
        self._switch = Switch(
            config.address,
            config.device_id,
            config.election_id,
            pipeline,
            ready=self._ready,
            packet=self._packet,
            digest=self._digested,
        )
        self._neighbours: SwitchNeighbours | None = None
        self._learnt = asyncio.Event()
        self._destinations = Destinations(config.ports, self._learnt.set)
        self._receivers = Receivers(self._make_neighbours, self._receiver_moved, self._destinations.moved)
        self._membership = Membership(
            config.control, self._greeting, self._order, alive=lambda: self._switch.up
        )
        self._slices: dict[int, unit_pb2.Slice] = {}
        self._rows: dict[int, Tables] = {}
        self._owners = RowOwners()
        self._entries: dict[int, Entries] = {}
        self._peers = LearntPeers()
        self._mirror: Entries = {}
        self._locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._writing = asyncio.Lock()
        self._work: set[asyncio.Task[None]] = set()
        self._lost_counts = Counters()
        self._counts = Counters()
        self._started = False

    def _make_neighbours(self, changed: Changed) -> SwitchNeighbours:
        config, send = self._config, self._switch.send_packet
        self._neighbours = SwitchNeighbours(config.links, config.routes, send, changed)
        return self._neighbours

    @property
    def up(self) -> bool:
        """The switch is ours and has what is desired."""
        return self._switch.up

    async def run(self) -> None:
        """Take the switch, converge it to the stored state, then serve the control unit until cancelled."""
        self._store.describe(description(self._config))
        async with self._receivers, aclosing(self._destinations), asyncio.TaskGroup() as group:
            group.create_task(self._switch.run(), name="switch")
            await self._switch.require_up(None)
            group.create_task(self._membership.run(), name="membership")
            group.create_task(self._count(), name="counters")
            group.create_task(self._follow_learnt(), name="learnt")

    # the switch

    async def _ready(self, pushed: Pushed) -> None:
        """The switch is ours, perhaps again: read what it has, and have there what is desired."""
        if pushed is Pushed.ANEW:
            # Its counters start again; the node's do not.
            self._lost_counts = _sum(self._lost_counts, self._counts)
            self._counts = Counters()
        async with self._writing:
            self._mirror = await self._switch.read_entries()
        if not self._started:
            await self._load()
            self._started = True
        async with self._writing:
            changes = apply.diff(self._desired(), self._mirror)
            if pushed is Pushed.KEPT and changes:
                _log.warning("the switch had not what is desired; repaired", changes=len(changes))
            await apply.execute(changes, self._switch, self._mirror)
        if self._neighbours:
            self._neighbours.announce()
        _log.info("switch converged", entries=len(self._mirror), changes=len(changes))

    async def _load(self) -> None:
        """The stored slices. What a former agent wrote tells the next hops of receivers now silent."""
        known = decode(
            {key: row for key, row in self._mirror.items() if key.table == "endpoint"}, self._ports
        )
        for session, slice_ in {BASE: unit_pb2.Slice(session=BASE), **self._store.slices()}.items():
            try:
                rows = self._desired_rows(slice_)
                await self._receivers.complete(session, rows, known.endpoint)
                self._entries[session] = apply.with_groups(encode(rows, self._ports))
            except DipronnError as error:
                if session == BASE:
                    raise
                _log.error("a stored slice could not be had again", session=session, error=str(error))
            else:
                self._slices[session], self._rows[session] = slice_, rows
        desired = self._desired()
        learnt = [
            (key, row) for key, row in self._mirror.items() if key.table in PEERS and key not in desired
        ]
        self._peers.learn(learnt, time.monotonic())

    def _desired(self) -> Entries:
        """Everything; what the control unit wrote wins over what was learnt."""
        desired = self._peers.entries | self._destinations.entries
        for entries in self._entries.values():
            desired |= entries
        return desired

    async def _change(self, session: int, wanted: Entries) -> None:
        """Have the switch have these entries for a session, or those before."""
        async with self._writing:
            former = self._entries.get(session, {})
            # Groups are of all; a learnt peer comes back when a row over it goes.
            keys = wanted.keys() | former.keys()
            others: Entries = {key: row for key, row in self._peers.entries.items() if key in keys}
            for other, entries in self._entries.items():
                if other != session:
                    others |= {key: entries[key] for key in keys & entries.keys()}
            observed = {key: self._mirror[key] for key in keys if key in self._mirror}
            changes = apply.diff(others | wanted, observed)
            await apply.execute(changes, self._switch, self._mirror)
            self._entries[session] = wanted

    # orders

    async def _order(self, order: unit_pb2.UnitOrder) -> str:
        answer = await carry_out(order, self, self._config.unit)
        try:
            self._report_counters(await self._read_counters())
        except DipronnError as error:
            _log.warning("no counters", error=str(error))
        return answer

    async def apply(self, slice_: unit_pb2.Slice) -> None:
        session = slice_.session
        try:
            async with self._locks[session]:
                rows = await asyncio.to_thread(self._desired_rows, slice_)
                self._owners.claim(session, rows)
                try:
                    await self._have(slice_, rows)
                finally:
                    self._owners.settle(session, self._rows.get(session, Tables()))
        finally:
            await self._tidy()

    async def _have(self, slice_: unit_pb2.Slice, rows: Tables) -> None:
        session = slice_.session
        await self._switch.require_up(PATIENCE)
        known = self._rows[session].endpoint if session in self._rows else {}
        await self._receivers.complete(session, rows, known)
        entries = encode(rows, self._ports)
        self._pipeline.require(entries)
        wanted = apply.with_groups(entries)
        await asyncio.to_thread(self._store.put_slice, slice_)
        try:
            await self._change(session, wanted)
        except Exception:
            self._restore(session)
            raise
        self._slices[session], self._rows[session] = slice_, rows

    async def remove(self, session: int) -> None:
        async with self._locks[session]:
            if session in self._slices:
                await self._switch.require_up(PATIENCE)
                self._store.drop_slice(session)
                try:
                    await self._change(session, {})
                except Exception:
                    self._restore(session)
                    raise
            for held in (self._slices, self._rows, self._entries):
                held.pop(session, None)
            self._owners.settle(session, Tables())
            self._store.drop_slice(session)
        await self._tidy()

    async def set_alive(self, unit: int, alive: bool) -> None:
        await self.apply(with_alive(self._slices[BASE], unit, alive, self._config.unit))

    def _desired_rows(self, slice_: unit_pb2.Slice) -> Tables:
        """What a slice asks for, the base slice with the switch's own links. Raises DipronnError."""
        if slice_.vms:
            raise InvalidSession(
                f"session {slice_.session}: unit {self._config.unit} is a switch, it runs no machines"
            )
        rows = wire.decode(slice_.tables)
        own = {link.key: link.row for link in self._config.links}
        if slice_.session == BASE:
            rows.link = own
        elif rows.link:
            key = next(iter(rows.link))
            raise InvalidSession(
                f"session {slice_.session}: {key} is no link that a session may have on a switch"
            )
        return rows

    def _restore(self, session: int) -> None:
        """Have the former desired state on disk again."""
        if former := self._slices.get(session):
            self._store.put_slice(former)
        else:
            self._store.drop_slice(session)

    async def _tidy(self) -> None:
        """Let go of next hops that nobody uses."""
        busy = {session for session, lock in self._locks.items() if lock.locked()}
        await self._receivers.keep({session: rows.endpoint for session, rows in self._rows.items()}, busy)

    # what happens

    def _packet(self, port: int, frame: bytes) -> None:
        if self._neighbours:
            self._neighbours.received(port, frame)

    def _receiver_moved(self, session: int, number: int, hop: NextHop) -> None:
        rows = self._rows.get(session)
        if rows and number in rows.endpoint:
            rows.endpoint[number] = completed(rows.endpoint[number], hop)
            self._do(self._rewrite(session), f"receiver moved {number}")

    async def _rewrite(self, session: int) -> None:
        async with self._locks[session]:
            if session in self._rows:
                await self._change(session, apply.with_groups(encode(self._rows[session], self._ports)))

    def _digested(self, digest: p4r.DigestList) -> None:
        if digest.digest_id == self._pipeline.digests.get("learn_t"):
            learnt = [
                (encode_peer_key(each.key), encode_peer(each.key, each.row, self._ports))
                for each in read_learnt(digest, self._ports, self._macs)
            ]
            self._peers.learn(learnt, time.monotonic())
            self._learnt.set()
        elif digest.digest_id == self._pipeline.digests.get("next_hop_t"):
            self._destinations.missed(read_destinations(digest), self._receivers)

    async def _follow_learnt(self) -> None:
        """Write what was learnt, at once and many together, and delete what is over."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._learnt.wait(), AGE_SECONDS)
            self._learnt.clear()
            self._peers.age(time.monotonic())
            changed = self._peers.take_changed() | self._destinations.take_changed()
            if changed and self._switch.up:
                await self._quietly(self._write_learnt(changed), "learnt")

    async def _write_learnt(self, keys: set[EntryKey]) -> None:
        """A switch that is away gets all of them when it is back."""
        async with self._writing:
            for entries in self._entries.values():
                keys = keys - entries.keys()
            learnt = self._peers.entries | self._destinations.entries
            wanted = {key: learnt[key] for key in keys & learnt.keys()}
            observed = {key: self._mirror[key] for key in keys if key in self._mirror}
            await apply.execute(apply.diff(wanted, observed), self._switch, self._mirror)

    def _do(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(self._quietly(work, name), name=name)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    async def _quietly(self, work: Coroutine[None, None, None], name: str) -> None:
        """What nobody ordered: if the switch is lost meanwhile, the next session repairs this, too."""
        try:
            await work
        except DipronnError as error:
            _log.warning("not done now", what=name, error=str(error))

    # reports

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(COUNTERS_SECONDS)
            if self._switch.up:
                await self._quietly(self._count_once(), "counters")

    async def _count_once(self) -> None:
        self._report_counters(await self._read_counters())

    async def _read_counters(self) -> Counters:
        """The unit's counters since its agent started, or longer, across restarts of the switch."""
        counters, _ = node_counters(self._pipeline, await self._switch.read(node_entities(self._pipeline)))
        channels = [number for rows in list(self._rows.values()) for number in rows.channel]
        held = iter([number for number in channels if EntryKey("channel", (number,)) in self._mirror])
        while some := list(islice(held, _READ_TOGETHER)):
            entities = await self._switch.read(channel_entities(self._pipeline, some))
            counters.channels |= channel_counts(self._pipeline, entities)
        self._counts = counters
        self._lost_counts.channels = {
            number: each for number, each in self._lost_counts.channels.items() if number in counters.channels
        }
        return _sum(self._lost_counts, counters)

    def _report_counters(self, counters: Counters) -> None:
        self._membership.report(unit_pb2.UnitReport(counters=counters_report(counters)))

    def _greeting(self) -> list[unit_pb2.UnitReport]:
        hello = unit_pb2.Hello(
            unit=self._config.unit,
            roles=self._config.roles,
            resources=unit_pb2.Resources(),
            links=[link.hello for link in self._config.links],
            held=[
                unit_pb2.HeldSlice(session=each.session, generation=each.generation)
                for each in self._slices.values()
            ],
            version=version("dipronn"),
        )
        return [unit_pb2.UnitReport(hello=hello)]


def _sum(one: Counters, other: Counters) -> Counters:
    channels = {number: PacketCount(each.packets, each.bytes) for number, each in one.channels.items()}
    for number, each in other.channels.items():
        mine = channels.setdefault(number, PacketCount())
        mine.packets += each.packets
        mine.bytes += each.bytes
    return Counters(
        received=one.received + other.received,
        copies=one.copies + other.copies,
        sent=one.sent + other.sent,
        to_host=one.to_host + other.to_host,
        drops=Counter(one.drops) + Counter(other.drops),
        channels=channels,
    )
