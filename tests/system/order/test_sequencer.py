"""A real sequencer behind the real steering program."""

from __future__ import annotations

import os
import random
import signal
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from controller.steering.model import (
    Channel,
    Endpoint,
    EndpointKind,
    Flow,
    Link,
    LinkKey,
    LinkKind,
    LinkScope,
    Mac,
    Selector,
    Slot,
    SlotKey,
    Socket,
)
from ebpf.loader import SteeringProgram
from tests.system.ebpf.rig import PATIENCE, PUBLIC, Rig, datagram, receiver, settled, tables_for, target, wild
from vmhost.order.rules import Merge, Order, OrderedOutput, Sequencer, Token
from vmhost.order.sequencers import Sequencers, end_all
from vmhost.vm.rundir import Process

pytestmark = pytest.mark.root

IN, ORDERED = 7001, 7002
NEAR = Mac.parse("02:00:00:00:00:10")
DEVICE = "dpn-o1"
PLENTY = 3_000_000_000
"""Nanoseconds: a window that even a busy machine keeps. The first packet of a stream waits for all of it."""


def output(order: Order = Order.WINDOW, window_ns: int = PLENTY, merge: Merge = Merge.NONE) -> OrderedOutput:
    return OrderedOutput("high", ORDERED, Token.RTP, order, window_ns, merge, 2)


@dataclass
class Setup:
    """A unit that sends what comes in by ``lan``, port IN, through a sequencer to a receiver there."""

    unit: Rig
    program: SteeringProgram
    sequencers: Sequencers
    make: Callable[[], Sequencers]
    spec: Sequencer

    def start(self, spec: Sequencer) -> None:
        self.unit.inside(lambda: self.sequencers.start(spec))

    def install(self) -> None:
        """As the agent does it once the sequencer runs."""
        tables = tables_for(["lan"], {IN: target(1), ORDERED: target(2)})
        tables.link[LinkKey(DEVICE)] = Link(LinkKind.NODE, NEAR)
        tables.flow[wild(IN)] = Flow(target(1), LinkScope.OUTSIDE)
        tables.flow[wild(ORDERED)] = Flow(target(2), LinkScope.NODE)
        back = Socket(ip_address(PUBLIC), ORDERED)
        to_sequencer = Endpoint(EndpointKind.NODE, DEVICE, NEAR, NEAR, back)
        for channel, endpoint in ((1, to_sequencer), (2, receiver("lan", 1))):
            tables.channel[channel] = Channel(Selector.ZERO, 0, 100 * channel, 1)
            tables.slot[SlotKey(100 * channel, 0)] = Slot(100 * channel)
            tables.endpoint[100 * channel] = endpoint

        def work() -> None:
            self.program.attach("lan")
            self.program.attach(DEVICE)
            self.program.apply(tables)

        self.unit.inside(work)

    def send(self, sequences: list[int], payload: bytes = b"") -> None:
        for frame in [datagram(IN, rtp(sequence, payload)) for sequence in sequences]:
            self.unit.wires["lan"].send(frame)

    def receive(self, count: int) -> list[int]:
        return [sequence_of(frame) for frame in self.unit.wires["lan"].receive(count)]

    def counts(self) -> dict[str, int]:
        (found,) = self.unit.inside(self.sequencers.counts)
        assert found.running
        return {**found.outputs[0].counts, **found.losses}

    def wait_for(self, name: str, value: int) -> dict[str, int]:
        end = time.monotonic() + PATIENCE
        while (found := self.counts())[name] < value:
            assert time.monotonic() < end, found
        return found

    def pid(self) -> int:
        """Of the only process that runs for this unit."""
        (mine,) = [path for path in Path("/proc").glob("[0-9]*") if self._is_mine(path)]
        return int(mine.name)

    def _is_mine(self, process: Path) -> bool:
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            namespace = (process / "ns" / "net").stat().st_ino
        except OSError:
            return False
        mine = Path("/run/netns", self.unit.namespace).stat().st_ino
        return namespace == mine and b"sequencer-" in words[0]


def rtp(sequence: int, payload: bytes = b"") -> bytes:
    return struct.pack("!BBHII", 0x80, 96, sequence & 0xFFFF, 0, 1) + payload


def sequence_of(frame: bytes) -> int:
    payload: bytes = Ether(frame)[Raw].load
    return int(struct.unpack_from("!H", payload, 2)[0])


