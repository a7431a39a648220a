"""The incoming half of a connection: reassembly, exactly once, acknowledgements (docs/artp.md, 6 and 7).

No I/O and no clock: the caller says what arrived and what time it is, in seconds.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field

from artp.wire import MAX_DATAGRAM, MAX_ENTRIES, Ack, Destination, Entry, Option, Packet

ACK_PACKETS = 16
ACK_DELAY = 0.002
UNFINISHED_LIFETIME = 30.0
OVERHEAD = 256
"""What keeping a datagram costs beside its bytes; so small ones are bounded too."""
REPEATED_ENTRIES = 8
"""So many older entries ride along in an ACK, in case the ACK that had them was lost."""
REMEMBERED = 65536


@dataclass(frozen=True, slots=True)
class Datagram:
    """What a program receives. ``instance`` is the sender's number among its program's instances."""

    data: bytes
    control: bool = False
    order: int | None = None
    instance: int = 0
    destinations: tuple[Destination, ...] = ()
    options: tuple[Option, ...] = ()
    origin: int = field(default=0, compare=False)
    """Which endpoint of the other side sent it: a random number."""


class Budget:
    """Bytes that may be held; those of a connection count for its endpoint's as well."""

    def __init__(self, limit: int, parent: Budget | None = None) -> None:
        self.limit = limit
        self.used = 0
        self._parent = parent

    @property
    def free(self) -> int:
        mine = self.limit - self.used
        return mine if self._parent is None else min(mine, self._parent.free)

    def reserve(self, size: int) -> bool:
        if size > self.free:
            return False
        self._add(size)
        return True

    def release(self, size: int) -> None:
        self._add(-size)

    def _add(self, size: int) -> None:
        self.used += size
        if self._parent is not None:
            self._parent._add(size)


class _Unfinished:
    __slots__ = ("bitmap", "first", "fragments", "missing", "reserved", "seen_at", "size")

    def __init__(self, packet: Packet, reserved: int, now: float) -> None:
        self.first = packet
        self.fragments: list[bytes | None] = [None] * packet.fragments
        self.missing = packet.fragments
        self.bitmap = 0
        self.size: int | None = None
        """Of every fragment but the last; None until one of these was seen."""
        self.reserved = reserved
        self.seen_at = now


