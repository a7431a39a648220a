"""The agent with real machines, real XDP and real packets, and what happens when parts of it are killed."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import signal
import socket
import time
from ipaddress import ip_address

import pytest

from controller.steering import wire
from controller.steering.model import (
    UDP,
    Binding,
    BindingKey,
    Channel,
    Endpoint,
    EndpointKind,
    Flow,
    FlowKey,
    Link,
    LinkKey,
    LinkKind,
    LinkScope,
    Mac,
    Selector,
    Slot,
    SlotKey,
    Socket,
    Tables,
    Target,
    TargetKind,
)
from controller.steering.model import Unit as UnitRow
from dipronn.v1 import unit_pb2
from tests.system.agent.conftest import DEADLINE, OUTSIDE_ADDRESS, UNIT_ADDRESS, Unit, alive, run, until

pytestmark = [pytest.mark.root, pytest.mark.vm]

SESSION, TAP = 7, "dt2"
HOST, GUEST = Mac.parse("02:64:69:70:00:01"), Mac.parse("02:64:64:40:00:02")
GATEWAY, ADDRESS = ip_address("100.64.0.1"), ip_address("100.64.0.2")
ENTRANCE = Socket(ip_address(UNIT_ADDRESS), 20000)
PUBLIC = Socket(ip_address(UNIT_ADDRESS), 20001)
RECEIVER = Socket(ip_address(OUTSIDE_ADDRESS), 6000)


def base() -> unit_pb2.Slice:
    return unit_pb2.Slice(session=0, name="node", tables=wire.encode(Tables(unit={1: UnitRow(False)})))


def slice_of(unit: Unit, tables: Tables, generation: int = 1) -> unit_pb2.Slice:
    tables.link[LinkKey(TAP)] = Link(
        LinkKind.GUEST, HOST, slice=SESSION, guest_mac=GUEST, addresses=(ADDRESS,), gateways=(GATEWAY,)
    )
    program = unit_pb2.VmProgram(
        name="echo", bundle_sha256=hashlib.sha256(unit.echo).digest(), inputs=["in"], outputs=["out"]
    )
    machine = unit_pb2.Vm(
        name="echo-0",
        device=TAP,
        host_mac=HOST.octets,
        mac=GUEST.octets,
        addresses=[str(ADDRESS)],
        gateways=[str(GATEWAY)],
        mtu=1500,
        cpu=0.5,
        memory_bytes=128 << 20,
        programs=[program],
    )
    return unit_pb2.Slice(
        session=SESSION, name="s", generation=generation, vms=[machine], tables=wire.encode(tables)
    )


def starting(unit: Unit) -> unit_pb2.Slice:
    return slice_of(unit, Tables())


def steered(unit: Unit, incoming: int, outgoing: int, receiver: Socket = RECEIVER) -> unit_pb2.Slice:
    """Outside → the program → a receiver whose next hop is the unit's to find."""
    channel = {number: Channel(Selector.ZERO, 0, number, SESSION) for number in (1, 2)}
    no_mac = wire.NO_MAC
    tables = Tables(
        flow={FlowKey(UDP, ENTRANCE): Flow(Target(TargetKind.CHANNEL, 1), LinkScope.OUTSIDE)},
        binding={BindingKey(LinkKey(TAP), Socket(ADDRESS, outgoing)): Binding(Target(TargetKind.CHANNEL, 2))},
        channel=channel,
        slot={SlotKey(number, 0): Slot(number) for number in channel},
        endpoint={
            1: Endpoint(EndpointKind.GUEST, TAP, HOST, GUEST, Socket(ADDRESS, incoming), public=ENTRANCE),
            2: Endpoint(EndpointKind.RECEIVER, "", no_mac, no_mac, receiver, source=PUBLIC),
        },
    )
    return slice_of(unit, tables, generation=2)


async def established(unit: Unit) -> unit_pb2.Slice:
    """A session that is up to its end; the order that made it."""
    control = unit.control
    since = len(control.reports)
    assert await control.order(base()) == ""
    assert await control.order(starting(unit)) == ""
    order = steered(unit, await control.name("echo/in", since), await control.name("echo/out", since))
    assert await control.order(order) == ""
    return order


