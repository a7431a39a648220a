"""ARTP from plain sockets through a real agent's kernel: destinations that packets name are found."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from ipaddress import ip_address

import pytest

from controller.program import check_text
from controller.steering import wire
from controller.steering.compile import compile_session
from controller.steering.deployment import Deployment, Entrance, Exit
from controller.steering.identifiers import Identifiers
from controller.steering.model import Socket
from controller.store import StoredUnit
from controller.units import node_unit
from dipronn.v1 import unit_pb2
from tests.conformance.artp_packet import artp
from tests.system.agent.conftest import DEADLINE, Unit, change_mac, run
from tests.system.agent.session import V4, base

pytestmark = pytest.mark.root

TEXT = """
session s {
  input x : artp; output y to 192.0.2.10:6000, 192.0.2.10:6001 override 192.0.2.0/28; data x -> y;
}
"""
SESSION = 7
OTHERS = ("192.0.2.11", "192.0.2.12")
FORBIDDEN = "192.0.2.66"


def ordered(hello: unit_pb2.Hello) -> unit_pb2.Slice:
    """The session on this one unit, as the control unit compiles it."""
    unit = node_unit(StoredUnit(2, hello, True))
    deployment = Deployment(
        SESSION,
        check_text(TEXT).program,
        4,
        {unit.name: unit},
        (),
        {"x": Entrance(unit.name, V4.entrance)},
        {"y": Exit(unit.name, V4.public, V4.public)},
    )
    rows = compile_session(deployment, Identifiers()).tables[unit.name]
    return unit_pb2.Slice(session=SESSION, name="s", generation=1, tables=wire.encode(rows))


async def reach(sender: socket.socket, receivers: list[socket.socket], packet: bytes) -> list[bytes]:
    """Send until every receiver has it, as a reliable transport would; what each got first."""
    loop = asyncio.get_running_loop()
    waiting = [asyncio.ensure_future(loop.sock_recv(receiver, 65536)) for receiver in receivers]
    try:
        async with asyncio.timeout(DEADLINE):
            while not all(each.done() for each in waiting):
                sender.sendto(packet, (str(V4.entrance.address), V4.entrance.port))
                await asyncio.wait(waiting, timeout=0.2)
        return [each.result() for each in waiting]
    finally:
        for each in waiting:
            each.cancel()


def waiting(receiver: socket.socket) -> set[bytes]:
    """What has come meanwhile."""
    got = set()
    with contextlib.suppress(BlockingIOError):
        while True:
            got.add(receiver.recv(65536))
    return got


@pytest.mark.req("R7", "D66", "D67")
async def test_destinations_of_packets_are_found_by_the_unit(unit: Unit) -> None:
    for address in (*OTHERS, FORBIDDEN):
        run(unit.outside, "ip", "address", "add", f"{address}/24", "dev", "eth0")
    hello = await unit.start()
    assert await unit.control.order(base()) == ""
    assert await unit.control.order(ordered(hello)) == ""
    sender = unit.socket(ip_address("192.0.2.10"), 4000)
    usual = [unit.socket(ip_address("192.0.2.10"), port) for port in (6000, 6001)]
    others = [unit.socket(ip_address(address), 7000) for address in OTHERS]
    elsewhere = tuple(Socket(ip_address(each), 7000) for each in OTHERS)
    forbidden = unit.socket(ip_address(FORBIDDEN), 7000)
    try:
        packet = artp(number=1)
        assert await reach(sender, usual, packet) == [packet, packet], "without destinations: its receivers"
        named = artp(number=2, destinations=elsewhere)
        assert await reach(sender, others, named) == [named, named]
        refused = artp(number=3, destinations=(elsewhere[0], Socket(ip_address(FORBIDDEN), 7000)))
        sender.sendto(refused, (str(V4.entrance.address), V4.entrance.port))
        told = await unit.control.report(lambda report: report.counters.drops["override_refused"] == 1)
        assert told.counters.drops["no_next_hop"] >= 1, "a destination is missed once before it is found"
        # A next hop that was found is followed.
        change_mac(unit.outside, "02:00:00:00:00:42")
        for address in OTHERS:
            run(unit.outside, "ip", "address", "replace", f"{address}/24", "dev", "eth0")
        assert set().union(*map(waiting, others)) <= {named}
        again = artp(number=4, destinations=elsewhere)
        assert await reach(sender, others, again) == [again, again]
        # The next agent takes over, and finds them again.
        await unit.end(signal.SIGKILL)
        await unit.start()
        after = artp(number=5, destinations=elsewhere)
        assert await reach(sender, others, after) == [after, after]
        assert set().union(*map(waiting, usual)) <= {packet} and not waiting(forbidden)
    finally:
        for each in (sender, *usual, *others, forbidden):
            each.close()
    assert await unit.control.order(unit_pb2.RemoveSlice(session=SESSION)) == ""
