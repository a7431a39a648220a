"""VMs that die, owners that die: seen within a second, found again, and nothing left.

Given running VMs, when a QEMU or the owner of all of them is killed, then the driver, or the next one, knows.
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from dipronn.errors import Unavailable
from tests.system.vmhost.conftest import ROOT, V4, Hooks, Unit, Watcher, alive, exchange, links, tell, until
from vmhost.vm.cgroups import groups_of
from vmhost.vm.hierarchies import Limits
from vmhost.vm.qemu import QemuDriver
from vmhost.vm.rundir import RunDirectory
from vmhost.vm.spec import DriverEvent, GuestProgram, ProgramStarted, VmChanged, VmInfo, VmSpec, VmState

pytestmark = [pytest.mark.root, pytest.mark.vm]


def failed(event: DriverEvent) -> bool:
    return isinstance(event, VmChanged) and event.state is VmState.FAILED


async def test_a_killed_qemu_is_seen_and_can_be_replaced(unit: Unit) -> None:
    driver = unit.driver()
    watcher = Watcher(driver)
    spec = unit.spec(GuestProgram("echo", unit.bundles["c"], (V4,)))
    with await unit.tap(spec) as tap:
        await driver.start(spec, tap)

    os.kill(driver.vms()[spec.name].pid, signal.SIGKILL)

    event = await watcher.wait(failed, seconds=5)
    assert isinstance(event, VmChanged)
    assert "status -9" in event.reason
    assert "serial.log" in event.reason
    assert driver.serial_log(spec.name).exists()
    await driver.stop(spec.name)
    assert [path.name for path in unit.run.iterdir()] == [".lock"]
    assert groups_of(unit.cgroups.name) == []
    with await unit.tap(spec) as tap:  # its tap and its name are free again
        await driver.start(spec, tap)
    await driver.stop(spec.name)


async def test_a_guest_whose_kernel_panics_is_a_failed_vm(unit: Unit) -> None:
    # A kernel that finds no init panics.
    broken = unit.folder / "empty.cpio"
    broken.write_bytes(b"")
    unit.images = replace(unit.images, small=broken)
    driver = unit.driver()
    watcher = Watcher(driver)
    spec = unit.spec(GuestProgram("echo", unit.bundles["c"], (V4,)))
    with await unit.tap(spec) as tap:
        await driver.start(spec, tap)
    event = await watcher.wait(failed)
    assert isinstance(event, VmChanged)
    assert "guest-reset" in event.reason
    assert "Kernel panic" in driver.serial_log(spec.name).read_text()


@pytest.mark.req("D30")
async def test_vms_outlive_their_owner_and_are_adopted(unit: Unit) -> None:
    spec = unit.spec(GuestProgram("echo", unit.bundles["c"], (V4,)))
    hooks = Hooks()
    async with owner(unit, spec) as process:
        # While the owner lives, nobody else may drive its VMs.
        with pytest.raises(Unavailable, match="another agent"):
            QemuDriver(unit.run, unit.images, unit.machine)
        pid = recorded_pid(unit, spec)
        process.kill()
        process.wait()
    assert alive(pid)

    driver = unit.driver()
    watcher = Watcher(driver)
    adopted = await driver.adopt()

    assert adopted == (VmInfo(spec, device(unit), VmState.STARTING, pid, {}),)
    # What the guest did while nobody listened is told now, and what it does from now on.
    await watcher.wait(lambda event: event == VmChanged(spec.name, VmState.RUNNING, "the guest is up"))
    await watcher.wait(lambda event: event == ProgramStarted(spec.name, "echo"))
    await unit.serve(device(unit), spec, hooks)
    port = (await hooks.wait("echo/in")).real_port
    assert await exchange(V4, port, b"hello") == b"hello"
    await tell(V4, port, b"exit 3")
    assert await watcher.exit_of("echo") == 3
    # A third owner in the same process hears all of it once more.
    await driver.close()
    await watcher.ended()
    driver = unit.driver()
    watcher = Watcher(driver)
    assert [info.pid for info in await driver.adopt()] == [pid]
    assert await watcher.exit_of("echo") == 3
    # The death of an adopted VM, whose parent is somebody else, is seen as well.
    os.kill(pid, signal.SIGKILL)
    await watcher.wait(failed, seconds=5)
    await driver.stop(spec.name)
    assert [path.name for path in unit.run.iterdir()] == [".lock"]


async def test_what_dead_owners_left_is_removed(unit: Unit) -> None:
    spec = unit.spec(GuestProgram("echo", unit.bundles["c"], (V4,)))
    # An owner that died between starting QEMU and writing down that it did,
    async with owner(unit, spec) as process:
        pid = recorded_pid(unit, spec)
        process.kill()
        process.wait()
    record = unit.run / spec.name / "vm.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "process": None}))
    # one that died before that, and one whose VM died with it and left its number to another process.
    RunDirectory(unit.run / "unborn").make()
    stranger = RunDirectory(unit.run / "stranger")
    stranger.make()
    raw = json.loads(record.read_text())
    raw["process"] = {"pid": os.getpid(), "start": 1, "boot_id": "of another life"}
    (stranger.path / "vm.json").write_text(json.dumps(raw))

    assert spec.name in unit.cgroups.vms()
    unit.cgroups.make("never-started", Limits(1, 1 << 30))
    driver = unit.driver()
    with driver.serial_log(spec.name).open() as log:
        reader = subprocess.Popen(["sleep", "60"], stdin=log)  # noqa: ASYNC220
    try:
        assert await driver.adopt() == ()
        await until(lambda: not alive(pid))
        assert unit.cgroups.vms() == set()
        assert alive(reader.pid)  # who only reads a log is nobody's VM
    finally:
        reader.kill()
        reader.wait()
    assert [path.name for path in unit.run.iterdir()] == [".lock"]
    await until(lambda: device(unit) not in links())


def device(unit: Unit) -> str:
    return f"{unit.prefix}own"


def recorded_pid(unit: Unit, spec: VmSpec) -> int:
    record = RunDirectory(unit.run / spec.name).read_record()
    assert record is not None and record.process is not None
    return record.process.pid


@asynccontextmanager
async def owner(unit: Unit, spec: VmSpec) -> AsyncIterator[subprocess.Popen[bytes]]:
    """Another process that started the VM; it is ended at the end if the test did not do that."""
    command = [sys.executable, "-m", "tests.system.vmhost.owner"]
    process = subprocess.Popen(  # noqa: ASYNC220 - what is killed here must not be watched by the loop
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert process.stdin is not None and process.stdout is not None
        group = unit.cgroups.name
        pickle.dump((unit.run, unit.images, unit.machine, group, device(unit), spec), process.stdin)
        process.stdin.close()
        # Its log comes on the same pipe.
        line = await asyncio.to_thread(next, (line for line in process.stdout if line == b"started\n"), None)
        assert line, "the owner ended before its VM was started"
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()
