"""What compiling a session builds channels from."""

from __future__ import annotations

from dataclasses import dataclass

from controller.steering.model import Selector, Service, Slot


@dataclass(frozen=True)
class Member:
    """An endpoint that a channel may choose, and the unit on which it is."""

    endpoint: int
    unit: str
    name: str


@dataclass(frozen=True)
class Branch:
    """One channel to be, with its slots; those that are None stay empty.

    ``member``: the instance that it leads to, by its number in a control group.
    """

    channel: int
    selector: Selector
    slots: tuple[Slot | None, ...]
    member: int = 0
    service: Service = Service.BEST_EFFORT
