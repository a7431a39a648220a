"""The program in the kernel outlives, and is replaced under, the process that loaded it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from controller.steering.drops import Drop
from controller.steering.model import (
    Binding,
    BindingKey,
    EndpointKind,
    Flow,
    FlowKey,
    ForkBranch,
    ForkKey,
    Link,
    LinkKey,
    LinkKind,
    LinkScope,
    Peer,
    PeerKey,
    Socket,
    Tables,
    Unit,
    Unmatched,
)
from dipronn.errors import Unavailable
from ebpf import devices
from ebpf.layout import EVENT_FRAME, LINK_FORK
from ebpf.loader import SteeringProgram
from ebpf.maps import BPFFS, mount_bpffs
from ebpf.outcome import Verdict
from tests.system.ebpf.rig import (
    FAR,
    OWN,
    PUBLIC,
    SENDER,
    Rig,
    add_channel,
    datagram,
    fork,
    host_of,
    receiver,
    settled,
    tables_for,
    target,
    wild,
)

pytestmark = pytest.mark.root


@pytest.fixture
def pins(prefix: str) -> Iterator[Path]:
    mount_bpffs()
    folder = BPFFS / f"{prefix}pins"
    yield folder
    assert not folder.exists(), "close(unpin=True) leaves no pin"


def many_rows() -> Tables:
    """Every table, some rows in both families."""
    tables = tables_for(["wan", "lan"], {5000: target(1), 5001: fork(1), 5002: fork(2)})
    six = Socket(ip_address("2001:db8::2"), 5000)
    tables.flow[FlowKey(17, six)] = Flow(target(1), LinkScope.OUTSIDE)
    tables.link[LinkKey("lan", 8)] = Link(
        LinkKind.GUEST,
        OWN,
        Unmatched.DROP,
        3,
        FAR,
        (six.address, ip_address("100.64.0.5")),
        (ip_address("fd00::1"),),
    )
    for number in range(1, 5):
        add_channel(tables, number, receiver("lan", number))
    for copy in range(3):
        tables.fork |= {ForkKey(1, copy): ForkBranch(copy + 1), ForkKey(2, copy): ForkBranch(9)}
    tables.binding[BindingKey(LinkKey("lan", 8), six)] = Binding(fork(1))
    remote = Socket(ip_address("2001:db8::9"), 9)
    tables.peer[PeerKey(six, remote)] = Peer("wan", 3, OWN, FAR, remote)
    tables.unit |= {1: Unit(True), 2: Unit(False)}
    return tables


def test_what_is_applied_is_read_back_and_nothing_else(unit: Rig) -> None:
    unit.veth("wan"), unit.veth("lan")
    tables = many_rows()

    def check() -> None:
        with SteeringProgram.load(pin_directory=None) as program:
            program.apply(tables)
            assert program.rows() == tables
            fewer = Tables(link=tables.link, unit={2: Unit(True)}, endpoint={100: tables.endpoint[200]})
            program.apply(fewer)
            assert program.rows() == fewer
            program.apply(tables)
            assert program.rows() == tables
            for table, key, _ in list(tables.rows()):
                program.delete(table, key)
                program.delete(table, key)
            assert program.rows() == Tables()

    unit.inside(check)


LOAD_AND_LEAVE = """
import sys
from pathlib import Path
from ebpf.loader import SteeringProgram
from tests.system.ebpf.rig import add_channel, receiver, tables_for, target, fork
from controller.steering.model import ForkBranch, ForkKey
program = SteeringProgram.load(pin_directory=Path(sys.argv[1]))
tables = tables_for(["wan", "lan"], {5000: target(1), 5001: fork(1)})
for copy in range(2):
    add_channel(tables, copy + 1, receiver("lan", copy + 1))
    tables.fork[ForkKey(1, copy)] = ForkBranch(copy + 1)
program.apply(tables)
for device in ("wan", "lan"):
    program.attach(device)
