"""QEMU's command line: which machine, by which accelerator, with which devices and descriptors. Pure.

QEMU runs unprivileged and opens nothing by a path of ours: kernel, initramfs, log, sockets and tap come as
open descriptors, so it needs no access to any folder.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

EVENT_PORT = "org.dipronn.0"
"""Name of the virtio-serial port on which the guest's init reports."""

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
class Descriptors:
    """File descriptors that QEMU inherits: files to read, listening UNIX sockets, a log to append to."""

    kernel: int
    initramfs: int
    serial: int
    qmp: int
    events: int
    tap: int | None = None

    def all(self) -> tuple[int, ...]:
        found = (self.kernel, self.initramfs, self.serial, self.qmp, self.events, self.tap)
        return tuple(fd for fd in found if fd is not None)


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
        *("-kernel", f"/proc/self/fd/{fd.kernel}"),
        *("-initrd", f"/proc/self/fd/{fd.initramfs}"),
        *("-append", _kernel_command_line(machine)),
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
        device = f"{machine.device('net')},netdev=net,mac={mac},{_NO_OFFLOADS}"
        command += ["-netdev", f"tap,id=net,fd={fd.tap}", "-device", device]
    return command


def _kernel_command_line(machine: Machine) -> str:
    # A guest whose kernel panics resets, and -no-reboot turns that into QEMU's end. Testing each cipher at
    # boot, which no guest uses, takes a tenth of the boot under TCG.
    words = ["console=ttyS0", "quiet", "reboot=t", "panic=-1", "cryptomgr.notests"]
    if machine.tsc_khz is not None:
        # Nor has a microvm another clock to check this one against: it would fall back to steps of 4 ms.
        words += [f"tsc_early_khz={machine.tsc_khz}", "tsc=reliable"]
    return " ".join(words)
