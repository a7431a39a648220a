"""Who was held to a bandwidth, from what units count; told seldom, and without losing a packet."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from dipronn.v1 import unit_pb2

QUIET_SECONDS = 5.0
"""Between two tellings of one device."""


@dataclass(frozen=True)
class Refused:
    """Packets beyond a limit: those that the guest sent, and those that were for it."""

    sent_by: int = 0
    sent_to: int = 0

    def __str__(self) -> str:
        parts = {"packets that it sent": self.sent_by, "packets for it": self.sent_to}
        many = " and ".join(f"{count} {what}" for what, count in parts.items() if count)
        return f"held to its bandwidth: {many} dropped (rate_limited)"


class Overruns:
    """Remembers what every unit refused at every device, until the device is gone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[str, dict[str, tuple[float, Refused]]] = {}
        """By unit and device: when, and the sums then."""

    def new(self, unit: str, counters: unit_pb2.UnitCounters) -> list[tuple[str, Refused]]:
        """Devices of which there is something to tell, and what they refused since it was told last."""
        now = self._clock()
        before = self._told.get(unit, {})
        told: dict[str, tuple[float, Refused]] = {}
        found = []
        for device, each in counters.refused.items():
            sums = Refused(each.received, each.sent)
            then, last = before.get(device, (now - QUIET_SECONDS, Refused()))
            if sums.sent_by < last.sent_by or sums.sent_to < last.sent_to:  # the limit was set anew
                last = Refused()
            since = Refused(sums.sent_by - last.sent_by, sums.sent_to - last.sent_to)
            if since != Refused() and now - then >= QUIET_SECONDS:
                found.append((device, since))
                told[device] = (now, sums)
            else:
                told[device] = (then, last)
        self._told[unit] = told
        return found
