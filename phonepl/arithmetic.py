"""Two's complement arithmetic as Java defines it; one copy for checker, compiler and interpreter."""

from __future__ import annotations


def wrap(value: int, bits: int) -> int:
    """The low `bits` of `value`, read as a signed number."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def binary(operator: str, left: int, right: int, bits: int) -> int:
    """`left operator right` in `bits` (32 or 64), wrapping; ZeroDivisionError for `/` and `%` by zero.

    Shifts use the low 5 or 6 bits of `right`; `/` truncates towards zero and `%` takes the dividend's sign.
    """
    if operator == "+":
        return wrap(left + right, bits)
    if operator == "-":
        return wrap(left - right, bits)
    if operator == "*":
        return wrap(left * right, bits)
    if operator in ("/", "%"):
        quotient = abs(left) // abs(right)
        if (left < 0) != (right < 0):
            quotient = -quotient
        return wrap(quotient if operator == "/" else left - quotient * right, bits)
    if operator == "&":
        return wrap(left & right, bits)
    if operator == "|":
        return wrap(left | right, bits)
    if operator == "^":
        return wrap(left ^ right, bits)
    count = right & (bits - 1)
    if operator == "<<":
        return wrap(left << count, bits)
    if operator == ">>":
        return wrap(left >> count, bits)
    assert operator == ">>>", operator
    return wrap((left & ((1 << bits) - 1)) >> count, bits)


def unary(operator: str, operand: int, bits: int) -> int:
    """`+`, `-` or `~` of a number of `bits`."""
    if operator == "-":
        return wrap(-operand, bits)
    return wrap(~operand, bits) if operator == "~" else operand


def compare(operator: str, left: int, right: int) -> bool:
    """One of == != < <= > >=."""
    return {
        "==": left == right,
        "!=": left != right,
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }[operator]