class Receiver:
    """The datagrams of one origin."""

    def __init__(self, budget: Budget, counters: Counter[str]) -> None:
        self._budget = budget
        self._counters = counters
        self._unfinished: OrderedDict[int, _Unfinished] = OrderedDict()
        self._held: dict[int, tuple[int, int]] = {}
        """Complete, but not taken yet: fragments and bytes reserved."""
        self._taken = bytearray(REMEMBERED // 8)
        self._highest: int | None = None
        self._recent: deque[Entry] = deque(maxlen=REPEATED_ENTRIES)
        self._pending: dict[int, None] = {}
        self._packets = 0
        self._told_window = budget.free
        self.instance = 0
        self.ack_at: float | None = None
        """When the next ACK is due."""

    # Arrivals

    def accept(self, packet: Packet, now: float) -> Datagram | None:
        """Take one DATA packet; the datagram that it completes, to be reported to ``take`` later."""
        number = packet.datagram
        self.instance = packet.instance
        if not self._advance(number):
            self._counters["late"] += 1
            return None
        if self._was_taken(number) or number in self._held:
            self._counters["duplicates"] += 1
            self._note(number, now, now)
            return None
        if packet.fragments == 1:
            return self._accept_whole(packet, now)
        unfinished = self._unfinished.get(number)
        if unfinished is None:
            unfinished = self._begin(packet, now)
            if unfinished is None:
                return None
        elif unfinished.fragments[packet.fragment : packet.fragment + 1] not in ([None], []):
            self._counters["duplicates"] += 1
            self._note(number, now, now)
            return None
        if not self._fits(unfinished, packet):
            self._counters["inconsistent"] += 1
            return None
        unfinished.fragments[packet.fragment] = packet.payload
        unfinished.bitmap |= 1 << packet.fragment
        unfinished.missing -= 1
        unfinished.seen_at = now
        self._unfinished.move_to_end(number)
        self._note(number, now + ACK_DELAY, now)
        if unfinished.missing:
            return None
        return self._complete(number, unfinished)

    def _accept_whole(self, packet: Packet, now: float) -> Datagram | None:
        if len(packet.payload) > MAX_DATAGRAM or packet.datagram in self._unfinished:
            self._counters["inconsistent"] += 1
            return None
        reserved = len(packet.payload) + OVERHEAD
        if not self._budget.reserve(reserved):
            self._refuse_for_memory(now)
            return None
        self._held[packet.datagram] = (1, reserved)
        self._note(packet.datagram, now + ACK_DELAY, now)
        return _datagram(packet, packet.payload)

    def _begin(self, packet: Packet, now: float) -> _Unfinished | None:
        reserved = MAX_DATAGRAM + OVERHEAD
        if packet.fragment < packet.fragments - 1:
            reserved = min(MAX_DATAGRAM, packet.fragments * len(packet.payload)) + OVERHEAD
        if not self._budget.reserve(reserved):
            self._refuse_for_memory(now)
            return None
        unfinished = self._unfinished[packet.datagram] = _Unfinished(packet, reserved, now)
        return unfinished

    def _refuse_for_memory(self, now: float) -> None:
        self._counters["no_memory"] += 1
        self._told_window = min(self._told_window, self._budget.free)
        self.ack_at = min(self.ack_at or now + ACK_DELAY, now + ACK_DELAY)

    def _fits(self, unfinished: _Unfinished, packet: Packet) -> bool:
        """Whether the fragment belongs to the datagram that its elders say."""
        first, count, size = unfinished.first, packet.fragments, len(packet.payload)
        if (
            count != len(unfinished.fragments)
            or packet[8:13] != first[8:13]  # flags, order, destinations, options
        ):
            return False
        if packet.fragment == count - 1:
            known = unfinished.size
            return known is None or (size <= known and (count - 1) * known + size <= MAX_DATAGRAM)
        if unfinished.size is not None:
            return size == unfinished.size
        last = unfinished.fragments[-1]
        if (count - 1) * size + (1 if last is None else len(last)) > MAX_DATAGRAM:
            return False
        if last is not None and len(last) > size:
            return False
        unfinished.size = size
        exact = min(MAX_DATAGRAM, count * size) + OVERHEAD
        if exact < unfinished.reserved:
            self._budget.release(unfinished.reserved - exact)
            unfinished.reserved = exact
        return True

    def _complete(self, number: int, unfinished: _Unfinished) -> Datagram:
        del self._unfinished[number]
        data = b"".join(part for part in unfinished.fragments if part is not None)
        exact = len(data) + OVERHEAD
        self._budget.release(unfinished.reserved - exact)
        self._held[number] = (len(unfinished.fragments), exact)
        return _datagram(unfinished.first, data)

    # What the program does

    def take(self, number: int, now: float) -> None:
        """The program has the datagram: from now on it is acknowledged as taken."""
        fragments, reserved = self._held.pop(number)
        self._budget.release(reserved)
        self._taken[(number >> 3) & (REMEMBERED // 8 - 1)] |= 1 << (number & 7)
        self._note(number, now + ACK_DELAY, now)
        self._recent.append(_whole(number, fragments))
        if self._budget.free - self._told_window >= self._budget.limit // 4:
            self.ack_at = now

    # Acknowledgements

    def _note(self, number: int, at: float, now: float) -> None:
        self._pending[number] = None
        self._packets += 1
        if self._packets >= ACK_PACKETS or len(self._pending) >= MAX_ENTRIES:
            at = now
        if self.ack_at is None or at < self.ack_at:
            self.ack_at = at

    def ask(self, number: int, now: float) -> None:
        """A PING: answer at once, and tell of the datagrams behind the one it asks about too."""
        self._pending[number] = None
        for following in range(number + 1, number + MAX_ENTRIES - REPEATED_ENTRIES):
            following &= 0xFFFFFFFF
            if following in self._held or following in self._unfinished or self._was_taken(following):
                self._pending[following] = None
        self.ack_at = now

    def acks(self, origin: int, now: float) -> list[Ack]:
        """The ACKs that are due; of datagrams whose sender is ``origin``."""
        if self.ack_at is None or self.ack_at > now:
            return []
        self.ack_at = None
        self._packets = 0
        self._told_window = max(0, self._budget.free)
        numbers = list(self._pending)
        extra = [entry for entry in self._recent if entry.datagram not in self._pending]
        self._pending.clear()
        entries = [self._entry(number) for number in numbers] + extra
        room = range(0, max(len(numbers), 1), MAX_ENTRIES)
        return [Ack(origin, self._told_window, tuple(entries[at : at + MAX_ENTRIES])) for at in room]

    def _entry(self, number: int) -> Entry:
        unfinished = self._unfinished.get(number)
        if unfinished is not None:
            return Entry(number, len(unfinished.fragments), False, unfinished.bitmap)
        held = self._held.get(number)
        if held is not None:
            return Entry(number, held[0], False, (1 << held[0]) - 1)
        if self._was_taken(number):
            # How many fragments it had is forgotten; the sender knows, and "taken" says all.
            return _whole(number, 1)
        return Entry(number, 0, False, 0)

    # Exactly once

    def _advance(self, number: int) -> bool:
        """Move the memory of taken numbers up to ``number``; False if it lies behind that memory."""
        if self._highest is None:
            self._highest = number
            return True
        ahead = (number - self._highest) & 0xFFFFFFFF
        if ahead >= 1 << 31:
            return (1 << 32) - ahead < REMEMBERED
        if ahead >= REMEMBERED:
            self._taken = bytearray(REMEMBERED // 8)
        else:
            for passed in range(self._highest + 1, self._highest + ahead + 1):
                self._taken[(passed >> 3) & (REMEMBERED // 8 - 1)] &= ~(1 << (passed & 7))
        self._highest = number
        return True

    def _was_taken(self, number: int) -> bool:
        if self._highest is None or (self._highest - number) & 0xFFFFFFFF >= REMEMBERED:
            return False
        return bool(self._taken[(number >> 3) & (REMEMBERED // 8 - 1)] >> (number & 7) & 1)

    # Time

    def expire(self, now: float) -> None:
        """Forget what was begun and never finished."""
        while self._unfinished:
            number, oldest = next(iter(self._unfinished.items()))
            if now < oldest.seen_at + UNFINISHED_LIFETIME:
                return
            del self._unfinished[number]
            self._budget.release(oldest.reserved)
            self._counters["forgotten"] += 1

    def deadline(self) -> float | None:
        """When ``expire`` or ``acks`` has something to do."""
        if not self._unfinished:
            return self.ack_at
        forget_at = next(iter(self._unfinished.values())).seen_at + UNFINISHED_LIFETIME
        return forget_at if self.ack_at is None else min(self.ack_at, forget_at)

    def close(self) -> None:
        """Nothing more comes; what is complete can still be taken."""
        self._budget.release(sum(each.reserved for each in self._unfinished.values()))
        self._unfinished.clear()
        self._pending.clear()
        self.ack_at = None


def _whole(number: int, fragments: int) -> Entry:
    return Entry(number, fragments, True, (1 << fragments) - 1)


def _datagram(packet: Packet, data: bytes) -> Datagram:
    return Datagram(
        data,
        packet.control,
        packet.order,
        packet.instance,
        packet.destinations,
        packet.options,
        packet.origin,
    )