@pytest.fixture
def setup(unit: Rig, pins: Path, cache: Path, tmp_path: Path) -> Iterator[Setup]:
    unit.veth("lan")
    program = unit.inside(lambda: SteeringProgram.load(pin_directory=None))

    def make() -> Sequencers:
        return Sequencers(tmp_path, pins, cache)

    spec = Sequencer(1, DEVICE, str(NEAR), (output(),))
    try:
        yield Setup(unit, program, make(), make, spec)
    finally:
        unit.inside(lambda: end_all(tmp_path, pins))
        unit.inside(lambda: program.close(unpin=False))
    assert not list(tmp_path.glob("order*")) and not list(pins.glob("order*"))


@pytest.mark.req("A35")
def test_shuffled_packets_leave_in_order(setup: Setup) -> None:
    setup.start(setup.spec)
    setup.install()
    sequences = list(range(400))
    for start in range(0, 400, 40):
        some = sequences[start : start + 40]
        random.Random(start).shuffle(some)
        sequences[start : start + 40] = some
    setup.send(sequences)
    assert setup.receive(400) == list(range(400))
    found = setup.counts()
    assert found["arrived"] == found["released"] == 400 and found["held"] == 0
    assert found["depth_before"] > 5 and found["depth_after"] == 0 and found["reordered_after"] == 0
    assert found["delay_ns"] > 0 and found["late_released"] == found["bypassed"] == found["overrun"] == 0
    counted = settled(setup.program, 800)
    assert (counted.received, counted.sent) == (800, 800)


def test_a_missing_packet_is_waited_for_no_longer_than_the_window(setup: Setup) -> None:
    setup.start(replace(setup.spec, outputs=(output(window_ns=20_000_000),)))
    setup.install()
    setup.send([0, 1, 3, 4])
    assert setup.receive(4) == [0, 1, 3, 4]
    found = setup.wait_for("timeouts", 1)
    assert found["timeouts"] == 1 and found["delay_most_ns"] >= 20_000_000
    setup.send([2])
    assert setup.receive(1) == [2]
    assert setup.counts()["late_released"] == 1


def test_strict_drops_late_packets_by_name(setup: Setup) -> None:
    setup.start(replace(setup.spec, outputs=(output(Order.STRICT, 20_000_000),)))
    setup.install()
    setup.send([0, 2])
    assert setup.receive(2) == [0, 2]
    setup.send([1, 3])
    assert setup.receive(1) == [3]
    assert setup.wait_for("late_dropped", 1)["late_dropped"] == 1


def test_of_duplicates_the_first_goes_on_and_disagreements_are_counted(setup: Setup) -> None:
    setup.start(replace(setup.spec, outputs=(output(Order.NONE, PLENTY, Merge.FIRST),)))
    setup.install()
    setup.send([1, 1, 2])
    setup.send([2], b"another")
    assert setup.receive(2) == [1, 2]
    found = setup.wait_for("duplicates", 2)
    assert found["disagreements"] == 1 and found["released"] == 2


def test_what_carries_no_token_goes_on(setup: Setup) -> None:
    setup.start(setup.spec)
    setup.install()
    setup.unit.wires["lan"].send(datagram(IN, b"no RTP"))
    assert len(setup.unit.wires["lan"].receive(1)) == 1
    assert setup.counts()["unordered"] == 1


def test_packets_go_on_unordered_while_the_sequencer_is_dead(setup: Setup) -> None:
    setup.start(setup.spec)
    setup.install()
    setup.send([0, 2])  # one of them waits
    setup.wait_for("arrived", 2)
    os.kill(setup.pid(), signal.SIGKILL)
    end = time.monotonic() + PATIENCE
    while setup.unit.inside(setup.sequencers.counts)[0].running:
        assert time.monotonic() < end
    before = setup.unit.wires["lan"].rest()
    setup.send([4, 3])
    assert setup.receive(2) == [4, 3]
    assert setup.unit.inside(setup.sequencers.revive) == [1]
    setup.send([6, 5])
    assert setup.receive(2) == [5, 6]
    found = setup.counts()
    assert found["bypassed"] == 2 and found["lost"] == 2 - len(before)
    assert found["arrived"] == 4 and found["released"] == 2 + len(before)


def test_another_agent_takes_the_sequencer_over(setup: Setup) -> None:
    setup.start(setup.spec)
    setup.install()
    pid = setup.pid()
    setup.sequencers = setup.make()
    assert setup.unit.inside(setup.sequencers.adopt) == [setup.spec]
    setup.start(setup.spec)
    assert setup.pid() == pid
    setup.send([1, 0])
    assert setup.receive(2) == [0, 1] and setup.counts()["arrived"] == 2


def test_another_order_is_another_process(setup: Setup) -> None:
    setup.start(setup.spec)
    pid = setup.pid()
    setup.start(replace(setup.spec, outputs=(output(Order.STRICT),)))
    assert setup.pid() != pid and Process.of(pid) is None