async def exchange(unit: Unit, data: bytes, seconds: float = DEADLINE) -> tuple[str, int]:
    """Send a datagram into the session until it reaches the receiver; who the receiver sees as its source."""
    loop = asyncio.get_running_loop()
    with unit.socket() as source, unit.socket(RECEIVER.port) as receiver:
        async with asyncio.timeout(seconds):
            while True:
                source.sendto(data, (str(ENTRANCE.address), ENTRANCE.port))
                try:
                    got, sender = await asyncio.wait_for(loop.sock_recvfrom(receiver, 65536), 1)
                except TimeoutError:
                    continue
                assert got == data
                return sender[0], sender[1]


def tell(unit: Unit, data: bytes) -> None:
    with unit.socket() as source:
        source.sendto(data, (str(ENTRANCE.address), ENTRANCE.port))


def machine(unit: Unit) -> int:
    """The process of the session's machine."""
    (vm,) = unit.described["vms"]
    pid = vm["pid"]
    assert isinstance(pid, int)
    return pid


def has_xdp(unit: Unit, device: str) -> bool:
    return "xdp" in run(unit.namespace, "ip", "link", "show", device)


@pytest.mark.req("D14")
@pytest.mark.req("D15")
@pytest.mark.req("D63")
@pytest.mark.req("D64")
async def test_packets_pass_a_program_and_nothing_is_left(unit: Unit) -> None:
    """Given a unit; when a session is ordered, used and removed; then packets passed and no trace is left."""
    hello = await unit.start()
    (link,) = hello.links
    assert (link.device, link.outside, list(link.addresses)) == ("data0", True, [f"{UNIT_ADDRESS}/24"])
    assert str(Mac(link.mac)) in run(unit.namespace, "ip", "link", "show", "data0")
    assert hello.resources.cpu > 0
    assert hello.resources.memory_bytes > 0

    order = await established(unit)
    assert await exchange(unit, b"hello") == (str(PUBLIC.address), PUBLIC.port)
    assert await unit.control.order(order) == "", "an order may be repeated"
    counters = (await unit.control.report(lambda each: each.counters.channels[2].packets > 0)).counters
    handled = counters.sent + counters.to_host + sum(counters.drops.values())
    assert counters.received + counters.copies == handled

    unreachable = Socket(ip_address("192.0.2.77"), 6000)
    answer = await unit.control.order(steered(unit, 1, 2, unreachable))
    assert re.search(r"192\.0\.2\.77.*does not answer", answer)
    assert await exchange(unit, b"as before") == (str(PUBLIC.address), PUBLIC.port)

    pid = machine(unit)
    assert await unit.control.order(unit_pb2.RemoveSlice(session=SESSION)) == ""
    assert not alive(pid)
    assert unit.links() == {"lo", "data0"}
    assert unit.described["vms"] == []
    assert await unit.remove() == 0
    unit.processes.pop().wait(DEADLINE)
    assert not has_xdp(unit, "data0")
    assert not unit.pins.exists()
    assert not unit.state.exists()
    assert "managed" not in run(unit.namespace, "ip", "neighbour")


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

    hello = await unit.start()
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
    assert await unit.control.order(unit_pb2.RemoveSlice(session=SESSION)) == ""
    assert not alive(pid)
    assert TAP not in unit.links()


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
    ports = await unit.control.name("echo/in", since), await unit.control.name("echo/out", since)
    assert await unit.control.order(steered(unit, *ports)) == ""
    assert await exchange(unit, b"again") == (str(PUBLIC.address), PUBLIC.port)


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
    ports = await unit.control.name("echo/in", since), await unit.control.name("echo/out", since)
    assert await unit.control.order(steered(unit, *ports)) == ""
    assert await exchange(unit, b"again") == (str(PUBLIC.address), PUBLIC.port)
    assert machine(unit) != pid


async def test_a_broken_bundle_leaves_nothing(unit: Unit) -> None:
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


async def test_heartbeats_come_and_a_break_is_mended(unit: Unit) -> None:
    await unit.start()
    first = await unit.control.report(lambda each: each.heartbeat.sequence > 0)
    await unit.control.report(lambda each: each.heartbeat.sequence > first.heartbeat.sequence + 3)
    assert socket.if_nameindex()
