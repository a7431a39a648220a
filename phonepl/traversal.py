"""What statements and expressions of the intermediate language are made of, read and change."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any, TypeVar

from phonepl import ir


def walk(block: ir.Block) -> Iterator[ir.Statement]:
    """Every statement of a block, those nested in it included, in order."""
    for statement in block:
        yield statement
        match statement:
            case ir.If():
                yield from walk(statement.then)
                yield from walk(statement.otherwise)
            case ir.Scope() | ir.Loop():
                yield from walk(statement.body)


def operands(value: ir.Expression | ir.Operation) -> tuple[ir.Expression, ...]:
    """What an expression or operation is made of, one level down."""
    match value:
        case ir.Length():
            return (value.of,)
        case ir.Unary() | ir.Convert() | ir.OfNumber():
            return (value.operand,)
        case ir.Binary() | ir.Equals():
            return (value.left, value.right)
        case ir.ReadNumber():
            return (value.source, value.offset)
        case ir.Substring() | ir.Subpacket():
            return (value.source, value.begin, value.end)
        case ir.Concat():
            return value.parts
        case ir.NewPacket():
            return (*value.parts, value.tail) if value.tail else value.parts
    return ()


_Value = TypeVar("_Value", bound="ir.Expression | ir.Operation")


def substituted(value: _Value, rename: Callable[[ir.Local], ir.Local]) -> _Value:
    """The expression or operation with every local replaced by what `rename` makes of it."""
    if isinstance(value, ir.Local):
        return rename(value)  # type: ignore[return-value]
    changed: dict[str, Any] = {}
    for field in fields(value):
        part = getattr(value, field.name)
        if isinstance(part, ir.Local | ir.Length | ir.Unary | ir.Binary | ir.Convert):
            changed[field.name] = substituted(part, rename)
        elif isinstance(part, tuple):
            changed[field.name] = tuple(substituted(each, rename) for each in part)
    return replace(value, **changed) if changed else value


def reads(statement: ir.Statement) -> tuple[ir.Expression | ir.Operation, ...]:
    """The expressions that a statement evaluates itself (not those of nested statements)."""
    match statement:
        case ir.Set():
            return (statement.value,)
        case ir.Load():
            return (statement.index,)
        case ir.Store():
            return (statement.index, statement.value)
        case ir.Update():
            return (statement.index, statement.operand)
        case ir.Put():
            return (statement.packet,)
        case ir.If() | ir.TrapIf():
            return (statement.condition,)
    return ()


def written(statement: ir.Statement) -> ir.Local | None:
    """The local that a statement sets, if any."""
    match statement:
        case ir.Set() | ir.Load():
            return statement.target
        case ir.Update():
            return statement.target
    return None


def locals_in(value: ir.Expression | ir.Operation) -> set[str]:
    """The names of all locals that an expression or operation mentions."""
    if isinstance(value, ir.Local):
        return {value.name}
    found: set[str] = set()
    for operand in operands(value):
        found |= locals_in(operand)
    return found


def read_in(block: ir.Block) -> set[str]:
    """The names of all locals that a block reads."""
    return {name for statement in walk(block) for value in reads(statement) for name in locals_in(value)}


def written_in(block: ir.Block) -> set[str]:
    """The names of all locals that a block sets."""
    return {target.name for statement in walk(block) if (target := written(statement))}
