"""Which node the command line speaks to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dipronn.client import Node, connect


@dataclass(frozen=True)
class Target:
    """``--node`` and ``--certs``; what is empty is the client's default."""

    address: str = ""
    certs: Path | None = None

    def connect(self) -> Node:
        return connect(self.address, self.certs)
