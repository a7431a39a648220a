"""What is wanted of a session, as it is stored.  What is observed of it lives in ``session.py`` only."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from enum import StrEnum

from controller.steering.deployment import Deployment, Entrance, Exit, NodeUnit, PlacedInstance
from dipronn.v1 import session_pb2 as pb


class Phase(StrEnum):
    STARTING = "starting"
    """Not yet answered to its user: undone if the control unit dies."""
    ACTIVE = "active"
    CLOSING = "closing"
    """To be removed from ``pending`` units; its numbers are not used again before."""


class Membership(StrEnum):
    """Of an instance in a program whose number of instances follows usage."""

    MEMBER = "member"
    JOINING = "joining"
    """Started while the session was active; it has yet to register its names."""
    LEAVING = "leaving"
    """It gets no packets any more and works off what it has."""


@dataclass(frozen=True)
class MachineImage:
    """What a whole machine boots; ``kind``: ``kernel``, or a disk's format.  ``size``: bytes of the file."""

    kind: str
    sha256: bytes
    size: int


@dataclass
class InstanceRecord:
    """One instance, what is reserved for it, and what has become of it.

    ``machine``: the name of its machine.  Instances in one machine have one ``number``, and what is reserved
    for all of them stands with the first.
    """

    program: str
    index: int
    unit: str
    number: int
    cpu: float
    memory_bytes: int
    bandwidth_bps: int
    ports: dict[str, int] = field(default_factory=dict)
    alive: bool = True
    exited: bool = False
    message: str = ""
    start_seconds: float = 0.0
    artp: list[str] = field(default_factory=list)
    """Those of the ports that speak it."""
    storage_bytes: int = 0
    machine: str = ""
    restarts: int = 0
    """Of its machine, one after another."""
    kernel: int = 0
    """The number of a kernel program; 0: it runs in a machine."""
    membership: Membership = Membership.MEMBER
    weight: int = 1
    """Its part of the packets under ``least_loaded``."""

    def __post_init__(self) -> None:
        self.machine = self.machine or self.name
        self.membership = Membership(self.membership)  # a text, where it was stored

    @property
    def name(self) -> str:
        return f"{self.program}-{self.index}"

    def placed(self) -> PlacedInstance:
        return PlacedInstance(
            self.program,
            self.index,
            self.unit,
            self.number,
            dict(self.ports),
            self.alive,
            frozenset(self.artp),
            self.kernel,
            weight=self.weight,
            leaving=self.membership is Membership.LEAVING,
        )


@dataclass
class SessionRecord:
    """``generation`` grows with every change of the slices; ``bundles``: SHA-256 by name in the program.
    ``images``: what its whole machines boot, by their names.

    ``user``: whose limits it counts against.
    """

    number: int
    program: pb.Program
    version: int
    instances: list[InstanceRecord]
    entrances: dict[str, Entrance]
    exits: dict[str, Exit]
    bundles: dict[str, bytes]
    phase: Phase = Phase.STARTING
    generation: int = 1
    established: float = 0.0
    pending: list[str] = field(default_factory=list)
    secret: str = field(default_factory=lambda: secrets.token_hex(16))
    """What the keys of its ARTP channels are made of; hexadecimal."""
    user: str = ""
    images: dict[str, MachineImage] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.program.name

    @property
    def owner(self) -> str:
        """The owner of its numbers in ``Identifiers``; the same as its deployment's."""
        return f"session {self.number}"

    def deployment(self, units: dict[str, NodeUnit]) -> Deployment:
        used = {name: units[name] for name in self.units()}
        instances = tuple(instance.placed() for instance in self.instances)
        return Deployment(
            self.number, self.program, self.version, used, instances, self.entrances, self.exits
        )

    def contents(self) -> set[bytes]:
        """SHA-256 of all that its machines are made of."""
        return {*self.bundles.values(), *(one.sha256 for one in self.images.values())}

    def units(self) -> list[str]:
        """Every unit that has a part in it."""
        named = [one.unit for one in self.instances]
        named += [one.unit for one in self.entrances.values()] + [one.unit for one in self.exits.values()]
        return list(dict.fromkeys(named))

    def copy(self) -> SessionRecord:
        """To change, store and only then put in the place of this one."""
        instances = [replace(one, ports=dict(one.ports), artp=list(one.artp)) for one in self.instances]
        return replace(self, instances=instances, pending=list(self.pending))
