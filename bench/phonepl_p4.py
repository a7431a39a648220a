"""Phonepl on bmv2 against the same functions written by hand in P4, on the same build."""

from __future__ import annotations

import shutil
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from finsy.proto import p4i
from google.protobuf import text_format

from bench.lab import CPU
from bench.p4_forwarding import BURST, PROGRAM, Program, build, lab
from bench.registry import Goal, Result, measurement, noise
from controller.drivers.p4runtime.pipeline import Pipeline
from phonepl.compiler import compile_source
from phonepl.targets.p4 import p4c
from phonepl.targets.p4.source import generate

EXAMPLES = Path(__file__).parent.parent / "examples" / "phonepl"
ROUNDS = 10
GOAL = 0.95


@dataclass(frozen=True)
class Function:
    """A handler; `reverse`: of the second imported stream, which is bound to the first port then."""

    name: str
    program: str
    reverse: bool = False


FUNCTIONS = (
    Function("pass_through", "pass_through"),
    Function("add_mac", "add_rem_mac"),
    Function("delete_mac", "add_rem_mac", reverse=True),
    Function("push_vlan", "vlan"),
)


def ours(function: Function) -> Program:
    """The compiled Phonepl program."""
    path = EXAMPLES / f"{function.program}.phonepl"
    source = path.read_text(encoding="utf-8")
    if function.reverse:
        first, second = (line for line in source.splitlines() if line.startswith("import "))
        source = source.replace(f"{first}\n{second}", f"{second}\n{first}")
    return _program(p4c.compiled(generate(compile_source(source, path.name))))


def by_hand(function: Function) -> Program:
    """The hand-written program."""
    path = EXAMPLES / "handwritten" / f"{function.program}.p4"
    ports = ("INSIDE=2", "OUTSIDE=1") if function.reverse else ()
    return _program(p4c.compile_source(path.name, path.read_text(encoding="utf-8"), ports))


def _program(pipeline: p4c.Pipeline) -> Program:
    info = text_format.Parse(pipeline.info, p4i.P4Info())
    return Pipeline(info, pipeline.json.encode()), []


@measurement
def phonepl_p4() -> Iterator[Result]:
    for needed in (PROGRAM, p4c.COMPILER):
        if shutil.which(needed) is None:
            sys.stderr.write(f"Phonepl on bmv2 is not measured: {needed} is not on PATH\n")
            return
    with lab() as made:
        for function in FUNCTIONS:
            contenders = {"phonepl": ours(function), "by hand": by_hand(function)}
            lost = made.lost
            rates: dict[str, list[float]] = {name: [] for name in contenders}
            for number in range(ROUNDS):
                # Who comes second in a round meets another machine than who comes first.
                for name in list(contenders)[:: 1 if number % 2 else -1]:
                    rates[name].append(made.kpps(contenders[name]))
            # Neighbours in a round met the same machine: so the median of their ratios.
            ratio = statistics.median(a / b for a, b in zip(rates["phonepl"], rates["by hand"], strict=True))
            yield Result(
                f"phonepl_p4_{function.name}_to_by_hand",
                ratio,
                "×",
                Goal(">=", GOAL),
                {f"{name} kpps": statistics.median(values) for name, values in rates.items()},
                f"bmv2 {build()}; 64 B frames over veth, bursts of {BURST}, arrivals per second of the "
                f"switch's processor time, all threads on core {CPU}; medians of {ROUNDS} interleaved "
                f"rounds, noise ±{noise(rates['by hand']):.0%}; {made.lost - lost} frames lost",
            )
