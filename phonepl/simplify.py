"""Local simplification of trees and operations whose operands are already simplified."""

from __future__ import annotations

from dataclasses import replace

from phonepl import arithmetic, intervals, ir, traversal
from phonepl.ir import WHOLE, Range
from phonepl.types import Type

_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


def simplified(e: ir.Expression, fold: bool) -> ir.Expression:
    """`e`, or with `fold` something simpler that always has the same value."""
    if isinstance(e, ir.Binary) and e.operator == "-":
        # (x + 6) - (x + 2) is 4 whatever x is; this is how slices at a variable offset get a known length.
        distance = _distance(e.left, e.right, e.type)
        if distance is not None:
            e = replace(e, range=Range(distance, distance))
    if not fold:
        return e
    if e.range.is_single and e.type is not Type.STRING and e.type is not Type.PACKET:
        value = e.range.low
        return ir.Constant(bool(value) if e.type is Type.BOOLEAN else value, e.type)
    if isinstance(e, ir.Binary):
        return _binary(e)
    if (
        isinstance(e, ir.Unary)
        and e.operator == "!"
        and isinstance(e.operand, ir.Unary)
        and e.operand.operator == "!"
    ):
        return e.operand.operand
    return e


def _binary(e: ir.Binary) -> ir.Expression:
    if e.operator in intervals.COMPARISONS:
        return _comparison(e)
    left, right = e.left, e.right
    if e.operator in ("&&", "||"):
        # One side is constant and does not decide, or the whole would have been folded.
        if isinstance(left, ir.Constant):
            return right
        return left if isinstance(right, ir.Constant) else e
    if isinstance(right, ir.Constant) and isinstance(right.value, int) and e.type is not Type.BOOLEAN:
        value = right.value
        if value == 0 and e.operator in ("+", "-", "|", "^", "<<", ">>", ">>>"):
            return left
        if value == 1 and e.operator in ("*", "/"):
            return left
        if e.operator == "&" and left.range.low >= 0 and value >= 0 and left.range.high & ~value == 0:
            mask = (1 << left.range.high.bit_length()) - 1
            if value & mask == mask:
                return left
        if e.operator in ("+", "-") and isinstance(left, ir.Binary) and left.operator in ("+", "-"):
            return _sum(e, left, value)
    if isinstance(left, ir.Constant) and left.value == 0 and e.operator in ("+", "|", "^"):
        return right
    return e


def _sum(e: ir.Binary, inner: ir.Binary, value: int) -> ir.Expression:
    """(x + 2) + 4 is x + 6: addition wraps, so it may be regrouped."""
    if not isinstance(inner.right, ir.Constant) or not isinstance(inner.right.value, int):
        return e
    total = inner.right.value if inner.operator == "+" else -inner.right.value
    total = arithmetic.wrap(total + (value if e.operator == "+" else -value), e.type.bits)
    if total == 0:
        return inner.left
    return ir.Binary("+", inner.left, ir.Constant(total, e.type), e.type, e.range)


def _comparison(e: ir.Binary) -> ir.Expression:
    if isinstance(e.left, ir.Constant) and not isinstance(e.right, ir.Constant):
        e = ir.Binary(_MIRRORED[e.operator], e.right, e.left, e.type, e.range)
    left, right = e.left, e.right
    if e.left.type is Type.BOOLEAN:
        return e
    same, first, second = _bases(left, right)
    if same and first is not None and second is not None:
        # x > x + 4, where neither side wraps.
        holds = arithmetic.compare(e.operator, first, second)
        return ir.Constant(holds, Type.BOOLEAN)
    # length - 4 < 30 is length < 34: small numbers do not wrap.
    if isinstance(right, ir.Constant) and isinstance(right.value, int):
        base, shift = _split(left)
        if (
            shift
            and _unwrapped(left)
            and Range(right.value - shift, right.value - shift).inside(WHOLE[left.type])
        ):
            limit = ir.Constant(right.value - shift, left.type)
            return ir.Binary(e.operator, base, limit, Type.BOOLEAN, e.range)
    return e


def _split(e: ir.Expression) -> tuple[ir.Expression, int]:
    """`e` as a base and a constant added to it."""
    match e:
        case ir.Binary(operator="+" | "-", left=base, right=ir.Constant(value=int() as value)):
            return base, value if e.operator == "+" else -value
    return e, 0


