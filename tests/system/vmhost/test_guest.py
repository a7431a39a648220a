"""Guests boot, register, receive, send and end; the driver sees all of it and leaves nothing.

Given a unit with taps and name servers, when VMs run on it, then their programs talk to the host through
the tap.
"""

from __future__ import annotations

import asyncio
import os
import socket
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from dipronn.errors import AlreadyExists, InvalidSession, Unavailable
from dipronn.images.bundle import MAX_BYTES
from tests.system.vmhost.conftest import (
    V4,
    V6,
    Hooks,
    Unit,
    Watcher,
    alive,
    cgroups_of,
    exchange,
    links,
    tell,
    until,
)
from tests.unit.vmhost.tars import make_tar
from vmhost.vm.spec import Address, GuestProgram, ProgramStarted, VmChanged, VmState

pytestmark = [pytest.mark.root, pytest.mark.vm]


@pytest.mark.req("D24", "D35", "D63", "D68")
@pytest.mark.parametrize("language", ["c", "python"])
async def test_program_registers_receives_sends_and_exits(unit: Unit, language: str) -> None:
    driver, hooks = unit.driver(), Hooks()
    watcher = Watcher(driver)
    spec = unit.spec(GuestProgram("echo", unit.bundles[language], (V4,)))

    tap = await unit.boot(driver, spec, hooks)

    incoming = await hooks.wait("echo/in")
    outgoing = await hooks.wait("echo/out")
    assert (incoming.address, incoming.transport) == (V4, "udp")
    assert driver.vms()[spec.name].state is VmState.RUNNING
    # What arrives at the input's real port is answered to its source, and sent on from the output's.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gateway:
        gateway.setblocking(False)
        gateway.bind(("100.64.0.1", 9))
        assert await exchange(V4, incoming.real_port, b"hello") == b"hello"
        data, source = await asyncio.get_running_loop().sock_recvfrom(gateway, 2048)
    assert (data, source) == (b"hello", (str(V4), outgoing.real_port))

    await tell(V4, incoming.real_port, b"exit 7")
    assert await watcher.exit_of("echo") == 7
    assert driver.vms()[spec.name].programs == {"echo": 7}
    assert watcher.seen[:2] == [
        VmChanged(spec.name, VmState.RUNNING, "the guest is up"),
        ProgramStarted(spec.name, "echo"),
    ]

    # It is in control groups of its own, which count what it uses.
    pid = driver.vms()[spec.name].pid
    if not unit.cgroups.unheld:
        assert f"/{unit.cgroups.name}/{spec.name}" in cgroups_of(pid)
        usage = driver.usage(spec.name)
        assert usage is not None and usage.cpu_ns > 0 and usage.memory_bytes > 64 << 20
    await driver.stop(spec.name)
    assert not alive(pid)
    assert unit.cgroups.vms() == set()
    assert tap not in links()
    assert [path.name for path in unit.run.iterdir()] == [".lock"]
    assert driver.vms() == {}


@pytest.mark.req("D27")
async def test_two_programs_of_one_vm_are_apart_in_both_address_families(unit: Unit) -> None:
    driver, hooks = unit.driver(), Hooks()
    watcher = Watcher(driver)
    alone: Address = IPv6Address("fd00:77::9")
    spec = unit.spec(
        GuestProgram("first", unit.bundles["c"], (alone,), {"DIPRONN_PARAM_KEY": "a b"}),
        GuestProgram("second", unit.bundles["python"], (V4, V6), {"DIPRONN_PARAM_GAIN": "3 dB\n"}),
        mtu=9000,
        memory_mib=32,
    )
    await unit.boot(driver, spec, hooks)
    first, second = await hooks.wait("first/in"), await hooks.wait("second/in")

    # The one has IPv6 only and registers over it; jumbo frames pass both ways.
    assert first.address == alone
    assert await exchange(alone, first.real_port, bytes(8000)) == bytes(8000)
    assert await exchange(alone, first.real_port, b"param KEY") == b"a b"
    assert await exchange(alone, first.real_port, b"param NONE") == b"none"
    answer = f"udp {first.real_port} 1 LANGUAGE=%C4%8Desky%20ano"
    assert (await exchange(alone, first.real_port, b"resolve")).decode() == answer
    assert second.address == V4
    # Each runs under a user ID of its own, knows its parameters, and cannot register the other's names.
    assert await exchange(V4, second.real_port, b"uid") == b"10002"
    assert float(await exchange(V4, second.real_port, b"clock")) < 1e-6
    assert await exchange(V4, second.real_port, b"param GAIN") == b"3 dB\n"
    assert await exchange(V4, second.real_port, b"foreign first/in") == b"403"
    resolution = ("udp", second.real_port, 1, {"LANGUAGE": "česky ano"})
    assert (await exchange(V4, second.real_port, b"resolve")).decode() == repr(resolution)

    # One dies by a signal; the other lives on.
    await tell(alone, first.real_port, b"abort")
    assert await watcher.exit_of("first") == -6
    assert await exchange(V4, second.real_port, b"still there") == b"still there"
    assert driver.vms()[spec.name].programs == {"first": -6, "second": None}


