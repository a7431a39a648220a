"""The interpreter, which walks the tree, against the intermediate language, executed in each of its
stages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given

from phonepl import ir, structure, syntax
from phonepl.compiler import Compiled, compile_source, optimized
from phonepl.formatter import format_source
from phonepl.parser import parse
from phonepl.printing import printed
from phonepl.ranges import analyze
from phonepl.representation import representations
from phonepl.targets import Arrival
from phonepl.targets.interpreter import Interpreter
from tests.fuzz.phonepl.machine import Machine
from tests.fuzz.phonepl.programs import Features, packets, program_from_seed, programs, seeds


def _interpreted(compiled: Compiled, packets: list[Arrival]) -> tuple[list[object], object]:
    program = Interpreter(compiled.checked)
    handled = [program.handle(p.stream, p.data, p.timestamp) for p in packets]
    return [(h.puts, h.drops) for h in handled], program.arrays


def _executed(program: ir.Program, packets: list[Arrival]) -> tuple[list[object], object]:
    machine = Machine(program)
    return [machine.handle(p.stream, p.data, p.timestamp) for p in packets], machine.arrays


def _without_jumps(compiled: Compiled) -> ir.Program:
    """As a target without jumps and loops gets it."""
    program = optimized(compiled.program, compiled.checked, unroll=100_000)
    handlers = tuple(
        structure.with_puts_counted(structure.without_leaves(structure.unrolled(handler, 1 << 30)))
        for handler in program.handlers
    )
    return analyze(replace(program, handlers=handlers), compiled.source, compiled.file, fold=False)


REGRESSIONS = sorted((Path(__file__).parent / "regressions").glob("*.phonepl"))
"""Programs that once came out wrong, shrunken."""


def _check(source: str, arrivals: list[Arrival]) -> None:
    plain, compiled = compile_source(source, optimize=False), compile_source(source)
    truth = _interpreted(compiled, arrivals)
    assert _executed(plain.program, arrivals) == truth
    assert _executed(compiled.program, arrivals) == truth
    assert _executed(_without_jumps(compiled), arrivals) == truth


@pytest.mark.req("P62")
@given(source=programs(), seed=seeds)
def test_the_compiler_keeps_the_meaning(source: str, seed: int) -> None:
    _check(source, packets(seed))


@pytest.mark.req("P62")
@pytest.mark.parametrize("hundred", range(3))
def test_the_compiler_keeps_the_meaning_of_a_hundred_programs(hundred: int) -> None:
    for seed in range(hundred * 100, hundred * 100 + 100):
        _check(program_from_seed(seed), packets(seed))


@pytest.mark.parametrize("hundred", range(2))
def test_the_compiler_keeps_the_meaning_of_loops(hundred: int) -> None:
    features = Features(varied_loops=True, statements=3)
    for seed in range(hundred * 100, hundred * 100 + 100):
        _check(program_from_seed(seed, features), packets(seed))


@pytest.mark.parametrize("path", REGRESSIONS, ids=lambda path: path.stem)
def test_what_once_came_out_wrong(path: Path) -> None:
    _check(path.read_text(encoding="utf-8"), packets(7))


@given(source=programs())
def test_every_generated_program_can_be_explained_and_printed(source: str) -> None:
    for optimize in (True, False):
        compiled = compile_source(source, optimize=optimize)
        assert printed(compiled.program)
        for handler in compiled.program.handlers:
            uses = representations(handler, optimize)
            assert all(use.kinds for use in uses)
            assert optimize or all(use.checked for use in uses)


@given(source=programs())
def test_formatting_changes_nothing_but_the_layout(source: str) -> None:
    once = format_source(source)
    assert format_source(once) == once

    def shape(text: str) -> list[str]:
        return [line.split(" @")[0] for line in syntax.dump(parse(text)).split("\n")]

    assert shape(once) == shape(source)