def _unwrapped(e: ir.Expression) -> bool:
    """Does a sum of a base and a constant surely not wrap?"""
    base, shift = _split(e)
    return Range(base.range.low + shift, base.range.high + shift).inside(WHOLE[e.type])


def _bases(left: ir.Expression, right: ir.Expression) -> tuple[bool, int | None, int | None]:
    """Have both sides the same base? And their constants, where they do not wrap."""
    (one, first), (other, second) = _split(left), _split(right)
    if str(one) != str(other) or isinstance(one, ir.Constant):
        return False, None, None
    return True, first if _unwrapped(left) else None, second if _unwrapped(right) else None


def _distance(left: ir.Expression, right: ir.Expression, kind: Type) -> int | None:
    (one, first), (other, second) = _split(left), _split(right)
    if str(one) != str(other):
        return None
    return arithmetic.wrap(first - second, kind.bits)


def simplified_operation(value: ir.Operation, fold: bool) -> ir.Operation | ir.Constant | ir.Local:
    """The operation with its range, or with `fold` its result if that is known."""
    match value:
        case ir.ReadNumber():
            known = Range(0, 255) if value.width == 1 else WHOLE[value.type]
            done: ir.Operation = replace(value, range=known)
        case ir.Substring() | ir.Subpacket():
            size = simplified(ir.Binary("-", value.end, value.begin, Type.INT, WHOLE[Type.INT]), False).range
            if size == WHOLE[Type.INT]:
                size = intervals.binary("-", value.end.range, value.begin.range, Type.INT)
            limit = WHOLE[value.type].meet(Range(0, value.source.range.high)) or Range(0, 0)
            done = replace(value, range=size.meet(limit) or limit)
            whole = value.begin.range == Range(0, 0) and str(value.end) == f"length({value.source})"
            if fold and whole and isinstance(value.source, ir.Local) and value.source.type is value.type:
                return value.source
        case ir.Concat() | ir.NewPacket():
            parts: tuple[ir.Bytes, ...] = value.parts
            if isinstance(value, ir.NewPacket) and value.tail is not None:
                parts = (*parts, value.tail)
            total = Range(sum(p.range.low for p in parts), sum(p.range.high for p in parts))
            done = replace(value, range=total.meet(WHOLE[value.type]) or WHOLE[value.type])
            if fold and isinstance(value, ir.NewPacket) and value.tail is not None and not value.parts:
                return value.tail
        case ir.Equals() if value.left.range.meet(value.right.range) is None:
            done = replace(value, range=Range(0, 0))
        case _:
            done = value
    return _folded(done) or done if fold else done


def _folded(value: ir.Operation) -> ir.Constant | None:
    """The result of an operation on constants."""
    operands = traversal.operands(value)
    if isinstance(value, ir.Equals) and value.range.is_single:
        return ir.Constant(bool(value.range.low), Type.BOOLEAN)
    if isinstance(value, ir.Nanos | ir.NewPacket | ir.Subpacket):
        return None
    values = [operand.value for operand in operands if isinstance(operand, ir.Constant)]
    if len(values) != len(operands):
        return None
    texts = [v for v in values if isinstance(v, bytes)]
    numbers = [v for v in values if isinstance(v, int)]
    match value:
        case ir.ReadNumber():
            raw = texts[0][numbers[0] : numbers[0] + value.width]
            # Behind a test that always fails the operands mean nothing.
            if len(raw) < value.width or numbers[0] < 0:
                return None
            return ir.Constant(int.from_bytes(raw, "big", signed=value.width > 1), value.type)
        case ir.Substring():
            return ir.Constant(texts[0][numbers[0] : numbers[1]], Type.STRING) if numbers[0] >= 0 else None
        case ir.Concat():
            return ir.Constant(b"".join(texts), Type.STRING)
        case ir.OfNumber():
            masked = numbers[0] & ((1 << 8 * value.width) - 1)
            return ir.Constant(masked.to_bytes(value.width, "big"), Type.STRING)
        case ir.Equals():
            return ir.Constant(texts[0] == texts[1], Type.BOOLEAN)
    return None
