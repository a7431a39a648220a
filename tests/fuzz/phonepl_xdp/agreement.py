"""Does a program mean on XDP what it means by the interpreter? Packet by packet, arrays included."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from ebpf.bpf import Map
from phonepl import ir
from phonepl.compiler import Compiled
from phonepl.targets import Arrival
from phonepl.targets.interpreter import Interpreter
from phonepl.targets.xdp.limits import MAXIMUM_FRONT, SHORTEST
from phonepl.targets.xdp.package import ArrayLayout
from phonepl.targets.xdp.program import XdpProgram, load
from phonepl.targets.xdp.runner import run_loaded


def check_agreement(
    compiled: Compiled, arrivals: Sequence[Arrival], *, frags: bool = False, memory: bool | None = None
) -> None:
    """AssertionError where the targets differ beyond the limits that docs/phonepl/targets.md states."""
    truth = Interpreter(compiled.checked)
    loaded = load(compiled, run=True, frags=frags, memory=memory)
    try:
        for number, arrival in enumerate(arrivals):
            expected = truth.handle(arrival.stream, arrival.data, arrival.timestamp)
            outcome = run_loaded(loaded, [arrival])
            found = [(d.stream, d.data) for d in outcome.departures]
            puts, drops = list(expected.puts), list(expected.drops)
            for put in expected.puts:
                size = len(put[1])
                lost = put not in found and size > MAXIMUM_FRONT
                if size < SHORTEST or lost:
                    puts.remove(put)
                    drops.append(ir.TARGET_LIMIT)
            counted = {kind: drops.count(kind) for kind in ir.DROPS}
            assert (found, outcome.drops) == (puts, counted), f"packet {number}: {arrival.data.hex()}"
        for array in loaded.manifest.arrays:
            assert _elements(loaded, array) == truth.arrays[array.name], array.name
    finally:
        loaded.close()


def _elements(loaded: XdpProgram, array: ArrayLayout) -> list[int | bytes]:
    held: Map | None = loaded.maps.get(f"array_{array.name}")
    if held is None:  # nothing uses it
        return [b"" if array.element == "String" else 0] * array.length
    return [_element(held, array, index) for index in range(array.length)]


def _element(held: Map, array: ArrayLayout, index: int) -> int | bytes:
    raw = held.lookup(struct.pack("=I", index)) or b""
    if array.element == "String":
        (length,) = struct.unpack_from("=I", raw, 4)
        return raw[8 : 8 + length]
    size = 4 if array.element == "int" else 8
    return int.from_bytes(raw[-size:], "little", signed=True)
