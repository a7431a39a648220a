"""The outgoing half of a connection: windows, repetition, who has taken what (docs/artp.md, 6 to 8).

No I/O and no clock: ``transmit`` hands out packets, ``acknowledged`` takes what came back; times in seconds.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterator

from artp.congestion import Congestion
from artp.flight import Flight, Fragment
from artp.rtt import RoundTrip
from artp.wire import Ack, Entry

MAX_SPAN = 32768
MAX_RECEIVERS = 1024
FIRST_QUESTION = 0.2
LONGEST_QUESTION = 5.0
MAX_QUESTIONS = 3
QUESTIONS_AT_ONCE = 8
SILENCE = 10.0
HOLDER_SILENCE = 2.0
REMEMBERED_DONE = 4096


class _Outgoing:
    """A datagram that is not done."""

    __slots__ = (
        "ask_after",
        "ask_at",
        "asked",
        "begun_at",
        "fragments",
        "heard_of",
        "number",
        "open",
        "size",
    )

    def __init__(self, number: int, packets: list[bytes]) -> None:
        self.number = number
        self.fragments = [Fragment(number, packet) for packet in packets]
        self.size = sum(map(len, packets))
        self.open = len(packets)
        """Fragments that too few receivers have."""
        self.begun_at: float | None = None
        self.heard_of = False
        """Somebody has acknowledged some of it."""
        self.ask_at = 0.0
        self.ask_after = FIRST_QUESTION
        self.asked = 0


class Sender:
    """``copies``: how many different receivers must take a datagram."""

    def __init__(self, packet_size: int, counters: Counter[str], copies: int = 1) -> None:
        self._counters = counters
        self._copies = copies
        self._needed = copies
        self.round_trip = RoundTrip()
        self.congestion = Congestion(packet_size)
        self._flight = Flight(self.round_trip)
        self._unfinished: dict[int, _Outgoing] = {}
        """In the order of their numbers."""
        self._queue: deque[Fragment] = deque()
        self._again: deque[Fragment] = deque()
        self._takers: dict[int, set[int]] = {}
        """Who has taken a datagram, also of the latest that are done."""
        self._waiting: list[tuple[float, int]] = []
        """A heap of datagrams that were received wholly but not taken, by when to ask after them."""
        self._ask_no_sooner = 0.0
        self._new_bytes = 0
        """Of datagrams that were begun, and of which nobody has said anything."""
        self._heard: dict[int, float] = {}
        self._windows: dict[int, int] = {}
        self._losses: dict[int, float] = {}
        self._timeout_at: float | None = None
        self._probe_at: float | None = None
        self.buffered = 0
        """Bytes of datagrams that are not done."""

    # The program's side

    def enqueue(self, number: int, packets: list[bytes]) -> None:
        datagram = _Outgoing(number, packets)
        self._unfinished[number] = datagram
        self._queue.extend(datagram.fragments)
        self.buffered += datagram.size

    def has_room(self, number: int) -> bool:
        """Whether a datagram with this number may be added to those that are not done."""
        oldest = next(iter(self._unfinished), number)
        return (number - oldest) & 0xFFFFFFFF < MAX_SPAN

    @property
    def idle(self) -> bool:
        return not self._unfinished

    # What goes out

    def transmit(self, now: float) -> Iterator[bytes]:
        """Packets that may leave now; each counts as sent when it is handed out."""
        while source := self._again or self._queue:
            fragment = source[0]
            datagram = self._unfinished.get(fragment.number)
            if datagram is None or len(fragment.acks) >= self._needed:
                fragment.queued = False
                source.popleft()
                continue
            if self._flight.bytes and self._flight.bytes + fragment.size > self.congestion.window:
                return
            if datagram.begun_at is None and not self._begin(datagram, now):
                return
            source.popleft()
            if not self._flight.fragments:
                self._timeout_at = now + self.round_trip.timeout
            self._flight.send(fragment, now)
            self._counters["sent" if fragment.sends == 1 else "resent"] += 1
            yield fragment.packet

    def _begin(self, datagram: _Outgoing, now: float) -> bool:
        """Whether the receivers' windows let a new datagram begin."""
        alive = (each for each in self._windows if now < self._heard[each] + HOLDER_SILENCE)
        window = min((self._windows[each] for each in alive), default=None)
        if window is not None and self._new_bytes + datagram.size > window:
            if self._probe_at is None:
                self._probe_at = now + self.round_trip.timeout
            return False
        self._probe_at = None
        datagram.begun_at = now
        self._new_bytes += datagram.size
        return True

    def questions(self, now: float) -> list[int]:
        """Numbers of datagrams to ask about by PING."""
        asked: list[int] = []
        if self._probe_at is not None and now >= self._probe_at and self._queue:
            self._probe_at = now + min(LONGEST_QUESTION, 2 * self.round_trip.timeout)
            asked.append(self._queue[0].number)
        if now < self._ask_no_sooner:
            return asked
        while self._waiting and self._waiting[0][0] <= now and len(asked) < QUESTIONS_AT_ONCE:
            at, number = heapq.heappop(self._waiting)
            datagram = self._unfinished.get(number)
            if datagram is None or datagram.open or datagram.ask_at != at:
                continue
            datagram.asked += 1
            if datagram.asked > MAX_QUESTIONS:
                self._send_again(datagram)
                continue
            asked.append(number)
            self._ask_at(datagram, now + datagram.ask_after)
        if asked:
            self._ask_no_sooner = now + self.round_trip.timeout
            self._counters["questions"] += len(asked)
        return asked

    def _ask_at(self, datagram: _Outgoing, at: float) -> None:
        datagram.ask_at = at
        heapq.heappush(self._waiting, (at, datagram.number))

    def _send_again(self, datagram: _Outgoing) -> None:
        """Nobody knows of it any more: a receiver failed, its successor shall have it."""
        self._counters["sent_again"] += 1
        datagram.asked, datagram.ask_at = 0, 0.0
        datagram.open = len(datagram.fragments)
        for fragment in datagram.fragments:
            fragment.acks = set()
            self._put_back(fragment)

    def _put_back(self, fragment: Fragment) -> None:
        self._flight.land(fragment)
        if not fragment.queued:
            fragment.queued = True
            self._again.append(fragment)

    # What comes back

    def acknowledged(self, receiver: int, ack: Ack, now: float) -> None:
        """One ACK of one receiver."""
        if receiver not in self._heard and len(self._heard) >= MAX_RECEIVERS:
            self._counters["too_many_receivers"] += 1
            return
        self._heard[receiver] = now
        self._windows[receiver] = ack.window
        if self._needed < self._copies:
            self._needed = min(self._copies, len(self._heard))
        progress = False
        for entry in ack.entries:
            datagram = self._unfinished.get(entry.datagram)
            if datagram is None:
                self._count_repeat(receiver, entry)
            elif datagram.begun_at is not None:
                progress |= self._entry(datagram, receiver, entry, now)
        if progress:
            self.round_trip.expiries = 0
            self._timeout_at = now + self.round_trip.timeout
        self._repair(self._flight.lost([receiver], now), now)

    def _entry(self, datagram: _Outgoing, receiver: int, entry: Entry, now: float) -> bool:
        """Whether the entry says anything new."""
        full = (1 << len(datagram.fragments)) - 1
        bitmap = full if entry.taken else entry.bitmap & full
        progress = False
        for index, fragment in enumerate(datagram.fragments):
            if bitmap >> index & 1 and receiver not in fragment.acks:
                progress = True
                self._has(datagram, fragment, receiver, now)
        if entry.taken:
            takers = self._takers.setdefault(datagram.number, set())
            progress |= receiver not in takers
            takers.add(receiver)
            if len(takers) >= self._needed:
                self._finish(datagram)
                return True
        if datagram.open:
            return progress
        if bitmap != full and datagram.asked:
            self._lacks(datagram, receiver, now)
        elif bitmap == full or not datagram.ask_at:
            longer = min(LONGEST_QUESTION, 2 * datagram.ask_after)
            datagram.ask_after = longer if datagram.ask_at else FIRST_QUESTION + self.round_trip.timeout
            datagram.asked = 0
            self._ask_at(datagram, now + datagram.ask_after)
        return progress

    def _has(self, datagram: _Outgoing, fragment: Fragment, receiver: int, now: float) -> None:
        if not datagram.heard_of:
            datagram.heard_of = True
            self._new_bytes -= datagram.size
        self._flight.acknowledged(receiver, fragment, now)
        fragment.acks.add(receiver)
        if len(fragment.acks) == self._needed:
            datagram.open -= 1
            under_way = self._flight.bytes
            if self._flight.land(fragment):
                self.congestion.acknowledged(fragment.size, fragment.sent_at, under_way)

    def _lacks(self, datagram: _Outgoing, receiver: int, now: float) -> None:
        """A receiver that was asked has not all of it, as after a failure or when instances changed half-way.

        Another that is heard may hold it.
        """
        holders = set.intersection(*(fragment.acks for fragment in datagram.fragments)) - {receiver}
        alive = [each for each in holders if now < self._heard.get(each, 0.0) + HOLDER_SILENCE]
        if len(alive) < self._needed:
            self._send_again(datagram)

    def _count_repeat(self, receiver: int, entry: Entry) -> None:
        """A datagram that more receivers have taken than should: after a failure."""
        takers = self._takers.get(entry.datagram)
        if entry.taken and takers is not None and receiver not in takers:
            takers.add(receiver)
            if len(takers) > self._copies:
                self._counters["repeats"] += 1

    def _finish(self, datagram: _Outgoing) -> None:
        del self._unfinished[datagram.number]
        self.buffered -= datagram.size
        if not datagram.heard_of and datagram.begun_at is not None:
            self._new_bytes -= datagram.size
        for fragment in datagram.fragments:
            self._flight.land(fragment)
        self._counters["done"] += 1
        if len(self._takers) > REMEMBERED_DONE + len(self._unfinished):
            oldest = next(each for each in self._takers if each not in self._unfinished)
            del self._takers[oldest]

    # Losses and time

    def _repair(self, lost: list[tuple[Fragment, int]], now: float) -> None:
        for fragment, receiver in lost:
            self._put_back(fragment)
            mine = self._losses[receiver] = self._losses.get(receiver, 0.0) + 1
            # In a group only the receiver that loses most limits the sender.
            if (self._needed == 1 or mine >= max(self._losses.values())) and self.congestion.lost(
                fragment.sent_at, now
            ):
                self._losses = {each: count / 2 for each, count in self._losses.items()}

    def elapsed(self, now: float) -> None:
        """Do what is due by now: find losses, time-outs, receivers that fell silent."""
        if self._flight.check_at is not None and now >= self._flight.check_at:
            self._repair(self._flight.lost([], now), now)
        if self._flight.fragments and self._timeout_at is not None and now >= self._timeout_at:
            self._time_out(now)
        if self._needed > 1:
            self._leave_out_the_silent(now)

    def _time_out(self, now: float) -> None:
        self._counters["timeouts"] += 1
        self.round_trip.expiries += 1
        if self.round_trip.expiries > 1:
            self.congestion.collapse(now)
        else:
            self.congestion.lost(next(iter(self._flight.fragments)).sent_at, now)
        for fragment in list(self._flight.fragments):
            self._put_back(fragment)
        self._timeout_at = now + self.round_trip.timeout

    def _leave_out_the_silent(self, now: float) -> None:
        """A receiver that is silent while others answer shall not hold up the group."""
        oldest = next(iter(self._unfinished.values()), None)
        if oldest is None or oldest.begun_at is None or now < oldest.begun_at + SILENCE:
            return
        silent = [receiver for receiver, at in self._heard.items() if now - at >= SILENCE]
        if len(self._heard) - len(silent) in (0, self._needed):
            return
        for receiver in silent:
            del self._heard[receiver], self._windows[receiver]
            self._losses.pop(receiver, None)
            self._flight.forget(receiver)
        if len(self._heard) < self._needed:
            self._counters["left_out"] += self._needed - len(self._heard)
            self._needed = len(self._heard)
            for datagram in list(self._unfinished.values()):
                self._reconsider(datagram)

    def _reconsider(self, datagram: _Outgoing) -> None:
        datagram.open = sum(len(fragment.acks) < self._needed for fragment in datagram.fragments)
        for fragment in datagram.fragments:
            if len(fragment.acks) >= self._needed:
                self._flight.land(fragment)
        if len(self._takers.get(datagram.number, ())) >= self._needed:
            self._finish(datagram)
        elif not datagram.open and datagram.begun_at is not None:
            self._ask_at(datagram, datagram.begun_at)

    def deadline(self) -> float | None:
        """When to call ``elapsed``, ``questions`` and ``transmit`` again if nothing comes in."""
        times = [self._flight.check_at, self._probe_at if self._queue else None]
        if self._flight.fragments:
            times.append(self._timeout_at)
        if self._waiting:
            times.append(max(self._waiting[0][0], self._ask_no_sooner))
        return min((at for at in times if at is not None), default=None)
