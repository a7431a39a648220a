"""Making pieces of the intermediate language: expression trees, and scopes that hold only what is needed."""

from __future__ import annotations

from phonepl import ir, traversal
from phonepl.syntax import Span
from phonepl.types import Type


def tree(operator: str, left: ir.Expression, right: ir.Expression, kind: Type) -> ir.Expression:
    """`left operator right`, of whose value nothing is known yet."""
    return ir.Binary(operator, left, right, kind, ir.WHOLE[kind])


def unary(operator: str, operand: ir.Expression) -> ir.Expression:
    """`operator operand`, likewise."""
    return (
        negated(operand)
        if operator == "!"
        else ir.Unary(operator, operand, operand.type, ir.WHOLE[operand.type])
    )


def result_type(operator: str, left: ir.Expression, right: ir.Expression) -> Type:
    """The type in which a compound assignment computes."""
    if operator in ("<<", ">>", ">>>") or left.type is Type.BOOLEAN:
        return left.type
    return Type.LONG if Type.LONG in (left.type, right.type) else Type.INT


def length_of(source: ir.Expression) -> ir.Expression:
    """The length of a String or Packet."""
    if isinstance(source, ir.Constant):
        assert isinstance(source.value, bytes)
        return ir.Constant(len(source.value), Type.INT)
    assert isinstance(source, ir.Local)
    return ir.Length(source, ir.WHOLE[source.type])


def converted(value: ir.Expression, kind: Type) -> ir.Expression:
    """The number as `kind`; anything else as it is."""
    if value.type is kind or not kind.is_number:
        return value
    return ir.Convert(value, kind, ir.WHOLE[kind])


_OPPOSITE = {"==": "!=", "!=": "==", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}


def negated(value: ir.Expression) -> ir.Expression:
    """The boolean's opposite, without piling up `!`."""
    match value:
        case ir.Constant():
            return ir.Constant(not value.value, Type.BOOLEAN)
        case ir.Unary(operator="!"):
            return value.operand
        case ir.Binary() if value.operator in _OPPOSITE:
            return ir.Binary(_OPPOSITE[value.operator], value.left, value.right, Type.BOOLEAN, ir.Range(0, 1))
    return ir.Unary("!", value, Type.BOOLEAN, ir.Range(0, 1))


def scope(label: str, body: ir.Block, span: Span) -> ir.Block:
    """`body` in a Scope, or bare when nothing leaves it but at its very end."""
    body = _without_last_leave(body, label)
    if any(
        isinstance(statement, ir.Leave) and statement.label == label for statement in traversal.walk(body)
    ):
        return (ir.Scope(label, body, span),)
    return body


def _without_last_leave(body: ir.Block, label: str) -> ir.Block:
    if not body:
        return body
    last = body[-1]
    if isinstance(last, ir.Leave) and last.label == label:
        return _without_last_leave(body[:-1], label)
    if isinstance(last, ir.If):
        then = _without_last_leave(last.then, label)
        otherwise = _without_last_leave(last.otherwise, label)
        if (then, otherwise) != (last.then, last.otherwise):
            return (*body[:-1], ir.If(last.condition, then, otherwise, last.span))
    if isinstance(last, ir.Scope):
        inner = _without_last_leave(last.body, label)
        if inner != last.body:
            return (*body[:-1], ir.Scope(last.label, inner, last.span))
    return body
