"""The C that Phonepl is measured against does what the Phonepl programs of the same names do."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from ebpf.bpf import Map, MapType, ProgramType, close_all, run_program
from ebpf.compiler import compile
from phonepl.compiler import compile_source
from phonepl.targets.interpreter import Interpreter

pytestmark = pytest.mark.root

FOLDER = Path(__file__).parents[3] / "examples" / "phonepl"
XDP_DROP, XDP_REDIRECT = 1, 4
PLATFORM = bytes.fromhex("02000000000b02000000000a88b5") + bytes(8)
FRAMES = [bytes((7 * at + size) & 255 for at in range(size)) for size in (28, 29, 60, 61, 100, 1400)]


@pytest.mark.req("P69")
@pytest.mark.parametrize(
    ("program", "function", "stream", "front", "stamped"),
    [
        ("pass_through", "forward", "NetStream1", b"", False),
        ("pass_through", "back", "NetStream2", b"", False),
        ("add_rem_mac", "process1", "NetStream1", b"", False),
        ("add_rem_mac", "process2", "NetStream2", b"", False),
        ("timestamp_insert", "insert", "Terminal", b"", True),
        ("timestamp_exit", "take", "Network", PLATFORM, False),
        ("timestamp_exit", "take", "Network", b"", False),
        ("timestamp_exit", "report", "Control", b"", False),
    ],
)
def test_by_hand_as_by_the_compiler(
    program: str, function: str, stream: str, front: bytes, stamped: bool
) -> None:
    code = compile(FOLDER / "handwritten" / f"{program}.bpf.c", (function,), flags=("-fno-strict-aliasing",))
    kinds = {"tx": (MapType.DEVMAP, 4), "drops": (MapType.PERCPU_ARRAY, 8), "delays": (MapType.ARRAY, 1)}
    maps = {
        name: Map.create(name, kinds[name][0], 4, layout.value_size, kinds[name][1])
        for name, layout in code.maps.items()
    }
    for number in range(4):
        maps["tx"].update(struct.pack("=I", number), struct.pack("=II", 1, 0))
    descriptor = code.load(function, ProgramType.XDP, maps)
    try:
        for frame in FRAMES:
            truth = Interpreter(compile_source((FOLDER / f"{program}.phonepl").read_text()).checked)
            expected = truth.handle(stream, front + frame, 1)
            done = run_program(descriptor, front + frame)
            assert (done.verdict == XDP_REDIRECT) == bool(expected.puts)
            for _, data in expected.puts:
                made = bytearray(done.frame)
                if stamped:
                    assert any(made[14:22])
                    made[14:22] = data[14:22]
                assert bytes(made) == data
    finally:
        close_all([descriptor])
        for each in maps.values():
            each.close()
