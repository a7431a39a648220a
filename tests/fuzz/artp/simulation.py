"""ARTP endpoints on a network of one process: virtual time, faults by a seed. A run is a pure function of it.

A second of this network takes as long as its packets take to compute; nothing waits.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from artp.acceptor import Acceptor
from artp.connection import ConnectionCore, Role, Settings, State
from artp.cookie import Source, group_cookie
from artp.errors import Malformed
from artp.receiver import Budget, Datagram
from artp.wire import Packet, parse

KEY = bytes(range(16))
GROUP_KEY = bytes(range(16, 32))
DEFAULT = Settings(connect_timeout=300.0)
"""Where every second packet is lost each way, ten seconds are too short for some handshakes."""
MAX_STEPS = 10_000
"""So often anything may happen at one moment."""


@dataclass(frozen=True)
class Faults:
    """Rates from 0 to 1 for each packet; a reordered one is late by up to ``jitter`` more than ``delay``
    seconds."""

    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    bit_errors: float = 0.0
    delay: float = 0.005
    jitter: float = 0.02


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0


class Peer:
    """A party at an address; ``inbox`` is what its program has taken."""

    def __init__(self, network: Network, address: str) -> None:
        self.network = network
        self.source = Source.of(address, 5000)
        self.inbox: list[Datagram] = []
        self.reading = True
        self.faulty_packets = 0
        network.peers[self.source] = self

    def receive(self, data: bytes, source: Source) -> None:
        try:
            packet = parse(data)
        except Malformed:
            self.faulty_packets += 1
            return
        self.handle(packet, source)

    def handle(self, packet: Packet, source: Source) -> None:
        raise NotImplementedError

    def connections(self) -> Iterable[tuple[ConnectionCore, list[Source]]]:
        """Its connections, and where each sends to."""
        raise NotImplementedError

    def step(self) -> float | None:
        """Read and send all that can be; when to come back."""
        now = self.network.clock.now
        wake: list[float] = []
        for connection, targets in self.connections():
            while self.reading and (datagram := connection.take(now)) is not None:
                self.inbox.append(datagram)
            for packet in connection.transmit(now):
                for target in targets:
                    self.network.send(packet, self.source, target)
            deadline = connection.deadline()
            if deadline is not None:
                wake.append(deadline)
        return min(wake, default=None)


class ClientPeer(Peer):
    """A client of ``target``, or a group's sender to ``group``."""

    def __init__(
        self,
        network: Network,
        address: str,
        target: Source | None = None,
        *,
        group: list[Source] | None = None,
        settings: Settings = DEFAULT,
        origin: int = 0xC11E47,
    ) -> None:
        super().__init__(network, address)
        budget = Budget(settings.receive_limit)
        now = network.clock.now
        if group is None:
            assert target is not None
            self.targets = [target]
            self.connection = ConnectionCore(Role.CLIENT, settings, origin, None, budget, now)
        else:
            self.targets = group
            number = group_cookie(GROUP_KEY, settings.session, origin)
            self.connection = ConnectionCore(Role.GROUP_SENDER, settings, origin, number, budget, now)

    def handle(self, packet: Packet, source: Source) -> None:
        self.connection.receive(packet, self.network.clock.now)

    def connections(self) -> Iterable[tuple[ConnectionCore, list[Source]]]:
        return [(self.connection, self.targets)]


class ServerPeer(Peer):
    def __init__(
        self,
        network: Network,
        address: str,
        *,
        settings: Settings = DEFAULT,
        origin: int = 0x5E4BE4,
        group_key: bytes | None = None,
    ) -> None:
        super().__init__(network, address)
        self.budget = Budget(settings.receive_limit)
        self.acceptor = Acceptor(KEY, origin, settings, self.budget, group_key=group_key)
        self._sources: dict[int, Source] = {}

    def handle(self, packet: Packet, source: Source) -> None:
        connection, answer = self.acceptor.receive(packet, source, self.network.clock.now)
        if connection is not None:
            self._sources[id(connection)] = source
        if answer is not None:
            self.network.send(answer, self.source, source)

    def connections(self) -> Iterable[tuple[ConnectionCore, list[Source]]]:
        return [(each, [self._sources[id(each)]]) for each in self.acceptor.connections.values()]

    def step(self) -> float | None:
        wake = super().step()
        for each in list(self.acceptor.connections.values()):
            if each.state is State.CLOSED:
                self.acceptor.forget(each, self.network.clock.now)
        return wake


class Network:
    """``route`` may send a packet elsewhere than its target, as a node does."""

    def __init__(self, seed: int = 0, faults: Faults = Faults()) -> None:
        self.clock = Clock()
        self.random = random.Random(seed)
        self.faults = faults
        self.peers: dict[Source, Peer] = {}
        self.route: Callable[[bytes, Source], Source] = lambda packet, target: target
        self.public: dict[Source, Source] = {}
        """What the source of a party's packets looks like from outside."""
        self.sent = 0
        self.tap: Callable[[bytes, Source, Source], None] = lambda packet, source, target: None
        self._order = itertools.count()
        self._arrivals: list[tuple[float, int, bytes, Source, Source]] = []
        self._wake: dict[Source, float | None] = {}

    def send(self, packet: bytes, source: Source, target: Source) -> None:
        self.sent += 1
        self.tap(packet, source, target)
        faults, chance = self.faults, self.random.random
        target = self.route(packet, target)
        source = self.public.get(source, source)
        copies = 0 if chance() < faults.loss else 2 if chance() < faults.duplication else 1
        for _ in range(copies):
            data = packet
            if chance() < faults.bit_errors:
                damaged = bytearray(packet)
                for _ in range(self.random.randint(1, 8)):
                    bit = self.random.randrange(8 * len(damaged))
                    damaged[bit >> 3] ^= 1 << (bit & 7)
                data = bytes(damaged)
            at = self.clock.now + faults.delay
            if chance() < faults.reordering:
                at += chance() * faults.jitter
            heapq.heappush(self._arrivals, (at, next(self._order), data, source, target))

    def inject(self, packet: bytes, source: Source, target: Source) -> None:
        """A packet that no party has sent."""
        heapq.heappush(self._arrivals, (self.clock.now, next(self._order), packet, source, target))

    def run(self, until: Callable[[], bool], seconds: float = 600.0) -> None:
        """Let time pass until the condition holds; AssertionError after ``seconds`` of virtual time."""
        end = self.clock.now + seconds
        self._wake = {peer.source: peer.step() for peer in list(self.peers.values())}
        steps = 0
        while not until():
            times = [at for at in self._wake.values() if at is not None]
            if self._arrivals:
                times.append(self._arrivals[0][0])
            if not times:
                raise AssertionError("nothing will ever happen again")
            if min(times) > self.clock.now:
                self.clock.now, steps = min(times), 0
            steps += 1
            if steps > MAX_STEPS:
                raise AssertionError("busy without end: somebody's deadline never passes")
            if self.clock.now > end:
                raise AssertionError(f"not done after {seconds:g} virtual seconds")
            awake = {source for source, at in self._wake.items() if at is not None and at <= self.clock.now}
            while self._arrivals and self._arrivals[0][0] <= self.clock.now:
                _, _, data, source, target = heapq.heappop(self._arrivals)
                if target in self.peers:
                    self.peers[target].receive(data, source)
                    awake.add(target)
            for source in sorted(awake):
                self._wake[source] = self.peers[source].step()
