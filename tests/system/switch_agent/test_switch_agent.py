"""A switch as a unit: whatever happens to it, its agent or an order, it has what is desired and no more."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from ipaddress import ip_address

import pytest
from finsy.proto import p4r
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether

from controller.drivers.p4runtime.apply import Change
from controller.drivers.p4runtime.encoding import ChangeEncoder
from controller.drivers.p4runtime.entries import Action, EntryKey
from controller.drivers.p4runtime.frames import Told, question, read
from controller.drivers.p4runtime.remove import remove
from controller.drivers.p4runtime.switch import Switch
from controller.steering.drops import Drop
from controller.steering.model import Mac, Socket, Tables
from dipronn.errors import Unavailable
from dipronn.unit.slices import SliceStore
from dipronn.v1 import unit_pb2
from tests.conformance.artp_packet import artp
from tests.system.switch_agent.conftest import (
    DATA_MAC,
    DATA_PORT,
    LAN_MAC,
    LAN_PORT,
    PIPELINE,
    Edge,
    Network,
    steers,
)
from tests.system.switch_agent.rows import (
    UNIT_MAC,
    base,
    overridable,
    public,
    resolved,
    session,
    slice_,
)

pytestmark = pytest.mark.timeout(180)

RECEIVER_MAC = Mac.parse("02:00:00:00:00:10")
SOURCE_MAC = Mac.parse("02:00:00:00:00:20")


def done(rows: Tables) -> Tables:
    return resolved(rows, RECEIVER_MAC, LAN_MAC)


def goes_to(udp_port: int, port: int, frame: bytes) -> bool:
    """Whether a frame leaves towards the units, for a UDP port."""
    read_frame = Ether(frame)
    return port == DATA_PORT and UDP in read_frame and read_frame[UDP].dport == udp_port


async def test_orders_become_entries_and_their_removal_leaves_nothing(edge: Edge, network: Network) -> None:
    hello = await edge.start()
    assert hello.unit == "edge"
    assert [(link.device, link.outside, list(link.addresses)) for link in hello.links] == [
        ("lan0", True, ["192.0.2.1/24", "2001:db8:1::1/64"]),
        ("data0", False, ["10.77.0.1/24"]),
    ]
    assert await edge.control.order(slice_(0, base())) == ""
    assert await edge.control.order(slice_(1, session(1))) == ""
    assert await edge.control.order(slice_(2, session(2, branches=3))) == ""
    assert edge.has() == edge.expected(base(), done(session(1)), done(session(2, branches=3)))
    assert await edge.control.order(slice_(1, session(1, branches=4), 2)) == ""
    assert edge.has() == edge.expected(base(), done(session(1, branches=4)), done(session(2, branches=3)))
    for number in (1, 2):
        assert await edge.control.order(unit_pb2.RemoveSlice(session=number)) == ""
    assert edge.has() == edge.expected(base())


async def test_fail_over_is_one_write(edge: Edge, network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    await edge.start()
    await edge.control.order(slice_(0, base(units=3)))
    written: list[Change] = []
    write = Switch.write

    async def watched(self: Switch, changes: Sequence[Change]) -> Mapping[int, str]:
        written.extend(changes)
        return await write(self, changes)

    monkeypatch.setattr(Switch, "write", watched)
    assert await edge.control.order(unit_pb2.SetAlive(unit=2, alive=False)) == ""
    assert written == [Change(EntryKey("unit", (2,)), Action("alive"), Action("dead"))]


@steers
async def test_packets_are_copied_rewritten_counted_and_answered(edge: Edge, network: Network) -> None:
    await edge.start()
    await edge.control.order(slice_(0, base()))
    await edge.control.order(slice_(1, session(1)))
    sent = Ether(src=str(SOURCE_MAC), dst=str(LAN_MAC)) / IP(src="192.0.2.20", dst="192.0.2.1")
    network.send(LAN_PORT, bytes(sent / UDP(sport=40000, dport=public(1).port) / b"stream"))
    for port in (7000, 7001):
        copy = await network.frame(partial(goes_to, port))
        assert (Ether(copy).dst, Ether(copy)[IP].dst) == (str(UNIT_MAC), "10.77.0.2")
        assert bytes(Ether(copy)[UDP].payload) == b"stream"
    # The source was learnt, so that it can be answered: from a unit, out by the link that it spoke on.
    await edge.until(lambda: len(edge.peers()) == 1)
    back = Ether(src=str(UNIT_MAC), dst=str(DATA_MAC)) / IP(src="192.0.2.1", dst="192.0.2.20")
    network.send(DATA_PORT, bytes(back / UDP(sport=public(1).port, dport=40000) / b"answer"))
    answered = await network.frame(lambda at, frame: at == LAN_PORT and frame.endswith(b"answer"))
    assert (Ether(answered).dst, Ether(answered)[IP].dst) == (str(SOURCE_MAC), "192.0.2.20")
    # An output leaves to its receiver, whose MAC the agent has found.
    out = Ether(src=str(UNIT_MAC), dst=str(DATA_MAC)) / IP(src="10.77.0.2", dst="10.77.0.1")
    network.send(DATA_PORT, bytes(out / UDP(sport=9, dport=20001) / b"output"))
    left = await network.frame(lambda at, frame: at == LAN_PORT and frame.endswith(b"output"))
    assert (Ether(left).dst, Ether(left)[IP].dst, Ether(left)[UDP].dport) == (
        *(str(RECEIVER_MAC), "192.0.2.10"),
        6000,
    )
    counted = await edge.control.report(lambda each: each.counters.channels[102].packets == 1)
    counters = counted.counters
    assert [counters.channels[number].packets for number in (100, 101, 102)] == [1, 1, 1]
    assert counters.channels[102].bytes == 20 + 8 + len(b"output")
    ends = counters.sent + counters.to_host + sum(counters.drops.values())
    assert counters.received + counters.copies == ends


@pytest.mark.parametrize("target", ["192.0.2.1", "2001:db8:1::1"])
async def test_the_agent_answers_for_the_nodes_addresses(edge: Edge, network: Network, target: str) -> None:
    await edge.start()
    asker = ip_address("192.0.2.10" if "." in target else "2001:db8:1::10")
    asked = question(0, ip_address(target), asker, RECEIVER_MAC)
    wanted = Told(0, ip_address(target), LAN_MAC)
    reply = await network.frame(
        lambda port, frame: port == LAN_PORT and read(frame) == wanted, lambda: network.send(LAN_PORT, asked)
    )
    assert Ether(reply).src == str(LAN_MAC)
    # Not for those of others, nor for its own on another link.
    network.send(LAN_PORT, question(0, ip_address("10.77.0.1"), ip_address("10.77.0.9"), RECEIVER_MAC))
    network.send(LAN_PORT, question(0, ip_address("192.0.2.9"), ip_address("192.0.2.10"), RECEIVER_MAC))
    network.send(LAN_PORT, question(0, ip_address("192.0.2.1"), ip_address("192.0.2.11"), SOURCE_MAC))
    await network.frame(lambda port, frame: port == LAN_PORT and Ether(frame).dst == str(SOURCE_MAC))
    replies = [Ether(frame) for port, frame in network.arrived if port == LAN_PORT]
    assert all(each[ARP].psrc == "192.0.2.1" for each in replies if ARP in each and each[ARP].op == 2)


async def test_receivers_beyond_a_router_and_receivers_that_move(edge: Edge, network: Network) -> None:
    await edge.start()
    assert await edge.control.order(slice_(0, base())) == ""
    assert await edge.control.order(slice_(1, session(1, receiver="203.0.113.5"))) == ""
    router = Mac.parse("02:00:00:00:00:fe")
    wanted = resolved(session(1, receiver="203.0.113.5"), router, LAN_MAC)
    assert edge.has() == edge.expected(base(), wanted)
    moved = Mac.parse("02:00:00:00:00:fd")
    network.move("192.0.2.254", moved)
    wanted = resolved(session(1, receiver="203.0.113.5"), moved, LAN_MAC)
    await edge.until(lambda: edge.has() == edge.expected(base(), wanted))


async def test_a_receiver_that_nobody_answers_for_refuses_the_order(edge: Edge, network: Network) -> None:
    await edge.start()
    await edge.control.order(slice_(0, base()))
    answer = await edge.control.order(slice_(1, session(1, receiver="192.0.2.99")))
    assert "192.0.2.99" in answer and "does not answer" in answer
    answer = await edge.control.order(slice_(1, session(1, receiver="100.64.9.9")))
    assert "no route" in answer
    assert edge.has() == edge.expected(base())


async def test_a_full_table_refuses_the_order_and_leaves_no_trace(edge: Edge, network: Network) -> None:
    """The table unit holds 1024 rows: the first batch of two fits, the second does not."""
    await edge.start()
    await edge.control.order(slice_(0, base(units=2)))
    await edge.control.order(slice_(1, session(1)))
    answer = await edge.control.order(slice_(0, base(units=1500)))
    assert "table unit is full: it holds 1024 entries" in answer
    assert edge.has() == edge.expected(base(units=2), done(session(1)))
    await edge.stop()
    hello = await edge.start()
    assert {held.session for held in hello.held} == {0, 1}
    assert edge.has() == edge.expected(base(units=2), done(session(1)))


async def test_rows_that_make_no_sense_are_refused(edge: Edge, network: Network) -> None:
    await edge.start()
    await edge.control.order(slice_(0, base()))
    await edge.control.order(slice_(1, session(1)))
    foreign = session(1)
    assert "belongs to session 1" in await edge.control.order(slice_(2, foreign))
    machine = slice_(3, session(3))
    machine.vms.add(name="vm")
    assert "runs no machines" in await edge.control.order(machine)
    elsewhere = slice_(3, session(3))
    elsewhere.tables.endpoint[0].device = "eth9"
    assert "no port named 'eth9'" in await edge.control.order(elsewhere)
    assert edge.has() == edge.expected(base(), done(session(1)))


async def test_a_switch_that_starts_again_gets_everything_again(edge: Edge, network: Network) -> None:
    await edge.start()
    await edge.control.order(slice_(0, base()))
    await edge.control.order(slice_(1, session(1)))
    edge.switch.stop()
    edge.switch.start()
    await edge.until(lambda: edge.has() == edge.expected(base(), done(session(1))))
    # And orders that come while it is away are done when it is back.
    edge.switch.stop()
    order = asyncio.create_task(edge.control.order(unit_pb2.SetAlive(unit=1, alive=False)))
    await asyncio.sleep(0)
    edge.switch.start()
    assert await order == ""
    assert edge.has() == edge.expected(base(alive=False), done(session(1)))


async def test_an_order_for_a_switch_that_stays_away_is_refused(
    edge: Edge, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.drivers.p4runtime.agent.PATIENCE", 0.3)
    await edge.start()
    await edge.control.order(slice_(0, base()))
    edge.switch.stop()
    answer = await edge.control.order(unit_pb2.SetAlive(unit=1, alive=False))
    assert edge.switch.address in answer and "unavailable" in answer
    beats = sum(each.WhichOneof("report") == "heartbeat" for each in edge.control.reports)
    await asyncio.sleep(1)  # four heartbeats: a unit without a switch does not live
    assert sum(each.WhichOneof("report") == "heartbeat" for each in edge.control.reports) <= beats + 1
    edge.switch.start()
    await edge.until(lambda: edge.has() == edge.expected(base()))


@pytest.mark.parametrize("writes", range(1, 9))
async def test_an_agent_killed_between_writes(
    edge: Edge, network: Network, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """It dies after so many writes of an order that changes most tables; the next one does it to its end."""
    await edge.start()
    await edge.control.order(slice_(0, base()))
    await edge.control.order(slice_(1, session(1, branches=3)))
    left = writes
    reached = asyncio.Event()
    write = Switch.write

    async def last(self: Switch, changes: Sequence[Change]) -> Mapping[int, str]:
        nonlocal left
        if left == 0:
            reached.set()
            await asyncio.Event().wait()
        left -= 1
        return await write(self, changes)

    monkeypatch.setattr(Switch, "write", last)
    order = asyncio.create_task(edge.control.order(slice_(1, session(1, branches=2, receiver="203.0.113.5"))))
    await asyncio.wait([order, asyncio.create_task(reached.wait())], return_when=asyncio.FIRST_COMPLETED)
    await edge.stop()
    order.cancel()
    monkeypatch.setattr(Switch, "write", write)
    await edge.start()
    wanted = resolved(session(1, branches=2, receiver="203.0.113.5"), Mac.parse("02:00:00:00:00:fe"), LAN_MAC)
    assert edge.has() == edge.expected(base(), wanted)


async def test_a_killed_process_is_followed_by_another(edge: Edge, network: Network) -> None:
    await edge.spawn()
    await edge.control.order(slice_(0, base()))
    await edge.control.order(slice_(1, session(1)))
    order = asyncio.create_task(edge.control.order(slice_(2, session(2, branches=9))))
    await edge.until(lambda: (edge.config.state / "slices" / "2.pb").exists())
    await edge.kill()
    order.cancel()
    del network.hosts["192.0.2.10"]  # silent now: its last known MAC is in the switch
    hello = await edge.spawn()
    assert {held.session for held in hello.held} >= {0, 1}
    held2 = {2} & {held.session for held in hello.held}
    rows = [done(session(2, branches=9))] if held2 else []
    assert edge.has() == edge.expected(base(), done(session(1)), *rows)


async def test_a_row_that_the_switch_refuses_undoes_the_order(
    edge: Edge, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of a batch is refused: somebody else has put a row there already."""
    await edge.start()
    await edge.control.order(slice_(0, base()))
    await edge.control.order(slice_(1, session(1)))
    updates = ChangeEncoder.updates
    entrance = next(key for key in edge.expected(session(2)) if key.table.startswith("flow"))

    def broken(self: ChangeEncoder, change: Change) -> list[bytes]:
        found = updates(self, change)
        if change.key == entrance:
            request = p4r.WriteRequest.FromString(found[0])
            request.updates[0].entity.table_entry.action.action.action_id += 1
            found[0] = request.SerializeToString()
        return found

    monkeypatch.setattr(ChangeEncoder, "updates", broken)
    assert f"insert of {entrance.table}" in await edge.control.order(slice_(2, session(2)))
    assert edge.has() == edge.expected(base(), done(session(1)))
    monkeypatch.setattr(ChangeEncoder, "updates", updates)
    assert await edge.control.order(slice_(2, session(2))) == ""
    assert edge.has() == edge.expected(base(), done(session(1)), done(session(2)))


