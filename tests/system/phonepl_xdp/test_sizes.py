"""Packets of every size that XDP carries, in one piece and in several."""

from __future__ import annotations

import pytest

from phonepl.compiler import compile_source
from phonepl.targets import Arrival
from phonepl.targets.interpreter import TARGET as INTERPRETER
from phonepl.targets.xdp import TARGET as XDP
from phonepl.targets.xdp.attachment import Attachment
from phonepl.targets.xdp.program import load
from tests.system.ebpf.rig import Rig
from tests.unit.phonepl_xdp.test_generation import program

pytestmark = pytest.mark.root

SIZES = (14, 15, 28, 60, 255, 256, 257, 1500, 3399, 3400, 3401, 3520, 3521, 4096, 8999, 9000, 20_000, 65_535)
READS = """
    int last = i.byteAt(i.length() - 1);
    String middle = i.substring(i.length() / 2, i.length() / 2 + 4);
    outB.put(new Packet(i.substring(0, 12), String.ofByte(last), middle, i.subpacket(12)));
    outA.put(i.subpacket(0, i.length() - i.length() / 3));
    if (i.length() > 60) outB.put(i.subpacket(20));
"""


def _packet(size: int) -> bytes:
    return bytes((at * 7 + at // 251) & 255 for at in range(size))


@pytest.mark.req("P8", "P17", "P21")
@pytest.mark.parametrize("largest", [3400, 65_535], ids=["one-piece", "pieces"])
def test_every_size_means_the_same(largest: int) -> None:
    compiled = compile_source(program(READS))
    arrivals = [Arrival("NetA", n, _packet(size)) for n, size in enumerate(SIZES) if 28 <= size <= largest]
    assert XDP.run(compiled, arrivals) == INTERPRETER.run(compiled, arrivals)


def test_what_no_frame_can_hold_is_dropped() -> None:
    compiled = compile_source(program("outB.put(i);"))
    outcome = XDP.run(compiled, [Arrival("NetA", 0, bytes(65_536)), Arrival("NetA", 0, bytes(60))])
    assert outcome.drops["target_limit"] == 1 and len(outcome.departures) == 1


def _between(wires: Rig, body: str, sent: list[bytes], expected: int) -> tuple[list[bytes], int]:
    """What leaves by `port-b`, whose wires take jumbo frames, and how many puts were beyond a limit."""
    for end in ("port-a", "port-a-far", "port-b", "port-b-far"):
        wires.run("ip", "link", "set", end, "mtu", "9100")
    with load(compile_source(program(body)), frags=True) as loaded:
        bindings = {"NetA": "port-a", "NetB": "port-b"}
        attached = wires.inside(lambda: Attachment(loaded, bindings, mtu=9100))
        try:
            for frame in sent:
                wires.wires["port-a"].send(frame)
            return wires.wires["port-b"].receive(expected), loaded.drops()["target_limit"]
        finally:
            wires.inside(attached.close)


@pytest.mark.req("P68")
def test_jumbo_frames_pass_devices(wires: Rig) -> None:
    sent = [_packet(size) for size in (60, 1500, 3400, 4000, 8000, 9000)]
    body = "outB.put(new Packet(i.substring(0, 14), i.subpacket(4)));"
    received = _between(wires, body, sent, len(sent))
    assert received == ([frame[:14] + frame[4:] for frame in sent], 0)


def test_the_kernel_copies_no_frame_in_pieces(wires: Rig) -> None:
    small, large = _packet(3000), _packet(9000)
    received = _between(wires, "outB.put(i); outB.put(i.subpacket(14));", [large, small], 2)
    assert received == ([small, small[14:]], 2)
