"""The P4 target: P4_16 for v1model, compiled by p4c, run by bmv2 where they are installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from phonepl.compiler import Compiled
from phonepl.targets import Arrival, Outcome
from phonepl.targets.p4 import p4c
from phonepl.targets.p4.runner import run
from phonepl.targets.p4.source import generate


class P4Target:
    """P4 as one of the targets."""

    def emit(self, compiled: Compiled) -> str:
        """The program in P4."""
        return generate(compiled).text

    def compile(self, compiled: Compiled, directory: Path) -> list[Path]:
        """Write the P4, what its controller must know, and where p4c is installed what it makes of it."""
        generated = generate(compiled)
        made = p4c.write(generated, directory)
        return [*made, *p4c.compile(generated, directory)] if p4c.is_here() else made

    def run(self, compiled: Compiled, arrivals: Sequence[Arrival]) -> Outcome:
        """Handle the packets one at a time on a bmv2 of its own, with fresh arrays."""
        return run(compiled, arrivals)


TARGET = P4Target()
