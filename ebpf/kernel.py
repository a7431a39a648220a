"""Compiled kernel programs in the unit's tables: which function takes which stream's packets (R8).

What the programs are is none of this package's business: it is given descriptors.  Pinned maps keep them: a
restarted process finds them where they were, still at work.
"""

from __future__ import annotations

import contextlib
import ctypes
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from controller.steering.model import MAX_STREAMS
from dipronn.errors import Unavailable
from ebpf import layout
from ebpf.attachment import Attachment
from ebpf.bpf import Map
from ebpf.layout import Sizes
from ebpf.maps import new_devmap
from ebpf.rows import number

PASSAGE = Path(__file__).with_name("passage.h")
"""What both are compiled with."""
_DRAIN_SECONDS = 0.25
SHARED = ("passage", "onward")
"""The maps over which steering and programs speak with each other; programs are loaded over them."""


class KernelPrograms:
    """Programs by number, from 1.  What points to one (endpoints, bindings) are rows like others."""

    def __init__(
        self, maps: Mapping[str, Map], attachment: Attachment, pins: Path | None, sizes: Sizes, *, trace: bool
    ) -> None:
        self._maps = maps
        self._attachment = attachment
        self._pins = pins
        self._sizes = sizes
        self._trace = trace
        self._egress_program = -1
        self._most_puts = 1

    def start(self, put_program: int, egress_program: int) -> None:
        """Let programs' puts come to this process's steering; one write."""
        self._egress_program = egress_program
        self._maps["onward"].update(number(0), number(put_program))
        if self.held():
            self._prepare_puts(layout.MOST_PUTS)

    @property
    def shared(self) -> Mapping[str, Map]:
        return {name: self._maps[name] for name in SHARED}

    def install(
        self, program: int, functions: Mapping[int, int], copy: int | None, counted: Map, most_puts: int = 1
    ) -> None:
        """Have a program at work: the function of each stream by number, and the one for copies.

        ``counted``: the map in which it counts what it drops; found again by ``drops`` after a restart.
        """
        size = self._sizes.program
        if not 0 < program < size:
            raise ValueError(f"program {program}: numbers run from 1 to {size - 1}; raise Sizes.program")
        if any(not 0 <= stream < MAX_STREAMS for stream in functions):
            raise Unavailable(f"a program in a node has at most {MAX_STREAMS} streams")
        self._prepare_puts(most_puts)
        if self._pins is not None:
            path = self._pin(program)
            path.unlink(missing_ok=True)
            counted.pin(str(path))
        for stream, function in functions.items():
            self._maps["programs"].update(self._slot(program, stream), number(function))
        if copy is not None:
            self._maps["programs"].update(self._slot(program, layout.STREAMS - 1), number(copy))

    def remove(self, program: int) -> None:
        """Nothing happens where it is not."""
        for stream in range(layout.STREAMS):
            self._maps["programs"].delete(self._slot(program, stream))
        if self._pins is not None:
            self._pin(program).unlink(missing_ok=True)

    def held(self) -> set[int]:
        """The programs whose counts are pinned: those that were installed whole, or nearly."""
        if self._pins is None or not self._pins.is_dir():
            return set()
        return {int(path.name.removeprefix("program_")) for path in self._pins.glob("program_*")}

    def drops(self, program: int, names: Sequence[str]) -> dict[str, int]:
        """What a program has dropped since it was installed; ``names``: of its counters, from 1 on."""
        counted = Map.pinned("drops", str(self._pin(program)))
        try:
            cells = (counted.lookup(number(index)) or b"" for index in range(1, len(names) + 1))
            sums = [int(np.frombuffer(cell, np.uint64).sum()) for cell in cells]
        finally:
            counted.close()
        return dict(zip(names, sums, strict=True))

    def drain(self) -> None:
        """Wait until no packet is on its way that met rows from before the call."""
        with contextlib.closing(new_devmap(1)) as inner:
            # This waits until no packet is in the hands of a program that saw the map before.
            self._maps["put_plans"].update(number(0), number(inner.fd))
        ordered, _ = self._copies()
        deadline = time.monotonic() + _DRAIN_SECONDS  # lost copies never arrive
        while self._copies()[1] < ordered and time.monotonic() < deadline:
            time.sleep(0.001)

    def _copies(self) -> tuple[int, int]:
        """Sent into the fork veth so far, and come out of it or at a device."""
        raw = np.frombuffer(self._maps["totals"].lookup(number(0)) or b"", np.uint64)
        sums = raw.reshape(-1, ctypes.sizeof(layout.Totals) // 8).sum(axis=0)
        total = layout.Totals.from_buffer_copy(sums.tobytes())
        return total.forked, total.arrived

    def _pin(self, program: int) -> Path:
        assert self._pins is not None
        return self._pins / f"program_{program}"

    @staticmethod
    def _slot(program: int, stream: int) -> bytes:
        return number(program * layout.STREAMS + stream)

    def _prepare_puts(self, most: int) -> None:
        """The ways of so many puts of one packet: as many copies into the fork veth."""
        for puts in range(self._most_puts + 1, most + 1):
            if not self._trace:
                sending = self._attachment.fork_link()
                with contextlib.closing(new_devmap(puts)) as inner:
                    for copy in range(puts):
                        inner.update(number(copy), bytes(layout.DevmapValue(sending, self._egress_program)))
                    self._maps["put_plans"].update(number(puts), number(inner.fd))
            self._most_puts = puts
