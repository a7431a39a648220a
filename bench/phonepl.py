"""Phonepl on XDP against the same programs written by hand in C: ns, by size, lines, time to compile."""

from __future__ import annotations

import contextlib
import os
import re
import statistics
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest.mock import patch

from bench.lab import CPU
from bench.registry import Goal, Result, interleaved, measurement, noise
from ebpf.bpf import Map, MapType, ProgramType, close_all, run_program
from ebpf.compiler import compile
from phonepl.compiler import compile_source
from phonepl.targets.xdp.program import HAS_FRAGS, XdpProgram, load

EXAMPLES = Path(__file__).parent.parent / "examples" / "phonepl"
SOURCE = Path(__file__).with_name("phonepl.bpf.c")
HEADERS = 56
SIZES = (64, 1500, 9000)
ROUNDS, WARM, REPEAT = 21, 20_000, 200_000
GOAL, ALIKE, LINES, SECONDS = 1.05, 0.15, 1 / 3, 0.5
PLATFORM = bytes.fromhex("02000000000b02000000000a88b5") + bytes(8)
ETHERNET = bytes.fromhex("0200000000010200000000020800")


@dataclass(frozen=True)
class Case:
    """A handler, in Phonepl and by hand; `change`: bytes that it deletes in front (adds if negative)."""

    name: str
    program: str
    stream: str
    by_hand: str
    change: int
    headers: bytes = ETHERNET


CASES = (
    Case("pass_through", "pass_through", "NetStream1", "forward", 0),
    Case("add_mac", "add_rem_mac", "NetStream1", "process1", -14),
    Case("delete_mac", "add_rem_mac", "NetStream2", "process2", 14, ETHERNET * 2),
    Case("timestamp_insert", "timestamp_insert", "Terminal", "insert", -22),
    Case("timestamp_exit", "timestamp_exit", "Network", "take", 22, PLATFORM + ETHERNET),
)


@contextlib.contextmanager
def by_hand(program: str, functions: tuple[str, ...]) -> Iterator[tuple[dict[str, int], dict[str, Map]]]:
    """The hand-written program's descriptors and maps."""
    code = compile(EXAMPLES / "handwritten" / f"{program}.bpf.c", functions, flags=("-fno-strict-aliasing",))
    kinds = {"tx": (MapType.DEVMAP, 8), "drops": (MapType.PERCPU_ARRAY, 8), "delays": (MapType.ARRAY, 1)}
    maps = {
        name: Map.create(name, kinds[name][0], 4, layout.value_size, kinds[name][1])
        for name, layout in code.maps.items()
    }
    loaded: dict[str, int] = {}
    try:
        for function in functions:
            loaded[function] = code.load(function, ProgramType.XDP, maps)
        yield loaded, maps
    finally:
        close_all(list(loaded.values()))
        for each in maps.values():
            each.close()


def compiled(program: str, frags: bool = False) -> XdpProgram:
    """An example, in the kernel; `frags`: for packets in several pieces."""
    path = EXAMPLES / f"{program}.phonepl"
    return load(compile_source(path.read_text(encoding="utf-8"), path.name), frags=frags)


class Bench:
    """Runs one program over fresh packets, on one core."""

    def __init__(self, frags: bool = False) -> None:
        self.maps = {
            "packet": Map.create("packet", MapType.ARRAY, 4, 8 + HEADERS, 1),
            "target": Map.create("target", MapType.PROG_ARRAY, 4, 4, 1),
        }
        code = compile(SOURCE, ("fresh", "stub", "change"), flags=("-DFRAGS",) if frags else ())
        flags = HAS_FRAGS if frags else 0
        self.programs = {
            name: code.load(name, ProgramType.XDP, self.maps, flags=flags) for name in code.functions
        }

    def run(self, program: int, case: Case, size: int) -> float:
        """ns of this thread's own time per packet, with what makes the packet."""
        packet = case.headers.ljust(size, b"\x5a")
        head = packet[:HEADERS]
        self.maps["packet"].update(bytes(4), struct.pack("=Ii", size, case.change) + head)
        self.maps["target"].update(bytes(4), struct.pack("=i", program))
        run_program(self.programs["fresh"], packet, repeat=WARM)
        start = time.thread_time_ns()
        run_program(self.programs["fresh"], packet, repeat=REPEAT)
        return (time.thread_time_ns() - start) / REPEAT

    def close(self) -> None:
        close_all(list(self.programs.values()))
        for each in self.maps.values():
            each.close()


