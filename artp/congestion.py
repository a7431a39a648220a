"""The congestion window of RFC 9002, section 7 (NewReno), in bytes."""

from __future__ import annotations

INITIAL_PACKETS = 10
MINIMUM_PACKETS = 4
REDUCTION = 0.7


class Congestion:
    def __init__(self, packet_size: int) -> None:
        self._packet = packet_size
        self.window = float(INITIAL_PACKETS * packet_size)
        self._threshold = float("inf")
        self._reduced_at = float("-inf")

    def acknowledged(self, size: int, sent_at: float, in_flight: int) -> None:
        """``in_flight`` is what was under way before; a window that was not used does not grow."""
        if sent_at <= self._reduced_at or in_flight < self.window / 2:
            return
        if self.window < self._threshold:
            self.window += size
        else:
            self.window += self._packet * size / self.window

    def lost(self, sent_at: float, now: float) -> bool:
        """One reduction for all losses of one round trip; whether this was it."""
        if sent_at <= self._reduced_at:
            return False
        self._reduced_at = now
        self.window = max(self.window * REDUCTION, float(MINIMUM_PACKETS * self._packet))
        self._threshold = self.window
        return True

    def collapse(self, now: float) -> None:
        """After time-outs in a row."""
        self._reduced_at = now
        self._threshold = max(self.window * REDUCTION, float(MINIMUM_PACKETS * self._packet))
        self.window = float(MINIMUM_PACKETS * self._packet)
