"""Fragments under way and how their loss is seen (docs/artp.md, 8). No I/O and no clock; times in seconds."""

from __future__ import annotations

from artp.rtt import RoundTrip


class Fragment:
    """One packet of a datagram."""

    __slots__ = ("acks", "number", "packet", "queued", "sends", "sent_at", "size")

    def __init__(self, number: int, packet: bytes) -> None:
        self.number = number
        self.packet = packet
        self.size = len(packet)
        self.sent_at = 0.0
        self.sends = 0
        self.acks: set[int] = set()
        """Origins of the receivers that have it."""
        self.queued = True
        """Waits to be sent, for the first time or again."""


class Flight:
    """What was sent and not acknowledged by enough receivers, in the order of sending."""

    def __init__(self, round_trip: RoundTrip) -> None:
        self._round_trip = round_trip
        self.fragments: dict[Fragment, None] = {}
        self.bytes = 0
        self._newest: dict[int, float] = {}
        """For each receiver, when the latest fragment was sent that it has acknowledged."""
        self.check_at: float | None = None
        """When ``lost`` may find something without a further ACK."""

    def send(self, fragment: Fragment, now: float) -> None:
        fragment.sent_at = now
        fragment.sends += 1
        fragment.queued = False
        self.fragments[fragment] = None
        self.bytes += fragment.size

    def land(self, fragment: Fragment) -> bool:
        """It is no longer under way; False if it was not."""
        if fragment not in self.fragments:
            return False
        del self.fragments[fragment]
        self.bytes -= fragment.size
        return True

    def acknowledged(self, receiver: int, fragment: Fragment, now: float) -> None:
        """``receiver`` has ``fragment``, which it had not said before."""
        passed = now - fragment.sent_at
        if fragment.sends == 1:
            self._round_trip.sample(passed)
        elif passed < self._round_trip.minimum:
            return  # the answer to an earlier copy
        if fragment.sent_at > self._newest.get(receiver, float("-inf")):
            self._newest[receiver] = fragment.sent_at

    def forget(self, receiver: int) -> None:
        """A receiver that is silent misses nothing any more."""
        self._newest.pop(receiver, None)

    def lost(self, receivers: list[int], now: float) -> list[tuple[Fragment, int]]:
        """Fragments that one of ``receivers`` misses although it has a later one, and who it is.

        An empty list asks for all receivers. Sets ``check_at``.
        """
        patience = self._round_trip.reordering
        marks = [(self._newest[each], each) for each in receivers or self._newest if each in self._newest]
        found: list[tuple[Fragment, int]] = []
        if not receivers:
            self.check_at = None
        latest = max(marks)[0] if marks else float("-inf")
        for fragment in self.fragments:
            if fragment.sent_at >= latest:
                break
            who = next((r for mark, r in marks if fragment.sent_at < mark and r not in fragment.acks), None)
            if who is None:
                continue
            at = fragment.sent_at + patience
            if now < at:
                self.check_at = at if self.check_at is None else min(at, self.check_at)
                break
            found.append((fragment, who))
        return found
