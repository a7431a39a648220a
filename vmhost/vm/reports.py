"""What a guest's init reports over its virtio-serial port: JSON lines from a machine that is not trusted.

Pure: bytes in, events out. A report counts once, and only if it names a program of this VM, so a guest that
floods its port with nonsense, or with repetitions, produces nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from vmhost.vm.spec import DriverEvent, ProgramExit, ProgramStarted, VmChanged, VmState

MAX_LINE = 512


class GuestReports:
    """The state of one VM as its guest reports it.

    `up`: init runs. `programs`: those that started, with their exit status or None while they run.
    """

    def __init__(self, vm: str, programs: Iterable[str]) -> None:
        self._vm = vm
        self._known = frozenset(programs)
        self._buffer = b""
        self._skipping = False
        self.up = False
        self.programs: dict[str, int | None] = {}

    def feed(self, data: bytes) -> list[DriverEvent]:
        """Take what came from the port; returns what is new, in order."""
        events: list[DriverEvent] = []
        *lines, rest = (self._buffer + data).split(b"\n")
        for line in lines:
            if not self._skipping and len(line) < MAX_LINE:
                events += self._take(line)
            self._skipping = False
        # The rest of a line that is too long is thrown away as it comes.
        self._skipping = self._skipping or len(rest) >= MAX_LINE
        self._buffer = b"" if self._skipping else rest
        return events

    def _take(self, line: bytes) -> Iterable[DriverEvent]:
        try:
            report = json.loads(line)
        except (ValueError, RecursionError):
            return
        if not isinstance(report, dict):
            return
        kind, program, status = (report.get(key) for key in ("event", "program", "status"))
        if kind == "up" and not self.up:
            self.up = True
            yield VmChanged(self._vm, VmState.RUNNING, "the guest is up")
        if not isinstance(program, str) or program not in self._known:
            return
        if kind == "started" and program not in self.programs:
            self.programs[program] = None
            yield ProgramStarted(self._vm, program)
        if (
            kind == "exit"
            and self.programs.get(program, 0) is None
            and type(status) is int
            and -64 <= status <= 255
        ):
            self.programs[program] = status
            yield ProgramExit(self._vm, program, status)
