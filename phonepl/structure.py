"""Passes over the structure of handlers: dead code, counting puts, unrolling, and code without jumps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from phonepl import ir, traversal
from phonepl.ir import Range
from phonepl.trees import scope
from phonepl.types import Type


def without_copies(handler: ir.Handler) -> ir.Handler:
    """The handler without locals that are set once, to another local that is set once.

    As every local is set before it is read, a copy has its original's value wherever it is read. Only for
    code before unrolling, which copies the statements that set a local.
    """
    sets: dict[str, int] = {}
    originals: dict[str, ir.Local] = {}
    for statement in traversal.walk(handler.body):
        if target := traversal.written(statement):
            sets[target.name] = sets.get(target.name, 0) + 1
            if isinstance(statement, ir.Set) and isinstance(statement.value, ir.Local):
                originals[target.name] = statement.value

    def original(local: ir.Local) -> ir.Local:
        while (
            local.name in originals and sets[local.name] == 1 and sets.get(originals[local.name].name, 0) <= 1
        ):
            local = originals[local.name]
        return local

    return replace(handler, body=_renamed(handler.body, original))


def _renamed(block: ir.Block, rename: Callable[[ir.Local], ir.Local]) -> ir.Block:
    """The block with the locals that it reads renamed."""
    out: list[ir.Statement] = []
    for s in block:
        match s:
            case ir.Set():
                out.append(replace(s, value=traversal.substituted(s.value, rename)))
            case ir.Load():
                out.append(replace(s, index=traversal.substituted(s.index, rename)))
            case ir.Store():
                index, value = traversal.substituted(s.index, rename), traversal.substituted(s.value, rename)
                out.append(replace(s, index=index, value=value))
            case ir.Update():
                index, operand = (
                    traversal.substituted(s.index, rename),
                    traversal.substituted(s.operand, rename),
                )
                out.append(replace(s, index=index, operand=operand))
            case ir.Put():
                out.append(replace(s, packet=rename(s.packet)))
            case ir.TrapIf():
                out.append(replace(s, condition=traversal.substituted(s.condition, rename)))
            case ir.If():
                condition = traversal.substituted(s.condition, rename)
                then, otherwise = _renamed(s.then, rename), _renamed(s.otherwise, rename)
                out.append(replace(s, condition=condition, then=then, otherwise=otherwise))
            case ir.Scope() | ir.Loop():
                out.append(replace(s, body=_renamed(s.body, rename)))
            case ir.Leave():
                out.append(s)
    return tuple(out)


_DEAD_CODE_ROUNDS = 12
"""Rounds of dropping what nothing reads; longer chains of dead code stay, so that the time stays linear."""


def without_dead_code(handler: ir.Handler) -> ir.Handler:
    """The handler without locals that nothing reads.

    Tests stand on their own, so what is dropped has no effect.
    """
    for last in (*[False] * _DEAD_CODE_ROUNDS, True):
        read: set[str] = set()
        for statement in traversal.walk(handler.body):
            for value in traversal.reads(statement):
                read |= traversal.locals_in(value)
        body = _without_unread(handler.body, read)
        if last or body == handler.body:
            locals_ = tuple(
                local for local in handler.locals if local.name in read or local.name == handler.packet.name
            )
            return replace(handler, locals=locals_)
        handler = replace(handler, body=body)
    raise AssertionError


def _without_unread(block: ir.Block, read: set[str]) -> ir.Block:
    out: list[ir.Statement] = []
    for statement in block:
        match statement:
            case ir.Set() | ir.Load() if statement.target.name not in read:
                continue
            case ir.Update() if statement.target is not None and statement.target.name not in read:
                out.append(replace(statement, target=None))
            case ir.If():
                then, otherwise = (
                    _without_unread(statement.then, read),
                    _without_unread(statement.otherwise, read),
                )
                if then or otherwise:
                    out.append(replace(statement, then=then, otherwise=otherwise))
            case ir.Scope():
                out.extend(scope(statement.label, _without_unread(statement.body, read), statement.span))
            case ir.Loop():
                out.append(replace(statement, body=_without_unread(statement.body, read)))
            case _:
                out.append(statement)
    return tuple(out)


def with_puts_counted(handler: ir.Handler) -> ir.Handler:
    """The handler with `maximum_puts` and every Put's `is_last`."""
    body, _ = _marked(handler.body, False, {})
    return replace(handler, body=body, maximum_puts=_puts(body))


