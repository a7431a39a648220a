"""What a demonstration found, as a table for people and as one JSON object for machines."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Check:
    """One promise and whether it was kept; ``found`` tells what was seen."""

    promise: str
    kept: bool
    found: str


@dataclass(frozen=True)
class Delivery:
    """What one receiver got at one port."""

    output: str
    receiver: str
    datagrams: int
    bytes: int


@dataclass(frozen=True)
class ChannelCount:
    channel: str
    packets: int
    bytes: int


@dataclass(frozen=True)
class MachineStart:
    """A virtual machine, where it ran, and how long from its spawn until its names were registered."""

    instance: str
    unit: str
    seconds: float


@dataclass
class DemoResult:
    """All that a demonstration verified; ``ok`` only if every promise was kept."""

    sent_datagrams: int = 0
    sent_bytes: int = 0
    channels: list[ChannelCount] = field(default_factory=list)
    delivered: list[Delivery] = field(default_factory=list)
    drops: dict[str, dict[str, int]] = field(default_factory=dict)  # by unit, then by reason
    machines: list[MachineStart] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return bool(self.checks) and all(check.kept for check in self.checks)

    def check(self, promise: str, kept: bool, found: str) -> None:
        self.checks.append(Check(promise, kept, found))

    def as_json(self) -> dict[str, Any]:
        return {"ok": self.ok, **asdict(self)}


def print_result(result: DemoResult, console: Console) -> None:
    """Write the result as tables."""
    flow = Table(title="Packets", title_justify="left")
    for heading in ("where", "what", "datagrams", "bytes"):
        flow.add_column(heading, justify="right" if heading in ("datagrams", "bytes") else "left")
    flow.add_row("source", "sent", f"{result.sent_datagrams:,}", f"{result.sent_bytes:,}")
    flow.add_section()
    for channel in result.channels:
        flow.add_row("steered", channel.channel, f"{channel.packets:,}", f"{channel.bytes:,}")
    flow.add_section()
    for delivery in result.delivered:
        what = f"{delivery.output} at {delivery.receiver}"
        flow.add_row("delivered", what, f"{delivery.datagrams:,}", f"{delivery.bytes:,}")
    flow.add_section()
    for unit, reasons in result.drops.items():
        for reason, count in reasons.items():
            flow.add_row("dropped", f"{reason} at {unit}", f"{count:,}", "")
    if not any(result.drops.values()):
        flow.add_row("dropped", "nothing", "0", "")
    console.print(flow)

    machines = Table(title="Virtual machines", title_justify="left")
    machines.add_column("instance")
    machines.add_column("unit")
    machines.add_column("spawn to registered", justify="right")
    for machine in result.machines:
        machines.add_row(machine.instance, machine.unit, f"{machine.seconds:.2f} s")
    console.print(machines)

    checks = Table(title="Promises", title_justify="left")
    checks.add_column("kept")
    checks.add_column("promise")
    checks.add_column("found")
    for check in result.checks:
        checks.add_row("yes" if check.kept else "NO", check.promise, check.found)
    console.print(checks)
