"""Switches that stop, hang, forget or change hands at moments which only the fake switch can choose."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

import pytest

from controller.drivers.p4runtime import switch as driver
from controller.steering.model import Mac
from dipronn.v1 import unit_pb2
from tests.fake_switch.server import FakeSwitch
from tests.system.switch_agent.conftest import LAN_MAC, LAN_PORT, PIPELINE, Edge, Network, fake_only
from tests.system.switch_agent.rows import base, public, resolved, session, slice_
from tests.system.switch_agent.test_switch_agent import done, other

pytestmark = pytest.mark.timeout(180)

UPDATES_AT_MOST = 100


@pytest.fixture
def fake(edge: Edge) -> FakeSwitch:
    assert isinstance(edge.switch, FakeSwitch)
    return edge.switch


@fake_only
async def test_an_agent_killed_after_any_update(edge: Edge, fake: FakeSwitch, network: Network) -> None:
    """After each number of updates, also in the middle of a request, of an order that changes most tables."""
    before, after = session(1, branches=3), session(1, branches=2, receiver="203.0.113.5")
    router = Mac.parse("02:00:00:00:00:fe")
    await edge.start()
    assert await edge.control.order(slice_(0, base())) == ""
    for updates in range(UPDATES_AT_MOST):
        assert await edge.control.order(slice_(1, before)) == ""
        fake.faults.hang(updates)
        order = asyncio.create_task(edge.control.order(slice_(1, after, 2)))
        hung = asyncio.create_task(asyncio.to_thread(fake.faults.hung.wait, 60))
        await asyncio.wait([order, hung], return_when=asyncio.FIRST_COMPLETED)
        if order.done():
            assert updates > 10, "the order took no updates"
            assert order.result() == ""
            fake.faults.hung.set()
            fake.faults.release()
            break
        await edge.stop()
        order.cancel()
        fake.faults.release()
        await edge.start()
        assert edge.has() == edge.expected(base(), resolved(after, router, LAN_MAC)), updates
    else:
        raise AssertionError("the order never came to its end")


@fake_only
async def test_an_update_refused_anywhere_undoes_the_order(
    edge: Edge, fake: FakeSwitch, network: Network
) -> None:
    """Every update of an order is refused once, and many of a removal; also one of several of one change."""
    await edge.start()
    assert await edge.control.order(slice_(0, base())) == ""
    orders = (slice_(1, session(1, branches=3)), 1), (unit_pb2.RemoveSlice(session=1), 8)
    for what, steps in orders:
        before = edge.has()
        for updates in range(1, UPDATES_AT_MOST, steps):
            fake.faults.refuse(updates)
            answer = await edge.control.order(what)
            if not answer:
                assert updates > 10, "the order took no updates"
                fake.faults.release()
                break
            await edge.until(lambda before=before: edge.has() == before)  # type: ignore[misc]
        else:
            raise AssertionError("the order was never done")
    assert edge.has() == edge.expected(base())


@fake_only
async def test_a_switch_that_hangs_is_left_and_repaired(
    edge: Edge, fake: FakeSwitch, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "RPC_SECONDS", 0.5)
    await edge.start()
    assert await edge.control.order(slice_(0, base())) == ""
    fake.faults.hang(3)
    answer = await edge.control.order(slice_(1, session(1)))
    assert edge.switch.address in answer
    assert edge.has() != edge.expected(base()), "the order was done in part"
    fake.faults.release()
    await edge.until(lambda: edge.has() == edge.expected(base()))
    assert await edge.control.order(slice_(1, session(1))) == ""


@fake_only
async def test_an_agent_waits_for_its_switch(edge: Edge, fake: FakeSwitch, network: Network) -> None:
    fake.stop()
    starting = asyncio.create_task(edge.start())
    await asyncio.sleep(0)
    assert not edge.control.memberships
    fake.start()
    await starting
    assert edge.has() == edge.expected()


@fake_only
async def test_counters_go_on_when_a_switch_starts_again(
    edge: Edge, fake: FakeSwitch, network: Network
) -> None:
    await edge.start()
    assert await edge.control.order(slice_(0, base())) == ""

    def receive(packets: int) -> None:
        cell = PIPELINE.counter("received", 0)
        cell.counter_entry.data.packet_count = packets
        fake.count(cell)

    receive(7)
    await edge.control.report(lambda each: each.counters.received == 7)
    fake.stop()
    fake.start()
    await edge.until(lambda: edge.has() == edge.expected(base()))
    receive(2)
    await edge.control.report(lambda each: each.counters.received == 9)


@fake_only
async def test_a_digest_becomes_a_peer(edge: Edge, fake: FakeSwitch, network: Network) -> None:
    await edge.start()
    assert await edge.control.order(slice_(0, base())) == ""
    source = int(ip_address("192.0.2.20"))
    local = public(1)
    told, widths = 0, (1, 1, 9, 12, 48, 16, 16, 128, 128)  # learn_t in p4/v1model/digests.p4
    values = (0, 0, LAN_PORT, 0, 0x020000000020, local.port, 40000, int(local.address), source)
    for width, value in zip(widths, values, strict=True):
        told = told << width | value
    fake.digest("learn_t", told)
    await edge.until(lambda: len(edge.peers()) == 1)
    # Another controller's learning is adopted, and a switch that was empty gets it again.
    fake.stop()
    fake.start()
    await edge.until(lambda: len(edge.peers()) == 1)


@fake_only
async def test_a_backup_takes_over_and_hands_back(edge: Edge, fake: FakeSwitch, network: Network) -> None:
    """The one with the higher election id is primary while it is there."""
    await edge.start()
    assert await edge.control.order(slice_(0, base())) == ""
    backup = other(edge, 50)
    waiting = asyncio.create_task(backup.run())
    try:
        async with asyncio.timeout(60):
            while "another controller is primary" not in backup.trouble:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await edge.stop()
        await backup.require_up(60)
        await edge.start()
        assert not backup.up
        assert edge.has() == edge.expected(base())
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


@pytest.mark.parametrize(
    "switch", [pytest.param("fake without heirs", marks=pytest.mark.fake_switch)], indirect=True
)
async def test_nobody_inherits_the_primary_role(edge: Edge, fake: FakeSwitch, network: Network) -> None:
    """By the specification a device has no primary controller after the last one left, until one asks."""
    await edge.start()
    assert await edge.control.order(slice_(0, base())) == ""
    thief = other(edge, 1000)
    stealing = asyncio.create_task(thief.run())
    await thief.require_up(60)
    stealing.cancel()
    await asyncio.gather(stealing, return_exceptions=True)
    assert await edge.control.order(unit_pb2.SetAlive(unit=1, alive=False)) == ""
    assert edge.has() == edge.expected(base(alive=False))


@fake_only
async def test_a_full_table_refuses_a_session_and_leaves_nothing_of_it(
    edge: Edge, fake: FakeSwitch, network: Network
) -> None:
    """The table that a session's last rows go to is full: all that was installed for it goes again."""
    await edge.start()
    assert await edge.control.order(slice_(0, base())) == ""
    assert await edge.control.order(slice_(1, session(1))) == ""
    entrance = next(key.table for key in edge.expected(session(1)) if key.table.startswith("flow"))
    held = sum(key.table == entrance for key in edge.has())
    fake.limit(PIPELINE.tables[entrance].id, held + 1)
    answer = await edge.control.order(slice_(2, session(2)))
    assert f"insert of {entrance}" in answer
    assert edge.has() == edge.expected(base(), done(session(1)))
    fake.limit(PIPELINE.tables[entrance].id, held + 2)
    assert await edge.control.order(slice_(2, session(2))) == ""
    assert edge.has() == edge.expected(base(), done(session(1)), done(session(2)))
