"""Packets on real wires: forks, choices, fail-over, tags, families, answers, losses."""

from __future__ import annotations

import fcntl
import os
import struct
from dataclasses import replace
from ipaddress import ip_address

import pytest
from scapy.layers.inet import IP
from scapy.layers.l2 import Dot1Q, Ether

from controller.steering.drops import Drop
from controller.steering.model import (
    Channel,
    EndpointKind,
    Flow,
    ForkBranch,
    ForkKey,
    LinkKey,
    LinkKind,
    LinkScope,
    Selector,
    Slot,
    SlotKey,
    Socket,
    Tables,
    Unit,
)
from dipronn.errors import Unavailable
from ebpf.loader import SteeringProgram
from tests.system.ebpf.rig import (
    OWN,
    PUBLIC,
    PUBLIC6,
    SENDER,
    SENDER6,
    Rig,
    add_channel,
    datagram,
    ends,
    fork,
    host_of,
    receiver,
    settled,
    tables_for,
    target,
    wild,
)

pytestmark = pytest.mark.root


def steering(unit: Rig, tables: Tables) -> SteeringProgram:
    """In the namespace: loaded, filled, attached to all of the rig's devices."""
    program = SteeringProgram.load(pin_directory=None)
    try:
        program.apply(tables)
        for device in unit.wires:
            program.attach(device)
    except BaseException:
        program.close(unpin=True)
        raise
    return program


@pytest.mark.req("D14")
@pytest.mark.req("D15")
def test_a_datagram_leaves_by_its_channel_rewritten(unit: Rig) -> None:
    wan, lan = unit.veth("wan"), unit.veth("lan")
    tables = tables_for(["wan", "lan"], {5000: target(1)})
    add_channel(tables, 1, receiver("lan", 7, source=Socket(ip_address("10.9.1.1"), 77)))

    def check() -> None:
        with steering(unit, tables) as program:
            wan.send(datagram(5000, b"x" * 100, ttl=9))
            (frame,) = lan.receive(1)
            assert ends(frame) == ("10.9.1.1", 77, "10.9.1.7", 9)
            packet = Ether(frame)
            assert (packet.src, packet.dst, packet[IP].ttl) == ("02:00:00:00:01:07", "02:00:00:00:02:07", 8)
            assert frame.endswith(b"x" * 100)
            counters = settled(program, 1)
            assert (counters.received, counters.sent) == (1, 1)
            assert counters.channels[1].packets == 1
            assert counters.channels[1].bytes == 128

    unit.inside(check)


@pytest.mark.req("D15")
def test_a_channels_number_counts_anew_when_it_is_given_again_and_the_totals_go_on(unit: Rig) -> None:
    wan, lan = unit.veth("wan"), unit.veth("lan")
    tables = tables_for(["wan", "lan"], {5000: target(1)})
    add_channel(tables, 1, receiver("lan", 7))
    channel = tables.channel[1]

    def check() -> None:
        with steering(unit, tables) as program:
            wan.send(datagram(5000))  # by the common path
            wan.send(datagram(5000, ttl=1))  # and by the full one
            lan.receive(1)
            before = settled(program, 2)
            assert before.channels[1].packets == 2
            program.delete("channel", 1)
            assert 1 not in settled(program, 2).channels
            program.insert("channel", 1, channel)
            assert settled(program, 2) == replace(before, channels={})
            wan.send(datagram(5000))
            lan.receive(1)
            after = settled(program, 3)
            assert after.channels[1].packets == 1
            assert (after.received, after.sent, after.drops) == (3, 2, {Drop.TTL_EXPIRED: 1})

    unit.inside(check)


@pytest.mark.req("D52")
def test_a_fork_rewrites_each_copy_in_order_also_on_one_device(unit: Rig) -> None:
    wan, left, right = unit.veth("wan"), unit.veth("left"), unit.veth("right")
    tables = tables_for(["wan", "left", "right"], {5000: fork(1)})
    devices = ["left", "right", "left", "left", "right", "left"]
    for copy, device in enumerate(devices):
        add_channel(tables, copy + 1, receiver(device, copy + 1, vlan=9 if copy == 3 else 0))
        tables.fork[ForkKey(1, copy)] = ForkBranch(copy + 1)

    def check() -> None:
        with steering(unit, tables) as program:
            for _ in range(3):
                wan.send(datagram(5000))
            assert [host_of(frame) for frame in left.receive(12)] == [1, 3, 4, 6] * 3
            assert [host_of(frame) for frame in right.receive(6)] == [2, 5] * 3
            counters = settled(program, 3)
            assert (counters.copies, counters.sent, counters.drops) == (15, 18, {})
            assert {channel.packets for channel in counters.channels.values()} == {3}

    unit.inside(check)


