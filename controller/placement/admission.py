"""Demands, offers, and the arithmetic of a refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from dipronn.errors import InsufficientResources

RESOURCES = ("cpu", "memory", "bandwidth", "storage")
"""In the order of ``Amount.whole``."""
UNLIMITED = 1 << 62


@dataclass(frozen=True)
class Amount:
    """``bandwidth_bps`` of an offer is 0 when the unit does not say: then it is not limited."""

    cpu: float = 0.0
    memory_bytes: int = 0
    bandwidth_bps: int = 0
    storage_bytes: int = 0

    def plus(self, other: Amount) -> Amount:
        return Amount(
            self.cpu + other.cpu,
            self.memory_bytes + other.memory_bytes,
            self.bandwidth_bps + other.bandwidth_bps,
            self.storage_bytes + other.storage_bytes,
        )

    def whole(self) -> tuple[int, int, int, int]:
        """In whole numbers: thousandths of a core (sums of decimals are not exact), bytes, bit/s, bytes."""
        return round(self.cpu * 1000), self.memory_bytes, self.bandwidth_bps, self.storage_bytes

    def __str__(self) -> str:
        shown = [
            f"{what} {spelled(what, value)}"
            for what, value in zip(RESOURCES, self.whole(), strict=True)
            if value or what in ("cpu", "memory")
        ]
        return ", ".join(shown)


@dataclass(frozen=True)
class Demand:
    """One instance: ``program`` and ``index`` name it.

    ``inflow``: bit/s that were promised to enter the node for it, by the unit that they enter by.  ``held``:
    of what the unit must be able to hold others to their reservations, "CPU" and "memory".
    """

    program: str
    index: int
    needs: Amount
    inflow: tuple[tuple[str, int], ...] = ()
    held: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        return f"{self.program}-{self.index}"

    def needs_on(self, unit: str) -> Amount:
        """What it takes of a unit: without a bandwidth of its own, what comes to it from other units."""
        if self.needs.bandwidth_bps or not self.inflow:
            return self.needs
        return replace(self.needs, bandwidth_bps=sum(bps for source, bps in self.inflow if source != unit))


@dataclass(frozen=True)
class Offer:
    """A unit: all it has, and what is reserved of it.  ``unheld``: why it holds nobody to a resource."""

    unit: str
    total: Amount
    reserved: Amount
    unheld: Mapping[str, str] = field(default_factory=dict)

    def reserve(self, needs: Amount) -> Offer:
        return replace(self, reserved=self.reserved.plus(needs))

    def free(self) -> tuple[int, int, int, int]:
        """As ``Amount.whole``."""
        cpu, memory, bandwidth, storage = (
            max(0, total - reserved)
            for total, reserved in zip(self.total.whole(), self.reserved.whole(), strict=True)
        )
        return cpu, memory, bandwidth if self.total.bandwidth_bps else UNLIMITED, storage

    def lacks(self, demand: Demand) -> list[str]:
        """Why the demand cannot be here; empty if it can."""
        missing = [
            f"{what} cannot be assured: {self.unheld[what]}" for what in self.unheld if what in demand.held
        ]
        return [*self.shortfall(demand.needs_on(self.unit)), *missing]

    def shortfall(self, needs: Amount) -> list[str]:
        """Per resource that does not suffice, the arithmetic; empty if all do."""
        short = []
        rows = zip(
            RESOURCES, self.total.whole(), self.reserved.whole(), self.free(), needs.whole(), strict=True
        )
        for what, total, reserved, free, needed in rows:
            if needed > free:
                words = [spelled(what, value) for value in (total, reserved, total - reserved, needed)]
                short.append("{} {} - {} reserved = {} free < {} needed".format(what, *words))
        return short


@dataclass(frozen=True)
class Problem:
    """What is to be placed, where it could be, and who sends to whom.

    ``between``: two demands by name and bit/s between them; ``with_units``: a demand, a unit, bit/s between
    them.  Rates are estimates where nobody stated any: they weigh, and are not reserved.
    """

    demands: Sequence[Demand]
    offers: Sequence[Offer]
    between: Sequence[tuple[str, str, int]] = ()
    with_units: Sequence[tuple[str, str, int]] = ()


class NoRoom(InsufficientResources):
    """``program``: whose instance found none; empty if it was none in particular."""

    def __init__(self, text: str, program: str = "") -> None:
        super().__init__(text)
        self.program = program


class Placer(Protocol):
    """Pure, and safe to call in a thread."""

    def at_once(self, problem: Problem) -> dict[str, str] | None:
        """The unit of every demand by its name, if the best is found without searching."""

    def shortage(self, problem: Problem) -> str:
        """Why the demands do not fit, in lines; empty if they do.  The best place is not looked for."""

    def place(self, problem: Problem) -> dict[str, str]:
        """The unit of every demand by its name, all or none.  Raises NoRoom."""


def spelled(resource: str, value: int) -> str:
    """A whole amount as people write it."""
    match resource:
        case "cpu":
            return _decimal(value / 1000)
        case "bandwidth":
            return f"{_decimal(value / 1e6)} Mbps"
        case _:
            return f"{value / (1 << 20):.1f}".rstrip("0").rstrip(".") + " MiB"


def _decimal(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
