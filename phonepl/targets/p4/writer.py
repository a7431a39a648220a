"""Where a handler's P4 is gathered: lines, variables, and what its locals hold."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from phonepl import ir
from phonepl.targets.p4.formulas import Formulas, NotConstantDivisor
from phonepl.targets.p4.head import Head
from phonepl.targets.p4.refusals import Refused
from phonepl.targets.p4.values import Form, Number, Text
from phonepl.types import Type

Held = str | Text | Form
"""What a local holds: numbers and booleans are P4 expressions that can be written twice."""
_ATOM = re.compile(r"[\w.]+")


@dataclass
class Writer:
    """`kept`: the variables that egress reads, so that they are metadata."""

    prefix: str
    types: dict[str, Type]
    """Of the locals."""
    arrived: Number
    """The arrived packet's length."""
    head: Head
    kept: frozenset[str]
    lines: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    """Name to type."""
    held: dict[str, Held] = field(default_factory=dict)
    depth: int = 2
    uses_clock: bool = False

    def __post_init__(self) -> None:
        self.formulas = Formulas(self._number_of, self._length_of)

    # ── lines and variables ──

    def emit(self, line: str) -> None:
        self.lines.append("    " * self.depth + line)

    def variable(self, hint: str, kind: str) -> str:
        """A new variable; what to write for it."""
        name = f"{self.prefix}_{re.sub(r'[^A-Za-z0-9_]', '_', hint)}_{len(self.variables)}"
        self.variables[name] = kind
        return f"meta.{name}" if name in self.kept else name

    def assigned(self, hint: str, kind: str, value: str) -> str:
        """A new variable of that value."""
        name = self.variable(hint, kind)
        self.emit(f"{name} = {value};")
        return name

    def atom(self, hint: str, number: Number) -> Number:
        """A number that can be written twice."""
        if number.value is not None or _ATOM.fullmatch(number.text):
            return number
        return Number(self.assigned(hint, "bit<32>", number.text), number.range)

    # ── what locals hold ──

    def text_of(self, value: ir.Bytes) -> Text:
        if isinstance(value, ir.Constant):
            assert isinstance(value.value, bytes)
            return Text.literal(value.value)
        held = self.held[value.name]
        assert isinstance(held, Text)
        return held

    def form_of(self, local: ir.Local) -> Form:
        held = self.held[local.name]
        assert isinstance(held, Form)
        return held

    def _number_of(self, local: ir.Local) -> str:
        held = self.held[local.name]
        assert isinstance(held, str)
        return held

    def _length_of(self, local: ir.Local) -> Number:
        held = self.held[local.name]
        if isinstance(held, Form):
            return held.length(self.arrived)
        assert isinstance(held, Text)
        return held.length

    # ── expressions ──

    def written(self, e: ir.Expression, statement: ir.Statement) -> str:
        """A pure expression; raises Refused where P4 has none for it."""
        try:
            return self.formulas.text(e)
        except NotConstantDivisor:
            raise indivisible(statement) from None

    def number(self, e: ir.Expression, statement: ir.Statement) -> Number:
        """The same of an int, with its range."""
        try:
            return self.formulas.number(e)
        except NotConstantDivisor:
            raise indivisible(statement) from None


def indivisible(statement: ir.Statement) -> Refused:
    """A division for which there is no multiplication."""
    return Refused(
        statement.span,
        "a division by a number that is not constant",
        "P4 has no division; one by a constant becomes a multiplication",
        "divide by a constant, or shift by a variable number of bits",
    )


P4_TYPE = {Type.INT: "bit<32>", Type.LONG: "bit<64>", Type.BOOLEAN: "bool"}
