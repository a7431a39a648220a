"""One connection: handshake, both halves, its end (docs/artp.md, 5). No I/O and no clock; times in seconds.

The caller gives packets to ``receive`` and, whenever something happened or ``deadline`` has come, sends what
``transmit`` yields.
"""

from __future__ import annotations

import enum
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from artp.errors import Closed, Reset, TimedOut, UnknownOption
from artp.receiver import Budget, Datagram, Receiver
from artp.rtt import INITIAL_RTO, MAX_RTO
from artp.sender import Sender
from artp.wire import (
    MAX_REASON,
    Destination,
    Option,
    Packet,
    ResetReason,
    Type,
    encode,
    encode_ack,
    encode_fragments,
    parse_ack,
)

MAX_ORIGINS = 64
KEEP_ALIVE = 20.0
SILENCE = 60.0
MAX_CLOSES = 5
ASK, ANSWER = b"\0", b"\1"


class Role(enum.Enum):
    CLIENT = "client"
    """Shakes hands; may meet several instances behind one address."""
    ACCEPTED = "accepted"
    GROUP_SENDER = "group sender"
    GROUP_RECEIVER = "group receiver"


class State(enum.Enum):
    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


@dataclass(frozen=True)
class Settings:
    """``room``: bytes of UDP payload in a packet; ``copies``: receivers that must take a datagram.

    ``send_limit`` and ``receive_limit`` bound the bytes held in either direction.
    """

    session: int = 0
    room: int = 1452
    copies: int = 1
    send_limit: int = 4 << 20
    receive_limit: int = 4 << 20
    connect_timeout: float = 10.0
    understands: frozenset[int] = frozenset()
    first_number: int = 0


