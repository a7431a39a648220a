"""Where lowered statements are gathered: names, temporaries, and the tests before what could go wrong."""

from __future__ import annotations

from dataclasses import dataclass

from phonepl import ir
from phonepl import syntax as s
from phonepl.syntax import Span
from phonepl.trees import length_of, tree
from phonepl.types import Checked, Local, Type

MAXIMUM_OPERATIONS = 40_000
"""Statements of one handler after expansion."""

Meaning = ir.Expression | ir.Array | str
"""What a variable stands for: a value, an array, or the name of a stream."""


class TooLarge(Exception):
    """The expansion of calls passed MAXIMUM_OPERATIONS; carries where."""

    def __init__(self, span: Span) -> None:
        self.span = span
        super().__init__()


@dataclass
class Frame:
    """One expansion of a method."""

    meanings: dict[Local, Meaning]
    end: str
    result: ir.Local | None


class Emission:
    """The statements of one handler."""

    def __init__(self, checked: Checked, arrays: dict[str, ir.Array]) -> None:
        self._checked = checked
        self._arrays = arrays
        self._names: dict[str, int] = {}
        self._locals: list[ir.Local] = []
        self._out: list[ir.Statement] = []
        self._frame = Frame({}, "", None)
        self._assigned = _assigned_locals(checked)
        self._size = 0

    # ── names ──

    def _unique(self, name: str) -> str:
        count = self._names.get(name, 0)
        self._names[name] = count + 1
        return name if not count else f"{name}_{count + 1}"

    def _label(self, name: str) -> str:
        return self._unique(f"${name}")[1:]

    def _local(self, name: str, kind: Type, known: ir.Range | None = None) -> ir.Local:
        local = ir.Local(self._unique(name), kind, known or ir.WHOLE[kind])
        self._locals.append(local)
        return local

    def _temporary(self, value: ir.Expression | ir.Operation, span: Span) -> ir.Local:
        """A fresh local that holds `value`; set once."""
        local = self._local("t", value.type, ir.WHOLE[value.type])
        self._emit(ir.Set(local, value, span))
        return local

    def _symbol(self, node: s.Node) -> Local:
        symbol = self._checked.symbols[node]
        assert isinstance(symbol, Local)
        return symbol

    def _emit(self, statement: ir.Statement) -> None:
        self._size += 1
        if self._size > MAXIMUM_OPERATIONS:
            raise TooLarge(statement.span)
        self._out.append(statement)

    def _captured(self) -> list[ir.Statement]:
        """Start gathering statements apart; give the returned list back to `_restore`."""
        before, self._out = self._out, []
        return before

    def _restore(self, before: list[ir.Statement]) -> ir.Block:
        gathered, self._out = tuple(self._out), before
        return gathered

    def _is_stable(self, value: ir.Expression) -> bool:
        """Is it a constant, or a local that is set once and so can stand for the variable itself?"""
        if isinstance(value, ir.Constant):
            return True
        return isinstance(value, ir.Local) and not any(
            meaning is value and symbol in self._assigned for symbol, meaning in self._frame.meanings.items()
        )

    # ── checks ──

    def _trap(self, operator: str, left: ir.Expression, right: ir.Expression, span: Span) -> None:
        self._emit(ir.TrapIf(tree(operator, left, right, Type.BOOLEAN), ir.RANGE_ERROR, span))

    def _test_index(self, array: ir.Array, index: ir.Expression, span: Span) -> None:
        self._trap("<", index, ir.Constant(0, Type.INT), span)
        self._trap(">=", index, ir.Constant(array.length, Type.INT), span)

    def _test_read(self, source: ir.Bytes, offset: ir.Expression, width: int, span: Span) -> None:
        self._trap("<", offset, ir.Constant(0, Type.INT), span)
        # Not offset + width, which could wrap.
        last = tree("-", length_of(source), ir.Constant(width, Type.INT), Type.INT)
        self._trap(">", offset, last, span)

    def _test_divisor(self, divisor: ir.Expression, span: Span) -> None:
        zero = ir.Constant(0, divisor.type)
        self._emit(ir.TrapIf(tree("==", divisor, zero, Type.BOOLEAN), ir.ARITHMETIC_ERROR, span))


def all_nodes(node: s.Node) -> list[s.Node]:
    found, waiting = [], [node]
    while waiting:
        current = waiting.pop()
        found.append(current)
        waiting.extend(current.children())
    return found


def _assigned_locals(checked: Checked) -> set[Local]:
    """The variables and parameters that are assigned anywhere but where they are declared."""
    assigned: set[Local] = set()
    for method in checked.methods.values():
        for node in all_nodes(method):
            if isinstance(node, s.Assignment | s.Step):
                symbol = checked.symbols.get(node.target)
                if isinstance(symbol, Local):
                    assigned.add(symbol)
    return assigned