def test_a_hundred_copies_to_one_device_arrive_once_each(unit: Rig) -> None:
    wan, lan = unit.veth("wan"), unit.veth("lan")
    tables = tables_for(["wan", "lan"], {5000: fork(1)})
    for copy in range(100):
        add_channel(tables, copy + 1, receiver("lan", copy + 1))
        tables.fork[ForkKey(1, copy)] = ForkBranch(copy + 1)

    def check() -> None:
        with steering(unit, tables) as program:
            wan.send(datagram(5000))
            assert [host_of(frame) for frame in lan.receive(100)] == list(range(1, 101))
            assert settled(program, 1).drops == {}

    unit.inside(check)


def test_frames_that_share_a_device_with_copies_are_left_alone(unit: Rig) -> None:
    wan, lan = unit.veth("wan"), unit.veth("lan")
    tables = tables_for(["wan", "lan"], {5000: fork(1), 5001: target(3)})
    for copy in range(2):
        add_channel(tables, copy + 1, receiver("lan", copy + 1))
        tables.fork[ForkKey(1, copy)] = ForkBranch(copy + 1)
    add_channel(tables, 3, receiver("lan", 3))

    def check() -> None:
        with steering(unit, tables) as program:
            for _ in range(50):
                for port in (5001, 5000, 5001):
                    wan.send(datagram(port))
            assert [host_of(frame) for frame in lan.receive(200)] == [3, 1, 2, 3] * 50
            assert settled(program, 150).drops == {}

    unit.inside(check)


@pytest.mark.req("A21")
def test_a_branch_may_choose_for_itself(unit: Rig) -> None:
    wan, left, right = unit.veth("wan"), unit.veth("left"), unit.veth("right")
    tables = tables_for(["wan", "left", "right"], {5000: fork(1)})
    add_channel(tables, 1, receiver("left", 1), receiver("right", 2), selector=Selector.COUNTER)
    add_channel(tables, 2, receiver("right", 3))
    tables.fork |= {ForkKey(1, 0): ForkBranch(1), ForkKey(1, 1): ForkBranch(2)}

    def check() -> None:
        with steering(unit, tables) as program:
            for _ in range(4):
                wan.send(datagram(5000))
            assert [host_of(frame) for frame in left.receive(2)] == [1, 1]
            assert sorted(host_of(frame) for frame in right.receive(6)) == [2, 2, 3, 3, 3, 3]
            counters = settled(program, 4)
            assert (counters.copies, counters.sent, counters.drops) == (4, 8, {})

    unit.inside(check)


def test_a_fork_may_change_under_traffic(unit: Rig) -> None:
    wan, left, right = unit.veth("wan"), unit.veth("left"), unit.veth("right")
    tables = tables_for(["wan", "left", "right"], {5000: fork(1)})
    for number, device in enumerate(("left", "right", "right"), 1):
        add_channel(tables, number, receiver(device, number))
    tables.fork |= {ForkKey(1, 0): ForkBranch(1), ForkKey(1, 1): ForkBranch(2)}

    def check() -> None:
        with steering(unit, tables) as program:
            for round_ in range(40):
                program.insert("fork", ForkKey(1, 1), ForkBranch(2 + round_ % 2))
                for _ in range(5):
                    wan.send(datagram(5000))
            assert len(left.receive(200)) == 200
            frames = [host_of(frame) for frame in right.receive(200)]
            assert len(frames) == 200
            assert set(frames) == {2, 3}
            assert settled(program, 200).drops == {}
            program.delete("fork", ForkKey(1, 1))
            wan.send(datagram(5000))
            assert len(left.receive(1)) == 1
            assert settled(program, 201).sent == 401
            assert program.rows().fork == {ForkKey(1, 0): ForkBranch(1)}

    unit.inside(check)


