"""The agent with real machines, real XDP and real packets, and what happens when parts of it are killed."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import time

import pytest

from controller.steering.model import Mac, Socket
from dipronn.v1 import unit_pb2
from tests.system.agent.conftest import DEADLINE, Unit, alive, change_mac, inside, run, until
from tests.system.agent.session import (
    SESSION,
    TAP,
    V4,
    V6,
    Family,
    base,
    established,
    exchange,
    machine,
    names_bound,
    starting,
    steered,
    tell,
)
from vmhost.vm.cgroups import Cgroups, group_vms, groups_of

pytestmark = [pytest.mark.root, pytest.mark.vm]


@pytest.mark.req("D14")
@pytest.mark.req("D15")
@pytest.mark.req("D63")
@pytest.mark.req("D64")
@pytest.mark.parametrize("family", [V4, V6], ids=["ipv4", "ipv6"])
async def test_packets_pass_a_program_and_nothing_is_left(unit: Unit, family: Family) -> None:
    """Given a unit; when a session is ordered, used and removed; then packets passed and no trace is left."""
    hello = await unit.start()
    (link,) = hello.links
    assert (link.device, link.outside) == ("data0", True)
    assert list(link.addresses) == ["192.0.2.1/24", "2001:db8:1::1/64"]
    assert str(Mac(link.mac)) in run(unit.namespace, "ip", "link", "show", "data0")
    assert hello.resources.cpu > 0
    assert hello.resources.memory_bytes > 0
    cgroups = Cgroups(f"dipronn.{unit.namespace}", unit.folder)
    assert hello.unheld.keys() == {*cgroups.unheld, "sending by class"}, "its link states no rate"

    order = await established(unit, family)
    assert await exchange(unit, b"hello", family) == family.public
    assert await unit.control.order(order) == "", "an order may be repeated"
    counters = (await unit.control.report(lambda each: each.counters.channels[2].packets > 0)).counters
    handled = counters.sent + counters.to_host + sum(counters.drops.values())
    assert counters.received + counters.copies == handled

    stranger = family.receiver.address + 70
    answer = await unit.control.order(steered(unit, 1, 2, family, Socket(stranger, 6000)))
    assert re.search(rf"{stranger}: next hop .* does not answer", answer)
    assert await exchange(unit, b"as before", family) == family.public
    change_mac(unit.outside, "02:00:00:00:00:42")
    assert await exchange(unit, b"to another MAC", family) == family.public

    pid = machine(unit)
    await check_usage(unit)
    since = len(unit.control.reports)
    assert await unit.control.order(unit_pb2.RemoveSlice(session=SESSION)) == ""
    assert not alive(pid)
    # What is counted by what goes was read before it went.
    last = unit.control.reports[since:]
    done = next(number for number, each in enumerate(last) if each.HasField("order_done"))
    assert any(1 in each.counters.channels for each in last[:done])
    assert any(len(each.usage.vms) == 1 for each in last[:done])
    assert last[done - 1].HasField("usage") and not last[done - 1].usage.vms
    assert unit.links() == {"lo", "data0"}
    assert unit.described["vms"] == []
    assert await unit.remove() == 0
    unit.processes.pop().wait(DEADLINE)
    assert_gone(unit)


async def test_dropped_packets_are_sampled_into_the_log(unit: Unit) -> None:
    """Given a unit; when a frame is dropped there; then its log shows why, where, and the frame's headers."""
    hello = await unit.start()
    frame = hello.links[0].mac + bytes.fromhex("020000000077080044") + bytes(39)  # a header of 16 bytes
    with inside(unit.outside, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW)) as sender:
        inside(unit.outside, lambda: sender.bind(("eth0", 0)))
        sender.send(frame)
    log = unit.folder / "agent.log"
    await until(lambda: "reason=malformed_ip" in log.read_text())
    (line,) = (each for each in log.read_text().splitlines() if "reason=malformed_ip" in each)
    assert "packet dropped" in line and "device=data0" in line and f"frame={frame.hex()}" in line


@pytest.mark.req("D18")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_everything_goes_on_without_the_agent(unit: Unit, number: signal.Signals) -> None:
    """Given a session in use; when its agent is killed; then packets pass, and the next one takes over."""
    await unit.start()
    order = await established(unit)
    await exchange(unit, b"before")
    pid = machine(unit)
    status = await unit.end(number)
    assert status == (0 if number is signal.SIGTERM else -signal.SIGKILL)
    await exchange(unit, b"without")
    assert alive(pid)
    beacon = beacon_pid(unit)
    assert alive(beacon), "the host lives, and its beacon tells so"

    hello = await unit.start()
    assert not alive(beacon) and alive(beacon_pid(unit))
    await exchange(unit, b"after")
    held = {each.session: each for each in hello.held}[SESSION]
    assert held.generation == order.generation
    assert {f"{each.program}/{each.port}" for each in held.names} == {"echo/in", "echo/out"}
    (vm,) = held.vms
    assert vm.state in (unit_pb2.VM_STATE_STARTING, unit_pb2.VM_STATE_RUNNING)
    assert vm.age.ToNanoseconds() > 0
    assert machine(unit) == pid, "the machine was not started again"

    # What ends while nobody looks is told at the next Hello.
    await unit.end(signal.SIGKILL)
    tell(unit, b"exit 3")
    since = len(unit.control.reports)
    await unit.start()
    report = await unit.control.report(lambda each: each.program.exit_status == 3, since=since)
    assert (report.program.vm, report.program.program) == ("echo-0", "echo")

    # To remove a unit takes no images, nor a way to Debian's packages.
    await unit.end(signal.SIGKILL)
    assert group_vms(unit.cgroup) == {f"{SESSION}.echo-0"}
    text = unit.config.read_text()
    unit.config.write_text(re.sub(r'cache = ".*"', 'cache = "/proc/no-images"', text))
    beacon = beacon_pid(unit)
    assert await unit.remove() == 0
    assert not alive(pid) and not alive(beacon)
    assert_gone(unit)