"""


@pytest.mark.req("D18")
def test_traffic_goes_on_without_the_process_and_the_next_one_adopts_everything(
    unit: Rig, pins: Path
) -> None:
    wan, lan = unit.veth("wan"), unit.veth("lan")
    enter = ["nsenter", f"--net=/run/netns/{unit.namespace}"]
    subprocess.run([*enter, sys.executable, "-c", LOAD_AND_LEAVE, str(pins)], check=True)
    wan.send(datagram(5000))
    wan.send(datagram(5001))
    assert [host_of(frame) for frame in lan.receive(3)] == [1, 1, 2]

    def check() -> None:
        with SteeringProgram.load(pin_directory=pins) as program:
            assert settled(program, 2).sent == 3, "counters survive"
            held = program.rows()
            assert len(held.flow) == 2
            assert len(held.fork) == 2
            program.apply(held)
            for device in ("wan", "lan"):
                program.attach(device)
            wan.send(datagram(5001))
            assert [host_of(frame) for frame in lan.receive(2)] == [1, 2]
            unit.run("ip", "link", "set", "lan", "down")
            wan.send(datagram(5000))
            assert settled(program, 4).drops == {Drop.DEVICE_DROP: 1}, "losses are watched once, not twice"
        assert devices.attached_xdp(devices.index_of("wan")) is None

    unit.inside(check)


def test_pins_of_another_kind_are_refused_with_the_remedy(unit: Rig, pins: Path, prefix: str) -> None:
    def check() -> None:
        with SteeringProgram.load(pin_directory=pins) as program:
            other = replace(program.sizes, flow=program.sizes.flow // 2)
            with pytest.raises(
                Unavailable, match=r"flow4 was made by another version.*take the old unit down"
            ):
                SteeringProgram.load(pin_directory=pins, sizes=other)
            assert program.rows() == Tables()

    unit.inside(check)


def test_another_namespace_is_refused_instead_of_taking_another_device(unit: Rig, pins: Path) -> None:
    unit.veth("wan")
    program = unit.inside(lambda: SteeringProgram.load(pin_directory=pins))
    try:
        with pytest.raises(Unavailable, match="another network namespace"):
            program.attach("lo")
        with pytest.raises(Unavailable, match="serve another network namespace"):
            SteeringProgram.load(pin_directory=pins)
    finally:
        unit.inside(lambda: program.close(unpin=True))


def test_the_program_is_replaced_under_traffic_without_losing_a_packet(unit: Rig, pins: Path) -> None:
    wan, lan = unit.veth("wan"), unit.veth("lan")
    tables = tables_for(["wan", "lan"], {5000: target(1), 5001: fork(1)})
    add_channel(tables, 1, receiver("lan", 1))
    tables.fork[ForkKey(1, 0)] = ForkBranch(1)
    stop = threading.Event()
    sent = 0

    def stream() -> None:
        nonlocal sent
        frames = [datagram(5000), datagram(5001)]
        while not stop.is_set():
            wan.send(frames[sent % 2])
            sent += 1
            if sent % 200 == 0:  # leave the receiver's queue its size
                stop.wait(0.001)

    def check() -> None:
        with SteeringProgram.load(pin_directory=pins) as first:
            first.apply(tables)
            for device in ("wan", "lan"):
                first.attach(device)
            sender = threading.Thread(target=stream)
            sender.start()
            try:
                arrived, identities = 0, set()
                for _ in range(8):
                    successor = SteeringProgram.load(pin_directory=pins)
                    successor.attach("wan")
                    successor.attach("lan")
                    identities.add(devices.attached_xdp(devices.index_of("wan")))
                    successor.close(unpin=False)
                    arrived += len(lan.rest())
            finally:
                stop.set()
                sender.join()
            assert len(identities) == 8, "each was another program"
            assert sent > 1000
            arrived += len(lan.receive(sent - arrived))
            assert arrived == sent
            counters = settled(first, sent)
            assert (counters.received, counters.sent, counters.drops) == (sent, sent, {})

    unit.inside(check)


def test_closing_leaves_nothing_behind(unit: Rig, pins: Path) -> None:
    unit.veth("wan"), unit.veth("lan")

    def check() -> None:
        program = SteeringProgram.load(pin_directory=pins)
        program.apply(many_rows())
        for device in ("wan", "lan"):
            program.attach(device)
        assert devices.attached_xdp(devices.index_of("wan"))
        program.close(unpin=True)
        program.close(unpin=True)
        for device in ("wan", "lan"):
            assert devices.attached_xdp(devices.index_of(device)) is None
        with pytest.raises(Unavailable):
            devices.index_of("dpn-fork")

    unit.inside(check)


def test_a_device_that_is_gone_reads_as_its_number_and_can_be_cleared(unit: Rig) -> None:
    unit.veth("wan"), unit.veth("lan")
    tables = tables_for(["wan", "lan"], {5000: target(1)})
    add_channel(tables, 1, receiver("lan", 1))

    def check() -> None:
        with SteeringProgram.load(pin_directory=None) as program:
            program.apply(tables)
            program.attach("lan")
            index = devices.index_of("lan")
            unit.run("ip", "link", "delete", "lan")
            held = program.rows()
            assert held.endpoint[100].device == f"#{index}"
            assert LinkKey(f"#{index}") in held.link
            program.detach("lan")
            program.apply(Tables(link={LinkKey("wan"): tables.link[LinkKey("wan")]}))
            assert list(program.rows().rows()) == [("link", LinkKey("wan"), tables.link[LinkKey("wan")])]

    unit.inside(check)


def test_numbers_beyond_the_tables_are_refused(unit: Rig) -> None:
    unit.veth("lan")

    def check() -> None:
        with SteeringProgram.load(pin_directory=None) as program:
            for table, key, row in (
                ("endpoint", program.sizes.endpoint, receiver("lan", 1)),
                ("endpoint", 0, receiver("lan", 1)),
                ("fork", ForkKey(program.sizes.fork, 0), ForkBranch(1)),
                ("unit", 0, Unit(True)),
            ):
                with pytest.raises(ValueError, match="numbers run from 1"):
                    program.insert(table, key, row)
            small = SteeringProgram.load(pin_directory=None, sizes=replace(program.sizes, ifindex=2))
            with (
                small,
                pytest.raises(Unavailable, match=r"lan has interface number \d+; the tables reach to 1"),
            ):
                small.attach("lan")

    unit.inside(check)


def test_a_full_table_says_which_size_to_raise(unit: Rig) -> None:
    def check() -> None:
        with SteeringProgram.load(pin_directory=None) as program:
            sizes = replace(program.sizes, flow=8)
        with SteeringProgram.load(pin_directory=None, sizes=sizes) as program:
            flows = {wild(port): Flow(target(1), LinkScope.OUTSIDE) for port in range(1, 20)}
            with pytest.raises(
                Unavailable, match=r"table flow4 takes no more rows.*8 entries, which Sizes\.flow"
            ):
                program.insert_all(Tables(flow=flows))

    unit.inside(check)


@pytest.mark.req("A57")
def test_drops_and_requests_are_told_as_events(unit: Rig) -> None:
    wan, lan = unit.veth("wan"), unit.veth("lan")
    tables = tables_for(["wan", "lan"], {})
    tables.link[LinkKey("lan")] = replace(tables.link[LinkKey("lan")], unmatched=Unmatched.REQUEST)

    def check() -> None:
        with SteeringProgram.load(pin_directory=None) as program:
            program.apply(tables)
            for device in ("wan", "lan"):
                program.attach(device)
            for port in range(20):
                wan.send(datagram(5000 + port))
            frames = [datagram(6000 + port, b"x" * 10 * port) for port in range(20)]
            for frame in frames:
                lan.send(frame)
            settled(program, 40)
            events = list(program.events())
            assert [event.reason for event in events if event.device == "wan"] == [Drop.NO_FLOW], "a sample"
            requested = [event for event in events if event.device == "lan"]
            assert [event.reason for event in requested] == [Drop.REQUESTED] * 20, "every one"
            assert [event.length for event in requested] == [len(frame) for frame in frames]
            assert [event.frame for event in requested] == [frame[:EVENT_FRAME] for frame in frames]
            assert list(program.events()) == [], "each once"

    unit.inside(check)


def test_the_test_build_sends_nothing_and_tells_what_it_did() -> None:
    names = {"wan": 3, "lan": 4}
    tables = tables_for(["wan", "lan"], {5000: target(1), 5001: fork(1)})
    add_channel(tables, 1, receiver("lan", 1))
    add_channel(tables, 2, receiver("wan", 2))
    tables.fork |= {ForkKey(1, 0): ForkBranch(1), ForkKey(1, 1): ForkBranch(2)}
    with SteeringProgram.load(pin_directory=None, trace=True, devices=names) as program:
        program.apply(tables)
        sent = program.run("wan", datagram(5000))
        assert (sent.verdict, sent.device, sent.channel, sent.endpoint) == (Verdict.REDIRECT, "lan", 1, 100)
        assert host_of(sent.frame) == 1
        forked = program.run("wan", datagram(5001))
        assert (forked.fork, forked.copies, forked.wild) == (1, 2, True)
        copy = program.run("wan", datagram(5001), copy=ForkKey(1, 1), first=forked)
        assert (copy.device, copy.channel, host_of(copy.frame)) == ("wan", 2, 2)
        assert program.run("wan", datagram(7)).reason is Drop.NO_FLOW
        with pytest.raises(ValueError, match="no frame shorter"):
            program.run("wan", b"short")
    with pytest.raises(ValueError, match="for the test build only"):
        SteeringProgram.load(pin_directory=None, devices=names)


def test_a_learnt_source_may_be_answered_for_a_minute() -> None:
    names = {"wan": 3, "lan": 4}
    tables = tables_for(["wan"], {5000: target(1)})
    tables.link[LinkKey("lan")] = replace(tables.link[LinkKey("wan")], kind=LinkKind.NODE)
    add_channel(
        tables, 1, receiver("lan", 1, kind=EndpointKind.NODE, destination=Socket(ip_address(PUBLIC), 5000))
    )
    answer = datagram(1000, source=PUBLIC, source_port=5000, destination=SENDER)
    with SteeringProgram.load(pin_directory=None, trace=True, devices=names) as program:
        program.apply(tables)
        assert program.run("lan", answer, now=100).reason is Drop.NO_FLOW
        assert program.run("wan", datagram(5000), now=100).device == "lan"
        assert program.run("lan", answer, now=160).device == "wan"
        assert program.run("lan", answer, now=160.1).reason is Drop.NO_FLOW


def test_fork_links_have_one_number_in_the_model_and_in_the_kernel() -> None:
    assert LINK_FORK == LinkKind.FORK