@measurement
def phonepl() -> Iterator[Result]:
    """Nanoseconds against C and by size, lines, time to compile."""
    yield from _lines()
    yield from _compile_time()
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {CPU})
    try:
        for case in CASES:
            yield _nanoseconds(case)
        for case in CASES[:3]:
            yield _by_size(case)
    finally:
        os.sched_setaffinity(0, before)


def _nanoseconds(case: Case) -> Result:
    bench = Bench()
    try:
        with compiled(case.program) as ours, by_hand(case.program, (case.by_hand,)) as (theirs, maps):
            for tx in (ours.maps["tx"], maps["tx"]):
                for stream in range(2):
                    tx.update(struct.pack("=I", stream), struct.pack("=II", 1, 0))
            size = 128
            contenders: dict[str, Callable[[], float]] = {
                "stub": partial(bench.run, bench.programs["stub"], case, size),
                "change": partial(bench.run, bench.programs["change"], case, size),
                "phonepl": partial(bench.run, ours.functions[case.stream], case, size),
                "by hand": partial(bench.run, theirs[case.by_hand], case, size),
            }
            values = interleaved(contenders, ROUNDS)
            assert not any(ours.drops().values()), ours.drops()
    finally:
        bench.close()
    middle = {name: statistics.median(found) for name, found in values.items()}
    spent = middle["stub"]
    if case.change:
        spent += (middle["change"] - middle["stub"]) / 2
    mine, c = middle["phonepl"] - spent, middle["by hand"] - spent
    conditions = (
        f"BPF_PROG_RUN net of what makes the packet, 128 B, medians of {ROUNDS} interleaved rounds of "
        f"{REPEAT}, raw noise ±{noise(values['phonepl']):.1%}"
    )
    return Result(
        f"phonepl_{case.name}_to_c",
        mine / c,
        "×",
        Goal("<=", GOAL),
        {"Phonepl ns": mine, "C ns": c},
        conditions,
    )


def _by_size(case: Case) -> Result:
    """Nanoseconds of a long packet against a short one: the payload is not touched, so they are alike."""
    bench = Bench(frags=True)
    try:
        with compiled(case.program, frags=True) as ours:
            for stream in range(2):
                ours.maps["tx"].update(struct.pack("=I", stream), struct.pack("=II", 1, 0))
            contenders: dict[str, Callable[[], float]] = {}
            for size in SIZES:
                ours_here = ours.functions[case.stream]
                contenders[f"stub {size}"] = partial(bench.run, bench.programs["stub"], case, size)
                contenders[f"phonepl {size}"] = partial(bench.run, ours_here, case, size)
            values = interleaved(contenders, ROUNDS)
            assert not any(ours.drops().values()), ours.drops()
    finally:
        bench.close()
    spent = {
        size: statistics.median(
            mine - stub for mine, stub in zip(values[f"phonepl {size}"], values[f"stub {size}"], strict=True)
        )
        for size in SIZES
    }
    return Result(
        f"phonepl_{case.name}_9000_to_64",
        spent[SIZES[-1]] / spent[SIZES[0]],
        "×",
        Goal("<=", 1 + ALIKE),
        {f"{size} B ns": value for size, value in spent.items()},
        f"BPF_PROG_RUN of the multi-buffer build, less a stub of the same round (not what puts the packet "
        f"back), medians of {ROUNDS} interleaved rounds of {REPEAT}; 9000 B lie in several pieces",
    )


def _code_lines(text: str) -> int:
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
    return sum(1 for line in text.split("\n") if line.strip())


def _lines() -> Iterator[Result]:
    for program in sorted({case.program for case in CASES}):
        mine = _code_lines((EXAMPLES / f"{program}.phonepl").read_text(encoding="utf-8"))
        c = _code_lines((EXAMPLES / "handwritten" / f"{program}.bpf.c").read_text(encoding="utf-8"))
        yield Result(
            f"phonepl_{program}_lines_to_c",
            mine / c,
            "×",
            Goal("<=", LINES),
            {"Phonepl lines": mine, "C lines": c},
            "lines that are neither empty nor comments",
        )


def _compile_time() -> Iterator[Result]:
    for program in ("add_rem_mac", "timestamp_restore"):
        times = []
        for _ in range(5):
            with tempfile.TemporaryDirectory() as cache, patch.dict(os.environ, {"XDG_CACHE_HOME": cache}):
                start = time.perf_counter()
                compiled(program).close()
                times.append(time.perf_counter() - start)
        yield Result(
            f"phonepl_{program}_to_loaded",
            statistics.median(times),
            "s",
            Goal("<=", SECONDS),
            conditions=f"source to verified programs, cold cache, median of 5, noise ±{noise(times):.1%}",
        )