async def _nothing(*_: object) -> None:
    return None


def other(edge: Edge, election_id: int) -> Switch:
    return Switch(
        edge.switch.address,
        edge.config.device_id,
        election_id,
        PIPELINE,
        ready=_nothing,
        packet=lambda *_: None,
        digest=lambda _: None,
    )


async def test_a_stolen_switch_is_said_and_had_again(
    edge: Edge, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.drivers.p4runtime.agent.PATIENCE", 0.3)
    await edge.start()
    await edge.control.order(slice_(0, base()))
    thief = other(edge, 1000)
    stealing = asyncio.create_task(thief.run())
    await thief.require_up(10)
    # The thief does harm.
    assert not await thief.write([Change(EntryKey("unit", (1,)), Action("alive"), None)])
    answer = await edge.control.order(unit_pb2.SetAlive(unit=1, alive=False))
    assert "another controller is primary (election id 1000, ours is 100)" in answer
    stealing.cancel()
    await asyncio.gather(stealing, return_exceptions=True)
    await edge.until(lambda: edge.has() == edge.expected(base()))
    assert await edge.control.order(unit_pb2.SetAlive(unit=1, alive=False)) == ""


async def test_another_pipeline_is_replaced(edge: Edge, network: Network) -> None:
    stranger = other(edge, 50)
    stranger.pipeline = type(PIPELINE)(PIPELINE.info, PIPELINE.config, PIPELINE.cookie + 1)
    working = asyncio.create_task(stranger.run())
    await stranger.require_up(10)
    assert not await stranger.write([Change(EntryKey("unit", (9,)), None, Action("alive"))])
    group = Change(EntryKey("multicast_group", (5,)), None, Action("replicate", (0, 1, 2, 3, 4)))
    assert not await stranger.write([group])
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await edge.start()
    await edge.control.order(slice_(0, base()))
    await edge.control.order(slice_(1, session(1, branches=5)))
    assert edge.has() == edge.expected(base(), done(session(1, branches=5)))


@steers
async def test_learnt_peers_are_forgotten_when_their_time_is_over(
    edge: Edge, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controller.drivers.p4runtime.peers.PEER_LIFETIME", 1.5)
    await edge.start()
    await edge.control.order(slice_(0, base()))
    await edge.control.order(slice_(1, session(1)))
    sent = Ether(src=str(SOURCE_MAC), dst=str(LAN_MAC)) / IP(src="192.0.2.20", dst="192.0.2.1")
    network.send(LAN_PORT, bytes(sent / UDP(sport=40000, dport=public(1).port)))
    await edge.until(lambda: len(edge.peers()) == 1)
    await edge.until(lambda: not edge.peers())


def _leaves_for(host: str, port: int, frame: bytes) -> bool:
    """Whether a frame leaves towards a receiver."""
    return port == LAN_PORT and IP in Ether(frame) and Ether(frame)[IP].dst == host


@steers
@pytest.mark.req("R7", "D64")
async def test_destinations_that_packets_name_are_found_and_reached(edge: Edge, network: Network) -> None:
    """The packet that misses a next hop is lost; its sender repeats it, and then each host gets a copy."""
    await edge.start()
    await edge.control.order(slice_(0, base()))
    assert await edge.control.order(slice_(1, overridable(1, "192.0.2.0/24"))) == ""
    network.hosts["192.0.2.11"] = SOURCE_MAC
    named = [Socket(ip_address(f"192.0.2.{last}"), 6001) for last in (10, 11)]
    packet = artp(destinations=tuple(named))
    sent = Ether(src=str(UNIT_MAC), dst=str(DATA_MAC)) / IP(src="10.77.0.2", dst="10.77.0.1")
    frame = bytes(sent / UDP(sport=9, dport=20001) / packet)
    for host, mac in (("192.0.2.10", RECEIVER_MAC), ("192.0.2.11", SOURCE_MAC)):
        copy = await network.frame(partial(_leaves_for, host), partial(network.send, DATA_PORT, frame))
        assert (Ether(copy).dst, Ether(copy)[IP].src, Ether(copy)[UDP].dport) == (str(mac), "192.0.2.1", 6001)
        assert bytes(Ether(copy)[UDP].payload) == packet
    refused = sent / UDP(sport=9, dport=20001) / artp(destinations=(Socket(ip_address("203.0.113.5"), 6001),))
    network.send(DATA_PORT, bytes(refused))
    await edge.control.report(lambda each: each.counters.drops[Drop.OVERRIDE_REFUSED.label] == 1)
    # It follows who moves, and another agent forgets what nobody keeps fresh.
    moved = Mac.parse("02:00:00:00:00:21")
    network.move("192.0.2.11", moved)
    await network.frame(
        lambda at, seen: at == LAN_PORT and IP in Ether(seen) and Ether(seen).dst == str(moved),
        lambda: network.send(DATA_PORT, frame),
    )
    await edge.stop()
    await edge.start()
    assert not edge.next_hops()
    assert edge.has() == edge.expected(base(), done(overridable(1, "192.0.2.0/24")))


async def test_a_removed_switch_holds_nothing(edge: Edge, network: Network) -> None:
    """Also while its agent runs; again is the same."""
    await edge.spawn()
    assert await edge.control.order(slice_(0, base())) == ""
    assert await edge.control.order(slice_(1, session(1))) == ""
    assert edge.has()
    assert await edge.remove() == 0
    assert edge.has() == {} and edge.peers() == []
    assert not edge.config.state.exists()
    assert await edge.remove() == 0


async def test_a_switch_that_is_away_is_not_removed(edge: Edge, network: Network) -> None:
    """What is in it would stay there; with another pipeline, or none, nothing is."""
    await edge.start()
    assert await edge.control.order(slice_(0, base())) == ""
    await edge.stop()
    edge.switch.stop()
    with pytest.MonkeyPatch.context() as patched, pytest.raises(Unavailable, match=edge.switch.address):
        patched.setattr("controller.drivers.p4runtime.remove.PATIENCE", 0.3)
        await remove(edge.config, SliceStore(edge.config.state), PIPELINE)
    assert (edge.config.state / "slices" / "0.pb").exists()
    edge.switch.start()
    await remove(edge.config, SliceStore(edge.config.state), PIPELINE)
    assert not edge.config.state.exists()
