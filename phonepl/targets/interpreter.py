"""The interpreter: what a Phonepl program means. It walks the syntax tree, one packet at a time, in plain
Python.

It shares nothing with the other targets but the checked tree, so that they can be tested against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from phonepl import arithmetic, ir
from phonepl import syntax as s
from phonepl.compiler import Compiled
from phonepl.targets import Arrival, Departure, NotAvailable, Outcome
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

Elements = list[int | bytes]
Value = bool | int | bytes | str | Elements
"""boolean; int and long; String and Packet; the name of a stream; the elements of an array."""

_WIDTH = {"byteAt": 1, "intAt": 4, "longAt": 8, "ofByte": 1, "ofInt": 4, "ofLong": 8}


class Trap(Exception):
    """A packet's handling ended early; `kind` is one of `ir.DROPS`."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__(kind)


class _Returned(Exception):
    """Control on its way out of a method."""

    def __init__(self, value: Value | None) -> None:
        self.value = value
        super().__init__()


@dataclass
class Handled:
    """What became of one packet: its puts, empty ones left out, and the drops counted for it."""

    puts: list[tuple[str, bytes]]
    drops: list[str]


class Interpreter:
    """A running program: the arrays live as long as it does."""

    def __init__(self, checked: Checked) -> None:
        self._checked = checked
        self._routes = {route.stream: checked.methods[route.method] for route in checked.routes}
        self.arrays: dict[str, Elements] = {
            a.name: [b""] * a.length if a.type is Type.STRING_ARRAY else [0] * a.length
            for a in checked.arrays
        }
        self._puts: list[tuple[str, bytes]] = []
        self._now = 0

    def handle(self, stream: str, packet: bytes, timestamp: int) -> Handled:
        """Handle one packet of `stream` at `timestamp` (ns)."""
        if not packet:
            return Handled([], [ir.EMPTY_PACKET])
        method = self._routes.get(stream)
        if method is None:
            return Handled([], [ir.NO_PUT])
        if len(packet) > ir.MAXIMUM_PACKET:
            return Handled([], [ir.TARGET_LIMIT])
        self._puts, self._now = [], arithmetic.wrap(timestamp, 64)
        try:
            self._run(method, [packet])
        except Trap as trap:
            return Handled([], [trap.kind])
        if not self._puts:
            return Handled([], [ir.NO_PUT])
        full = [(name, data) for name, data in self._puts if data]
        return Handled(full, [ir.EMPTY_PACKET] * (len(self._puts) - len(full)))

    def _run(self, method: s.Method, arguments: list[Value]) -> Value | None:
        frame: dict[Local, Value] = {}
        for parameter, argument in zip(method.parameters, arguments, strict=True):
            local = self._checked.symbols[parameter]
            assert isinstance(local, Local)
            frame[local] = argument
        try:
            _Frame(self, self._checked, frame).execute(method.body)
        except _Returned as returned:
            return returned.value
        return None

    # What a frame needs of the program around it.

    def call(self, name: str, arguments: list[Value]) -> Value | None:
        """Run an own method."""
        return self._run(self._checked.methods[name], arguments)

    def put(self, stream: str, packet: bytes) -> None:
        """Gather a packet; it leaves when the handler has ended well."""
        self._puts.append((stream, packet))

    def nanos(self) -> int:
        """The timestamp of the packet that is handled."""
        return self._now


