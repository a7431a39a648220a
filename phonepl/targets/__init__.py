"""The three targets of one semantics: `interpreter` (the truth), `xdp`, `p4`; and what they have in common.

A target is a module `phonepl.targets.NAME` with an object `TARGET` that satisfies the protocol `Target`.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

from phonepl.compiler import Compiled
from phonepl.diagnostics import Diagnostic, PhoneplError, ProgramError

NAMES = ("interpreter", "xdp", "p4")


@dataclass(frozen=True, slots=True)
class Arrival:
    """A packet that comes in: from an imported stream, at a time in nanoseconds since the epoch."""

    stream: str
    timestamp: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Departure:
    """A packet that was put to a stream while the arrival of that index was handled."""

    stream: str
    arrival: int
    data: bytes


@dataclass(frozen=True)
class Outcome:
    """What came of a run: departures in the order of their arrivals and puts, and drops by the names of
    `ir.DROPS`."""

    departures: tuple[Departure, ...]
    drops: dict[str, int] = field(default_factory=dict)


class CannotBeExpressed(Diagnostic):
    """A construct that the target does not have. Facts: target, construct, reason, advice."""

    text: ClassVar[str] = "{target} cannot express {construct}: {reason}"
    hint: ClassVar[str] = "{advice}"


class NotExpressible(ProgramError):
    """The program is right, but the target cannot express it.

    The diagnostics are of CannotBeExpressed. Exit code 3.
    """


class PacketNotExpressible(PhoneplError):
    """The target cannot take a packet of the run (on xdp: under 14 bytes). Exit code 3."""


class NotAvailable(PhoneplError):
    """The target, or what it needs, is not on this machine; the message says what is missing. Exit code 4."""


class Target(Protocol):
    """What a target module offers as TARGET."""

    def emit(self, compiled: Compiled) -> str:
        """The program in the target's source language; raises NotExpressible."""

    def compile(self, compiled: Compiled, directory: Path) -> list[Path]:
        """Write what can be loaded into `directory`; the files. Raises NotExpressible, NotAvailable."""

    def run(self, compiled: Compiled, arrivals: Sequence[Arrival]) -> Outcome:
        """Handle the packets one at a time, in order, with fresh arrays.

        Raises NotExpressible, PacketNotExpressible, NotAvailable.
        """


def load(name: str) -> Target:
    """The target of that name; raises NotAvailable where it is not installed."""
    try:
        module = importlib.import_module(f"phonepl.targets.{name}")
    except ModuleNotFoundError as missing:
        raise NotAvailable(f"the target {name} is not available here: {missing}") from missing
    target: Target = module.TARGET
    return target
