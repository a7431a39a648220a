"""Many IPv4 flows at once, as columns: the way to install them by the hundred thousand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from controller.steering.model import LinkScope
from ebpf.layout import ANY_SOURCE

Column = npt.NDArray[np.uint32] | int

_KEY = np.dtype(
    [
        ("source", ">u4"),
        ("destination", ">u4"),
        ("source_port", ">u2"),
        ("destination_port", ">u2"),
        ("protocol", "u1"),
        ("pad", "u1", 3),
    ]
)
_ROW = np.dtype(
    [
        ("target", "<u4"),
        ("links", "u1"),
        ("prefix_length", "u1"),
        ("common", "u1"),
        ("pad", "u1"),
        ("prefix", "<u4"),
        ("mask", "<u4"),
    ]
)


@dataclass(frozen=True)
class FlowBatch:
    """``count`` UDP flows into channels, from any permitted source; columns are arrays or one value for all.

    Addresses and ports in host order; source 0 with port 0 is any source.
    """

    count: int
    destination: Column
    destination_port: Column
    channel: Column
    source: Column = 0
    source_port: Column = 0
    links: LinkScope = LinkScope.OUTSIDE | LinkScope.NODE

    def keys(self) -> bytes:
        keys = np.zeros(self.count, _KEY)
        keys["protocol"] = 17
        for column in ("source", "destination", "source_port", "destination_port"):
            keys[column] = getattr(self, column)
        return keys.tobytes()

    def rows(self) -> bytes:
        rows = np.zeros(self.count, _ROW)
        rows["target"], rows["links"], rows["prefix_length"] = self.channel, int(self.links), ANY_SOURCE
        first = np.asarray(self.source, np.uint32) >> 24
        bad = (np.asarray(self.source) != 0) & ((first == 0) | (first == 127) | (first >= 224))
        rows["common"] = np.where(bad, 0, int(self.links))
        return rows.tobytes()
