"""Pure expressions of the intermediate language as P4 expressions."""

from __future__ import annotations

from collections.abc import Callable

from phonepl import ir
from phonepl.targets.p4.values import Number, literal
from phonepl.types import Type

BITS = {Type.INT: 32, Type.LONG: 64}
_ORDER = ("<", "<=", ">", ">=")
_BOOLEAN = {"&": "&&", "|": "||", "^": "!="}


class NotConstantDivisor(Exception):
    """A division by what is known at run time only."""


class Formulas:
    """Writes expressions; `name` gives a local's text, `size` a String's or Packet's length."""

    def __init__(self, name: Callable[[ir.Local], str], size: Callable[[ir.Local], Number]) -> None:
        self._name = name
        self._size = size

    def number(self, e: ir.Expression) -> Number:
        """An int expression, and the range of its values."""
        if e.range.is_single:
            return Number.of(e.range.low)
        if isinstance(e, ir.Length):
            return self._size(e.of).within(e.range)
        return Number(self.text(e), e.range)

    def text(self, e: ir.Expression) -> str:
        """A number as bit<32> or bit<64>, a boolean as bool."""
        match e:
            case ir.Constant():
                assert not isinstance(e.value, bytes)
                if e.type is Type.BOOLEAN:
                    return "true" if e.value else "false"
                return literal(e.value, BITS[e.type])
            case ir.Local():
                return self._name(e)
            case ir.Length():
                return self._size(e.of).text
            case ir.Unary():
                return f"({e.operator}{self.text(e.operand)})"
            case ir.Convert():
                return converted(self.text(e.operand), e.operand, e.type)
            case ir.Binary():
                return self._binary(e)
        raise AssertionError(e)

    def _binary(self, e: ir.Binary) -> str:
        left, right = self.text(e.left), self.text(e.right)
        if e.operator in _ORDER and min(e.left.range.low, e.right.range.low) < 0:
            bits = BITS[e.left.type]
            return f"((int<{bits}>){left} {e.operator} (int<{bits}>){right})"
        if e.type is Type.BOOLEAN:
            operator = e.operator
            if e.left.type is Type.BOOLEAN:
                operator = _BOOLEAN.get(operator, operator)
            return f"({left} {operator} {right})"
        divisor = e.right.range.low if e.right.range.is_single else None
        return arithmetic(e.operator, left, right, e.type, e.left.range.low < 0, divisor)


def converted(text: str, operand: ir.Expression, kind: Type) -> str:
    """A number of one width as the other."""
    if operand.type is kind:
        return text
    if kind is Type.INT:
        return f"((bit<32>){text})"
    return f"((bit<64>){text})" if operand.range.low >= 0 else f"((bit<64>)(int<64>)(int<32>){text})"


def arithmetic(
    operator: str, left: str, right: str, kind: Type, may_be_negative: bool, divisor: int | None
) -> str:
    """`left operator right` in `kind`, as Java means it. `divisor`: the right side's value, if known."""
    bits = BITS[kind]
    if operator in ("/", "%"):
        if divisor is None:
            raise NotConstantDivisor
        return _divided(operator, left, divisor, bits, may_be_negative)
    if operator in ("<<", ">>", ">>>"):
        by = literal(divisor & (bits - 1), 8) if divisor is not None else f"((bit<8>){right} & {bits - 1})"
        if operator == ">>" and may_be_negative:
            return f"((bit<{bits}>)((int<{bits}>){left} >> {by}))"
        return f"({left} {operator[:2]} {by})"
    return f"({left} {operator} {right})"


def _divided(operator: str, left: str, divisor: int, bits: int, may_be_negative: bool) -> str:
    """By a constant: a product with its reciprocal in twice as many bits and one more width of fraction."""
    size = abs(divisor)
    zero = literal(0, bits)
    if not size:  # so it is never executed: a test before it has failed
        return zero
    negative = f"((int<{bits}>){left} < 0)"
    magnitude = f"({negative} ? {zero} - {left} : {left})" if may_be_negative else left
    if size & (size - 1) == 0:
        quotient = f"({magnitude} >> 8w{size.bit_length() - 1})"
    else:
        wide = 3 * bits
        reciprocal = literal((1 << 2 * bits) // size + 1, wide)
        quotient = f"((bit<{wide}>){magnitude} * {reciprocal})[{wide - 1}:{2 * bits}]"
    if operator == "%":
        rest = f"({magnitude} - {quotient} * {literal(size, bits)})"
        return f"({negative} ? {zero} - {rest} : {rest})" if may_be_negative else rest
    if divisor < 0:
        return (
            f"({negative} ? {quotient} : {zero} - {quotient})"
            if may_be_negative
            else f"({zero} - {quotient})"
        )
    return f"({negative} ? {zero} - {quotient} : {quotient})" if may_be_negative else quotient
