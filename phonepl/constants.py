"""The values of constant expressions."""

from __future__ import annotations

from phonepl import arithmetic
from phonepl import syntax as s
from phonepl.types import MAXIMUM_STRING, Checked, Constant, ConstantField, Type


def fold(expression: s.Expression, checked: Checked) -> Constant | None:
    """The value of a typed expression if the compiler knows it; None if not, or if computing it fails."""
    if expression in checked.constants:
        return checked.constants[expression]
    try:
        value = _fold(expression, checked)
    except (ZeroDivisionError, IndexError):
        return None
    if value is not None:
        checked.constants[expression] = value
    return value


def _fold(e: s.Expression, checked: Checked) -> Constant | None:
    match e:
        case s.NumberLiteral() | s.BooleanLiteral() | s.StringLiteral():
            return e.value
        case s.Name() | s.Member():
            symbol = checked.symbols.get(e)
            return symbol.value if isinstance(symbol, ConstantField) else None
        case s.Unary():
            value = fold(e.operand, checked)
            if value is None or isinstance(value, bytes):
                return None
            return (
                not value if e.operator == "!" else arithmetic.unary(e.operator, value, checked.types[e].bits)
            )
        case s.Cast():
            value = fold(e.operand, checked)
            if isinstance(value, int) and checked.types[e].is_number:
                return arithmetic.wrap(value, checked.types[e].bits)
            return value
        case s.Binary():
            left = fold(e.left, checked)
            if e.operator in ("&&", "||") and left is (e.operator == "||"):
                return left
            right = fold(e.right, checked)
            if left is None or right is None or isinstance(left, bytes) or isinstance(right, bytes):
                return None
            return _binary(e, left, right, checked)
        case s.Call():
            return _call(e, checked)
    return None


def _binary(e: s.Binary, left: int, right: int, checked: Checked) -> Constant | None:
    if e.operator in ("&&", "||"):
        return right
    if e.operator in ("==", "!=", "<", "<=", ">", ">="):
        return arithmetic.compare(e.operator, left, right)
    if isinstance(left, bool):
        return {"&": left & right, "|": left | right, "^": left ^ right}[e.operator] != 0
    return arithmetic.binary(e.operator, left, right, checked.types[e].bits)


def _call(e: s.Call, checked: Checked) -> Constant | None:
    if e.object is None or isinstance(e.object, s.This):
        return None
    arguments = [fold(argument, checked) for argument in e.arguments]
    if any(argument is None for argument in arguments):
        return None
    if isinstance(e.object, s.Name) and e.object.identifier == "String":
        size = {"ofInt": 4, "ofLong": 8, "ofByte": 1}[e.name.text]
        assert isinstance(arguments[0], int)
        return (arguments[0] & ((1 << 8 * size) - 1)).to_bytes(size, "big")
    text = fold(e.object, checked)
    if not isinstance(text, bytes) or checked.types.get(e.object) is not Type.STRING:
        return None
    joined = [a for a in arguments if isinstance(a, bytes)]
    numbers = [a for a in arguments if isinstance(a, int)]
    match e.name.text:
        case "length":
            return len(text)
        case "equals":
            return text == joined[0]
        case "concat":
            whole = text + b"".join(joined)
            return whole if len(whole) <= MAXIMUM_STRING else None
        case "substring":
            begin, end = numbers[0], numbers[1] if len(numbers) > 1 else len(text)
            return text[begin:end] if 0 <= begin <= end <= len(text) else None
        case "byteAt" | "intAt" | "longAt":
            size = {"byteAt": 1, "intAt": 4, "longAt": 8}[e.name.text]
            begin = numbers[0]
            if not 0 <= begin <= len(text) - size:
                return None
            return int.from_bytes(text[begin : begin + size], "big", signed=size > 1)
    return None
