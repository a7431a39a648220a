"""Random well-typed Phonepl expressions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Features:
    """What generated programs may use."""

    longs: bool = True
    number_arrays: bool = True
    string_arrays: bool = True
    loops: bool = True
    varied_loops: bool = False
    """Loops with steps known only at run time, two variables, limits from lengths, and returns inside."""
    methods: bool = True
    division: bool = True
    clock: bool = True
    variable_slices: bool = True
    """Strings and packets whose length is known only at run time."""
    packet_variables: bool = True
    """Packet variables that are assigned again."""
    puts: int = 4
    depth: int = 2
    statements: int = 4


@dataclass
class Scope:
    """The variables in reach: type → names; those that may not be assigned apart."""

    names: dict[str, list[str]] = field(default_factory=dict)
    fixed: set[str] = field(default_factory=set)

    def inner(self) -> Scope:
        return Scope({kind: list(names) for kind, names in self.names.items()}, set(self.fixed))

    def add(self, kind: str, name: str, fixed: bool = False) -> None:
        self.names.setdefault(kind, []).append(name)
        if fixed:
            self.fixed.add(name)

    def of(self, kind: str) -> list[str]:
        return self.names.get(kind, [])

    def assignable(self, kind: str) -> list[str]:
        return [name for name in self.of(kind) if name not in self.fixed]


_INTERESTING = (
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    12,
    14,
    31,
    32,
    33,
    63,
    64,
    127,
    128,
    255,
    256,
    2147483647,
    -1,
    -2,
    -2147483648,
)


class Expressions:
    """Writes expressions by drawing their choices."""

    def __init__(self, number: Callable[[int, int], int], features: Features) -> None:
        self._number = number
        self._f = features
        self._count = 0
        self._helpers: list[str] = []
        self._puts = 0
        self._in_loop = 0
        self._kinds = ["int", "boolean", "String", "Packet"] + (["long"] if features.longs else [])

    # ── choices ──

    def _pick(self, options: list[T]) -> T:
        return options[self._number(0, len(options) - 1)]

    def _chance(self, percent: int) -> bool:
        return self._number(0, 99) < percent

    def _name(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def _updated(self, scope: Scope) -> str:
        """A change of an element, which is also an int or long expression."""
        element = f"counts[{self._index(scope, 4)}]"
        wide = self._f.longs and self._chance(30)
        if wide:
            element = f"sums[{self._index(scope, 3)}]"
        match self._pick(["=", "+=", "-=", "^=", "|=", "&=", "++", "--", "<<="]):
            case "++" | "--" as step:
                return f"{element}{step}"
            case "<<=":
                return f"{element} <<= {self._number(0, 40)}"
            case operator:
                return f"{element} {operator} {self._expression('long' if wide else 'int', scope, 2)}"

    # ── expressions ──

    def _index(self, scope: Scope, length: int) -> str:
        if self._chance(50):
            return str(self._number(0, length - 1))
        inner = self._expression("int", scope, 1)
        return f"({inner}) & {3 if length == 4 else 1}" if self._chance(90) else inner

    def _expression(self, kind: str, scope: Scope, depth: int) -> str:
        if scope.of(kind) and self._chance(40 if depth > 0 else 70):
            return self._pick(scope.of(kind))
        if kind == "int":
            return self._int(scope, depth)
        if kind == "long":
            return self._long(scope, depth)
        if kind == "boolean":
            return self._boolean(scope, depth)
        if kind == "String":
            return self._string(scope, depth)
        return self._packet(scope, depth)

    def _int_literal(self) -> str:
        value = self._pick(list(_INTERESTING)) if self._chance(50) else self._number(-100, 1000)
        return f"({value})" if value < 0 else str(value)

    def _offset(self, scope: Scope, source: str) -> str:
        if source not in scope.of("Packet"):
            return str(self._number(0, 3 if self._chance(80) else 24))
        if self._chance(75):
            return str(self._number(0, 24))
        return f"({self._expression('int', scope, 1)} & {self._pick([7, 15, 31])})"

    def _source(self, scope: Scope, depth: int) -> str:
        if scope.of("Packet") and self._chance(75):
            return self._pick(scope.of("Packet"))
        return self._expression("String", scope, depth - 1)

    def _int(self, scope: Scope, depth: int) -> str:
        if depth <= 0:
            return self._int_literal()
        choices = ["literal", "binary", "binary", "read", "read", "length", "unary", "constant"]
        choices += ["cast"] if self._f.longs else []
        choices += ["element", "update"] if self._f.number_arrays else []
        choices += ["number"] if "number" in self._helpers and scope.of("Packet") else []
        choices += ["step"] if scope.assignable("int") else []
        match self._pick(choices):
            case "binary":
                return self._arithmetic("int", scope, depth)
            case "read":
                width = self._pick(["byteAt", "byteAt", "intAt"])
                source = self._source(scope, depth)
                return f"{source}.{width}({self._offset(scope, source)})"
            case "length":
                return f"{self._source(scope, depth)}.length()"
            case "unary":
                return f"({self._pick(['-', '~'])} {self._expression('int', scope, depth - 1)})"
            case "constant":
                return self._pick(["LIMIT", "MASK"])
            case "cast":
                return f"((int) {self._expression('long', scope, depth - 1)})"
            case "element":
                return f"counts[{self._index(scope, 4)}]"
            case "update":
                return f"(counts[{self._index(scope, 4)}] += {self._expression('int', scope, depth - 1)})"
            case "number":
                packet = self._pick(scope.of("Packet"))
                return f"number({packet}, {self._expression('int', scope, depth - 1)})"
            case "step":
                name = self._pick(scope.assignable("int"))
                return self._pick(
                    [f"{name}++", f"--{name}", f"({name} = {self._expression('int', scope, depth - 1)})"]
                )
        return self._int_literal()

    def _arithmetic(self, kind: str, scope: Scope, depth: int) -> str:
        operators = ["+", "-", "*", "&", "|", "^", "<<", ">>", ">>>"]
        if self._f.division:
            operators += ["/", "%"]
        operator = self._pick(operators)
        left = self._expression(kind, scope, depth - 1)
        right = self._expression("int" if operator in ("<<", ">>", ">>>") else kind, scope, depth - 1)
        if operator in ("/", "%") and self._chance(70):
            right = str(self._number(1, 9))
        return f"({left} {operator} {right})"

    def _long(self, scope: Scope, depth: int) -> str:
        choices = ["literal", "widened"]
        if depth > 0:
            choices += ["binary", "binary", "read"]
            choices += ["clock"] if self._f.clock else []
            choices += ["element"] if self._f.number_arrays else []
            choices += ["wide"] if "wide" in self._helpers else []
        match self._pick(choices):
            case "literal":
                value = self._pick([0, 1, 255, 1 << 32, (1 << 63) - 1, 0x1234567890])
                return f"{value}L"
            case "binary":
                return self._arithmetic("long", scope, depth)
            case "read":
                source = self._source(scope, depth)
                return f"{source}.longAt({self._offset(scope, source)})"
            case "clock":
                return "Clock.nanos()"
            case "element":
                return f"sums[{self._index(scope, 3)}]"
            case "wide":
                wide = self._expression("long", scope, depth - 1)
                return f"wide({wide}, {self._expression('int', scope, depth - 1)})"
        return f"((long) {self._expression('int', scope, depth - 1)})"

    def _boolean(self, scope: Scope, depth: int) -> str:
        if depth <= 0:
            return self._pick(["true", "false"])
        choices = ["compare", "compare", "compare", "logic", "logic", "not", "equals"]
        choices += ["test"] if "test" in self._helpers else []
        match self._pick(choices):
            case "compare":
                kind = self._pick(["int", "int", "long"]) if self._f.longs else "int"
                operator = self._pick(["<", "<=", ">", ">=", "==", "!="])
                left, right = (
                    self._expression(kind, scope, depth - 1),
                    self._expression(kind, scope, depth - 1),
                )
                return f"({left} {operator} {right})"
            case "logic":
                operator = self._pick(["&&", "||", "&&", "||", "&", "^"])
                left, right = self._boolean(scope, depth - 1), self._boolean(scope, depth - 1)
                return f"({left} {operator} {right})"
            case "not":
                return f"!{self._boolean(scope, depth - 1)}"
            case "test":
                number, text = (
                    self._expression("int", scope, depth - 1),
                    self._expression("String", scope, depth - 1),
                )
                return f"test({number}, {text})"
        left, right = (
            self._expression("String", scope, depth - 1),
            self._expression("String", scope, depth - 1),
        )
        return f"{left}.equals({right})"

    def _string(self, scope: Scope, depth: int) -> str:
        if depth <= 0:
            return self._pick(["MARK", 'x"00"', '""', 'x"0001 0203"', '"ab\\x00"'])
        choices = ["literal", "slice", "slice", "slice", "number", "concat"]
        choices += ["element"] if self._f.string_arrays else []
        choices += ["text"] if "text" in self._helpers and scope.of("Packet") else []
        match self._pick(choices):
            case "slice":
                source = self._source(scope, depth)
                return f"{source}.substring({self._slice(scope, source)})"
            case "number":
                call = (
                    self._pick(["ofInt", "ofByte", "ofLong"])
                    if self._f.longs
                    else self._pick(["ofInt", "ofByte"])
                )
                return f"String.{call}({self._expression('int', scope, depth - 1)})"
            case "concat":
                more = ", ".join(
                    self._expression("String", scope, depth - 1) for _ in range(self._number(1, 2))
                )
                return f"{self._expression('String', scope, depth - 1)}.concat({more})"
            case "element":
                return f"table[{self._index(scope, 4)}]"
            case "text":
                packet = self._pick(scope.of("Packet"))
                return f"text({packet}, {self._expression('int', scope, depth - 1)})"
        return self._string(scope, 0)

    def _strings(self, scope: Scope, depth: int, most: int) -> str:
        count = self._number(1, most)
        return ", ".join(self._expression("String", scope, depth - 1) for _ in range(count))

    def _slice(self, scope: Scope, source: str, open_end: int = 25) -> str:
        long = source in scope.of("Packet") or self._chance(10)
        if not self._f.variable_slices or self._chance(60):
            begin = self._number(0, 16 if long else 1)
            if self._f.variable_slices and self._chance(open_end):
                return str(begin)
            return f"{begin}, {begin + self._number(0, 14 if long else 1)}"
        begin_at = self._offset(scope, source)
        if self._chance(open_end):
            return begin_at
        if self._chance(50):
            return f"{begin_at}, {begin_at} + {self._number(0, 8)}"
        return f"{begin_at}, {self._offset(scope, source)}"

    def _packet(self, scope: Scope, depth: int) -> str:
        packets = scope.of("Packet")
        if depth <= 0:
            return self._pick(packets) if packets else "new Packet(MARK)"
        choices = ["new", "new", "bare"]
        choices += ["part", "part", "known"] if packets else []
        choices += ["change"] if "change" in self._helpers and packets else []
        match self._pick(choices):
            case "part":
                if self._chance(60):
                    return f"{self._packet(scope, depth - 1)}.subpacket({self._number(0, 16)})"
                source = self._packet(scope, depth - 1)
                return f"{source}.subpacket({self._slice(scope, source, 60)})"
            case "known":
                return self._pick(packets)
            case "change":
                return f"change({self._pick(packets)}, {self._expression('int', scope, depth - 1)})"
            case "bare" if not packets or self._chance(30):
                parts = ", ".join(
                    self._expression("String", scope, depth - 1) for _ in range(self._number(1, 3))
                )
                return f"new Packet({parts})"
        parts = ", ".join(self._expression("String", scope, depth - 1) for _ in range(self._number(1, 2)))
        return f"new Packet({parts}, {self._packet(scope, depth - 1)})"
