"""Programs as P4 can take them: without loops and jumps, and so parted that every path knows what it puts."""

from __future__ import annotations

from dataclasses import dataclass, replace

from phonepl import ir, structure, traversal
from phonepl.compiler import Compiled, optimized
from phonepl.ranges import analyze
from phonepl.targets.p4.limits import COPIED, STATEMENTS
from phonepl.targets.p4.refusals import Refused
from phonepl.types import Type


def straight(compiled: Compiled) -> ir.Program:
    """Handlers of nothing but Set, Load, Store, Update, Put, TrapIf and If.

    An If that holds a put, or that gives a Packet to a variable which is read behind it, is the last
    statement of its block: what stood behind it is in both of its branches. Raises Refused.
    """
    program = compiled.program
    for handler in program.handlers:
        _require_short_loops(handler.body)
    if compiled.optimized:
        program = optimized(program, compiled.checked, unroll=STATEMENTS)
    handlers = tuple(_parted(structure.unrolled(handler, 1 << 30)) for handler in program.handlers)
    program = replace(program, handlers=handlers)
    program = analyze(program, compiled.source, compiled.file, fold=compiled.optimized)
    if compiled.optimized:
        program = replace(program, handlers=tuple(map(structure.without_dead_code, program.handlers)))
    return replace(program, handlers=tuple(map(structure.with_puts_counted, program.handlers)))


def _parted(handler: ir.Handler) -> ir.Handler:
    """Without jumps: by copies of what is jumped to if that is not much, else by variables that tell."""
    try:
        return replace(handler, body=_Parting(COPIED).parted(handler.body))
    except _TooLarge:
        pass
    jumpless = structure.without_leaves(handler)
    try:
        return replace(jumpless, body=_Parting(STATEMENTS).parted(jumpless.body))
    except _TooLarge:
        raise Refused(
            handler.span,
            f"a method of more than {STATEMENTS} statements",
            "loops become copies, and paths that put different packets are written apart",
            "put packets, and set Packet variables, at the end of as few branches as possible",
        ) from None


def _require_short_loops(block: ir.Block) -> None:
    for statement in traversal.walk(block):
        if (
            isinstance(statement, ir.Loop)
            and (size := statement.bound * _unrolled(statement.body)) > STATEMENTS
        ):
            raise Refused(
                statement.span,
                f"a loop of up to {statement.bound - 1} turns",
                f"P4 has no loops, and {size} statements in a row are more than {STATEMENTS}",
                "lower the limit, or move the loop to a program on XDP",
            )


def _unrolled(block: ir.Block) -> int:
    """Statements, every turn of a loop counted."""
    count = 0
    for statement in block:
        count += 1
        match statement:
            case ir.If():
                count += _unrolled(statement.then) + _unrolled(statement.otherwise)
            case ir.Scope():
                count += _unrolled(statement.body)
            case ir.Loop():
                count += statement.bound * _unrolled(statement.body)
    return count


class _TooLarge(Exception):
    """More statements than there may be."""


@dataclass(frozen=True)
class _Behind:
    """What follows a block: `label` names the scope that ends there, if one does."""

    label: str | None
    rest: ir.Block
    outer: _Behind | None


class _Parting:
    """Writes what follows a decision into both of its branches.

    Namely behind every branch that leaves a scope, so that no jump remains, and behind those that put, or
    give a Packet to a variable that is read later.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0

    def parted(self, block: ir.Block, behind: _Behind | None = None) -> ir.Block:
        """The block and all that follows it; raises _TooLarge."""
        out: list[ir.Statement] = []
        while True:
            for position, statement in enumerate(block):
                rest = block[position + 1 :]
                match statement:
                    case ir.Scope():
                        return (*out, *self.parted(statement.body, _Behind(statement.label, rest, behind)))
                    case ir.Leave():
                        while behind is not None and behind.label != statement.label:
                            behind = behind.outer
                        assert behind is not None, statement.label
                        return (*out, *self.parted(behind.rest, behind.outer))
                    case ir.If():
                        self._counted()
                        decides = (rest or behind) and self._decides(statement, rest, behind)
                        follows = _Behind(None, rest, behind) if decides else None
                        then = self.parted(statement.then, follows)
                        otherwise = self.parted(statement.otherwise, follows)
                        out.append(replace(statement, then=then, otherwise=otherwise))
                        if decides:
                            return tuple(out)
                    case _:
                        self._counted()
                        out.append(statement)
                        if isinstance(statement, ir.TrapIf) and statement.condition == _TRUE:
                            return tuple(out)
            if behind is None:
                return tuple(out)
            block, behind = behind.rest, behind.outer

    def _counted(self) -> None:
        self._count += 1
        if self._count > self._most:
            raise _TooLarge

    def _decides(self, statement: ir.If, rest: ir.Block, behind: _Behind | None) -> bool:
        """Do the branches leave, put, or set Packets that are read later?"""
        set_here: set[str] = set()
        inner_labels: set[str] = set()
        for inner in traversal.walk((statement,)):
            match inner:
                case ir.Put():
                    return True
                case ir.Scope():
                    inner_labels.add(inner.label)
                case ir.Leave() if inner.label not in inner_labels:
                    return True
                case ir.Set() if inner.target.type is Type.PACKET:
                    set_here.add(inner.target.name)
        while set_here:
            if set_here & traversal.read_in(rest):
                return True
            if behind is None:
                break
            rest, behind = behind.rest, behind.outer
        return False


_TRUE = ir.Constant(True, Type.BOOLEAN)
