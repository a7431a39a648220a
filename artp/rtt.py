"""The retransmission timer of RFC 6298; all times in seconds."""

from __future__ import annotations

MIN_RTO = 0.05
MAX_RTO = 1.0
INITIAL_RTO = 0.5
GRANULARITY = 0.001


class RoundTrip:
    """Smoothed round trip, its variance, and the time-out with its back-off."""

    def __init__(self) -> None:
        self.smoothed: float | None = None
        self.variance = 0.0
        self.latest = 0.0
        self.minimum = 0.0
        self.expiries = 0
        """Time-outs since the last sign of progress."""

    def sample(self, seconds: float) -> None:
        """A round trip of something that was sent once (RFC 6298, 2.2 and 2.3)."""
        self.latest = seconds
        if self.smoothed is None:
            self.smoothed, self.variance, self.minimum = seconds, seconds / 2, seconds
        else:
            self.minimum = min(self.minimum, seconds)
            self.variance += (abs(self.smoothed - seconds) - self.variance) / 4
            self.smoothed += (seconds - self.smoothed) / 8

    @property
    def timeout(self) -> float:
        """RTO, doubled for each expiry without progress (RFC 6298, 5.5)."""
        base = INITIAL_RTO
        if self.smoothed is not None:
            base = max(MIN_RTO, self.smoothed + max(GRANULARITY, 4 * self.variance))
        return min(MAX_RTO, base * 2.0 ** min(self.expiries, 16))

    @property
    def reordering(self) -> float:
        """How long after it was sent a packet that another one overtook is lost (RFC 9002, 6.1.2)."""
        return max(GRANULARITY, 1.125 * max(self.smoothed or INITIAL_RTO, self.latest))
