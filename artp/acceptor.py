"""The listening side: answers HELLO without memory, makes connections of valid DATA (docs/artp.md, 5).

No I/O and no clock; times in seconds.
"""

from __future__ import annotations

from collections import Counter, OrderedDict

from artp.connection import ANSWER, ASK, ConnectionCore, Role, Settings, reset
from artp.cookie import Source, client_cookie, equal, group_cookie
from artp.receiver import Budget
from artp.wire import Ack, Entry, Packet, ResetReason, Type, encode, encode_ack

MAX_CONNECTIONS = 1024
REMEMBERED_CLOSED = 4096
CLOSED_LIFETIME = 60.0
RESETS_PER_SECOND = 100


class Acceptor:
    """``key`` is the channel's, shared by its instances; ``group_key`` an output's, shared with its sender.

    Without ``group_key`` nobody gets in without a handshake.
    """

    def __init__(
        self,
        key: bytes,
        origin: int,
        settings: Settings,
        budget: Budget,
        *,
        group_key: bytes | None = None,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._key = key
        self._group_key = group_key
        self._origin = origin
        self._settings = settings
        self._budget = budget
        self._max_connections = max_connections
        self.connections: dict[int, ConnectionCore] = {}
        self._sources: dict[int, Source] = {}
        """Of connections by handshake: nobody else may use their K."""
        self._closed: OrderedDict[int, float] = OrderedDict()
        self._resets = float(RESETS_PER_SECOND)
        self._resets_at = 0.0
        self.counters: Counter[str] = Counter()

    def receive(
        self, packet: Packet, source: Source, now: float
    ) -> tuple[ConnectionCore | None, bytes | None]:
        """The connection that took the packet, and what to answer to its source beside that."""
        connection = self.connections.get(packet.connection)
        if connection is not None:
            if self._sources.get(packet.connection, source) != source:
                self.counters["wrong_source"] += 1
                return None, None
            connection.receive(packet, now)
            return connection, None
        if packet.type == Type.HELLO:
            self.counters["hellos"] += 1
            return None, self._cookie(packet, source)
        if packet.type in (Type.COOKIE, Type.RESET):
            return None, None
        role = self._role(packet, source)
        if role is None:
            self.counters["no_connection"] += 1
            return None, self._refuse(packet, ResetReason.NO_CONNECTION, now)
        if packet.type == Type.CLOSE:
            return None, self._answer_close(packet)
        if self._was_closed(packet.connection, now):
            self.counters["after_close"] += 1
            return None, self._refuse(packet, ResetReason.NO_CONNECTION, now)
        if packet.type == Type.PING:
            return None, self._answer_ping(packet)
        if packet.type != Type.DATA:
            return None, None
        if len(self.connections) >= self._max_connections:
            self.counters["limit"] += 1
            return None, self._refuse(packet, ResetReason.LIMIT, now)
        connection = ConnectionCore(
            role, self._settings, self._origin, packet.connection, self._budget, now, self.counters
        )
        self.connections[packet.connection] = connection
        if role is Role.ACCEPTED:
            self._sources[packet.connection] = source
        self.counters["accepted"] += 1
        connection.receive(packet, now)
        return connection, None

    def _role(self, packet: Packet, source: Source) -> Role | None:
        """Whose K it is; None for nobody's."""
        if packet.session != self._settings.session:
            return None
        own = client_cookie(self._key, packet.session, packet.origin, source)
        if equal(packet.connection, own):
            return Role.ACCEPTED
        if self._group_key is None:
            return None
        group = group_cookie(self._group_key, packet.session, packet.origin)
        return Role.GROUP_RECEIVER if equal(packet.connection, group) else None

    def _cookie(self, hello: Packet, source: Source) -> bytes | None:
        if hello.session != self._settings.session or hello.payload:
            return None
        number = client_cookie(self._key, hello.session, hello.origin, source)
        return encode(Packet(Type.COOKIE, hello.session, number, hello.origin))

    def _answer_close(self, packet: Packet) -> bytes | None:
        if packet.payload != ASK:
            return None
        return encode(
            Packet(
                Type.CLOSE,
                packet.session,
                packet.connection,
                self._origin,
                instance=packet.instance,
                chosen=not packet.control,
                payload=ANSWER,
            )
        )

    def _answer_ping(self, packet: Packet) -> bytes:
        nothing = Ack(packet.origin, max(0, self._budget.free), (Entry(packet.datagram, 0, False, 0),))
        return encode(
            Packet(
                Type.ACK,
                packet.session,
                packet.connection,
                self._origin,
                instance=packet.instance,
                chosen=True,
                payload=encode_ack(nothing),
            )
        )

    def _refuse(self, packet: Packet, reason: ResetReason, now: float) -> bytes | None:
        self._resets = min(
            RESETS_PER_SECOND, self._resets + max(0.0, now - self._resets_at) * RESETS_PER_SECOND
        )
        self._resets_at = now
        if self._resets < 1.0:
            return None
        self._resets -= 1.0
        return reset(packet.connection, 0, packet.session, reason, "")

    def _was_closed(self, number: int, now: float) -> bool:
        while self._closed and next(iter(self._closed.values())) <= now:
            self._closed.popitem(last=False)
        return number in self._closed

    def forget(self, connection: ConnectionCore, now: float) -> None:
        """Remove a connection that has ended; its K opens nothing for a while."""
        number = connection.number or 0
        if self.connections.pop(number, None) is None:
            return
        self._sources.pop(number, None)
        self._closed[number] = now + CLOSED_LIFETIME
        if len(self._closed) > REMEMBERED_CLOSED:
            self._closed.popitem(last=False)
