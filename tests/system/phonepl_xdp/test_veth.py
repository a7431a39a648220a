"""Programs between real devices: real packets, real copies."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ebpf.devices import attached_xdp, index_of
from phonepl.compiler import compile_source
from phonepl.targets.interpreter import Interpreter
from phonepl.targets.xdp.attachment import Attachment
from phonepl.targets.xdp.program import XdpProgram, load
from tests.system.ebpf.rig import Rig

pytestmark = pytest.mark.root

EXAMPLES = Path(__file__).parents[3] / "examples" / "phonepl"
COPIES = """
import NetA;
import NetB;
class Copies {
  private NetStream outA, outB;
  private int[] n = new int[1];
  public Copies(NetStream a > fromA, NetStream b) { outA = a; outB = b; }
  void fromA(Packet i) {
    int count = n[0]++;
    outB.put(new Packet("first, number ", String.ofInt(count), i));
    outB.put(i);
    if ((count & 1) == 1) outA.put(new Packet("back to where it came from", i.subpacket(14)));
    outB.put(i.subpacket(4));
  }
  void main() { new Copies(new NetA(), new NetB()); }
}
"""


@contextlib.contextmanager
def between(wires: Rig, source: str, file: str = "<test>") -> Iterator[XdpProgram]:
    """The program, its first import bound to device `port-a`, its second to `port-b`."""
    compiled = compile_source(source, file)
    loaded = load(compiled)
    bindings = dict(zip(compiled.program.streams, ("port-a", "port-b"), strict=True))
    try:
        attached = wires.inside(lambda: Attachment(loaded, bindings))
        try:
            yield loaded
        finally:
            wires.inside(attached.close)
    finally:
        loaded.close()


def frames(count: int) -> list[bytes]:
    sizes = [14, 15, 60, 61, 100, 256, 257, 1000, 1400]
    return [
        bytes((7 * at + number) & 255 for at in range(sizes[number % len(sizes)])) for number in range(count)
    ]


@pytest.mark.req("P32", "P66")
def test_headers_grow_and_shrink_on_the_way(wires: Rig) -> None:
    source = (EXAMPLES / "add_rem_mac.phonepl").read_text()
    sent = frames(200)
    with between(wires, source) as loaded:
        for frame in sent:
            wires.wires["port-a"].send(frame)
        grown = wires.wires["port-b"].receive(len(sent))
        assert grown == [frame[:14] + frame for frame in sent]
        for frame in grown:
            wires.wires["port-b"].send(frame)
        assert wires.wires["port-a"].receive(len(sent)) == sent
        assert set(loaded.drops().values()) == {0}


@pytest.mark.req("P32", "P45")
def test_several_puts_are_copies_each_with_its_own_bytes(wires: Rig) -> None:
    compiled = compile_source(COPIES)
    truth = Interpreter(compiled.checked)
    sent = frames(120)
    expected: dict[str, list[bytes]] = {"NetA": [], "NetB": []}
    drops = 0
    for frame in sent:
        handled = truth.handle("NetA", frame, 0)
        for stream, data in handled.puts:
            if len(data) >= 14:
                expected[stream].append(data)
            else:
                drops += 1
    with between(wires, COPIES) as loaded:
        for frame in sent:
            wires.wires["port-a"].send(frame)
        assert wires.wires["port-b"].receive(len(expected["NetB"])) == expected["NetB"]
        assert wires.wires["port-a"].receive(len(expected["NetA"])) == expected["NetA"]
        assert loaded.drops()["target_limit"] == drops


@pytest.mark.req("P70")
def test_the_clock_is_the_kernels(wires: Rig) -> None:
    source = (EXAMPLES / "timestamp_insert.phonepl").read_text()
    sent = frames(10)
    with between(wires, source):
        before = time.clock_gettime_ns(time.CLOCK_TAI)
        for frame in sent:
            wires.wires["port-a"].send(frame)
        stamped = wires.wires["port-b"].receive(len(sent))
        after = time.clock_gettime_ns(time.CLOCK_TAI)
    assert [frame[22:] for frame in stamped] == sent
    stamps = [int.from_bytes(frame[14:22], "big") for frame in stamped]
    assert before <= stamps[0] and stamps == sorted(stamps) and stamps[-1] <= after


def test_nothing_stays_attached(wires: Rig) -> None:
    with between(wires, COPIES):
        assert wires.inside(lambda: attached_xdp(index_of("port-a"))) is not None
    assert wires.inside(lambda: attached_xdp(index_of("port-a"))) is None