def test_a_copy_that_is_too_big_for_one_branch_is_dropped_there_by_name(unit: Rig) -> None:
    wan, left, right = unit.veth("wan"), unit.veth("left"), unit.veth("right")
    unit.run("ip", "link", "set", "right", "mtu", "1000")
    tables = tables_for(["wan", "left", "right"], {5000: fork(1)})
    add_channel(tables, 1, receiver("left", 1))
    add_channel(tables, 2, receiver("right", 2, mtu=1000))
    tables.fork |= {ForkKey(1, 0): ForkBranch(1), ForkKey(1, 1): ForkBranch(2)}

    def check() -> None:
        with steering(unit, tables) as program:
            wan.send(datagram(5000, b"x" * 1200))
            assert [host_of(frame) for frame in left.receive(1)] == [1]
            assert settled(program, 1).drops == {Drop.TOO_BIG: 1}
            assert right.rest() == []

    unit.inside(check)


@pytest.mark.req("D18")
def test_one_write_moves_the_traffic_of_a_dead_unit(unit: Rig) -> None:
    wan, left, right = unit.veth("wan"), unit.veth("left"), unit.veth("right")
    tables = tables_for(["wan", "left", "right"], {5000: target(1), 5001: fork(1)})
    add_channel(tables, 1, receiver("left", 1, kind=EndpointKind.NODE, unit=3))
    add_channel(tables, 2, receiver("right", 2, kind=EndpointKind.NODE, unit=4))
    tables.slot[SlotKey(100, 0)] = Slot(100, backup=200)
    tables.fork[ForkKey(1, 0)] = ForkBranch(1)
    tables.unit |= {3: Unit(True), 4: Unit(True)}

    def check() -> None:
        with steering(unit, tables) as program:
            for port in (5000, 5001):
                wan.send(datagram(port))
            assert [host_of(frame) for frame in left.receive(2)] == [1, 1]
            program.set_alive(3, False)
            for port in (5000, 5001):
                wan.send(datagram(port))
            assert [host_of(frame) for frame in right.receive(2)] == [2, 2]
            program.set_alive(4, False)
            wan.send(datagram(5000))
            assert settled(program, 5).drops == {Drop.NO_LIVE_ENDPOINT: 1}
            program.set_alive(3, True)
            wan.send(datagram(5000))
            assert [host_of(frame) for frame in left.receive(1)] == [1]

    unit.inside(check)


def test_tags_are_pushed_and_popped(unit: Rig) -> None:
    wan, lan = unit.veth("wan"), unit.veth("lan")
    tables = tables_for(["lan"], {5000: target(1), 5001: target(2)})
    for vlan in (0, 5):
        tables.link[LinkKey("wan", vlan)] = replace(tables.link[LinkKey("lan")], kind=LinkKind.OUTSIDE)
    add_channel(tables, 1, receiver("lan", 1))
    add_channel(tables, 2, receiver("lan", 2, vlan=7))

    def check() -> None:
        with steering(unit, tables) as program:
            for port in (5000, 5001):
                for vlan in (0, 5):
                    wan.send(datagram(port, vlan=vlan))
            frames = lan.receive(4)
            assert [host_of(frame) for frame in frames] == [1, 1, 2, 2]
            assert [frame[12:16] for frame in frames[2:]] == [b"\x81\x00\x00\x07"] * 2
            assert not any(Ether(frame).haslayer(Dot1Q) for frame in frames[:2])
            wan.send(datagram(5000, vlan=6))
            assert settled(program, 5).drops == {Drop.NO_LINK: 1}

    unit.inside(check)


def test_ethernet_padding_is_cut(unit: Rig) -> None:
    wan, lan = unit.veth("wan"), unit.veth("lan")
    tables = tables_for(["wan", "lan"], {5000: target(1), 5001: fork(1)})
    add_channel(tables, 1, receiver("lan", 1))
    tables.fork[ForkKey(1, 0)] = ForkBranch(1)

    def check() -> None:
        with steering(unit, tables):
            for port in (5000, 5001):
                wan.send(datagram(port, b"abc") + b"padding")
            assert [frame[-3:] for frame in lan.receive(2)] == [b"abc", b"abc"]

    unit.inside(check)


