"""Next hops by the kernel's own neighbour table, in real namespaces."""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from controller.steering.model import Address, LinkKey, Mac
from dipronn.errors import Unavailable
from dipronn.unit.receivers import NextHop
from tests.system.agent.conftest import DEADLINE, change_mac, run
from vmhost.agent.neighbours import NextHops

pytestmark = pytest.mark.root

UNIT_ADDRESS, OUTSIDE_ADDRESS = "192.0.2.1", "192.0.2.10"

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000


@pytest.fixture
def outside(namespaces: tuple[str, str]) -> Iterator[str]:
    """Runs the test in the unit's namespace; the other's name."""
    unit, outside = namespaces
    run(unit, *f"ip route add 203.0.113.0/24 via {OUTSIDE_ADDRESS}".split())
    run(unit, *["ip", "link", "add", "other0", "type", "veth", "peer", "name", "other1"])
    run(unit, *["ip", "link", "set", "other0", "up"])
    run(unit, *["ip", "address", "add", "10.1.1.1/24", "dev", "other0"])
    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(f"/run/netns/{unit}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        assert not _libc.setns(there, _CLONE_NEWNET)
        yield outside
    finally:
        assert not _libc.setns(home, _CLONE_NEWNET)
        os.close(home)
        os.close(there)


def mac_of(namespace: str) -> Mac:
    words = run(namespace, "ip", "-o", "link", "show", "eth0").split()
    return Mac.parse(words[words.index("link/ether") + 1])


@pytest.mark.parametrize("address", [OUTSIDE_ADDRESS, "203.0.113.9", "2001:db8:1::10"])
async def test_a_next_hop_is_found(outside: str, address: str) -> None:
    async with NextHops([LinkKey("data0")], lambda _: None) as hops:
        hop = await hops.resolve(ip_address(address))
        assert (hop.link, hop.destination_mac, hop.mtu) == (LinkKey("data0"), mac_of(outside), 1500)
        assert await hops.resolve(ip_address(OUTSIDE_ADDRESS))
        await hops.release_all()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("192.0.2.77", "next hop 192.0.2.77 on data0 does not answer"),
        ("8.8.8.8", "no route to it"),
        ("10.1.1.9", "leaves by other0, which is no link of this unit"),
        (UNIT_ADDRESS, "is no address of another host"),
        ("127.0.0.1", "is no address of another host"),
    ],
)
async def test_what_cannot_be_reached_is_told(outside: str, address: str, message: str) -> None:
    async with NextHops([LinkKey("data0")], lambda _: None) as hops:
        with pytest.raises(Unavailable, match=message):
            await hops.resolve(ip_address(address))
    assert "managed" not in run(outside.removesuffix("o") + "u", "ip", "neighbour")


async def test_another_mac_is_heard(outside: str) -> None:
    changes: asyncio.Queue[dict[Address, NextHop]] = asyncio.Queue()
    async with NextHops([LinkKey("data0")], changes.put_nowait) as hops:
        await hops.resolve(ip_address(OUTSIDE_ADDRESS))
        await hops.resolve(ip_address("203.0.113.9"))
        change_mac(outside, "02:00:00:00:00:42")
        moved = await asyncio.wait_for(changes.get(), DEADLINE)
        assert set(moved) == {ip_address(OUTSIDE_ADDRESS), ip_address("203.0.113.9")}
        assert {hop.destination_mac for hop in moved.values()} == {Mac.parse("02:00:00:00:00:42")}
        assert (await hops.resolve(ip_address("203.0.113.9"))).destination_mac == mac_of(outside)
        await hops.keep([])
    assert "managed" not in run(outside.removesuffix("o") + "u", "ip", "neighbour")