def _puts(block: ir.Block) -> int:
    count = 0
    for statement in block:
        match statement:
            case ir.Put():
                count += 1
            case ir.If():
                count += max(_puts(statement.then), _puts(statement.otherwise))
            case ir.Scope():
                count += _puts(statement.body)
            case ir.Loop():
                count += statement.bound * _puts(statement.body)
    return count


def _marked(block: ir.Block, follows: bool, behind: dict[str, bool]) -> tuple[ir.Block, bool]:
    """The block with its last puts marked, and whether a put may come once control is at its beginning.

    `follows`: may a put come behind the block? `behind`: the same for the end of each enclosing label.
    """
    out: list[ir.Statement] = []
    for statement in reversed(block):
        match statement:
            case ir.Put():
                out.append(replace(statement, is_last=not follows))
                follows = True
            case ir.Leave():
                follows = behind[statement.label]
                out.append(statement)
            case ir.If():
                then, first = _marked(statement.then, follows, behind)
                otherwise, second = _marked(statement.otherwise, follows, behind)
                out.append(replace(statement, then=then, otherwise=otherwise))
                follows = first or second
            case ir.Scope():
                body, follows = _marked(statement.body, follows, {**behind, statement.label: follows})
                out.append(replace(statement, body=body))
            case ir.Loop():
                again = follows or _puts(statement.body) > 0
                body, _ = _marked(statement.body, again, {**behind, statement.label: follows})
                out.append(replace(statement, body=body))
                follows = again
            case _:
                out.append(statement)
    return tuple(reversed(out)), follows


def size(block: ir.Block) -> int:
    """The number of statements, nested ones included; loops once."""
    return sum(1 for _ in traversal.walk(block))


def unrolled(handler: ir.Handler, most: int) -> ir.Handler:
    """The handler with copies instead of each loop whose copies make at most `most` statements.

    Innermost loops first. Labels of the copies are made unique; locals are shared, since a copy sets what
    it reads.
    """
    return replace(handler, body=_unroll(handler.body, most))


def _unroll(block: ir.Block, most: int) -> ir.Block:
    out: list[ir.Statement] = []
    for statement in block:
        match statement:
            case ir.If():
                then, otherwise = _unroll(statement.then, most), _unroll(statement.otherwise, most)
                out.append(replace(statement, then=then, otherwise=otherwise))
            case ir.Scope():
                out.append(replace(statement, body=_unroll(statement.body, most)))
            case ir.Loop():
                body = _unroll(statement.body, most)
                if statement.bound * size(body) > most:
                    out.append(replace(statement, body=body))
                    continue
                copies: list[ir.Statement] = []
                for turn in range(statement.bound):
                    copies.extend(_relabelled(body, f"_{turn}"))
                out.extend(scope(statement.label, tuple(copies), statement.span))
            case _:
                out.append(statement)
    return tuple(out)


def _relabelled(block: ir.Block, suffix: str) -> ir.Block:
    """The block with the labels that it defines renamed."""
    inner = {s.label for s in traversal.walk(block) if isinstance(s, ir.Scope | ir.Loop)}

    def renamed(statements: ir.Block) -> ir.Block:
        out: list[ir.Statement] = []
        for s in statements:
            match s:
                case ir.If():
                    out.append(replace(s, then=renamed(s.then), otherwise=renamed(s.otherwise)))
                case ir.Scope() | ir.Loop():
                    out.append(replace(s, label=s.label + suffix, body=renamed(s.body)))
                case ir.Leave() if s.label in inner:
                    out.append(replace(s, label=s.label + suffix))
                case _:
                    out.append(s)
        return tuple(out)

    return renamed(block)