def test_ipv6_is_steered_and_forked_with_right_checksums(unit: Rig) -> None:
    wan, lan = unit.veth("wan"), unit.veth("lan")
    tables = tables_for(["wan", "lan"], {})
    anywhere = LinkScope.OUTSIDE
    tables.flow |= {
        wild(5000, PUBLIC6): Flow(target(1), anywhere),
        wild(5001, PUBLIC6): Flow(fork(1), anywhere),
    }
    for host in (1, 2):
        to = Socket(ip_address(f"2001:db8:1::{host}"), 9)
        add_channel(tables, host, receiver("lan", host, destination=to))
        tables.fork[ForkKey(1, host - 1)] = ForkBranch(host)

    def check() -> None:
        with steering(unit, tables) as program:
            for port in (5000, 5001):
                wan.send(datagram(port, b"odd", source=SENDER6, destination=PUBLIC6))
            found = [ends(frame) for frame in lan.receive(3)]
            assert [destination for _, _, destination, _ in found] == [f"2001:db8:1::{i}" for i in (1, 1, 2)]
            assert settled(program, 2).drops == {}

    unit.inside(check)


def test_an_outside_source_is_learnt_and_its_answer_leaves_by_the_public_address(unit: Rig) -> None:
    wan, lan = unit.veth("wan"), unit.veth("lan")
    tables = tables_for(["wan"], {5000: target(1)})
    tables.link[LinkKey("lan")] = replace(tables.link[LinkKey("wan")], kind=LinkKind.NODE)
    public = Socket(ip_address(PUBLIC), 5000)
    add_channel(tables, 1, receiver("lan", 7, kind=EndpointKind.GUEST, public=public))
    answer = datagram(1000, b"answer", source="10.9.1.7", source_port=9, destination=SENDER)

    def check() -> None:
        with steering(unit, tables) as program:
            lan.send(answer)
            assert settled(program, 1).drops == {Drop.NO_FLOW: 1}
            wan.send(datagram(5000))
            assert ends(lan.receive(1)[0]) == (SENDER, 1000, "10.9.1.7", 9)
            lan.send(answer)
            (frame,) = wan.receive(1)
            assert ends(frame) == (PUBLIC, 5000, SENDER, 1000)
            assert frame.endswith(b"answer")
            (learnt,) = program.learnt().values()
            assert (learnt.device, learnt.source) == ("wan", public)
            assert program.rows() == tables, "what was learnt is no wanted row"

    unit.inside(check)


def test_a_device_that_goes_down_is_counted(unit: Rig) -> None:
    wan, lan = unit.veth("wan"), unit.veth("lan")
    tables = tables_for(["wan", "lan"], {5000: target(1), 5001: fork(1)})
    for number in (1, 2):
        add_channel(tables, number, receiver("lan", number))
        tables.fork[ForkKey(1, number - 1)] = ForkBranch(number)

    def check() -> None:
        with steering(unit, tables) as program:
            unit.run("ip", "link", "set", "lan", "down")
            for port in (5000, 5000, 5001):
                wan.send(datagram(port))
            counters = settled(program, 3)
            assert counters.drops == {Drop.DEVICE_DROP: 4}
            assert (counters.sent, counters.copies) == (4, 1)
            assert lan.rest() == []

    unit.inside(check)


def test_a_far_end_that_stops_taking_frames_is_counted(unit: Rig) -> None:
    wan, lan = unit.veth("wan"), unit.veth("lan")
    tables = tables_for(["wan", "lan"], {5000: target(1), 5001: fork(1)})
    add_channel(tables, 1, receiver("lan", 1))
    tables.fork[ForkKey(1, 0)] = ForkBranch(1)

    def check() -> None:
        with steering(unit, tables) as program:
            unit.run("ethtool", "-K", "lan-far", "gro", "off")
            for port in (5000, 5001):
                wan.send(datagram(port))
            assert settled(program, 2).drops == {Drop.DEVICE_DROP: 2}
            assert lan.rest() == []

    unit.inside(check)


def test_a_full_tap_is_counted(unit: Rig) -> None:
    wan = unit.veth("wan")
    unit.run("ip", "tuntap", "add", "tap", "mode", "tap")
    unit.run("ip", "link", "set", "tap", "up")
    tables = tables_for(["wan"], {5000: target(1)})
    add_channel(tables, 1, receiver("tap", 1))
    queue = 100

    def check() -> None:
        file = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        try:
            fcntl.ioctl(file, 0x400454CA, struct.pack("16sH22x", b"tap", 0x1002))
            unit.run("ip", "link", "set", "tap", "txqueuelen", str(queue))
            with steering(unit, tables) as program:
                for _ in range(3 * queue):
                    wan.send(datagram(5000))
                counters = settled(program, 3 * queue)
                refused = counters.drops.get(Drop.DEVICE_DROP, 0)
                arrived = 0
                while True:
                    try:
                        os.read(file, 4096)
                    except BlockingIOError:
                        break
                    arrived += 1
                assert refused > 0
                assert (counters.sent, arrived) == (3 * queue, 3 * queue - refused)
        finally:
            os.close(file)

    unit.inside(check)


