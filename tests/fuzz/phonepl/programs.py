"""A Hypothesis strategy for well-typed random Phonepl programs and the packets to run through them.

Every target is tested against the interpreter with it. `Features` leaves out what a target does not have.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from hypothesis import strategies as st

from phonepl.targets import Arrival

T = TypeVar("T")

IMPORTS = ("NetA", "NetB")
"""The streams of every generated program: packets of NetA go to a method, sometimes those of NetB too."""


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
class _Scope:
    """The variables in reach: type → names; those that may not be assigned apart."""

    names: dict[str, list[str]] = field(default_factory=dict)
    fixed: set[str] = field(default_factory=set)

    def inner(self) -> _Scope:
        return _Scope({kind: list(names) for kind, names in self.names.items()}, set(self.fixed))

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
_HELPERS = {
    "number": ("int", "Packet p, int x"),
    "wide": ("long", "long y, int x"),
    "text": ("String", "Packet p, int x"),
    "test": ("boolean", "int x, String s"),
    "change": ("Packet", "Packet p, int x"),
}


class _Writer:
    """Writes one program by drawing its choices."""

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

    # ── the program ──

    def program(self) -> str:
        two_ways = self._chance(40)
        lines = [f"import {name};" for name in IMPORTS] + ["class Generated {"]
        lines += ["  private NetStream outA, outB;"]
        lines += ["  static final int LIMIT = 20, MASK = 0x0f;", '  static final String MARK = x"c0ffee";']
        if self._f.number_arrays:
            lines += ["  private int[] counts = new int[4];"]
            if self._f.longs:
                lines += ["  private long[] sums = new long[3];"]
        if self._f.string_arrays:
            lines += ["  private String[] table = new String[4];"]
        route = "NetStream b > fromB" if two_ways else "NetStream b"
        lines += [f"  public Generated(NetStream a > fromA, {route}) {{ outA = a; outB = b; }}"]
        if self._f.methods:
            for helper in ("number", "wide", "text", "test", "change"):
                if (helper != "wide" or self._f.longs) and self._chance(35):
                    lines += self._helper(helper)
                    self._helpers.append(helper)
        for handler in ("fromA", "fromB") if two_ways else ("fromA",):
            lines += self._handler(handler)
        lines += ["  void main() { new Generated(new NetA(), new NetB()); }", "}"]
        return "\n".join(lines) + "\n"

    def _helper(self, name: str) -> list[str]:
        result, parameters = _HELPERS[name]
        scope = _Scope()
        for parameter in parameters.split(", "):
            kind, variable = parameter.split()
            scope.add(kind, variable, fixed=kind == "Packet" and not self._f.packet_variables)
        self._puts = self._f.puts  # helpers put nothing
        body = self._block(scope, 2, result)
        last = f"    return {self._expression(result, scope, 2)};"
        return [f"  {result} {name}({parameters}) {{", *body, last, "  }"]

    def _handler(self, name: str) -> list[str]:
        scope = _Scope()
        scope.add("Packet", "i", fixed=True)
        self._puts = 0
        lines = [f"  void {name}(Packet i) {{"]
        if self._chance(60):
            lines += [f"    if (i.length() < {self._number(1, 40)}) return;"]
        lines += self._block(scope, 2, "void")
        if self._chance(80):
            self._puts += 1
            lines += [f"    {self._pick(['outA', 'outB'])}.put({self._expression('Packet', scope, 3)});"]
        return [*lines, "  }"]

    # ── statements ──

    def _block(self, scope: _Scope, indent: int, result: str) -> list[str]:
        lines: list[str] = []
        fewest = max(1, self._f.statements - indent)
        for _ in range(self._number(fewest, max(fewest, self._f.statements))):
            lines += self._statement(scope, indent, result)
        return lines

    def _statement(self, scope: _Scope, indent: int, result: str) -> list[str]:
        pad = "  " * indent
        choices = ["declare", "declare", "assign", "if", "if"]
        if self._f.number_arrays:
            choices += ["update", "update"]
        if self._f.string_arrays:
            choices += ["store"]
        if self._f.loops and self._in_loop < 2 and indent < 2 + self._f.depth:
            choices += ["for", "while"]
        if self._puts < self._f.puts and not self._in_loop and result == "void":
            choices += ["put", "put"]
        match self._pick(choices):
            case "declare":
                kind, name = self._pick(self._kinds), self._name()
                value = self._expression(kind, scope, 3)
                scope.add(kind, name, fixed=kind == "Packet" and not self._f.packet_variables)
                return [f"{pad}{kind} {name} = {value};"]
            case "assign":
                return self._assign(scope, pad)
            case "if":
                return self._if(scope, indent, result)
            case "update":
                return [f"{pad}{self._updated(scope)};"]
            case "store":
                return [f"{pad}table[{self._index(scope, 4)}] = {self._expression('String', scope, 2)};"]
            case "for" | "while" as kind:
                return self._loop(kind, scope, indent, result)
        self._puts += 1
        return [f"{pad}{self._pick(['outA', 'outB'])}.put({self._expression('Packet', scope, 3)});"]

    def _assign(self, scope: _Scope, pad: str) -> list[str]:
        kinds = [kind for kind in self._kinds if scope.assignable(kind)]
        if not kinds:
            return [f"{pad};"]
        kind = self._pick(kinds)
        name = self._pick(scope.assignable(kind))
        operators = ["=", "="]
        if kind in ("int", "long"):
            operators += ["+=", "-=", "^=", "<<=", ">>>=", "*="]
        elif kind == "boolean":
            operators += ["&=", "|=", "^="]
        operator = self._pick(operators)
        value_kind = "int" if "<" in operator or ">" in operator else kind
        return [f"{pad}{name} {operator} {self._expression(value_kind, scope, 3)};"]

    def _if(self, scope: _Scope, indent: int, result: str) -> list[str]:
        pad = "  " * indent
        condition = self._expression("boolean", scope, 3)
        if self._chance(12):
            value = "" if result == "void" else f" {self._expression(result, scope, 1)}"
            return [f"{pad}if ({condition}) return{value};"]
        if indent >= 2 + self._f.depth:
            return [f"{pad};"]
        lines = [f"{pad}if ({condition}) {{", *self._block(scope.inner(), indent + 1, result)]
        if self._chance(40):
            lines += [f"{pad}}} else {{", *self._block(scope.inner(), indent + 1, result)]
        return [*lines, f"{pad}}}"]

    def _loop(self, kind: str, scope: _Scope, indent: int, result: str) -> list[str]:
        pad, name = "  " * indent, self._name()
        if self._f.varied_loops and self._chance(60):
            return self._varied_loop(name, scope, indent, result)
        limit = str(self._number(0, 5))
        if self._chance(30):
            limit = f"({self._expression('int', scope, 1)} & 3)"
        inner = scope.inner()
        inner.add("int", name, fixed=True)
        self._in_loop += 1
        body = self._block(inner, indent + 1, result)
        self._in_loop -= 1
        if kind == "for":
            step = self._pick(["++", "++", " += 2"])
            return [f"{pad}for (int {name} = 0; {name} < {limit}; {name}{step}) {{", *body, f"{pad}}}"]
        start = f"{pad}int {name} = {self._number(0, 5)};"
        if self._chance(50):
            return [start, f"{pad}while ({name}-- > 0) {{", *body, f"{pad}}}"]
        return [start, f"{pad}while ({name} > 0) {{", *body, f"{pad}  {name}--;", f"{pad}}}"]

    def _varied_loop(self, name: str, scope: _Scope, indent: int, result: str) -> list[str]:
        pad, other = "  " * indent, self._name()
        inner = scope.inner()
        inner.add("int", name, fixed=True)
        self._in_loop += 1
        step = f"1 + ({self._expression('int', scope, 1)} & {self._pick([0, 1, 3])})"
        match self._number(0, 5):
            case 0:
                start = f"int {name} = 0, {other} = {self._number(0, 8)}"
                head = f"for ({start}; {name} < {other}; {name}++, {other}--)"
                inner.add("int", other, fixed=True)
            case 1:
                head = (
                    f"for (int {name} = {self._number(-3, 9)}; {name} >= 0; {name} -= {self._number(1, 3)})"
                )
            case 2:
                head = f"for (int {name} = 1; {name} != {self._number(1, 6)}; {name}++)"
            case 3:
                head = f"for (int {name} = 0; {name} + 2 <= {self._number(0, 12)}; {name} += {step})"
            case 4:
                limit = f"{self._expression('String', scope, 1)}.length()"
                head = (
                    f"for (int {name} = 0; {name} < {limit} && {self._boolean(inner, 2)}; {name} += {step})"
                )
            case _:
                head = f"for (long {name}L = 0; {name}L < 4; {name}L += 2)"
                inner.names["int"].remove(name)
                inner.add("long", f"{name}L", fixed=True)
        body = self._block(inner, indent + 1, result)
        self._in_loop -= 1
        return [f"{pad}{head} {{", *body, f"{pad}}}"]

    def _updated(self, scope: _Scope) -> str:
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

    def _index(self, scope: _Scope, length: int) -> str:
        if self._chance(50):
            return str(self._number(0, length - 1))
        inner = self._expression("int", scope, 1)
        return f"({inner}) & {3 if length == 4 else 1}" if self._chance(90) else inner

    def _expression(self, kind: str, scope: _Scope, depth: int) -> str:
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

    def _offset(self, scope: _Scope, source: str) -> str:
        if source not in scope.of("Packet"):
            return str(self._number(0, 3 if self._chance(80) else 24))
        if self._chance(75):
            return str(self._number(0, 24))
        return f"({self._expression('int', scope, 1)} & {self._pick([7, 15, 31])})"

    def _source(self, scope: _Scope, depth: int) -> str:
        if scope.of("Packet") and self._chance(75):
            return self._pick(scope.of("Packet"))
        return self._expression("String", scope, depth - 1)

    def _int(self, scope: _Scope, depth: int) -> str:
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

    def _arithmetic(self, kind: str, scope: _Scope, depth: int) -> str:
        operators = ["+", "-", "*", "&", "|", "^", "<<", ">>", ">>>"]
        if self._f.division:
            operators += ["/", "%"]
        operator = self._pick(operators)
        left = self._expression(kind, scope, depth - 1)
        right = self._expression("int" if operator in ("<<", ">>", ">>>") else kind, scope, depth - 1)
        if operator in ("/", "%") and self._chance(70):
            right = str(self._number(1, 9))
        return f"({left} {operator} {right})"

    def _long(self, scope: _Scope, depth: int) -> str:
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

    def _boolean(self, scope: _Scope, depth: int) -> str:
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

    def _string(self, scope: _Scope, depth: int) -> str:
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

    def _strings(self, scope: _Scope, depth: int, most: int) -> str:
        count = self._number(1, most)
        return ", ".join(self._expression("String", scope, depth - 1) for _ in range(count))

    def _slice(self, scope: _Scope, source: str, open_end: int = 25) -> str:
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

    def _packet(self, scope: _Scope, depth: int) -> str:
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


@st.composite
def programs(draw: st.DrawFn, features: Features = Features()) -> str:
    """The source of a program that type-checks; shrinks to what matters."""
    return _Writer(lambda low, high: draw(st.integers(low, high)), features).program()


def program_from_seed(seed: int, features: Features = Features()) -> str:
    """The same without Hypothesis, many times as fast and more even in size, for runs over many programs."""
    return _Writer(random.Random(seed).randint, features).program()


seeds = st.integers(0, (1 << 32) - 1)
"""What `packets` makes its packets from; drawn instead of them, so that a failing example stays short."""


def packets(seed: int, shortest: int = 1, longest: int = 400, count: int = 34) -> list[Arrival]:
    """Packets from a seed, with rising timestamps (ns): short ones, ones near the edges, long ones."""
    source = random.Random(seed)
    made: list[Arrival] = []
    now = 1_700_000_000_000_000_000
    for number in range(count):
        now += source.randrange(1, 2_000_000)
        near = min(longest, shortest + 60)
        size = source.choice([shortest, source.randint(shortest, near), source.randint(shortest, near), near])
        if number % 7 == 6:
            size = source.choice(
                [source.randint(shortest, longest), longest, min(longest, 256), min(longest, 257)]
            )
        match number % 3:
            case 0:
                data = bytes(source.randrange(256) for _ in range(size))
            case 1:
                data = bytes(source.randrange(8) for _ in range(size))
            case _:
                data = bytes((at + number) & 255 for at in range(size))
        made.append(Arrival(source.choice(IMPORTS), now, data))
    return made
