"""A compiled program as it is kept and sent: what a loader must know of it, and the instructions.

Whoever loads a package needs neither the source nor a compiler.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from ebpf.compiler import Object


@dataclass(frozen=True)
class ArrayLayout:
    """A shared array: elements of `element` (int, long, String), behind a lock if `locked`."""

    name: str
    element: str
    length: int
    locked: bool


@dataclass(frozen=True)
class Manifest:
    """What a program needs around it.

    `functions`: the function of each stream whose packets are handled. `puts`: how often one packet can be
    put to each stream. `plans`: puts that are written down per packet, 0 if none need be.
    """

    name: str
    streams: tuple[str, ...]
    arrays: tuple[ArrayLayout, ...]
    functions: Mapping[str, str]
    puts: Mapping[str, int]
    plans: int


@dataclass(frozen=True)
class Package:
    """`run`: the build for BPF_PROG_RUN. `frags`: takes packets in several pieces."""

    manifest: Manifest
    object: Object
    run: bool = False
    frags: bool = False

    def to_json(self) -> str:
        """For a file or a wire."""
        return json.dumps(
            {
                "manifest": asdict(self.manifest),
                "object": json.loads(self.object.to_json()),
                "run": self.run,
                "frags": self.frags,
            },
            indent=1,
        )

    @classmethod
    def from_json(cls, text: str) -> Package:
        """The reverse; ValueError, KeyError or TypeError for what is none."""
        raw = json.loads(text)
        m = raw["manifest"]
        manifest = Manifest(
            str(m["name"]),
            tuple(m["streams"]),
            tuple(ArrayLayout(**array) for array in m["arrays"]),
            dict(m["functions"]),
            dict(m["puts"]),
            int(m["plans"]),
        )
        return cls(
            manifest, Object.from_json(json.dumps(raw["object"])), bool(raw["run"]), bool(raw["frags"])
        )