class _Frame:
    """One running call of a method."""

    def __init__(self, program: Interpreter, checked: Checked, values: dict[Local, Value]) -> None:
        self._program = program
        self._checked = checked
        self._values = values

    # ── statements ──

    def execute(self, statement: s.Statement) -> None:
        """Run one statement."""
        match statement:
            case s.Block():
                for inner in statement.statements:
                    self.execute(inner)
            case s.LocalDeclaration():
                for declarator in statement.declarators:
                    if declarator.value is not None:
                        local = self._checked.symbols[declarator]
                        assert isinstance(local, Local)
                        self._values[local] = self._evaluate(declarator.value)
            case s.ExpressionStatement():
                self._evaluate(statement.expression)
            case s.If():
                if self._evaluate(statement.condition):
                    self.execute(statement.then)
                elif statement.otherwise is not None:
                    self.execute(statement.otherwise)
            case s.While():
                while self._evaluate(statement.condition):
                    self.execute(statement.body)
            case s.For():
                for start in statement.start:
                    self.execute(start)
                while statement.condition is None or self._evaluate(statement.condition):
                    self.execute(statement.body)
                    for update in statement.update:
                        self._evaluate(update)
            case s.Return():
                raise _Returned(None if statement.value is None else self._evaluate(statement.value))

    # ── expressions ──

    def _type(self, e: s.Expression) -> Type:
        return self._checked.types[e]

    def _evaluate(self, e: s.Expression) -> Value:
        value = self._value(e)
        return b"" if value is None else value  # a void call, whose value nobody reads

    def _number(self, e: s.Expression) -> int:
        value = self._evaluate(e)
        assert isinstance(value, int)
        return value

    def _bytes(self, e: s.Expression) -> bytes:
        value = self._evaluate(e)
        assert isinstance(value, bytes)
        return value

    def _value(self, e: s.Expression) -> Value | None:
        match e:
            case s.NumberLiteral() | s.BooleanLiteral() | s.StringLiteral():
                return e.value
            case s.Name() | s.Member():
                return self._named(e)
            case s.Unary():
                if e.operator == "!":
                    return not self._evaluate(e.operand)
                return arithmetic.unary(e.operator, self._number(e.operand), self._type(e).bits)
            case s.Binary():
                return self._binary(e)
            case s.Cast():
                value = self._evaluate(e.operand)
                return (
                    arithmetic.wrap(value, self._type(e).bits)
                    if self._type(e).is_number and isinstance(value, int)
                    else value
                )
            case s.Assignment():
                return self._assign(e)
            case s.Step():
                return self._step(e)
            case s.Element():
                elements, index = self._element(e)
                return _checked_index(elements, index)[index]
            case s.Call():
                return self._call(e)
            case s.NewObject():
                data = b"".join([self._bytes(argument) for argument in e.arguments])
                if len(data) > ir.MAXIMUM_PACKET:
                    raise Trap(ir.TARGET_LIMIT)
                return data
        raise AssertionError(e)

    def _named(self, e: s.Name | s.Member) -> Value:
        match self._checked.symbols.get(e):
            case Local() as local:
                return self._values[local]
            case ConstantField() as constant:
                return constant.value
            case ArrayField() as array:
                return self._program.arrays[array.name]
            case StreamField() as stream:
                return stream.stream
        assert isinstance(e, s.Member)
        elements = self._evaluate(e.object)
        assert isinstance(elements, list)
        return len(elements)

    def _binary(self, e: s.Binary) -> Value:
        left = self._evaluate(e.left)
        if e.operator == "&&":
            return bool(left and self._evaluate(e.right))
        if e.operator == "||":
            return bool(left or self._evaluate(e.right))
        right = self._evaluate(e.right)
        assert isinstance(left, int) and isinstance(right, int)
        return _operate(e.operator, left, right, self._type(e))

    def _element(self, e: s.Element) -> tuple[Elements, int]:
        elements = self._evaluate(e.array)
        assert isinstance(elements, list)
        return elements, self._number(e.index)

    # ── assignment ──

    def _assign(self, e: s.Assignment) -> Value:
        if isinstance(e.target, s.Element):
            return self._assign_element(e, e.target)
        local = self._checked.symbols[e.target]
        assert isinstance(local, Local)
        if e.operator == "=":
            value = self._evaluate(e.value)
        else:
            old = self._values[local]
            value = self._compound(e, old, self._evaluate(e.value), local.type)
        self._values[local] = value
        return value

    def _compound(self, e: s.Assignment, old: Value, operand: Value, kind: Type) -> Value:
        """`old operator operand`, computed as wide as the operands ask for, narrowed to the target's type."""
        operator = e.operator[:-1]
        assert isinstance(old, int) and isinstance(operand, int)
        if kind is Type.BOOLEAN:
            return _operate(operator, old, operand, kind)
        shifts = operator in ("<<", ">>", ">>>")
        wide = kind if shifts or self._type(e.value) is Type.INT else Type.LONG
        result = _operate(operator, old, operand, wide)
        assert isinstance(result, int)
        return arithmetic.wrap(result, kind.bits)

    def _assign_element(self, e: s.Assignment, target: s.Element) -> Value:
        """Index, value, then the test of the index.

        A compound assignment reads and writes the element as one.
        """
        elements, index = self._element(target)
        value = self._evaluate(e.value)
        _checked_index(elements, index)
        if e.operator != "=":
            value = self._compound(e, elements[index], value, self._type(target))
        assert isinstance(value, int | bytes)
        if isinstance(value, bytes) and len(value) > MAXIMUM_STORED_STRING:
            raise Trap(ir.RANGE_ERROR)
        elements[index] = value
        return value

    def _step(self, e: s.Step) -> Value:
        if isinstance(e.target, s.Element):
            elements, index = self._element(e.target)
            old = _checked_index(elements, index)[index]
            assert isinstance(old, int)
            new = arithmetic.binary(e.operator[0], old, 1, self._type(e).bits)
            elements[index] = new
        else:
            local = self._checked.symbols[e.target]
            assert isinstance(local, Local)
            before = self._values[local]
            assert isinstance(before, int)
            old = before
            new = arithmetic.binary(e.operator[0], old, 1, self._type(e).bits)
            self._values[local] = new
        return new if e.prefix else old

    # ── calls ──

    def _call(self, e: s.Call) -> Value | None:
        name = e.name.text
        if e.object is None or isinstance(e.object, s.This):
            return self._program.call(name, [self._evaluate(argument) for argument in e.arguments])
        if e.object not in self._checked.types:
            if name == "nanos":
                return self._program.nanos()
            width = _WIDTH[name]
            return (self._number(e.arguments[0]) & ((1 << 8 * width) - 1)).to_bytes(width, "big")
        if name == "put":
            stream = self._evaluate(e.object)
            assert isinstance(stream, str)
            self._program.put(stream, self._bytes(e.arguments[0]))
            return None
        data = self._bytes(e.object)
        if name == "concat":
            return _limited(data + b"".join([self._bytes(argument) for argument in e.arguments]))
        if name == "equals":
            return data == self._bytes(e.arguments[0])
        numbers = [self._number(argument) for argument in e.arguments]
        if name == "length":
            return len(data)
        if name in ("substring", "subpacket"):
            begin, end = numbers[0], numbers[1] if len(numbers) > 1 else len(data)
            if not 0 <= begin <= end <= len(data):
                raise Trap(ir.RANGE_ERROR)
            part = data[begin:end]
            return _limited(part) if name == "substring" else part
        width, at = _WIDTH[name], numbers[0]
        if not 0 <= at <= len(data) - width:
            raise Trap(ir.RANGE_ERROR)
        return int.from_bytes(data[at : at + width], "big", signed=width > 1)


