"""The intermediate language, executed word for word.

So that its passes are tested without any target's help.
"""

from __future__ import annotations

from phonepl import arithmetic, ir
from phonepl.types import Type

Value = bool | int | bytes


class Trapped(Exception):
    """A TrapIf held."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__(kind)


class _Left(Exception):
    def __init__(self, label: str) -> None:
        self.label = label
        super().__init__(label)


class Machine:
    """A running program; asserts everything that the language promises its targets, ranges above all."""

    def __init__(self, program: ir.Program) -> None:
        self._handlers = {handler.stream: handler for handler in program.handlers}
        self.arrays: dict[str, list[int | bytes]] = {
            a.name: [b"" if a.element is Type.STRING else 0] * a.length for a in program.arrays
        }
        self._values: dict[str, Value] = {}
        self._puts: list[tuple[str, bytes]] = []
        self._ended = False
        self._now = 0

    def handle(self, stream: str, packet: bytes, timestamp: int) -> tuple[list[tuple[str, bytes]], list[str]]:
        """The puts and the drops of one packet."""
        if not packet:
            return [], [ir.EMPTY_PACKET]
        handler = self._handlers.get(stream)
        if handler is None:
            return [], [ir.NO_PUT]
        self._puts, self._now, self._ended = [], timestamp, False
        self._values = {handler.packet.name: packet}
        self._declared = {local.name: local for local in handler.locals}
        try:
            self._block(handler.body)
        except Trapped as trap:
            return [], [trap.kind]
        assert len(self._puts) <= handler.maximum_puts
        if not self._puts:
            return [], [ir.NO_PUT]
        full = [put for put in self._puts if put[1]]
        return full, [ir.EMPTY_PACKET] * (len(self._puts) - len(full))

    def _block(self, block: ir.Block) -> None:
        for statement in block:
            self._statement(statement)

    def _statement(self, statement: ir.Statement) -> None:
        match statement:
            case ir.Set():
                self._store(statement.target, self._value(statement.value))
            case ir.Load():
                self._store(
                    statement.target, self.arrays[statement.array.name][self._number(statement.index)]
                )
            case ir.Store():
                value = self._value(statement.value)
                assert not isinstance(value, bytes) or len(value) <= 64
                self.arrays[statement.array.name][self._number(statement.index)] = value
            case ir.Update():
                self._update(statement)
            case ir.Put():
                assert not self._ended, "a put behind the last one"
                self._ended = statement.is_last
                data = self._value(statement.packet)
                assert isinstance(data, bytes)
                self._puts.append((statement.stream, data))
            case ir.TrapIf():
                if self._value(statement.condition):
                    raise Trapped(statement.kind)
            case ir.If():
                self._block(statement.then if self._value(statement.condition) else statement.otherwise)
            case ir.Leave():
                raise _Left(statement.label)
            case ir.Scope():
                try:
                    self._block(statement.body)
                except _Left as left:
                    if left.label != statement.label:
                        raise
            case ir.Loop():
                self._loop(statement)

    def _loop(self, statement: ir.Loop) -> None:
        entered = 0
        while True:
            entered += 1
            assert entered <= statement.bound, f"loop {statement.label} passed its bound of {statement.bound}"
            try:
                self._block(statement.body)
            except _Left as left:
                if left.label != statement.label:
                    raise
                return

    def _update(self, statement: ir.Update) -> None:
        elements, index = self.arrays[statement.array.name], self._number(statement.index)
        old, operand = elements[index], self._number(statement.operand)
        assert isinstance(old, int)
        wide = arithmetic.binary(statement.operator, old, operand, statement.width.bits)
        new = arithmetic.wrap(wide, statement.array.element.bits)
        elements[index] = new
        if statement.target is not None:
            self._store(statement.target, new if statement.gives_new else old)

    def _store(self, target: ir.Local, value: Value) -> None:
        size = len(value) if isinstance(value, bytes) else int(value)
        declared = self._declared[target.name]
        assert target.range.low <= size <= target.range.high, (target, target.range, size)
        assert declared.range.low <= size <= declared.range.high, (declared, declared.range, size)
        self._values[target.name] = value

    def _number(self, e: ir.Expression) -> int:
        value = self._value(e)
        assert isinstance(value, int)
        return value

    def _bytes(self, e: ir.Expression) -> bytes:
        value = self._value(e)
        assert isinstance(value, bytes)
        return value

    def _value(self, e: ir.Expression | ir.Operation) -> Value:
        value = self._computed(e)
        size = len(value) if isinstance(value, bytes) else int(value)
        assert e.range.low <= size <= e.range.high, (str(e), e.range, size)
        return value

    def _computed(self, e: ir.Expression | ir.Operation) -> Value:
        match e:
            case ir.Constant():
                return e.value
            case ir.Local():
                return self._values[e.name]
            case ir.Length():
                return len(self._bytes(e.of))
            case ir.Unary():
                if e.operator == "!":
                    return not self._value(e.operand)
                return arithmetic.unary(e.operator, self._number(e.operand), e.type.bits)
            case ir.Convert():
                return arithmetic.wrap(self._number(e.operand), e.type.bits)
            case ir.Binary():
                return self._binary(e)
            case ir.ReadNumber():
                data, at = self._bytes(e.source), self._number(e.offset)
                assert 0 <= at <= len(data) - e.width
                return int.from_bytes(data[at : at + e.width], "big", signed=e.width > 1)
            case ir.Substring() | ir.Subpacket():
                data, begin, end = self._bytes(e.source), self._number(e.begin), self._number(e.end)
                assert 0 <= begin <= end <= len(data)
                return data[begin:end]
            case ir.Concat():
                return b"".join(self._bytes(part) for part in e.parts)
            case ir.NewPacket():
                parts = [*e.parts, e.tail] if e.tail else e.parts
                return b"".join(self._bytes(part) for part in parts)
            case ir.OfNumber():
                return (self._number(e.operand) & ((1 << 8 * e.width) - 1)).to_bytes(e.width, "big")
            case ir.Equals():
                return self._bytes(e.left) == self._bytes(e.right)
            case ir.Nanos():
                return self._now

    def _binary(self, e: ir.Binary) -> Value:
        left = self._value(e.left)
        if e.operator in ("&&", "||"):
            return bool(left) if bool(left) is (e.operator == "||") else bool(self._value(e.right))
        right = self._value(e.right)
        assert isinstance(left, int) and isinstance(right, int)
        if e.operator in ("==", "!=", "<", "<=", ">", ">="):
            assert e.left.type is e.right.type
            return arithmetic.compare(e.operator, left, right)
        if e.type is Type.BOOLEAN:
            return bool({"&": left & right, "|": left | right, "^": left ^ right}[e.operator])
        assert e.left.type is e.type and (e.operator in ("<<", ">>", ">>>") or e.right.type is e.type)
        return arithmetic.binary(e.operator, left, right, e.type.bits)
