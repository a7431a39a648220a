"""The front door: source text to checked program to intermediate language."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from phonepl import ir, structure
from phonepl.checker import check
from phonepl.lowering import lower
from phonepl.parser import MAXIMUM_BYTES, decode, parse
from phonepl.ranges import analyze
from phonepl.types import Checked

UNROLLED_STATEMENTS = 96
"""Loops whose copies make at most so many statements are unrolled for every target."""


@dataclass(frozen=True)
class Compiled:
    """A program that is right, ready for any target."""

    checked: Checked
    program: ir.Program
    optimized: bool

    @property
    def file(self) -> str:
        return self.checked.file

    @property
    def source(self) -> str:
        return self.checked.source


def read_source(path: Path) -> str:
    """The text of a file; raises ProgramError where it is not UTF-8, OSError where it cannot be read."""
    with path.open("rb") as file:
        return decode(file.read(MAXIMUM_BYTES + 1), str(path))


def check_source(source: str, file: str = "<source>") -> Checked:
    """The program with its types; raises ProgramError with all that is wrong with them."""
    # The passes recurse over the tree, whose depth the parser has bounded (syntax.Program.MAXIMUM_DEPTH).
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 20_000))
    return check(parse(source, file), source, file)


def compile_source(source: str, file: str = "<source>", optimize: bool = True) -> Compiled:
    """The program in the intermediate language; raises ProgramError where it is wrong in any way.

    Without `optimize` every test stays, also those that can be decided (`--no-opt`).
    """
    checked = check_source(source, file)
    # Whether loops end is judged on the program as written: it must not depend on what can be folded.
    program = analyze(lower(checked), source, file, fold=False)
    if optimize:
        program = analyze(program, source, file, fold=True)
        program = optimized(program, checked)
    handlers = tuple(structure.with_puts_counted(handler) for handler in program.handlers)
    return Compiled(checked, replace(program, handlers=handlers), optimize)


def optimized(program: ir.Program, checked: Checked, unroll: int = UNROLLED_STATEMENTS) -> ir.Program:
    """The program with short loops unrolled, what is decided folded, and dead code dropped."""
    handlers = tuple(structure.without_copies(handler) for handler in program.handlers)
    handlers = tuple(structure.without_dead_code(handler) for handler in handlers)
    handlers = tuple(structure.unrolled(handler, unroll) for handler in handlers)
    program = analyze(replace(program, handlers=handlers), checked.source, checked.file, fold=True)
    handlers = tuple(structure.without_dead_code(handler) for handler in program.handlers)
    return replace(program, handlers=handlers)