def process_status(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines)


@pytest.mark.req("D27")
async def test_qemu_has_no_rights(unit: Unit) -> None:
    # Two units of one host, who know nothing of each other.
    drivers = unit.driver(), unit.driver(root="run-too")
    specs = [
        unit.spec(GuestProgram("echo", unit.bundles["c"], (IPv4Address(f"10.77.0.{i}"),))) for i in (1, 2)
    ]
    await asyncio.gather(
        *(unit.boot(driver, spec, Hooks()) for driver, spec in zip(drivers, specs, strict=True))
    )
    pids = [vm.pid for driver in drivers for vm in driver.vms().values()]
    status = [process_status(pid) for pid in pids]
    for each in status:
        assert set(each["Uid"].split()) == {each["Uid"].split()[0]} != {"0"}
        assert each["Groups"].strip() == ""
        assert int(each["CapEff"], 16) == int(each["CapPrm"], 16) == 0
        assert each["Seccomp"] == "2"
    # Not even of each other's kind, and in sessions of their own.
    assert status[0]["Uid"] != status[1]["Uid"]
    assert len({os.getsid(pid) for pid in pids} | {os.getsid(0)}) == 3


async def test_a_failed_start_says_why_and_leaves_nothing(unit: Unit, tmp_path: Path) -> None:
    driver = unit.driver()
    (tmp_path / "bad.tar").write_bytes(b"no tar at all")
    bad = unit.spec(GuestProgram("echo", tmp_path / "bad.tar", (V4,)))
    good = unit.spec(GuestProgram("echo", unit.bundles["c"], (V4,)))
    with await unit.tap(good) as tap:
        with pytest.raises(InvalidSession, match=r"bad\.tar: no plain"):
            await driver.start(bad, tap)
        greedy = unit.spec(GuestProgram("echo", unit.bundles["c"], (V4,)), memory_mib=1 << 28)
        with pytest.raises(Unavailable, match=r"QEMU ended at once.*memory"):
            await driver.start(greedy, tap)
        # A name is taken from the moment that its start begins.
        outcomes = await asyncio.gather(
            driver.start(good, tap), driver.start(good, tap), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [type(None), AlreadyExists]
    with pytest.raises(AlreadyExists):
        await unit.tap(good)  # the VM has it
    await driver.stop(good.name)
    (await unit.tap(good)).close()
    assert [path.name for path in unit.run.iterdir()] == [".lock"]


async def test_the_largest_bundle_boots(unit: Unit, tmp_path: Path) -> None:
    driver, hooks = unit.driver(), Hooks()
    program = unit.program("c")
    large = make_tar(tmp_path / "large.tar", {"run": program, "data": bytes(MAX_BYTES - len(program))})
    spec = unit.spec(GuestProgram("echo", large, (V4,)))
    await unit.boot(driver, spec, hooks)
    assert await exchange(V4, (await hooks.wait("echo/in")).real_port, b"hello") == b"hello"


async def test_the_log_of_a_talkative_guest_stays_bounded(unit: Unit) -> None:
    limit = 64 << 10
    driver, hooks = unit.driver(log_bytes=limit), Hooks()
    spec = unit.spec(GuestProgram("echo", unit.bundles["c"], (V4,)))
    await unit.boot(driver, spec, hooks)
    port = (await hooks.wait("echo/in")).real_port
    log = driver.serial_log(spec.name)
    assert await exchange(V4, port, b"flood") == b"flood"

    # With an agent the log is moved aside again and again,
    older = log.with_name("serial.log.1")
    await until(older.exists)
    first = older.stat().st_mtime_ns
    await until(lambda: older.stat().st_mtime_ns != first)
    assert b"young packet" in older.read_bytes()
    # and without one it stops at its limit, which the guest survives.
    await driver.close()
    await until(lambda: log.stat().st_size >= limit)
    assert await exchange(V4, port, b"hello") == b"hello"
    assert log.stat().st_size == limit
