"""The range of an operator's result from the ranges of its operands."""

from __future__ import annotations

from phonepl import arithmetic
from phonepl.ir import WHOLE, Range
from phonepl.types import Type

_TRUE, _FALSE, _EITHER = Range(1, 1), Range(0, 0), Range(0, 1)
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")


def binary(operator: str, left: Range, right: Range, kind: Type) -> Range:
    """The range of `left operator right`; `kind` is the type of the result."""
    if operator in COMPARISONS:
        return compare(operator, left, right)
    if kind is Type.BOOLEAN:
        return _logic(operator, left, right)
    if left.is_single and right.is_single and not (operator in ("/", "%") and right.low == 0):
        value = arithmetic.binary(operator, left.low, right.low, kind.bits)
        return Range(value, value)
    whole = WHOLE[kind]
    found = _arithmetic(operator, left, right, kind)
    return found if found is not None and found.inside(whole) else whole


def unary(operator: str, operand: Range, kind: Type) -> Range:
    """The range of `operator operand`."""
    if operator == "!":
        return Range(1 - operand.high, 1 - operand.low)
    found = Range(-operand.high, -operand.low) if operator == "-" else Range(~operand.high, ~operand.low)
    return found if found.inside(WHOLE[kind]) else WHOLE[kind]


def convert(operand: Range, kind: Type) -> Range:
    """The range of a number converted to `kind`."""
    return operand if operand.inside(WHOLE[kind]) else WHOLE[kind]


def compare(operator: str, left: Range, right: Range) -> Range:
    """1..1 if the comparison surely holds, 0..0 if it surely does not."""
    if operator == "!=":
        return unary("!", compare("==", left, right), Type.BOOLEAN)
    if operator in (">", ">="):
        return compare({">": "<", ">=": "<="}[operator], right, left)
    if operator == "==":
        if left.is_single and left == right:
            return _TRUE
        return _FALSE if left.meet(right) is None else _EITHER
    if operator == "<":
        return _TRUE if left.high < right.low else _FALSE if left.low >= right.high else _EITHER
    return _TRUE if left.high <= right.low else _FALSE if left.low > right.high else _EITHER


def _logic(operator: str, left: Range, right: Range) -> Range:
    if operator in ("&&", "&"):
        return Range(left.low & right.low, left.high & right.high)
    if operator in ("||", "|"):
        return Range(left.low | right.low, left.high | right.high)
    if left.is_single and right.is_single:
        return Range(left.low ^ right.low, left.low ^ right.low)
    return _EITHER


def _arithmetic(operator: str, left: Range, right: Range, kind: Type) -> Range | None:
    """The exact range if it does not overflow `kind`; the caller discards it if it does."""
    match operator:
        case "+":
            return Range(left.low + right.low, left.high + right.high)
        case "-":
            return Range(left.low - right.high, left.high - right.low)
        case "*":
            return _hull([a * b for a in (left.low, left.high) for b in (right.low, right.high)])
        case "/":
            divisors = [b for b in (right.low, right.high, -1, 1) if b and right.low <= b <= right.high]
            return _hull(
                [
                    _quotient(a, b)
                    for a in (left.low, left.high, 0)
                    if left.low <= a <= left.high
                    for b in divisors
                ]
            )
        case "%":
            limit = max(abs(right.low), abs(right.high), 1) - 1
            return Range(max(-limit, min(left.low, 0)), min(limit, max(left.high, 0)))
        case "&":
            positive = [r.high for r in (left, right) if r.low >= 0]
            return Range(0, min(positive)) if positive else None
        case "|" | "^":
            if left.low < 0 or right.low < 0:
                return None
            low = max(left.low, right.low) if operator == "|" else 0
            return Range(low, (1 << max(left.high, right.high).bit_length()) - 1)
    return _shift(operator, left, right, kind)


def _shift(operator: str, left: Range, right: Range, kind: Type) -> Range | None:
    bits = kind.bits
    if right.is_single:
        counts = [right.low & (bits - 1)]
    elif right.inside(Range(0, bits - 1)):
        counts = [right.low, right.high]
    else:
        counts = [0, bits - 1]
    if operator == "<<":
        return _hull([a << n for a in (left.low, left.high) for n in counts])
    if operator == ">>" or left.low >= 0:
        return _hull([a >> n for a in (left.low, left.high) for n in counts])
    if min(counts) > 0:
        return Range(0, ((1 << bits) - 1) >> min(counts))
    return None


def _quotient(a: int, b: int) -> int:
    return -(abs(a) // abs(b)) if (a < 0) != (b < 0) else abs(a) // abs(b)


def _hull(values: list[int]) -> Range | None:
    return Range(min(values), max(values)) if values else None