async def test_a_beacon_that_was_killed_is_started_again(unit: Unit) -> None:
    await unit.start()
    killed = beacon_pid(unit)
    os.kill(killed, signal.SIGKILL)
    await until(lambda: beacon_pid(unit) != killed)
    assert alive(beacon_pid(unit))


def beacon_pid(unit: Unit) -> int:
    return int(json.loads((unit.state / "beacon.json").read_text())["pid"])


async def test_the_end_of_a_program_and_of_a_machine_are_told(unit: Unit) -> None:
    """Given a session; when its program ends, then its machine is killed; then both are told, and mended."""
    await unit.start()
    order = await established(unit)
    await unit.control.report(lambda each: each.vm.state == unit_pb2.VM_STATE_RUNNING)
    since = len(unit.control.reports)
    tell(unit, b"abort")
    report = await unit.control.report(lambda each: each.program.program == "echo", since=since)
    assert report.program.exit_status == 128 + signal.SIGABRT
    assert not report.program.running
    await unit.control.report(lambda each: each.name.port == "out" and each.name.real_port == 0, since=since)

    killed = time.monotonic()
    os.kill(machine(unit), signal.SIGKILL)
    report = await unit.control.report(lambda each: each.vm.state == unit_pb2.VM_STATE_DEAD)
    assert time.monotonic() - killed < 5  # a second on an idle host
    assert "QEMU ended by itself" in report.vm.message
    await until(lambda: TAP not in unit.links())

    since = len(unit.control.reports)
    assert await unit.control.order(order) == ""
    await names_bound(unit, since)
    assert await exchange(unit, b"again") == V4.public


async def test_a_machine_that_died_unseen_is_started_again(unit: Unit) -> None:
    """Given a session; when agent and machine are killed; then the next agent has a fresh machine."""
    await unit.start()
    await established(unit)
    pid = machine(unit)
    await unit.end(signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    await until(lambda: TAP not in unit.links())
    since = len(unit.control.reports)
    hello = await unit.start()
    held = {each.session: each for each in hello.held}[SESSION]
    assert not held.names
    await names_bound(unit, since)
    assert await exchange(unit, b"again") == V4.public
    assert machine(unit) != pid


async def test_a_broken_bundle_leaves_nothing(unit: Unit) -> None:
    """Given a unit; when a machine's bundle cannot be had; then the order fails and nothing is left of it."""
    await unit.start()
    assert await unit.control.order(base()) == ""
    order = starting(unit)
    order.vms[0].programs[0].bundle_sha256 = bytes(32)
    assert "no such bundle" in await unit.control.order(order)
    assert unit.links() == {"lo", "data0"}
    assert not list((unit.state / "slices").glob("7.*"))


async def test_a_second_agent_is_refused(unit: Unit) -> None:
    await unit.start()
    second = unit.spawn()
    assert await asyncio.to_thread(second.wait, DEADLINE) == 1
    assert "an agent runs here already" in (unit.folder / "agent.log").read_text()
    assert unit.processes[-1].poll() is None


async def test_a_unit_of_another_version_is_refused_and_can_be_removed(unit: Unit) -> None:
    """Given pins that fit no longer; an agent that starts says so, and the removal leaves nothing."""
    await unit.start()
    assert await unit.control.order(base()) == ""
    await unit.end(signal.SIGKILL)
    (unit.pins / "flow4").rename(unit.pins / "other")
    (unit.pins / "flow6").rename(unit.pins / "flow4")
    assert await asyncio.to_thread(unit.spawn().wait, DEADLINE) == 1
    assert "take the old unit down" in (unit.folder / "agent.log").read_text()
    assert await unit.remove() == 0
    assert_gone(unit)


@pytest.mark.req("D31")
async def test_a_control_unit_that_comes_back_is_joined_again(unit: Unit) -> None:
    """Given a unit with a slice; when the control unit ends and comes back; then it hears what is held."""
    await unit.start()
    first = await unit.control.report(lambda each: each.heartbeat.sequence > 0)
    await unit.control.report(lambda each: each.heartbeat.sequence > first.heartbeat.sequence + 2)
    order = base()
    order.generation = 5
    assert await unit.control.order(order) == ""
    await unit.control.stop()
    await unit.control.start()
    hello = await unit.control.joined(2)
    assert [(each.session, each.generation) for each in hello.held] == [(0, 5)]
    assert await unit.control.order(order) == ""


async def check_usage(unit: Unit) -> None:
    """What is reported of a machine is what the kernel counts."""
    cgroups = Cgroups(unit.cgroup, unit.folder)
    before = cgroups.usage(f"{SESSION}.echo-0")
    if before is None:
        return  # said in `unheld`
    since = len(unit.control.reports)
    report = await unit.control.report(
        lambda each: any(vm.cpu_ns >= before.cpu_ns for vm in each.usage.vms), since=since
    )
    after = cgroups.usage(f"{SESSION}.echo-0")
    (vm,) = report.usage.vms
    assert after and vm.cpu_ns <= after.cpu_ns
    assert vm.memory_byte_seconds > 0


def assert_gone(unit: Unit) -> None:
    """No link, XDP program, pin, file or neighbour of the unit is left."""
    assert unit.links() == {"lo", "data0"}
    assert "xdp" not in run(unit.namespace, "ip", "link", "show", "data0")
    assert "managed" not in run(unit.namespace, "ip", "neighbour")
    assert not unit.pins.exists()
    assert not unit.state.exists()
    assert groups_of(unit.cgroup) == []