def without_leaves(handler: ir.Handler) -> ir.Handler:
    """The handler without Scope and Leave, for targets that cannot jump. Loops must be unrolled before.

    What stands behind a branch that leaves becomes its other side; where that is not enough, a boolean
    local says whether control has left. Raises ValueError if a loop remains.
    """
    flags: dict[str, ir.Local] = {}
    body, _ = _straight(handler.body, flags)
    used = traversal.read_in(body)
    kept = {flag.name: flag for flag in flags.values() if flag.name in used}
    start = tuple(ir.Set(flag, ir.Constant(False, Type.BOOLEAN), handler.span) for flag in kept.values())
    body = _without_sets(body, {flag.name for flag in flags.values()} - set(kept))
    return replace(handler, body=(*start, *body), locals=(*handler.locals, *kept.values()))


def _without_sets(block: ir.Block, names: set[str]) -> ir.Block:
    out: list[ir.Statement] = []
    for s in block:
        match s:
            case ir.Set() if s.target.name in names:
                continue
            case ir.If():
                out.append(
                    replace(s, then=_without_sets(s.then, names), otherwise=_without_sets(s.otherwise, names))
                )
            case _:
                out.append(s)
    return tuple(out)


def _flag(label: str, flags: dict[str, ir.Local]) -> ir.Local:
    return flags.setdefault(label, ir.Local(f"left_{label}", Type.BOOLEAN, Range(0, 1)))


def _straight(block: ir.Block, flags: dict[str, ir.Local]) -> tuple[ir.Block, set[str]]:
    """The block without jumps, and the labels that it may leave to (whose flags are then true)."""
    out: list[ir.Statement] = []
    for position, statement in enumerate(block):
        rest = block[position + 1 :]
        match statement:
            case ir.Leave():
                out.append(
                    ir.Set(_flag(statement.label, flags), ir.Constant(True, Type.BOOLEAN), statement.span)
                )
                return tuple(out), {statement.label}
            case ir.Loop():
                raise ValueError(f"loop {statement.label} is not unrolled")
            case ir.Scope():
                body, left = _straight(statement.body, flags)
                out.extend(body)
                beyond = left - {statement.label}
                if beyond:
                    return _guarded(out, beyond, rest, flags, statement)
            case ir.If():
                then, first = _straight(statement.then, flags)
                otherwise, second = _straight(statement.otherwise, flags)
                if not first and not second:
                    out.append(replace(statement, then=then, otherwise=otherwise))
                    continue
                if _always_leaves(statement.then) and not second:
                    behind, beyond = _straight((*statement.otherwise, *rest), flags)
                    out.append(replace(statement, then=then, otherwise=behind))
                    return tuple(out), first | beyond
                if _always_leaves(statement.otherwise) and not first:
                    behind, beyond = _straight((*statement.then, *rest), flags)
                    out.append(replace(statement, then=behind, otherwise=otherwise))
                    return tuple(out), second | beyond
                out.append(replace(statement, then=then, otherwise=otherwise))
                return _guarded(out, first | second, rest, flags, statement)
            case _:
                out.append(statement)
    return tuple(out), set()


def _guarded(
    out: list[ir.Statement], left: set[str], rest: ir.Block, flags: dict[str, ir.Local], at: ir.If | ir.Scope
) -> tuple[ir.Block, set[str]]:
    """`rest` only where none of the labels was left to."""
    behind, beyond = _straight(rest, flags)
    if behind:
        gone: ir.Expression | None = None
        for label in sorted(left):
            flag = _flag(label, flags)
            gone = flag if gone is None else ir.Binary("||", gone, flag, Type.BOOLEAN, Range(0, 1))
        assert gone is not None
        out.append(ir.If(ir.Unary("!", gone, Type.BOOLEAN, Range(0, 1)), behind, (), at.span))
    return tuple(out), left | beyond


def _always_leaves(block: ir.Block) -> bool:
    return bool(block) and isinstance(block[-1], ir.Leave)
