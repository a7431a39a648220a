"""A Hypothesis strategy for well-typed random Phonepl programs and the packets to run through them.

Every target is tested against the interpreter with it. `Features` leaves out what a target does not have.
"""

from __future__ import annotations

import random

from hypothesis import strategies as st

from phonepl.targets import Arrival
from tests.fuzz.phonepl.expressions import Expressions, Features, Scope

__all__ = ["Features", "packets", "program_from_seed", "programs", "seeds"]

IMPORTS = ("NetA", "NetB")
"""The streams of every generated program: packets of NetA go to a method, sometimes those of NetB too."""
EVERYTHING = Features()

_HELPERS = {
    "number": ("int", "Packet p, int x"),
    "wide": ("long", "long y, int x"),
    "text": ("String", "Packet p, int x"),
    "test": ("boolean", "int x, String s"),
    "change": ("Packet", "Packet p, int x"),
}


class _Writer(Expressions):
    """Writes one program by drawing its choices."""

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
        scope = Scope()
        for parameter in parameters.split(", "):
            kind, variable = parameter.split()
            scope.add(kind, variable, fixed=kind == "Packet" and not self._f.packet_variables)
        self._puts = self._f.puts  # helpers put nothing
        body = self._block(scope, 2, result)
        last = f"    return {self._expression(result, scope, 2)};"
        return [f"  {result} {name}({parameters}) {{", *body, last, "  }"]

    def _handler(self, name: str) -> list[str]:
        scope = Scope()
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

    def _block(self, scope: Scope, indent: int, result: str) -> list[str]:
        lines: list[str] = []
        fewest = max(1, self._f.statements - indent)
        for _ in range(self._number(fewest, max(fewest, self._f.statements))):
            lines += self._statement(scope, indent, result)
        return lines

    def _statement(self, scope: Scope, indent: int, result: str) -> list[str]:
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

    def _assign(self, scope: Scope, pad: str) -> list[str]:
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

    def _if(self, scope: Scope, indent: int, result: str) -> list[str]:
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

    def _loop(self, kind: str, scope: Scope, indent: int, result: str) -> list[str]:
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

    def _varied_loop(self, name: str, scope: Scope, indent: int, result: str) -> list[str]:
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


@st.composite
def programs(draw: st.DrawFn, features: Features = EVERYTHING) -> str:
    """The source of a program that type-checks; shrinks to what matters."""
    return _Writer(lambda low, high: draw(st.integers(low, high)), features).program()


def program_from_seed(seed: int, features: Features = EVERYTHING) -> str:
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
