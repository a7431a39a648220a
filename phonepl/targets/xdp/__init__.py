"""The XDP target: C for the kernel, compiled by bcc, run by BPF_PROG_RUN or attached to devices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from phonepl.compiler import Compiled
from phonepl.targets import Arrival, Outcome
from phonepl.targets.xdp.source import generate


class XdpTarget:
    """XDP as one of the targets."""

    def emit(self, compiled: Compiled) -> str:
        """The program in C."""
        return generate(compiled).text

    def compile(self, compiled: Compiled, directory: Path) -> list[Path]:
        raise NotImplementedError

    def run(self, compiled: Compiled, arrivals: Sequence[Arrival]) -> Outcome:
        """Handle the packets one at a time by BPF_PROG_RUN, with fresh arrays."""
        from phonepl.targets.xdp.runner import run

        return run(compiled, arrivals)


TARGET = XdpTarget()
