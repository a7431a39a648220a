"""Reading a unit's counters: per-CPU cells summed, and the losses that no program sees."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from controller.steering.drops import Drop
from ebpf import layout
from ebpf.bpf import Map
from ebpf.outcome import Counters, Traffic

QUEUED = 4096
"""More copies than the fork veth and the devices' bulk queues hold at once."""
SETTLED = 0.05
"""Seconds in which every copy under way has arrived."""


class CounterReader:
    def __init__(self, maps: Mapping[str, Map]) -> None:
        self._maps = maps
        self._lost = 0
        self._pending: tuple[float, int, int] | None = None

    def _totals(self) -> bytes:
        value = self._maps["totals"].lookup(bytes(4))
        assert value is not None, "an array has all its elements"
        return value

    def read(self) -> Counters:
        """Since the maps were made."""
        raw = np.frombuffer(self._totals(), np.uint64).reshape(-1, ctypes.sizeof(layout.Totals) // 8)
        total = layout.Totals.from_buffer_copy(raw.sum(axis=0).tobytes())
        numbers, traffic = self._traffic()
        common = int(traffic[:, 0].sum()) - total.steered
        lost = self._lost_copies(total.forked, total.arrived)
        drops = {reason: total.drops[reason] for reason in Drop if total.drops[reason]}
        if lost:
            drops[Drop.DEVICE_DROP] = drops.get(Drop.DEVICE_DROP, 0) + lost
        return Counters(
            total.received + common,
            total.copies,
            total.sent + common + lost,
            total.to_host,
            drops,
            self._of_channels(numbers, traffic),
        )

    def _lost_copies(self, forked: int, arrived: int) -> int:
        """Copies that were ordered and will never be steered.

        A device that is down or too small is skipped in silence, a full fork veth loses the rest. What is
        missing may be under way still; it is lost for certain when nothing moved for a while, or when it is
        more than can be queued.
        """
        missing = forked - arrived
        now = time.monotonic()
        if self._pending is None or self._pending[1] != forked or self._pending[2] != arrived:
            self._pending = (now, forked, arrived)
        elif now - self._pending[0] >= SETTLED:
            self._lost = missing
        self._lost = max(self._lost, missing - QUEUED)
        return self._lost

    def retire(self, channel: bytes) -> None:
        """Forget what a channel counted, whose number (as the map's key) may be given to another.

        Its cells go on growing, since the totals are made from them: what they hold now is noted instead.
        """
        cells = self._maps["traffic"].lookup(channel)
        assert cells is not None, "an array has all its elements"
        sums = np.frombuffer(cells, np.uint64).reshape(-1, 2).sum(axis=0)
        self._maps["retired"].update(channel, sums.tobytes())

    def _traffic(self) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint64]]:
        """Channels that ever counted something, and their packets and bytes since the maps were made."""
        numbers, sums = self._cells("traffic")
        used = np.flatnonzero(sums.any(1))
        return numbers[used], sums[used]

    def _cells(self, name: str) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint64]]:
        width = self._maps[name].value_bytes // 8
        keys, sums = [], []
        for key, values, count in self._maps[name].batches():
            keys.append(np.frombuffer(key, np.uint32, count))
            sums.append(np.frombuffer(values, np.uint64, count * width).reshape(count, -1, 2).sum(axis=1))
        return np.concatenate(keys), np.concatenate(sums)

    def _of_channels(
        self, numbers: npt.NDArray[np.uint32], traffic: npt.NDArray[np.uint64]
    ) -> dict[int, Traffic]:
        """Without what a number's former channels counted."""
        _, retired = self._cells("retired")
        own = traffic - retired[numbers]
        return {int(numbers[i]): Traffic(*map(int, own[i])) for i in np.flatnonzero(own.any(1))}
