"""Pure expressions of the intermediate language as C expressions."""

from __future__ import annotations

from collections.abc import Callable

from phonepl import ir
from phonepl.targets.xdp.values import Number
from phonepl.types import Type

C_TYPE = {Type.BOOLEAN: "bool", Type.INT: "s32", Type.LONG: "s64"}
_UNSIGNED = {Type.INT: "u32", Type.LONG: "u64"}
_MASK = {Type.INT: 31, Type.LONG: 63}
_DIVISIONS = {
    ("/", Type.INT): "divide32",
    ("%", Type.INT): "remainder32",
    ("/", Type.LONG): "divide64",
    ("%", Type.LONG): "remainder64",
}

Name = Callable[[ir.Local], str]
Size = Callable[[ir.Local], Number]


class Formulas:
    """Writes expressions; `name` gives a numeric local's variable, `size` a String's or Packet's length."""

    def __init__(self, name: Name, size: Size) -> None:
        self._name = name
        self._size = size

    def number(self, e: ir.Expression) -> Number:
        """An int expression, with its value where it is a constant."""
        if isinstance(e, ir.Constant) and isinstance(e.value, int):
            return Number.of(int(e.value))
        if isinstance(e, ir.Length):
            return self._size(e.of)
        return Number(self.text(e))

    def text(self, e: ir.Expression) -> str:
        """Any number or boolean."""
        match e:
            case ir.Constant():
                return literal(e)
            case ir.Local():
                return self._name(e)
            case ir.Length():
                return self._size(e.of).text
            case ir.Unary():
                return f"({e.operator}{self.text(e.operand)})"
            case ir.Convert():
                return f"(({C_TYPE[e.type]}){self.text(e.operand)})"
            case ir.Binary():
                return binary(e.operator, self.text(e.left), self.text(e.right), e.type)
        raise AssertionError(e)


def binary(operator: str, left: str, right: str, kind: Type) -> str:
    """`left operator right` in `kind`, as Java means it (compiled with -fwrapv)."""
    if (operator, kind) in _DIVISIONS:
        return f"{_DIVISIONS[operator, kind]}({left}, {right})"
    if operator in ("<<", ">>>"):
        shift = operator[:2]
        return f"(({C_TYPE[kind]})(({_UNSIGNED[kind]}){left} {shift} ({right} & {_MASK[kind]})))"
    if operator == ">>":
        return f"({left} >> ({right} & {_MASK[kind]}))"
    return f"({left} {operator} {right})"


def literal(constant: ir.Constant) -> str:
    """A constant number or boolean."""
    value = constant.value
    assert not isinstance(value, bytes)
    if isinstance(value, bool):
        return "true" if value else "false"
    if constant.type is Type.LONG:
        return f"{value}LL" if value >= 0 else f"({value + 1}LL - 1)"
    return str(value) if value >= 0 else f"({value + 1} - 1)"
