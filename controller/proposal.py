"""What a session would be on this node, before anybody has agreed to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from controller.record import SessionRecord


@dataclass(frozen=True)
class Proposal:
    """``record``: every number of instances fixed, nothing allotted; ``cuts``: why a program gets no more."""

    record: SessionRecord
    cuts: Mapping[str, str]

    @property
    def places(self) -> dict[str, str]:
        """The unit of every instance."""
        return {one.name: one.unit for one in self.record.instances}
