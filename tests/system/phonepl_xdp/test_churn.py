"""Tables filled and emptied again and again: nothing grows, and nothing is lost (P60, P75 are lifted)."""

from __future__ import annotations

import gc
import re
import time
import tracemalloc
from pathlib import Path

import pytest

from phonepl.compiler import Compiled, compile_source
from phonepl.targets import Arrival
from phonepl.targets.interpreter import Interpreter
from phonepl.targets.xdp.program import XdpProgram, load
from phonepl.targets.xdp.runner import run_loaded

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]

EXAMPLE = Path(__file__).parents[3] / "examples" / "phonepl" / "mac_swap.phonepl"
LINKS = 8
CREATE, DELETE = b"\x01\x00", b"\x02\x00"


def _program() -> Compiled:
    return compile_source(EXAMPLE.read_text(encoding="utf-8"), EXAMPLE.name)


def _addresses(turn: int, link: int) -> tuple[bytes, bytes]:
    number = (turn * 31 + link).to_bytes(3, "big")
    return b"\x02\x01\x00" + number, b"\x02\x02\x00" + number


def _turn(turn: int) -> list[tuple[Arrival, int]]:
    """Packets that fill the table, use it, overfill it and empty it, each with what must come of it."""
    packets: list[tuple[Arrival, int]] = []
    for link in range(LINKS + 1):
        inside, outside = _addresses(turn, link)
        packets.append((Arrival("Control", 0, inside + outside + CREATE), int(link < LINKS)))
    for link in range(LINKS):
        inside, outside = _addresses(turn, link)
        packets.append((Arrival("Inside", 0, bytes(6) + inside + bytes(20)), 1))
        packets.append((Arrival("Outside", 0, outside + bytes(26)), 1))
    stale, _ = _addresses(turn - 1, 0)
    packets.append((Arrival("Inside", 0, bytes(6) + stale + bytes(20)), 0))
    for link in range(LINKS):
        inside, outside = _addresses(turn, link)
        packets.append((Arrival("Control", 0, inside + outside + DELETE), 1))
    return packets


def _locked(loaded: XdpProgram) -> dict[str, int]:
    """Bytes of the kernel's memory that each map takes."""
    return {
        name: int(re.findall(r"memlock:\s*(\d+)", Path(f"/proc/self/fdinfo/{held.fd}").read_text())[0])
        for name, held in loaded.maps.items()
    }


def _resident() -> int:
    """Bytes of this process that lie in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def _churn(loaded: XdpProgram, turns: range) -> None:
    for turn in turns:
        for number, (arrival, puts) in enumerate(_turn(turn)):
            outcome = run_loaded(loaded, [arrival])
            assert len(outcome.departures) == puts, (turn, number)


@pytest.mark.req("P60", "P75")
def test_churn_in_the_kernel_takes_no_more_memory() -> None:
    with load(_program(), run=True) as loaded:
        _churn(loaded, range(1, 5))
        locked = _locked(loaded)
        _churn(loaded, range(5, 80))
        assert _locked(loaded) == locked
        for name in ("array_internal", "array_external"):
            for index in range(LINKS):
                raw = loaded.maps[name].lookup(index.to_bytes(4, "little")) or b""
                assert raw[4:8] == bytes(4), "an element of an emptied table has a length"


@pytest.mark.req("P60", "P75")
def test_churn_in_the_interpreter_takes_no_more_memory() -> None:
    program = Interpreter(_program().checked)

    def churn(turns: range) -> int:
        """Bytes that are held behind them."""
        for turn in turns:
            for arrival, puts in _turn(turn):
                handled = program.handle(arrival.stream, arrival.data, arrival.timestamp)
                assert len(handled.puts) == puts
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = churn(range(1, 10))
        # A byte kept for each packet would be 3,000 bytes and its object many times that.
        assert churn(range(10, 100)) - before < 64 << 10
    finally:
        tracemalloc.stop()
    assert program.arrays == {"internal": [b""] * LINKS, "external": [b""] * LINKS}


def test_programs_come_and_go_without_a_descriptor_left() -> None:
    compiled = _program()
    load(compiled, run=True).close()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        load(compiled, run=True).close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.soak
def test_an_hour_of_churn_takes_no_more_memory() -> None:
    with load(_program(), run=True) as loaded:
        _churn(loaded, range(1, 1000))
        locked, resident, end = _locked(loaded), _resident(), time.monotonic() + 3600
        turn = 1000
        while time.monotonic() < end:
            _churn(loaded, range(turn, turn + 100))
            turn += 100
        assert _locked(loaded) == locked and _resident() - resident < 16 << 20
