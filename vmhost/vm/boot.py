"""What QEMU loads to boot a VM: an execution environment's kernel and initramfs, or a whole machine's image.

Images are untrusted: they are judged by their headers once more, and of a tar file only the members that are
known are copied out, into files without a name. Nothing of an image is run or unpacked here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from dipronn.errors import InvalidSession, Unavailable
from dipronn.images.disk import verify_qcow2, verify_raw, virtual_size
from dipronn.images.kernel import KernelImage, open_kernel
from vmhost.vm.image import GuestImages, environment, machine_config
from vmhost.vm.machine import Load, Machine, MachineType
from vmhost.vm.rundir import RunDirectory
from vmhost.vm.spec import BootImage, BootKind, VmSpec

_MAX_DISK = 256 << 30


@dataclass(frozen=True, slots=True)
class Boot:
    """`load`: its descriptors belong to the stack that was given. `memory_mib`: of the guest. `loaded_mib`:
    of files that QEMU itself keeps in memory as well. `disk_bytes`: what its disk's file may grow to."""

    machine: Machine
    load: Load
    memory_mib: int
    loaded_mib: int
    disk_bytes: int = 0


def prepare_boot(
    stack: ExitStack, images: GuestImages, machine: Machine, spec: VmSpec, directory: RunDirectory
) -> Boot:
    """Open, and make where needed, all that a VM boots from. Blocks.

    Raises InvalidSession (a bundle or image is refused), Unavailable.
    """
    if spec.image is None:
        return _environment_boot(stack, images, machine, spec)
    if spec.image.kind is BootKind.KERNEL:
        boot = _kernel_boot(stack, images, machine, spec, spec.image.path)
    else:
        boot = _disk_boot(stack, machine, spec, spec.image)
    programs = stack.enter_context(_nameless(images.folder))
    programs.write(_programs(spec))
    load = replace(boot.load, programs=_readable(programs))
    disk_bytes = 0
    if spec.image.disk_bytes:
        load = replace(load, disk=_own_disk(stack, directory, spec.image.disk_bytes))
        # Its tables come on top: 8 bytes a cluster of 64 KiB for its place, 2 for its count of uses.
        disk_bytes = spec.image.disk_bytes + spec.image.disk_bytes // 1024 + (4 << 20)
    return replace(boot, load=load, disk_bytes=disk_bytes)


def _environment_boot(stack: ExitStack, images: GuestImages, machine: Machine, spec: VmSpec) -> Boot:
    initramfs = stack.enter_context(_nameless(images.folder))
    own_mib = images.write_initramfs(initramfs, spec, machine.bus)
    size = initramfs.tell()
    load = Load(_open(stack, images.kernel), _readable(initramfs))
    # QEMU keeps the initramfs as well as its guest does.
    return Boot(machine, load, own_mib + spec.memory_mib, size >> 20)


def _kernel_boot(stack: ExitStack, images: GuestImages, machine: Machine, spec: VmSpec, path: Path) -> Boot:
    with open_kernel(path) as image:
        if not image.any_machine:
            machine = replace(machine, type=MachineType.Q35, tsc_khz=None)
        kernel = stack.enter_context(_nameless(images.folder))
        shutil.copyfileobj(image.kernel, kernel)
        initramfs = stack.enter_context(_nameless(images.folder))
        _write_initramfs(initramfs, image, spec, machine.bus)
        loaded = (kernel.tell() + initramfs.tell()) >> 20
        load = Load(_readable(kernel), _readable(initramfs), image.command_line)
        return Boot(machine, load, spec.memory_mib, loaded)


def _write_initramfs(out: IO[bytes], image: KernelImage, spec: VmSpec, bus: str) -> None:
    """The image's own, and behind it what our init, if it is in there, reads."""
    if image.initramfs is not None:
        shutil.copyfileobj(image.initramfs, out)
    out.write(bytes(-out.tell() % 4))  # else the kernel takes the second archive for rubbish
    machine_config(out, spec, bus)


def _disk_boot(stack: ExitStack, machine: Machine, spec: VmSpec, image: BootImage) -> Boot:
    verify = verify_raw if image.kind is BootKind.RAW else verify_qcow2
    verify(image.path, _MAX_DISK)
    needed = virtual_size(image.path, image.kind)
    if image.disk_bytes < needed:
        raise InvalidSession(f"VM {spec.name}: a disk of {image.disk_bytes} bytes for an image of {needed}")
    load = Load(base=_open(stack, image.path), base_format=image.kind)
    return Boot(replace(machine, type=MachineType.Q35, tsc_khz=None), load, spec.memory_mib, 0)


def _own_disk(stack: ExitStack, directory: RunDirectory, size: int) -> int:
    """An empty disk in the VM's run directory, open; it goes with the directory."""
    command = ["qemu-img", "create", "-q", "-f", "qcow2", str(directory.disk), str(size)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise Unavailable("qemu-img (qemu-utils) is not installed; run `make setup`") from error
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"a disk of {size} bytes cannot be made: {error.stderr.strip()}") from error
    return _open(stack, directory.disk, os.O_RDWR)


def _programs(spec: VmSpec) -> bytes:
    """What the guest is asked to run, for guests without our init."""
    programs = [
        {"name": program.name, "run": program.command, "environment": environment(spec, program)}
        for program in spec.programs
    ]
    return json.dumps(programs).encode()


@contextmanager
def _nameless(folder: Path) -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile(dir=folder) as file:
        yield file


def _readable(file: IO[bytes]) -> int:
    """Its descriptor, once it is written; QEMU opens it again as another user."""
    file.flush()
    os.fchmod(file.fileno(), 0o444)
    return file.fileno()


def _open(stack: ExitStack, path: Path, flags: int = os.O_RDONLY) -> int:
    fd = os.open(path, flags | os.O_CLOEXEC)
    stack.callback(os.close, fd)
    return fd