class ConnectionCore:
    """``connection`` is K, None until a client's handshake has told it."""

    def __init__(
        self,
        role: Role,
        settings: Settings,
        origin: int,
        connection: int | None,
        budget: Budget,
        now: float,
        counters: Counter[str] | None = None,
    ) -> None:
        self.role = role
        self.settings = settings
        self.origin = origin
        self.number = connection
        self.counters: Counter[str] = Counter() if counters is None else counters
        self.state = State.OPENING if connection is None else State.OPEN
        self.error: Exception | None = None
        self.sender = Sender(settings.room, self.counters, settings.copies)
        self._budget = Budget(settings.receive_limit, budget)
        self._receivers: dict[int, Receiver] = {}
        self._ready: deque[tuple[Datagram, Receiver, int]] = deque()
        self._urgent: deque[bytes] = deque()
        """Packets that answer packets."""
        self._next = settings.first_number
        self._opened_at = now
        self._heard_at = now
        self._sent_at = now
        self._ask_at: float | None = now if connection is None else None
        """When HELLO or CLOSE is due."""
        self._asked = 0
        self._closed_by: set[int] = set()

    # The program's side

    def can_send(self, size: int) -> bool:
        """Whether a datagram of ``size`` bytes fits the buffer; one always fits an empty buffer."""
        if not self.sender.has_room(self._next):
            return False
        return self.sender.idle or self.sender.buffered + size <= self.settings.send_limit

    def send(
        self,
        data: bytes,
        *,
        control: bool = False,
        order: int | None = None,
        instance: int | None = None,
        destinations: Sequence[Destination] = (),
        options: Sequence[Option] = (),
    ) -> None:
        """Queue a datagram; TooLarge, or the error that ended the connection."""
        self.require_open()
        pattern = Packet(
            Type.DATA,
            self.settings.session,
            self.number or 0,
            self.origin,
            datagram=self._next,
            instance=instance or 0,
            control=control,
            chosen=instance is not None,
            order=order,
            destinations=tuple(destinations),
            options=tuple(options),
        )
        packets = encode_fragments(pattern, data, self.settings.room)
        self.sender.enqueue(self._next, packets)
        self._next = (self._next + 1) & 0xFFFFFFFF

    def take(self, now: float) -> Datagram | None:
        """The next complete datagram, which is acknowledged as taken; None if there is none."""
        if not self._ready:
            return None
        datagram, receiver, number = self._ready.popleft()
        receiver.take(number, now)
        return datagram

    def discard(self, now: float) -> None:
        """Forget what was received and not taken."""
        while self.take(now) is not None:
            self.counters["discarded"] += 1

    @property
    def ready(self) -> int:
        """Datagrams that wait to be taken."""
        return len(self._ready)

    def require_open(self) -> None:
        """Raise what ended the connection, if it has ended."""
        if self.error is not None:
            raise self.error
        if self.state is not State.OPEN:
            raise Closed(f"the connection is {self.state.value}")

    def close(self, now: float) -> None:
        """Ask the other side to close once everything is taken."""
        if self.state is State.OPENING:
            self._end(None)
        elif self.state is State.OPEN:
            self.state = State.CLOSING
            self._ask_at, self._asked = now, 0

    def abort(self, reason: ResetReason, text: str) -> None:
        """End it at once, and tell the other side."""
        if self.state in (State.OPEN, State.CLOSING):
            self._urgent.append(reset(self.number or 0, self.origin, self.settings.session, reason, text))
        self._end(Closed(text))

    def _end(self, error: Exception | None) -> None:
        if self.state is State.CLOSED:
            return
        self.state = State.CLOSED
        self.error = error or Closed("the connection is closed")
        for receiver in self._receivers.values():
            receiver.close()

    # What comes in

    def receive(self, packet: Packet, now: float) -> None:
        """One packet whose K is this connection's, or the COOKIE that a client waits for."""
        if packet.session != self.settings.session:
            self.counters["wrong_session"] += 1
            return
        if packet.type == Type.COOKIE:
            self._opened(packet, now)
            return
        if packet.connection != self.number or self.state is State.CLOSED:
            return
        self._heard_at = now
        if packet.type == Type.DATA:
            self._data(packet, now)
        elif packet.type == Type.ACK:
            ack = parse_ack(packet.payload)
            if ack.origin == self.origin:
                self.sender.acknowledged(packet.origin, ack, now)
            else:
                self.counters["foreign_acks"] += 1
        elif packet.type == Type.PING:
            receiver = self._receiver(packet.origin)
            if receiver is not None:
                receiver.instance = packet.instance
                receiver.ask(packet.datagram, now)
        elif packet.type == Type.CLOSE:
            self._close(packet)
        elif packet.type == Type.RESET:
            self._end(Reset(packet.payload[0], packet.payload[1:].decode()))

    def _opened(self, packet: Packet, now: float) -> None:
        if self.state is State.OPENING and packet.origin == self.origin:
            self.number = packet.connection
            self.state = State.OPEN
            self._ask_at = None
            self._heard_at = now

    def _receiver(self, origin: int) -> Receiver | None:
        receiver = self._receivers.get(origin)
        if receiver is None:
            accepted = self.role in (Role.ACCEPTED, Role.GROUP_RECEIVER)
            if len(self._receivers) >= (1 if accepted else MAX_ORIGINS):
                self.counters["too_many_origins"] += 1
                return None
            receiver = self._receivers[origin] = Receiver(self._budget, self.counters)
        return receiver

    def _data(self, packet: Packet, now: float) -> None:
        for option in packet.options:
            if option.type & 0x80 and option.type not in self.settings.understands:
                text = f"option {option.type:#04x} is not understood"
                self._urgent.append(self._reset(ResetReason.UNKNOWN_OPTION, text))
                self._end(UnknownOption(option.type))
                return
        receiver = self._receiver(packet.origin)
        if receiver is None:
            return
        datagram = receiver.accept(packet, now)
        self.counters["packets"] += 1
        if datagram is not None:
            self.counters["received"] += 1
            self._ready.append((datagram, receiver, packet.datagram))

    def _close(self, packet: Packet) -> None:
        if packet.payload == ASK:
            chosen = not packet.control
            self._urgent.append(
                self._packet(Type.CLOSE, instance=packet.instance, chosen=chosen, payload=ANSWER)
            )
            self._end(Closed("the other side closed the connection"))
        elif self.state is State.CLOSING:
            self._closed_by.add(packet.origin)
            if len(self._closed_by) >= self.settings.copies:
                self._end(None)

    # What goes out

    def transmit(self, now: float) -> Iterator[bytes]:
        """Packets that are due; each counts as sent when it is handed out."""
        for packet in self._due(now):
            self._sent_at = now
            yield packet

    def _due(self, now: float) -> Iterator[bytes]:
        if self.state is not State.CLOSED:
            self._expire(now)
        while self._urgent:
            yield self._urgent.popleft()
        if self.state is State.OPENING and self._ask(now):
            yield encode(Packet(Type.HELLO, self.settings.session, 0, self.origin))
        if self.state not in (State.OPEN, State.CLOSING):
            return
        for origin, receiver in self._receivers.items():
            for ack in receiver.acks(origin, now):
                yield self._packet(Type.ACK, instance=receiver.instance, chosen=True, payload=encode_ack(ack))
        self.sender.elapsed(now)
        for number in self.sender.questions(now):
            yield self._packet(Type.PING, datagram=number)
        yield from self.sender.transmit(now)
        if self.state is State.CLOSING and self.sender.idle and self._ask(now):
            opener = self.role in (Role.CLIENT, Role.GROUP_SENDER)
            yield self._packet(Type.CLOSE, control=opener, payload=ASK)
        elif self.role is not Role.GROUP_RECEIVER and now >= self._sent_at + KEEP_ALIVE:
            yield self._packet(Type.PING, datagram=self._next)

    def _ask(self, now: float) -> bool:
        """Whether HELLO or CLOSE is due; sets when it will be again."""
        if self._ask_at is None or now < self._ask_at:
            return False
        base = INITIAL_RTO if self.state is State.OPENING else self.sender.round_trip.timeout
        self._ask_at = now + min(MAX_RTO, base * 2.0**self._asked)
        self._asked += 1
        return True

    def _expire(self, now: float) -> None:
        for receiver in self._receivers.values():
            receiver.expire(now)
        if self.state is State.OPENING:
            if now >= self._opened_at + self.settings.connect_timeout:
                self._end(TimedOut(f"no answer to HELLO in {self.settings.connect_timeout:g} s"))
        elif now >= self._heard_at + SILENCE and not (self.role is Role.GROUP_SENDER and self.sender.idle):
            self._urgent.append(self._reset(ResetReason.TIMEOUT, "nothing heard"))
            self._end(TimedOut(f"the other side was silent for {SILENCE:g} s"))
        elif self.state is State.CLOSING and self._asked >= MAX_CLOSES and now >= (self._ask_at or 0.0):
            self._end(None)

    def _packet(
        self,
        type: Type,
        *,
        datagram: int = 0,
        instance: int = 0,
        control: bool = False,
        chosen: bool = False,
        payload: bytes = b"",
    ) -> bytes:
        return encode(
            Packet(
                type,
                self.settings.session,
                self.number or 0,
                self.origin,
                datagram=datagram,
                instance=instance,
                control=control,
                chosen=chosen,
                payload=payload,
            )
        )

    def _reset(self, reason: ResetReason, text: str) -> bytes:
        return reset(self.number or 0, self.origin, self.settings.session, reason, text)

    def deadline(self) -> float | None:
        """When ``transmit`` has something to do although nothing happened; None once all is over."""
        if self.state is State.CLOSED:
            return None
        if self.state is State.OPENING:
            return min(self._ask_at or 0.0, self._opened_at + self.settings.connect_timeout)
        times = [receiver.deadline() for receiver in self._receivers.values()]
        times.append(self.sender.deadline())
        if self.state is State.CLOSING and self.sender.idle:
            times.append(self._ask_at)
        if self.role is not Role.GROUP_RECEIVER:
            times.append(self._sent_at + KEEP_ALIVE)
        if not (self.role is Role.GROUP_SENDER and self.sender.idle):
            times.append(self._heard_at + SILENCE)
        return min(at for at in times if at is not None) if any(at is not None for at in times) else None


def reset(connection: int, origin: int, session: int, reason: ResetReason, text: str) -> bytes:
    """A RESET packet; the text is cut to what fits."""
    cut = text.encode()[:MAX_REASON].decode(errors="ignore").encode()
    return encode(Packet(Type.RESET, session, connection, origin, payload=bytes((reason,)) + cut))
