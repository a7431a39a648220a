"""The XDP target: C for the kernel, compiled by bcc, run by BPF_PROG_RUN or attached to devices."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from phonepl.compiler import Compiled
from phonepl.targets import Arrival, Outcome
from phonepl.targets.xdp.program import accepted
from phonepl.targets.xdp.runner import run
from phonepl.targets.xdp.source import generate


class XdpTarget:
    """XDP as one of the targets."""

    def emit(self, compiled: Compiled) -> str:
        """The program in C."""
        return generate(compiled).text

    def compile(self, compiled: Compiled, directory: Path) -> list[Path]:
        """Write the C, and where this host can compile and verify it the packages that a loader takes."""
        name = compiled.program.name
        made = [directory / f"{name}.bpf.c"]
        made[0].write_text(generate(compiled).text, encoding="utf-8")
        if os.geteuid():
            return made
        for frags in (False, True):
            generated, package, loaded = accepted(compiled, frags=frags)
            loaded.close()
            made[0].write_text(generated.text, encoding="utf-8")
            made.append(directory / f"{name}{'.frags' if frags else ''}.xdp.json")
            made[-1].write_text(package.to_json(), encoding="utf-8")
        return made

    def run(self, compiled: Compiled, arrivals: Sequence[Arrival]) -> Outcome:
        """Handle the packets one at a time by BPF_PROG_RUN, with fresh arrays."""
        return run(compiled, arrivals)


TARGET = XdpTarget()
