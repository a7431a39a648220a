"""QEMU's command line: which machine, by which accelerator, with which devices and descriptors. Pure.

QEMU runs unprivileged and opens nothing by a path of ours: kernel, initramfs, log, sockets and tap come as
open descriptors, so it needs no access to any folder.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass

EVENT_PORT = "org.dipronn.0"
"""Name of the virtio-serial port on which the guest's init reports."""

FW_CFG_PROGRAMS = "opt/org.dipronn/programs"
"""Where a whole machine's guest of any kind finds what it is asked to run: JSON, see docs/guests.md."""

SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
# The kernel's steering sees every packet as it is on the wire: nothing is left for "hardware" to finish.
_NO_OFFLOADS = (
    "csum=off,gso=off,guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ufo=off,guest_ecn=off,"
    "host_tso4=off,host_tso6=off,host_ecn=off,host_ufo=off"
)
_TCG_TRANSLATION_MIB = 32
"""Size of TCG's buffer for translated code; QEMU's default of 1 GiB invites the memory to be used."""


class Accelerator(enum.StrEnum):
    KVM = "kvm"
    TCG = "tcg"


class MachineType(enum.StrEnum):
    MICROVM = "microvm"
    Q35 = "q35"


@dataclass(frozen=True, slots=True)
class Machine:
    """What a trial boot chose. `tsc_khz`: the host's clock, given to a microvm under TCG, whose guest would
    else hang in calibration about one time in three."""

    accelerator: Accelerator
    type: MachineType
    tsc_khz: int | None = None

    @property
    def bus(self) -> str:
        """The kernel module of the bus that virtio devices sit on."""
        return "virtio_mmio" if self.type is MachineType.MICROVM else "virtio_pci"

    def device(self, kind: str) -> str:
        """QEMU's name of a virtio device on this machine's bus."""
        return f"virtio-{kind}-{'device' if self.type is MachineType.MICROVM else 'pci'}"

    def __str__(self) -> str:
        return f"{self.accelerator}+{self.type}"


@dataclass(frozen=True, slots=True)
class Load:
    """What a machine boots from, as open descriptors.

    `command_line`: of the kernel, instead of ours. `programs`: a file that its guest finds under
    FW_CFG_PROGRAMS. `disk`: a qcow2 file that is its own to write, in front of `base`, which it only reads
    and whose format is `base_format`.
    """

    kernel: int | None = None
    initramfs: int | None = None
    command_line: str | None = None
    programs: int | None = None
    disk: int | None = None
    base: int | None = None
    base_format: str = ""

    def descriptors(self) -> tuple[int, ...]:
        found = (self.kernel, self.initramfs, self.programs, self.disk, self.base)
        return tuple(fd for fd in found if fd is not None)


@dataclass(frozen=True, slots=True)
class Descriptors:
    """File descriptors that QEMU inherits: what it loads, listening UNIX sockets, a log to append to."""

    load: Load
    serial: int
    qmp: int
    events: int
    tap: int | None = None

    def all(self) -> tuple[int, ...]:
        own = (self.serial, self.qmp, self.events)
        return (*self.load.descriptors(), *own, *(() if self.tap is None else (self.tap,)))


def qemu_command(
    machine: Machine,
    descriptors: Descriptors,
    *,
    name: str,
    memory_mib: int,
    cpus: int,
    mac: str | None = None,
    binary: str = "qemu-system-x86_64",
) -> list[str]:
    """The argument list that starts one VM; with a tap comes a network device with that MAC."""
    tcg = machine.accelerator is Accelerator.TCG
    fd = descriptors
    command = [
        binary,
        *("-name", name),
        *("-machine", machine.type),
        *("-accel", f"tcg,tb-size={_TCG_TRANSLATION_MIB}" if tcg else "kvm"),
        # Without rdrand a guest's kernel spends a second on gathering randomness, and Python waits for it;
        # without arat a microvm has no timer that it trusts, and ticks 250 times a second also when idle.
        *("-cpu", "qemu64,+rdrand,+arat" if tcg else "host"),
        *("-smp", str(cpus)),
        *("-m", f"{memory_mib}M"),
        *("-nodefaults", "-no-user-config", "-nographic", "-no-reboot"),
        *("-sandbox", SANDBOX),
        *_load(machine, fd.load),
        *("-add-fd", f"fd={fd.serial},set=1"),
        *("-chardev", "file,id=serial,path=/dev/fdset/1,append=on"),
        *("-serial", "chardev:serial"),
        *("-chardev", f"socket,id=qmp,fd={fd.qmp},server=on,wait=off"),
        *("-mon", "chardev=qmp,mode=control"),
        *("-device", machine.device("serial")),
        *("-chardev", f"socket,id=events,fd={fd.events},server=on,wait=off"),
        *("-device", f"virtserialport,chardev=events,name={EVENT_PORT}"),
    ]
    if fd.tap is not None:
        # Guests boot what they were brought with, not what answers on their link.
        rom = "" if machine.type is MachineType.MICROVM else ",romfile="
        device = f"{machine.device('net')},netdev=net,mac={mac},{_NO_OFFLOADS}{rom}"
        command += ["-netdev", f"tap,id=net,fd={fd.tap}", "-device", device]
    return command


def _load(machine: Machine, load: Load) -> list[str]:
    options: list[str] = []
    if load.kernel is not None:
        line = _kernel_command_line(machine) if load.command_line is None else load.command_line
        options += ["-kernel", f"/proc/self/fd/{load.kernel}", "-append", line]
    if load.initramfs is not None:
        options += ["-initrd", f"/proc/self/fd/{load.initramfs}"]
    if load.programs is not None:
        options += ["-fw_cfg", f"name={FW_CFG_PROGRAMS},file=/proc/self/fd/{load.programs}"]
    if load.base is not None:
        base: dict[str, object] = {"driver": load.base_format, "file": "base-file", "read-only": True}
        if load.base_format == "qcow2":
            base["backing"] = None  # whatever its header says
        options += [*_file("base-file", load.base, 2, read_only=True), *_block("base", base)]
    if load.disk is not None:
        backing = "base" if load.base is not None else None
        disk = {"driver": "qcow2", "file": "disk-file", "backing": backing}
        options += [*_file("disk-file", load.disk, 3), *_block("disk", disk)]
        boots = ",bootindex=0" if load.kernel is None else ""
        options += ["-device", f"{machine.device('blk')},drive=disk{boots}"]
    return options


def _file(node: str, fd: int, number: int, *, read_only: bool = False) -> list[str]:
    """A node of QEMU's block layer that is an inherited file."""
    file = {"driver": "file", "filename": f"/dev/fdset/{number}", "read-only": read_only}
    return ["-add-fd", f"fd={fd},set={number}", *_block(node, file)]


def _block(node: str, options: Mapping[str, object]) -> list[str]:
    return ["-blockdev", json.dumps({"node-name": node, **options})]


def _kernel_command_line(machine: Machine) -> str:
    # A guest whose kernel panics resets, and -no-reboot turns that into QEMU's end. Testing each cipher at
    # boot, which no guest uses, takes a tenth of the boot under TCG.
    words = ["console=ttyS0", "quiet", "reboot=t", "panic=-1", "cryptomgr.notests"]
    if machine.tsc_khz is not None:
        # Nor has a microvm another clock to check this one against: it would fall back to steps of 4 ms.
        words += [f"tsc_early_khz={machine.tsc_khz}", "tsc=reliable"]
    return " ".join(words)