def _operate(operator: str, left: int, right: int, kind: Type) -> Value:
    """`left operator right`, not short-circuiting; `kind` is the type of the result."""
    if operator in ("==", "!=", "<", "<=", ">", ">="):
        return arithmetic.compare(operator, left, right)
    if kind is Type.BOOLEAN:
        return bool({"&": left & right, "|": left | right, "^": left ^ right}[operator])
    try:
        return arithmetic.binary(operator, left, right, kind.bits)
    except ZeroDivisionError:
        raise Trap(ir.ARITHMETIC_ERROR) from None


def _checked_index(elements: Elements, index: int) -> Elements:
    if not 0 <= index < len(elements):
        raise Trap(ir.RANGE_ERROR)
    return elements


def _limited(string: bytes) -> bytes:
    if len(string) > MAXIMUM_STRING:
        raise Trap(ir.RANGE_ERROR)
    return string


class InterpreterTarget:
    """The interpreter as one of the targets."""

    def emit(self, compiled: Compiled) -> str:
        """The interpreter runs the program as it is."""
        return compiled.source

    def compile(self, compiled: Compiled, directory: Path) -> list[Path]:
        """There is nothing to compile for the interpreter."""
        raise NotAvailable("the interpreter runs programs as they are; compile for xdp or p4, or use run")

    def run(self, compiled: Compiled, arrivals: Sequence[Arrival]) -> Outcome:
        """Handle the packets in order, with fresh arrays."""
        program = Interpreter(compiled.checked)
        drops = dict.fromkeys(ir.DROPS, 0)
        departures: list[Departure] = []
        for position, arrival in enumerate(arrivals):
            handled = program.handle(arrival.stream, arrival.data, arrival.timestamp)
            departures += [Departure(stream, position, data) for stream, data in handled.puts]
            for kind in handled.drops:
                drops[kind] += 1
        return Outcome(tuple(departures), drops)


TARGET = InterpreterTarget()
