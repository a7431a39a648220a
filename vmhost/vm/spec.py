"""What the unit agent and a VM driver say to each other: specifications, states, events, the interface.

A driver starts, stops, watches and finds again virtual machines. It knows nothing of sessions or steering.
QEMU (`vmhost.vm.qemu`) is the one driver today.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Protocol

from dipronn.errors import InvalidSession

Address = IPv4Address | IPv6Address

GATEWAYS: tuple[Address, ...] = (IPv4Address("100.64.0.1"), IPv6Address("fd64:6970:726f::1"))
"""The gateway is the same on every tap: a guest's address is a /32 or /128, so links never clash."""

SECTOR = 512

NAME_PORT = 7070
"""TCP port of the name protocol at the gateway."""

_VM_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_PROGRAM_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


class BootKind(enum.StrEnum):
    """What an image is; of a disk the format, as its owner stated it."""

    KERNEL = "kernel"
    RAW = "raw"
    QCOW2 = "qcow2"


@dataclass(frozen=True, slots=True)
class BootImage:
    """What a whole machine boots. `disk_bytes`: size of the disk that it may write, its own alone; of a disk
    image at least as large as that, of a kernel an empty one; 0: none."""

    kind: BootKind
    path: Path
    disk_bytes: int = 0

    def __post_init__(self) -> None:
        if self.disk_bytes < 0 or self.disk_bytes % SECTOR:
            raise InvalidSession(f"a disk of {self.disk_bytes} bytes: not a whole number of sectors")


