"""A token bucket: how much a guest may ask for."""

from __future__ import annotations

import time


class Bucket:
    """``burst`` at once, then ``per_second``."""

    def __init__(self, burst: float, per_second: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._tokens = burst
        self._counted = time.monotonic()

    def take(self) -> bool:
        """Take a token; False if there is none."""
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._counted) * self._per_second)
        self._counted = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
