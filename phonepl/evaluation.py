"""Syntax tree to intermediate language: expressions, assignments, calls. Statements: `lowering`."""

from __future__ import annotations

from dataclasses import dataclass

from phonepl import ir
from phonepl import syntax as s
from phonepl.syntax import Span
from phonepl.trees import converted, length_of, negated, result_type, scope, tree, unary
from phonepl.types import (
    MAXIMUM_STORED_STRING,
    MAXIMUM_STRING,
    ArrayField,
    Checked,
    ConstantField,
    Local,
    StreamField,
    Type,
)

MAXIMUM_OPERATIONS = 40_000
"""Statements of one handler after expansion."""

_READ_WIDTH = {"byteAt": 1, "intAt": 4, "longAt": 8}
_OF_WIDTH = {"ofByte": 1, "ofInt": 4, "ofLong": 8}
_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")

_Meaning = ir.Expression | ir.Array | str
"""What a variable stands for: a value, an array, or the name of a stream."""


class TooLarge(Exception):
    """The expansion of calls passed MAXIMUM_OPERATIONS; carries where."""

    def __init__(self, span: Span) -> None:
        self.span = span
        super().__init__()


@dataclass
class Frame:
    """One expansion of a method."""

    meanings: dict[Local, _Meaning]
    end: str
    result: ir.Local | None


