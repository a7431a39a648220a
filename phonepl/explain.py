"""`explain`: how packets are held, which tag checks remain, what memory is touched, and what a method
costs."""

from __future__ import annotations

from phonepl import ir, traversal
from phonepl.compiler import Compiled
from phonepl.representation import HEAD, Representation, Use, representations
from phonepl.types import Type

_ARRAY_COST = 12
_PUT_COST = 20


def explain(compiled: Compiled) -> str:
    """The report as text, one part a handler."""
    parts = [f"{compiled.file}: {compiled.program.name}{'' if compiled.optimized else ', not optimised'}"]
    parts += [_handler(handler, compiled) for handler in compiled.program.handlers]
    if not compiled.program.handlers:
        parts.append("no stream's packets go to a method")
    return "\n\n".join(parts) + "\n"


def _handler(handler: ir.Handler, compiled: Compiled) -> str:
    uses = representations(handler, compiled.optimized)
    lines = [f"{handler.method}, packets of {handler.stream}"]
    rows = [(f"{u.span.line}:{u.span.column}", _source(u, compiled), _held(u), _check(u)) for u in uses]
    rows.insert(
        0,
        (
            f"{handler.span.line}:{handler.span.column}",
            handler.packet.name,
            "cached or mixed",
            "tag on input",
        ),
    )
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        lines.append("  " + "  ".join(row[c].ljust(widths[c]) for c in range(3)) + f"  {row[3]}".rstrip())
    checks = sum(use.checked for use in uses)
    lines.append(f"  tag checks that remain: {checks} of {len(uses)}")
    lines.append(f"  tests of range and divisor that remain: {_traps(handler.body)}")
    lines.append(f"  memory touched: {_memory(handler, uses)}")
    _, most = _cost(handler.body)
    lines.append(f"  estimated cost: at most {most} steps a packet, puts at most {handler.maximum_puts}")
    return "\n".join(lines)


def _source(use: Use, compiled: Compiled) -> str:
    span = use.span
    line = compiled.source.split("\n")[span.line - 1]
    end = span.end_column - 1 if span.end_line == span.line else len(line)
    text = " ".join(line[span.column - 1 : end].split())
    return text if len(text) <= 44 else text[:43] + "…"


def _names(kinds: frozenset[Representation]) -> str:
    return " or ".join(kind.value for kind in Representation if kind in kinds) or "never reached"


def _held(use: Use) -> str:
    held = _names(use.kinds)
    return f"{held} → {_names(use.result)}" if use.result else held


def _check(use: Use) -> str:
    notes = ["tag checked" if use.checked else "resolved"]
    if use.operation == "put":
        notes.append("untagged on output")
    if not use.stays_fast:
        notes.append(f"may read beyond the first {HEAD} bytes")
    return ", ".join(notes)


def _traps(block: ir.Block) -> int:
    return sum(isinstance(statement, ir.TrapIf) for statement in traversal.walk(block))


def _memory(handler: ir.Handler, uses: tuple[Use, ...]) -> str:
    reads = [use.last_byte for use in uses if use.last_byte is not None]
    said = [f"packet bytes 0..{max(reads)}" if reads else "no byte of the packet"]
    arrays: dict[str, ir.Array] = {}
    for statement in traversal.walk(handler.body):
        if isinstance(statement, ir.Load | ir.Store | ir.Update):
            arrays[statement.array.name] = statement.array
    if arrays:
        listed = ", ".join(f"{a.name} ({_bytes(a)} B)" for a in arrays.values())
        said.append(f"arrays {listed}")
    said.append(
        "slow memory never" if all(use.stays_fast for use in uses) else f"maybe what lies behind byte {HEAD}"
    )
    return "; ".join(said)


def _bytes(array: ir.Array) -> int:
    return array.length * {Type.INT: 4, Type.LONG: 8, Type.STRING: 65}[array.element]


def _cost(block: ir.Block) -> tuple[int, int]:
    """Least and most steps: one for arithmetic on one word, more for arrays and puts; a coarse measure."""
    least = most = 0
    for statement in block:
        low = high = 0
        match statement:
            case ir.Set():
                low, high = _value_cost(statement.value)
            case ir.Load() | ir.Store() | ir.Update():
                low = high = _ARRAY_COST
            case ir.Put():
                low = high = _PUT_COST
            case ir.TrapIf():
                low = high = 1
            case ir.If():
                then, otherwise = _cost(statement.then), _cost(statement.otherwise)
                low, high = 1 + min(then[0], otherwise[0]), 1 + max(then[1], otherwise[1])
            case ir.Scope():
                low, high = 0, _cost(statement.body)[1]
            case ir.Loop():
                low, high = 1, statement.bound * _cost(statement.body)[1]
        least, most = least + low, most + high
    return least, most


def _value_cost(value: ir.Expression | ir.Operation) -> tuple[int, int]:
    match value:
        case ir.Substring() | ir.Concat():
            return 1 + value.range.low // 8, 1 + value.range.high // 8
        case ir.Equals():
            shorter = min(value.left.range.high, value.right.range.high)
            return 1, 1 + shorter // 8
        case ir.NewPacket():
            least, most = sum(p.range.low for p in value.parts), sum(p.range.high for p in value.parts)
            return 2 + least // 8, 2 + most // 8
        case ir.Subpacket():
            return 2, 2
    return 1, 1
