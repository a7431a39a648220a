"""Limits hold: who is noisy does not get what others have reserved.

Given processes in the control groups of two VMs, when one of them wants all that there is, then the other
has its share. They stand for QEMU here: what the kernel holds does not depend on what a process does.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import residue
from tests.system.vmhost.conftest import until
from vmhost.vm.cgroups import Cgroups, groups_of
from vmhost.vm.hierarchies import Limits

pytestmark = [pytest.mark.root, pytest.mark.req("D28")]

BUSY = "while True: pass"
GREEDY = "held = []\nwhile True: held.append(bytearray(b'x' * (1 << 20)))"
WRITER = """
import mmap, os
block = mmap.mmap(-1, 1 << 16)
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT | os.O_DIRECT, 0o600)
while True: os.write(file, block)
"""
MIB = 1 << 20


class Group:
    """Processes in the control groups of one VM."""

    def __init__(self, cgroups: Cgroups, vm: str) -> None:
        self._cgroups = cgroups
        self.vm = vm
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, script: str, *arguments: str, cpu: int | None = None) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", f"import sys\nsys.stdin.read(1)\n{script}", *arguments]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.processes.append(process)
        if cpu is not None:
            os.sched_setaffinity(process.pid, {cpu})
        self._cgroups.enter(self.vm, process.pid)
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
        return process

    def cpu_ns(self) -> int:
        usage = self._cgroups.usage(self.vm)
        assert usage is not None
        return usage.cpu_ns


@pytest.fixture
def cgroups(prefix: str, tmp_path: Path) -> Iterator[Cgroups]:
    cgroups = Cgroups(f"dipronn.{prefix}l", tmp_path)
    yield cgroups
    cgroups.remove_all()
    assert groups_of(cgroups.name) == []


@pytest.fixture
def groups(cgroups: Cgroups) -> Iterator[dict[str, Group]]:
    """Two VMs whose groups a test makes."""
    groups = {vm: Group(cgroups, vm) for vm in ("quiet", "noisy")}
    yield groups
    for group in groups.values():
        for process in group.processes:
            process.kill()
            process.wait()


def require(cgroups: Cgroups, resource: str) -> None:
    if resource in cgroups.unheld:
        pytest.skip(f"{resource} cannot be limited here: {cgroups.unheld[resource]}")


async def test_a_noisy_vm_leaves_another_its_share_of_the_cpu(
    cgroups: Cgroups, groups: dict[str, Group]
) -> None:
    require(cgroups, "CPU")
    quiet, noisy = groups["quiet"], groups["noisy"]
    cgroups.make("quiet", Limits(cpu=0.75, memory_bytes=256 * MIB))
    cgroups.make("noisy", Limits(cpu=0.25, memory_bytes=256 * MIB))
    cpu = max(os.sched_getaffinity(0))
    quiet.start(BUSY, cpu=cpu)
    for _ in range(4):
        noisy.start(BUSY, cpu=cpu)
    before = quiet.cpu_ns(), noisy.cpu_ns()

    await until(lambda: quiet.cpu_ns() + noisy.cpu_ns() - sum(before) > 1_500_000_000)

    used = quiet.cpu_ns() - before[0], noisy.cpu_ns() - before[1]
    # Without groups it would get one part of five; its reservation is three of four.
    assert used[0] / sum(used) > 0.6, used


async def test_strict_cpu_is_never_exceeded(cgroups: Cgroups, groups: dict[str, Group]) -> None:
    require(cgroups, "CPU")
    cgroups.make("quiet", Limits(cpu=0.5, memory_bytes=256 * MIB))
    cgroups.make("noisy", Limits(cpu=0.05, memory_bytes=256 * MIB, cpu_cap=0.05))
    cpus = sorted(os.sched_getaffinity(0))
    groups["noisy"].start(BUSY, cpu=cpus[-1])
    groups["quiet"].start(BUSY, cpu=cpus[0])
    await until(lambda: groups["quiet"].cpu_ns() > 1_000_000_000)
    # A tenth of what the other may use, though its own CPU may have been idle.
    assert groups["noisy"].cpu_ns() < groups["quiet"].cpu_ns() / 2
    assert groups["noisy"].cpu_ns() > 0


async def test_who_takes_more_memory_than_it_has_ends_and_nobody_else(
    cgroups: Cgroups, groups: dict[str, Group]
) -> None:
    require(cgroups, "memory")
    for vm in groups:
        cgroups.make(vm, Limits(cpu=0.5, memory_bytes=64 * MIB))
    quiet = groups["quiet"].start("sys.stdout.write('x'); sys.stdout.flush(); import time; time.sleep(600)")
    assert quiet.stdout is not None and await asyncio.to_thread(quiet.stdout.read, 1) == b"x"

    greedy = groups["noisy"].start(GREEDY)

    assert await asyncio.to_thread(greedy.wait, 60) == -signal.SIGKILL
    assert cgroups.killed_for_memory("noisy")
    assert not cgroups.killed_for_memory("quiet")
    assert quiet.poll() is None


async def test_a_noisy_vm_writes_no_more_than_it_may(
    cgroups: Cgroups, groups: dict[str, Group], tmp_path: Path
) -> None:
    require(cgroups, "storage I/O")
    cgroups.make("quiet", Limits(0.5, 256 * MIB, io_bps=16 * MIB, device=cgroups.device))
    cgroups.make("noisy", Limits(0.5, 256 * MIB, io_bps=MIB, device=cgroups.device))
    files = {vm: tmp_path / vm for vm in groups}
    for vm in ("noisy", "quiet"):
        files[vm].touch()
        groups[vm].start(WRITER, str(files[vm]))

    await until(lambda: files["quiet"].stat().st_size > 12 * MIB)

    # It may write a sixteenth of what the other may; unlimited it would write as much.
    assert files["noisy"].stat().st_size < files["quiet"].stat().st_size / 3


def test_what_a_killed_trial_left_goes_with_the_unit(cgroups: Cgroups) -> None:
    require(cgroups, "CPU")
    cgroups.make("quiet", Limits(cpu=0.5, memory_bytes=256 * MIB))
    (group, *_) = residue.find(f"{cgroups.name}")
    folder = Path(group.removeprefix("control group "))
    (folder / ".trial-999999999").mkdir()
    assert cgroups.vms() == {"quiet"}
    cgroups.remove_all()
    assert groups_of(cgroups.name) == []