class Evaluation:
    """Emits what evaluating an expression takes, in Java's order, with every test; gives back a pure tree."""

    def __init__(self, checked: Checked, arrays: dict[str, ir.Array]) -> None:
        self._checked = checked
        self._arrays = arrays
        self._names: dict[str, int] = {}
        self._locals: list[ir.Local] = []
        self._out: list[ir.Statement] = []
        self._frame = Frame({}, "", None)
        self._assigned = _assigned_locals(checked)
        self._size = 0

    def _block(self, statement: s.Statement) -> ir.Block:
        """The statement, lowered apart; `lowering` knows how."""
        raise NotImplementedError

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
                    self._temporary(value, expressions[at].span) if changed & ir.locals_in(value) else value
                    for at, value in enumerate(values)
                ]
            values.append(self._value(expressions[position]))
        return values

    def _changed_names(self, e: s.Expression) -> set[str]:
        """The locals that evaluating `e` assigns."""
        changed: set[str] = set()
        for node in _all_nodes(e):
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

    def _test_divisor(self, divisor: ir.Expression, span: Span) -> None:
        zero = ir.Constant(0, divisor.type)
        self._emit(ir.TrapIf(tree("==", divisor, zero, Type.BOOLEAN), ir.ARITHMETIC_ERROR, span))

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

    # ── calls ──

    def _call(self, e: s.Call) -> ir.Expression | None:
        if e.object is None or isinstance(e.object, s.This):
            return self._expanded(e)
        name = e.name.text
        if isinstance(e.object, s.Name) and e.object not in self._checked.types:
            if name == "nanos":
                return self._temporary(ir.Nanos(), e.span)
            width = _OF_WIDTH[name]
            operand = converted(self._value(e.arguments[0]), Type.LONG if width == 8 else Type.INT)
            return self._temporary(ir.OfNumber(operand, width), e.span)
        if name == "put":
            stream = self._alias(e.object)
            packet = self._value(e.arguments[0])
            assert isinstance(stream, str) and isinstance(packet, ir.Local)
            self._emit(ir.Put(stream, packet, e.span))
            return None
        source, *arguments = self._values((e.object, *e.arguments))
        assert isinstance(source, ir.Local | ir.Constant)
        return self._method(e, name, source, arguments)

    def _method(
        self, e: s.Call, name: str, source: ir.Bytes, arguments: list[ir.Expression]
    ) -> ir.Expression:
        match name:
            case "length":
                return length_of(source)
            case "equals":
                other = arguments[0]
                assert isinstance(other, ir.Local | ir.Constant)
                return self._temporary(ir.Equals(source, other), e.span)
            case "concat":
                return self._concat(source, arguments, e.span)
            case "substring" | "subpacket":
                return self._slice(e, name, source, arguments)
        width = _READ_WIDTH[name]
        kind = Type.LONG if width == 8 else Type.INT
        known = ir.Range(0, 255) if width == 1 else ir.WHOLE[kind]
        offset = arguments[0]
        self._test_read(source, offset, width, e.span)
        return self._temporary(ir.ReadNumber(source, offset, width, known), e.span)

    def _slice(self, e: s.Call, name: str, source: ir.Bytes, arguments: list[ir.Expression]) -> ir.Expression:
        length = length_of(source)
        begin = arguments[0]
        end = arguments[1] if len(arguments) > 1 else length
        self._trap("<", begin, ir.Constant(0, Type.INT), e.span)
        self._trap(">", begin, end, e.span)
        if len(arguments) > 1:
            self._trap(">", end, length, e.span)
        if name == "subpacket":
            assert isinstance(source, ir.Local)
            return self._temporary(ir.Subpacket(source, begin, end, ir.WHOLE[Type.PACKET]), e.span)
        if source.type is Type.PACKET:
            size = tree("-", end, begin, Type.INT)
            self._trap(">", size, ir.Constant(MAXIMUM_STRING, Type.INT), e.span)
        return self._temporary(ir.Substring(source, begin, end, ir.WHOLE[Type.STRING]), e.span)

    def _concat(self, source: ir.Bytes, arguments: list[ir.Expression], span: Span) -> ir.Expression:
        parts = [source]
        for argument in arguments:
            assert isinstance(argument, ir.Local | ir.Constant)
            parts.append(argument)
        total: ir.Expression = length_of(parts[0])
        for part in parts[1:]:
            total = tree("+", total, length_of(part), Type.INT)
        self._trap(">", total, ir.Constant(MAXIMUM_STRING, Type.INT), span)
        return self._temporary(ir.Concat(tuple(parts), ir.WHOLE[Type.STRING]), span)

    def _new_packet(self, e: s.NewObject) -> ir.Expression:
        parts: list[ir.Bytes] = []
        tail: ir.Local | None = None
        for value in self._values(e.arguments):
            if isinstance(value, ir.Local) and value.type is Type.PACKET:
                tail = value
            else:
                assert isinstance(value, ir.Local | ir.Constant)
                parts.append(value)
        return self._temporary(ir.NewPacket(tuple(parts), tail, ir.WHOLE[Type.PACKET]), e.span)

    def _expanded(self, e: s.Call) -> ir.Expression | None:
        """The body of an own method in place of its call."""
        method = self._checked.methods[e.name.text]
        parameters = [self._symbol(parameter) for parameter in method.parameters]
        plain = [a for a, p in zip(e.arguments, parameters, strict=True) if not p.type.is_alias]
        values = iter(self._values(tuple(plain)))
        meanings: dict[Local, _Meaning] = {}
        for argument, parameter in zip(e.arguments, parameters, strict=True):
            if parameter.type.is_alias:
                meanings[parameter] = self._alias(argument)
                continue
            value = converted(next(values), parameter.type)
            if parameter not in self._assigned and self._is_stable(value):
                meanings[parameter] = value
                continue
            local = self._local(parameter.name, parameter.type)
            self._emit(ir.Set(local, value, argument.span))
            meanings[parameter] = local
        result = None
        if method.result is not None:
            result = self._local(f"{method.name.text}_result", self._checked.types[e])
        label = self._label(method.name.text)
        outer, self._frame = self._frame, Frame(meanings, label, result)
        body = self._block(method.body)
        self._frame = outer
        for statement in scope(label, body, e.span):
            self._emit(statement)
        return result


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


def _all_nodes(node: s.Node) -> list[s.Node]:
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
        for node in _all_nodes(method):
            if isinstance(node, s.Assignment | s.Step):
                symbol = checked.symbols.get(node.target)
                if isinstance(symbol, Local):
                    assigned.add(symbol)
    return assigned