def test_a_device_that_would_lose_frames_is_refused_with_the_remedy(unit: Rig) -> None:
    unit.veth("wan"), unit.veth("deaf", gro=False)
    unit.veth("small")
    unit.run("ip", "link", "set", "small", "mtu", "1000")
    unit.veth("closed")
    unit.run("ip", "link", "set", "closed", "down")

    def check() -> None:
        with SteeringProgram.load(pin_directory=None) as program:
            for device, message in {
                "deaf": "deaf takes no redirected frames.*gro on",
                "small": "small: MTU 1000 is below the 1500 bytes",
                "closed": "closed is down; ip link set closed up",
                "none": "no network device none",
            }.items():
                with pytest.raises(Unavailable, match=message):
                    program.insert("endpoint", 1, receiver(device, 1))
            program.insert("endpoint", 1, receiver("small", 1, mtu=1000))

    unit.inside(check)


def test_what_a_neighbour_left_as_metadata_is_not_taken_for_a_copy(unit: Rig) -> None:
    """Two units in a row; the first one's copies reach the second by a veth, with their metadata gone."""
    wan, lan = unit.veth("wan"), unit.veth("lan")
    unit.run("ip", "link", "add", "near", "type", "veth", "peer", "name", "next")
    for device in ("near", "next"):
        unit.run("ip", "link", "set", device, "address", str(OWN), "up")
        unit.run("ethtool", "-K", device, "gro", "on")
    unit.wires["next"] = wan
    tables = tables_for(["wan", "lan", "next"], {5000: fork(1), 6000: fork(2), 6001: fork(2)})
    for copy in range(2):
        to = Socket(ip_address(PUBLIC), 6000 + copy)
        add_channel(tables, copy + 1, receiver("near", 1, destination=to, destination_mac=OWN))
        tables.fork[ForkKey(1, copy)] = ForkBranch(copy + 1)
        add_channel(tables, copy + 3, receiver("lan", copy + 3))
        tables.fork[ForkKey(2, copy)] = ForkBranch(copy + 3)

    def check() -> None:
        try:
            with steering(unit, tables) as program:
                wan.send(datagram(5000))
                assert [host_of(frame) for frame in lan.receive(4)] == [3, 4, 3, 4]
                counters = settled(program, 3)
                assert (counters.received, counters.copies, counters.drops) == (3, 3, {})
        finally:
            del unit.wires["next"]

    unit.inside(check)


def test_hashing_spreads_flows_and_keeps_each_in_place(unit: Rig) -> None:
    wan, lan = unit.veth("wan"), unit.veth("lan")
    tables = tables_for(["wan", "lan"], {5000: target(1)})
    add_channel(tables, 1, *(receiver("lan", host) for host in range(1, 5)), selector=Selector.HASH)

    def check() -> None:
        with steering(unit, tables):
            for _ in range(2):
                for port in range(2000, 2064):
                    wan.send(datagram(5000, source_port=port))
            frames = lan.receive(128)
            by_flow: dict[int, set[int]] = {}
            for frame in frames:
                by_flow.setdefault(ends(frame)[1], set()).add(host_of(frame))
            assert len(by_flow) == 64
            assert all(len(hosts) == 1 for hosts in by_flow.values())
            assert set().union(*by_flow.values()) == {1, 2, 3, 4}

    unit.inside(check)


def test_an_unknown_channel_is_no_rule(unit: Rig) -> None:
    wan = unit.veth("wan")
    tables = tables_for(["wan"], {5000: target(1), 5001: fork(3), 5002: target(2)})
    tables.channel[2] = Channel(Selector.ZERO, 0, 9, 1)

    def check() -> None:
        with steering(unit, tables) as program:
            for port in (5000, 5001, 5002):
                wan.send(datagram(port))
            assert settled(program, 3).drops == {Drop.NO_RULE: 3}

    unit.inside(check)
