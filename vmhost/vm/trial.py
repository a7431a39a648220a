"""Which machine this host can really run: by booting a guest on each candidate until one reports.

/dev/kvm may be there and boot nothing, a microvm may hang: only a guest that says "up" counts. The outcome is
kept in the cache folder and holds for this boot of the host, this QEMU and this kernel.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import structlog

from dipronn.errors import Unavailable
from vmhost.vm.image import GuestImages, locked
from vmhost.vm.machine import Accelerator, Descriptors, Load, Machine, MachineType, qemu_command
from vmhost.vm.reports import GuestReports
from vmhost.vm.rundir import RunDirectory, boot_id
from vmhost.vm.spawn import spawn_unprivileged, unused_uid

log = structlog.get_logger(__name__)

TRIAL_MEMORY_MIB = 128
# With KVM a guest is up within a second or never; TCG takes two, and much longer on a busy host.
_DEADLINE_SECONDS = {Accelerator.KVM: 5.0, Accelerator.TCG: 60.0}


@dataclass(frozen=True, slots=True)
class Trial:
    """One candidate's trial: `seconds` from spawn to the guest's report, or why there was none."""

    machine: Machine
    seconds: float | None
    failure: str = ""


def candidates() -> tuple[Machine, ...]:
    """Best first."""
    khz = host_tsc_khz()
    return (
        Machine(Accelerator.KVM, MachineType.MICROVM),
        Machine(Accelerator.KVM, MachineType.Q35),
        Machine(Accelerator.TCG, MachineType.MICROVM, khz),
        Machine(Accelerator.TCG, MachineType.Q35),
    )


async def choose_machine(cache: Path, images: GuestImages) -> Machine:
    """The best machine that boots here, from the cache if it still holds. Raises Unavailable: none."""
    for trial in await probe_machines(cache, images):
        if trial.seconds is not None:
            return trial.machine
    raise Unavailable("no virtual machine boots on this host, neither by KVM nor by TCG; see `dipronn probe`")


async def probe_machines(cache: Path, images: GuestImages) -> tuple[Trial, ...]:
    """The trials up to the first that succeeds, best candidate first."""
    kept = cache / "machine.json"
    key = [boot_id(), _qemu_version(), images.kernel_version, images.small.name]
    with ExitStack() as stack:
        # Units that start together wait for the one that tries.
        await asyncio.to_thread(stack.enter_context, locked(cache))
        if (found := _read(kept, key)) is not None:
            return found
        trials: list[Trial] = []
        for machine in candidates():
            trials.append(await try_machine(machine, images))
            if trials[-1].seconds is not None:
                break
        _write(kept, key, trials)
        return tuple(trials)


async def try_machine(machine: Machine, images: GuestImages) -> Trial:
    """Boot a guest without a network and wait for its report; nothing is left afterwards."""
    if machine.accelerator is Accelerator.TCG and machine.type is MachineType.MICROVM and not machine.tsc_khz:
        return Trial(machine, None, "the host's clock rate is unknown, without which it may hang")
    with tempfile.TemporaryDirectory(dir=images.folder, prefix=".tmp-") as folder:
        directory = RunDirectory(Path(folder))
        deadline = _DEADLINE_SECONDS[machine.accelerator]
        loop = asyncio.get_running_loop()
        async with unused_uid() as uid:
            started = loop.time()
            child = _boot(machine, images, uid, directory)
        try:
            with directory.connect("events") as port:
                async with asyncio.timeout(deadline):
                    up = await _wait_for_report(port)
            if up:
                trial = Trial(machine, round(loop.time() - started, 3))
            else:
                said = directory.qemu_log.read_text(errors="replace").strip().splitlines()[-1:]
                trial = Trial(machine, None, f"QEMU ended: {''.join(said) or 'no message'}")
        except TimeoutError:
            trial = Trial(machine, None, f"the guest did not come up in {deadline:g} s")
        finally:
            child.kill()
            child.wait()
    log.info("machine tried", machine=str(machine), seconds=trial.seconds, failure=trial.failure)
    return trial


def _boot(
    machine: Machine, images: GuestImages, uid: int, directory: RunDirectory
) -> subprocess.Popen[bytes]:
    with ExitStack() as stack:
        initramfs = stack.enter_context(tempfile.TemporaryFile(dir=images.folder))
        images.write_initramfs(initramfs, None, machine.bus)
        os.fchmod(initramfs.fileno(), 0o444)
        opened = [
            os.open(images.kernel, os.O_RDONLY | os.O_CLOEXEC),
            directory.open_log(directory.serial_log),
            directory.open_log(directory.qemu_log),
        ]
        for fd in opened:
            stack.callback(os.close, fd)
        kernel, serial, errors = opened
        qmp, events = (stack.enter_context(directory.listen(name)).fileno() for name in ("qmp", "events"))
        descriptors = Descriptors(Load(kernel, initramfs.fileno()), serial, qmp, events)
        command = qemu_command(machine, descriptors, name="trial", memory_mib=TRIAL_MEMORY_MIB, cpus=1)
        return spawn_unprivileged(command, descriptors.all(), uid, machine, errors, outlives_us=False)


async def _wait_for_report(port: socket.socket) -> bool:
    """True: the guest is up. False: QEMU closed the port, so it is gone."""
    loop = asyncio.get_running_loop()
    reports = GuestReports("trial", ())
    with contextlib.suppress(ConnectionError):
        while data := await loop.sock_recv(port, 4096):
            reports.feed(data)
            if reports.up:
                return True
    return False


def host_tsc_khz() -> int | None:
    """The rate of the host's time-stamp counter as far as /proc/cpuinfo tells it; None without one."""
    text = Path("/proc/cpuinfo").read_text()
    nominal = re.search(r"^model name\s*:.*@ ([0-9.]+)GHz", text, re.MULTILINE)
    if nominal:  # what "cpu MHz" says may be the momentary rate
        return round(float(nominal.group(1)) * 1e6)
    current = re.search(r"^cpu MHz\s*:\s*([0-9.]+)", text, re.MULTILINE)
    return round(float(current.group(1)) * 1e3) if current else None


def _qemu_version() -> str:
    binary = shutil.which("qemu-system-x86_64")
    if binary is None:
        raise Unavailable("qemu-system-x86_64 is not installed; run `make setup`")
    return subprocess.run([binary, "--version"], check=True, capture_output=True, text=True).stdout.split(
        "\n"
    )[0]


def _read(kept: Path, key: list[str]) -> tuple[Trial, ...] | None:
    try:
        raw = json.loads(kept.read_text())
        if raw["key"] != key:
            return None
        return tuple(
            Trial(
                Machine(Accelerator(t["accelerator"]), MachineType(t["type"]), t["tsc_khz"]),
                t["seconds"],
                t["failure"],
            )
            for t in raw["trials"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write(kept: Path, key: list[str], trials: list[Trial]) -> None:
    raw = [
        {
            "accelerator": t.machine.accelerator,
            "type": t.machine.type,
            "tsc_khz": t.machine.tsc_khz,
            "seconds": t.seconds,
            "failure": t.failure,
        }
        for t in trials
    ]
    temporary = kept.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps({"key": key, "trials": raw}, indent=1))
    temporary.rename(kept)
