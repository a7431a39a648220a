"""Demands, offers, and the arithmetic of a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol


@dataclass(frozen=True)
class Amount:
    """``bandwidth_bps`` of an offer is 0 when the unit does not say: then it is not limited."""

    cpu: float = 0.0
    memory_bytes: int = 0
    bandwidth_bps: int = 0

    def plus(self, other: Amount) -> Amount:
        return Amount(
            self.cpu + other.cpu,
            self.memory_bytes + other.memory_bytes,
            self.bandwidth_bps + other.bandwidth_bps,
        )

    def __str__(self) -> str:
        parts = [f"cpu {_cores(self.cpu)}", f"memory {_size(self.memory_bytes)}"]
        if self.bandwidth_bps:
            parts.append(f"bandwidth {_rate(self.bandwidth_bps)}")
        return ", ".join(parts)


@dataclass(frozen=True)
class Demand:
    """One instance: ``program`` and ``index`` name it."""

    program: str
    index: int
    needs: Amount

    @property
    def name(self) -> str:
        return f"{self.program}-{self.index}"


@dataclass(frozen=True)
class Offer:
    """A unit: all it has, and what is reserved of it."""

    unit: str
    total: Amount
    reserved: Amount

    def reserve(self, needs: Amount) -> Offer:
        return replace(self, reserved=self.reserved.plus(needs))

    def shortfall(self, needs: Amount) -> list[str]:
        """Per resource that does not suffice, the arithmetic; empty if all do."""
        total, reserved = self.total, self.reserved
        short = []
        # A thousandth of a core is less than anyone can state or measure: sums of decimals are not exact.
        if needs.cpu > total.cpu - reserved.cpu + 0.0005:
            short.append(
                _sum(
                    "cpu",
                    _cores(total.cpu),
                    _cores(reserved.cpu),
                    _cores(total.cpu - reserved.cpu),
                    _cores(needs.cpu),
                )
            )
        if needs.memory_bytes > total.memory_bytes - reserved.memory_bytes:
            free = total.memory_bytes - reserved.memory_bytes
            short.append(
                _sum(
                    "memory",
                    _size(total.memory_bytes),
                    _size(reserved.memory_bytes),
                    _size(free),
                    _size(needs.memory_bytes),
                )
            )
        if total.bandwidth_bps and needs.bandwidth_bps > total.bandwidth_bps - reserved.bandwidth_bps:
            free = total.bandwidth_bps - reserved.bandwidth_bps
            short.append(
                _sum(
                    "bandwidth",
                    _rate(total.bandwidth_bps),
                    _rate(reserved.bandwidth_bps),
                    _rate(free),
                    _rate(needs.bandwidth_bps),
                )
            )
        return short


class Placer(Protocol):
    def place(self, demands: Sequence[Demand], offers: Sequence[Offer]) -> dict[str, str]:
        """The unit of every demand by its name, all or none.  Raises InsufficientResources."""


def _sum(what: str, total: str, reserved: str, free: str, needed: str) -> str:
    return f"{what} {total} - {reserved} reserved = {free} free < {needed} needed"


def _cores(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")


def _size(value: int) -> str:
    return f"{value / (1 << 20):.1f}".rstrip("0").rstrip(".") + " MiB"


def _rate(value: int) -> str:
    return f"{value / 1e6:.3f}".rstrip("0").rstrip(".") + " Mbps"