@dataclass(frozen=True, slots=True)
class GuestProgram:
    """One active program that a VM runs: `bundle` is a tar file whose `/run` is started, `command` what a
    whole machine is told to run.

    `addresses` are those of the VM's addresses that belong to this program; none means all of them. The
    driver adds DIPRONN_PROGRAM, DIPRONN_GATEWAY, DIPRONN_ADDRESS (and DIPRONN_GATEWAY6, DIPRONN_ADDRESS6) to
    `environment`; the parameters of session and program are the caller's part, as DIPRONN_PARAM_<NAME>.
    """

    name: str
    bundle: Path | None
    addresses: tuple[Address, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    command: str = ""

    def __post_init__(self) -> None:
        if (self.bundle is None) != bool(self.command) or "\0" in self.command:
            raise InvalidSession(f"program {self.name}: it has a bundle or a command, one of them")
        if not _PROGRAM_NAME.fullmatch(self.name):
            raise InvalidSession(f"program {self.name!r}: not a program name ({_PROGRAM_NAME.pattern})")
        for key, value in self.environment.items():
            if not _VARIABLE.fullmatch(key) or "\0" in value:
                raise InvalidSession(f"program {self.name}: {key!r} cannot be an environment variable")


@dataclass(frozen=True, slots=True)
class VmSpec:
    """All that a driver must know to start one VM. `name` is unique in the unit.

    `memory_mib` is what the programs get; what kernel and base image take comes on top, about 75 MiB, or 110
    with Python. `cores` are reserved for it: its share of the CPUs when all of them are busy. With an `image`
    it is a whole machine of a user's: `memory_mib` is all of its memory, its programs have commands.
    """

    name: str
    memory_mib: int
    cpus: int
    mac: str
    addresses: tuple[Address, ...]
    programs: tuple[GuestProgram, ...]
    gateways: tuple[Address, ...] = GATEWAYS
    mtu: int = 1500
    cores: float = 1.0
    image: BootImage | None = None

    def __post_init__(self) -> None:
        if not _VM_NAME.fullmatch(self.name):
            raise InvalidSession(f"VM {self.name!r}: not a VM name ({_VM_NAME.pattern})")
        if not _MAC.fullmatch(self.mac) or int(self.mac[:2], 16) & 1:
            raise InvalidSession(f"VM {self.name}: {self.mac!r} is no unicast MAC address in lower case")
        if self.memory_mib < 1 or self.cpus < 1 or self.mtu < 576 or not 0 < self.cores < math.inf:
            raise InvalidSession(f"VM {self.name}: memory, CPUs, cores and MTU (from 576) must be positive")
        names = [program.name for program in self.programs]
        if len(set(names)) != len(names):
            raise InvalidSession(f"VM {self.name}: two programs of one name among {', '.join(names)}")
        for program in self.programs:
            if (self.image is None) == bool(program.command):
                kind = "an execution environment" if self.image is None else "a whole machine"
                raise InvalidSession(f"VM {self.name}: {program.name} is no program of {kind}")
            if foreign := set(program.addresses) - set(self.addresses):
                raise InvalidSession(f"VM {self.name}: {program.name} has {foreign}, no address of the VM")

    def addresses_of(self, program: GuestProgram) -> tuple[Address, ...]:
        """The addresses that a program calls from and receives at."""
        return program.addresses or self.addresses


class VmState(enum.StrEnum):
    """Life of a VM, from one `start` to `stop`.

    STARTING: the machine runs, its guest has not reported. RUNNING: the guest reported and starts its
    programs. FAILED: it died by itself; the serial log is kept until `stop`. STOPPED: it was asked to.
    """

    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class VmChanged:
    """A VM entered `state`; `reason` is for people and names the serial log where that helps."""

    vm: str
    state: VmState
    reason: str


@dataclass(frozen=True, slots=True)
class ProgramStarted:
    """The guest started a program (its process exists; whether it registers is another matter)."""

    vm: str
    program: str


@dataclass(frozen=True, slots=True)
class ProgramExit:
    """A program ended: `status` is its exit code, or minus the number of the signal that killed it.
    127: `/run` could not be executed, the serial log says why."""

    vm: str
    program: str
    status: int


DriverEvent = VmChanged | ProgramStarted | ProgramExit


@dataclass(frozen=True, slots=True)
class VmInfo:
    """A VM as the driver sees it. `programs`: those that started, with exit status or None while running."""

    spec: VmSpec
    tap: str
    state: VmState
    pid: int
    programs: Mapping[str, int | None]


@dataclass(frozen=True, slots=True)
class LimitPolicy:
    """`strict_cpu`: no VM gets more CPU than it has reserved, though it be idle; else reservations are shares
    of what all want at once. `io_bps`: bytes/s that each VM may read, and as many write; None: no limit."""

    strict_cpu: bool = False
    io_bps: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """As the kernel counts: CPU time since the VM's start in nanoseconds, its memory now in bytes."""

    cpu_ns: int
    memory_bytes: int


class TapDevice(Protocol):
    """An open tap (`vmhost.tap.Tap`): `start` hands a duplicate of its descriptor to the VM."""

    @property
    def name(self) -> str: ...
    def fileno(self) -> int: ...


class VmDriver(Protocol):
    """Starts and watches the VMs of one unit. One owner at a time; VMs outlive their owner.

    All methods are to be called from one event loop, in the unit's network namespace.
    """

    async def start(self, spec: VmSpec, tap: TapDevice) -> None:
        """Start a VM behind an open, configured tap; returns when the machine's process runs (STARTING).

        The caller closes its own descriptor of the tap afterwards; the tap vanishes with the VM.
        Raises AlreadyExists (a VM of that name), InvalidSession (a bundle is refused), Unavailable (the host
        cannot). A failed start leaves nothing behind.
        """
        ...

    async def stop(self, name: str) -> None:
        """End a VM and remove every trace of it; of an unknown name, nothing happens. Cannot fail for long:
        what does not end by itself is killed."""
        ...

    async def adopt(self) -> tuple[VmInfo, ...]:
        """Find the VMs that an earlier owner left running, watch them from now on, and remove the residue of
        those that are gone. Call it once, before the first `start`. What the adopted guests report follows as
        events."""
        ...

    def vms(self) -> Mapping[str, VmInfo]:
        """Every VM that was started or adopted and not stopped, by name."""
        ...

    def usage(self, name: str) -> Usage | None:
        """What a VM has used so far, also one that has FAILED; None where the host does not count."""
        ...

    def unheld(self) -> Mapping[str, str]:
        """The resources whose reservations nothing holds on this host, and why."""
        ...

    def events(self) -> AsyncIterator[DriverEvent]:
        """What happens from now on, in order; one consumer. Ends when the driver is closed."""
        ...

    def serial_log(self, name: str) -> Path:
        """The VM's serial console, bounded in size, oldest part dropped first; exists until `stop`."""
        ...

    async def close(self) -> None:
        """Let go of everything; the VMs keep running and can be adopted."""
        ...
