"""Syntax tree to intermediate language: expressions, assignments. Calls: `calls`; statements: `lowering`."""

from __future__ import annotations

from abc import ABC, abstractmethod

from phonepl import ir, traversal
from phonepl import syntax as s
from phonepl.emission import Emission, all_nodes
from phonepl.syntax import Span
from phonepl.trees import converted, length_of, negated, result_type, scope, tree, unary
from phonepl.types import MAXIMUM_STORED_STRING, ArrayField, ConstantField, Local, StreamField, Type


class Evaluation(Emission, ABC):
    """Emits what evaluating an expression takes, in Java's order, with every test; gives back a pure tree."""

    @abstractmethod
    def _call(self, e: s.Call) -> ir.Expression | None:
        """The result of a call; None if there is none."""

    @abstractmethod
    def _new_packet(self, e: s.NewObject) -> ir.Expression:
        """The packet that is made."""

    # ── conditions ──

    def _jump(self, e: s.Expression, label: str, when: bool) -> None:
        """Code that leaves to `label` if `e` is `when`, and goes on otherwise."""
        match e:
            case s.Unary(operator="!"):
                self._jump(e.operand, label, not when)
            case s.Binary(operator="&&" | "||") if self._needs_jumps(e):
                if (e.operator == "||") is when:
                    self._jump(e.left, label, when)
                    self._jump(e.right, label, when)
                    return
                inner = self._label("skip")
                before = self._captured()
                self._jump(e.left, inner, not when)
                self._jump(e.right, label, when)
                for statement in scope(inner, self._restore(before), e.span):
                    self._emit(statement)
            case _:
                value = self._value(e)
                condition = value if when else negated(value)
                self._emit(ir.If(condition, (ir.Leave(label, e.span),), (), e.span))

    def _needs_jumps(self, e: s.Expression) -> bool:
        """Does a && or || in `e` have a right side that is more than a pure tree?"""
        match e:
            case s.Binary(operator="&&" | "||"):
                return not _is_pure(e.right) or self._needs_jumps(e.left) or self._needs_jumps(e.right)
            case s.Unary(operator="!"):
                return self._needs_jumps(e.operand)
        return False

    # ── expressions ──

    def _discarded(self, e: s.Expression) -> None:
        match e:
            case s.Assignment():
                self._assign(e, wanted=False)
            case s.Step():
                self._step(e, wanted=False)
            case s.Call():
                self._call(e)
            case _:
                self._value(e)

    def _as(self, e: s.Expression, kind: Type) -> ir.Expression:
        """The value of `e`, widened to `kind`."""
        return converted(self._value(e), kind)

    def _value(self, e: s.Expression) -> ir.Expression:
        """A pure tree for the value of `e`; what must happen first is emitted."""
        match e:
            case s.NumberLiteral() | s.BooleanLiteral() | s.StringLiteral():
                assert e.value is not None
                return ir.Constant(e.value, self._checked.types[e])
            case s.Name() | s.Member():
                return self._named(e)
            case s.Unary():
                operand = self._value(e.operand)
                return operand if e.operator == "+" else unary(e.operator, operand)
            case s.Cast():
                return converted(self._value(e.operand), self._checked.types[e])
            case s.Binary():
                return self._binary(e)
            case s.Assignment():
                value = self._assign(e, wanted=True)
            case s.Step():
                value = self._step(e, wanted=True)
            case s.Element():
                return self._load(e)
            case s.Call():
                value = self._call(e)
            case s.NewObject():
                return self._new_packet(e)
            case _:
                raise AssertionError(e)
        assert value is not None
        return value

    def _values(self, expressions: tuple[s.Expression, ...]) -> list[ir.Expression]:
        """Values left to right: what a later one assigns does not change an earlier one."""
        values: list[ir.Expression] = []
        for position, expression in enumerate(expressions):
            changed = self._changed_names(expression)
            if changed:
                values = [
                    self._temporary(value, before.span) if changed & traversal.locals_in(value) else value
                    for before, value in zip(expressions, values, strict=False)
                ]
            values.append(self._value(expressions[position]))
        return values

    def _changed_names(self, e: s.Expression) -> set[str]:
        """The locals that evaluating `e` assigns."""
        changed: set[str] = set()
        for node in all_nodes(e):
            if isinstance(node, s.Assignment | s.Step) and isinstance(node.target, s.Name):
                meaning = self._frame.meanings.get(self._symbol(node.target))
                if isinstance(meaning, ir.Local):
                    changed.add(meaning.name)
        return changed

    def _named(self, e: s.Name | s.Member) -> ir.Expression:
        symbol = self._checked.symbols.get(e)
        match symbol:
            case ConstantField():
                return ir.Constant(symbol.value, symbol.type)
            case Local():
                meaning = self._frame.meanings[symbol]
                assert not isinstance(meaning, ir.Array | str)
                return meaning
        assert isinstance(e, s.Member), e
        array = self._alias(e.object)
        assert isinstance(array, ir.Array)
        return ir.Constant(array.length, Type.INT)

    def _alias(self, e: s.Expression) -> ir.Array | str:
        """The array or the stream that an expression names."""
        symbol = self._checked.symbols[e]
        match symbol:
            case ArrayField():
                return self._arrays[symbol.name]
            case StreamField():
                return symbol.stream
            case Local():
                meaning = self._frame.meanings[symbol]
                assert isinstance(meaning, ir.Array | str)
                return meaning
        raise AssertionError(e)

    def _binary(self, e: s.Binary) -> ir.Expression:
        if e.operator in ("&&", "||"):
            return self._short_circuit(e)
        left, right = self._values((e.left, e.right))
        return self._operator(e.operator, left, right, self._checked.types[e], e.span)

    def _operator(
        self, operator: str, left: ir.Expression, right: ir.Expression, kind: Type, span: Span
    ) -> ir.Expression:
        """`left operator right` with operands promoted as in Java, and division tested."""
        if operator in ("<<", ">>", ">>>"):
            return tree(operator, left, right, kind)
        if left.type is not Type.BOOLEAN:
            wide = Type.LONG if Type.LONG in (left.type, right.type) else Type.INT
            left, right = converted(left, wide), converted(right, wide)
        if operator in ("/", "%"):
            self._test_divisor(right, span)
        return tree(operator, left, right, kind)

    def _short_circuit(self, e: s.Binary) -> ir.Expression:
        if not self._needs_jumps(e):
            left, right = self._values((e.left, e.right))
            return tree(e.operator, left, right, Type.BOOLEAN)
        result = self._local("t", Type.BOOLEAN)
        label = self._label("skip")
        decides = e.operator == "||"
        self._emit(ir.Set(result, ir.Constant(decides, Type.BOOLEAN), e.span))
        before = self._captured()
        self._jump(e.left, label, decides)
        self._emit(ir.Set(result, self._value(e.right), e.right.span))
        for statement in scope(label, self._restore(before), e.span):
            self._emit(statement)
        return result

    # ── assignment ──

    def _assign(self, e: s.Assignment, wanted: bool) -> ir.Expression | None:
        if isinstance(e.target, s.Element):
            return self._assign_element(e, e.target, wanted)
        symbol = self._symbol(e.target)
        local = self._frame.meanings[symbol]
        assert isinstance(local, ir.Local)
        if e.operator == "=":
            value = self._as(e.value, symbol.type)
        else:
            left, right = self._values((e.target, e.value))
            kind = result_type(e.operator[:-1], left, right)
            value = converted(self._operator(e.operator[:-1], left, right, kind, e.span), symbol.type)
        self._emit(ir.Set(local, value, e.span))
        return local

    def _step(self, e: s.Step, wanted: bool) -> ir.Expression | None:
        operator = e.operator[0]
        if isinstance(e.target, s.Element):
            array, index = self._element(e.target)
            one = ir.Constant(1, array.element)
            self._test_index(array, index, e.span)
            return self._update(array, index, operator, one, array.element, wanted, e.prefix, e.span)
        local = self._frame.meanings[self._symbol(e.target)]
        assert isinstance(local, ir.Local)
        old = self._temporary(local, e.span) if wanted and not e.prefix else local
        one = ir.Constant(1, local.type)
        self._emit(ir.Set(local, tree(operator, local, one, local.type), e.span))
        return old

    def _element(self, e: s.Element) -> tuple[ir.Array, ir.Expression]:
        array = self._alias(e.array)
        assert isinstance(array, ir.Array)
        return array, self._value(e.index)

    def _assign_element(self, e: s.Assignment, target: s.Element, wanted: bool) -> ir.Expression | None:
        """Index, then value, then the test of the index, then the access.

        One atomic step even if compound.
        """
        array = self._alias(target.array)
        assert isinstance(array, ir.Array)
        index, value = self._values((target.index, e.value))
        self._test_index(array, index, target.span)
        if e.operator != "=":
            operator = e.operator[:-1]
            kind = result_type(operator, ir.Local("", array.element, ir.WHOLE[array.element]), value)
            if operator not in ("<<", ">>", ">>>"):
                value = converted(value, kind)
            if operator in ("/", "%"):
                self._test_divisor(value, e.span)
            return self._update(array, index, operator, value, kind, wanted, True, e.span)
        value = converted(value, array.element)
        if array.element is Type.STRING:
            limit = ir.Constant(MAXIMUM_STORED_STRING, Type.INT)
            self._emit(
                ir.TrapIf(tree(">", length_of(value), limit, Type.BOOLEAN), ir.RANGE_ERROR, e.value.span)
            )
        self._emit(ir.Store(array, index, value, e.span))
        return value

    def _update(
        self,
        array: ir.Array,
        index: ir.Expression,
        operator: str,
        operand: ir.Expression,
        width: Type,
        wanted: bool,
        gives_new: bool,
        span: Span,
    ) -> ir.Expression | None:
        target = self._local("t", array.element) if wanted else None
        self._emit(ir.Update(target, array, index, operator, operand, width, gives_new, span))
        return target

    def _load(self, e: s.Element) -> ir.Expression:
        array, index = self._element(e)
        self._test_index(array, index, e.span)
        known = ir.STORED_STRING if array.element is Type.STRING else None
        target = self._local("t", array.element, known)
        self._emit(ir.Load(target, array, index, e.span))
        return target


def _is_pure(e: s.Expression) -> bool:
    """Is `e` lowered without emitting anything?"""
    match e:
        case s.NumberLiteral() | s.BooleanLiteral() | s.StringLiteral() | s.Name() | s.Member():
            return True
        case s.Unary() | s.Cast():
            return _is_pure(e.operand)
        case s.Binary():
            return e.operator not in ("/", "%") and _is_pure(e.left) and _is_pure(e.right)
        case s.Call():
            return e.name.text == "length" and isinstance(e.object, s.Name)
    return False
