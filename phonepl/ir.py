"""The intermediate language: explicit, immutable, printable. Targets generate code from this and need no
other input.

One `Program` per source file, one `Handler` per stream whose packets go to a method. Calls are expanded,
the single instance is resolved (a field is its stream or array), and nothing is implicit:

* **Expressions** (`Constant`, `Local`, `Length`, `Unary`, `Binary`, `Convert`) are pure and total trees
  over numbers and booleans: they read no memory, cannot fail, and may be evaluated in any order, or twice.
* **Operations** (`ReadNumber`, `Substring`, `Concat`, `OfNumber`, `Equals`, `Subpacket`, `NewPacket`,
  `Nanos`) touch bytes. They stand only as the whole value of a `Set`, and their operands are locals,
  constants and pure trees. What could go wrong with them was tested by a `TrapIf` before, so they need no
  check of their own.
* **Traps** are control flow: when the condition of a `TrapIf` holds, the handler ends at once, every put of
  this packet is discarded, what was stored in arrays stays, and the packet is counted under the trap's
  kind.
* **Puts** are gathered in order and take effect when the handler ends; a handler that gathered none counts
  `no_put`. An empty packet that is put is dropped and counted `empty_packet` (an empty packet that arrives
  likewise; the handler does not run). A target may count `target_limit` where its own limits, or
  MAXIMUM_PACKET, are exceeded.
* **Ranges**: every expression carries the inclusive range that the compiler proved: of the value for
  numbers, of the length in bytes for Strings and Packets, 0 to 1 for booleans. `low == high` on a String
  means a static length.
* **Control flow** is structured: `If`, `Scope` with `Leave` (a forward jump to the scope's end), and `Loop`
  with a proved bound. `structure.without_leaves` turns `Leave` into flags, `structure.unrolled` turns loops
  into copies.

Numbers are two's complement: `int` 32 bits, `long` 64. Overflow wraps; `/` and `%` truncate towards zero
and never meet a zero divisor; MIN / -1 wraps; shifts take the low 5 or 6 bits of the right operand, which
may be of the other width; `>>>` shifts in zeros.
"""

from __future__ import annotations

from dataclasses import dataclass

from phonepl.syntax import Span
from phonepl.types import MAXIMUM_STORED_STRING, MAXIMUM_STRING, Type
from phonepl.types import Constant as Value

MAXIMUM_PACKET = 262_144
"""Bytes of the longest packet that any target makes; beyond it: target_limit."""


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers from `low` to `high`, both included."""

    low: int
    high: int

    @property
    def is_single(self) -> bool:
        return self.low == self.high

    def join(self, other: Range) -> Range:
        """The smallest range that holds both."""
        return Range(min(self.low, other.low), max(self.high, other.high))

    def meet(self, other: Range) -> Range | None:
        """What both hold; None if nothing."""
        low, high = max(self.low, other.low), min(self.high, other.high)
        return Range(low, high) if low <= high else None

    def inside(self, other: Range) -> bool:
        """Is all of this in `other`?"""
        return other.low <= self.low and self.high <= other.high

    def __str__(self) -> str:
        return str(self.low) if self.is_single else f"{self.low}..{self.high}"


WHOLE = {
    Type.BOOLEAN: Range(0, 1),
    Type.INT: Range(-(1 << 31), (1 << 31) - 1),
    Type.LONG: Range(-(1 << 63), (1 << 63) - 1),
    Type.STRING: Range(0, MAXIMUM_STRING),
    Type.PACKET: Range(0, MAXIMUM_PACKET),
}
"""The range of a type about which nothing else is known."""
STORED_STRING = Range(0, MAXIMUM_STORED_STRING)


# ── expressions: pure, total ──


@dataclass(frozen=True, slots=True)
class Constant:
    """A boolean, a number, or a String's bytes."""

    value: Value
    type: Type

    @property
    def range(self) -> Range:
        size = len(self.value) if isinstance(self.value, bytes) else int(self.value)
        return Range(size, size)

    def __str__(self) -> str:
        if isinstance(self.value, bytes):
            return f'x"{self.value.hex()}"'
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        return f"{self.value}{'L' if self.type is Type.LONG else ''}"


@dataclass(frozen=True, slots=True)
class Local:
    """A local variable; its name is unique in its handler. `range` is what is known where this stands."""

    name: str
    type: Type
    range: Range

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Length:
    """The length of a String or Packet: an int, at least 0."""

    of: Local
    range: Range

    @property
    def type(self) -> Type:
        return Type.INT

    def __str__(self) -> str:
        return f"length({self.of})"


@dataclass(frozen=True, slots=True)
class Unary:
    """`-` or `~` of a number, `!` of a boolean."""

    operator: str
    operand: Expression
    type: Type
    range: Range

    def __str__(self) -> str:
        return f"{self.operator}{self.operand}"


@dataclass(frozen=True, slots=True)
class Binary:
    """An operator of Java.

    `+ - * / % & | ^`: both operands have the result's type (number; `& | ^` also boolean). `<< >> >>>`: the
    left operand has the result's type, the right one is int or long. `== != < <= > >=`: operands of one
    type, result boolean (`==` and `!=` also compare booleans). `&& ||`: booleans; as both sides are pure,
    short-circuiting is only a matter of speed. The right operand of `/` and `%` is not zero.
    """

    operator: str
    left: Expression
    right: Expression
    type: Type
    range: Range

    def __str__(self) -> str:
        return f"({self.left} {self.operator} {self.right})"


@dataclass(frozen=True, slots=True)
class Convert:
    """A number of one width as the other: int to long extends the sign, long to int keeps the low 32 bits."""

    operand: Expression
    type: Type
    range: Range

    def __str__(self) -> str:
        return f"({self.type.value}) {self.operand}"


Expression = Constant | Local | Length | Unary | Binary | Convert
Bytes = Local | Constant
"""A String operand of an operation (or, where it says so, a Packet local)."""


# ── operations: touch bytes, stand only as the value of a Set ──


@dataclass(frozen=True, slots=True)
class ReadNumber:
    """A big-endian number of `width` bytes at `offset`: width 1 gives an int 0–255, 4 an int, 8 a long
    (both signed).

    `source` is a Packet or a String; offset ≥ 0 and offset + width ≤ length.
    """

    source: Bytes
    offset: Expression
    width: int
    range: Range

    @property
    def type(self) -> Type:
        return Type.LONG if self.width == 8 else Type.INT

    def __str__(self) -> str:
        return f"read{8 * self.width} {self.source}[{self.offset}]"


@dataclass(frozen=True, slots=True)
class Substring:
    """The bytes `begin` to `end` (exclusive) of a Packet or String, as a String of at most 256 bytes.

    0 ≤ begin ≤ end ≤ length of source.
    """

    source: Bytes
    begin: Expression
    end: Expression
    range: Range

    @property
    def type(self) -> Type:
        return Type.STRING

    def __str__(self) -> str:
        return f"substring {self.source}[{self.begin} : {self.end}]"


@dataclass(frozen=True, slots=True)
class Concat:
    """Strings joined; at least one part, at most 256 bytes in all."""

    parts: tuple[Bytes, ...]
    range: Range

    @property
    def type(self) -> Type:
        return Type.STRING

    def __str__(self) -> str:
        return f"concat {', '.join(map(str, self.parts))}"


@dataclass(frozen=True, slots=True)
class OfNumber:
    """The low `width` bytes (1, 4 or 8) of a number, big-endian, as a String."""

    operand: Expression
    width: int

    @property
    def range(self) -> Range:
        return Range(self.width, self.width)

    @property
    def type(self) -> Type:
        return Type.STRING

    def __str__(self) -> str:
        return f"bytes{self.width} {self.operand}"


@dataclass(frozen=True, slots=True)
class Equals:
    """Have two Strings the same length and bytes?"""

    left: Bytes
    right: Bytes
    range: Range = Range(0, 1)

    @property
    def type(self) -> Type:
        return Type.BOOLEAN

    def __str__(self) -> str:
        return f"equals {self.left}, {self.right}"


@dataclass(frozen=True, slots=True)
class Subpacket:
    """The bytes `begin` to `end` (exclusive) of a Packet, as a Packet. 0 ≤ begin ≤ end ≤ length of source."""

    source: Local
    begin: Expression
    end: Expression
    range: Range

    @property
    def type(self) -> Type:
        return Type.PACKET

    def __str__(self) -> str:
        return f"subpacket {self.source}[{self.begin} : {self.end}]"


@dataclass(frozen=True, slots=True)
class NewPacket:
    """Strings, in order, and behind them a packet if `tail` is not None."""

    parts: tuple[Bytes, ...]
    tail: Local | None
    range: Range

    @property
    def type(self) -> Type:
        return Type.PACKET

    def __str__(self) -> str:
        listed = [*map(str, self.parts), *([str(self.tail)] if self.tail else [])]
        return f"packet {', '.join(listed)}"


@dataclass(frozen=True, slots=True)
class Nanos:
    """`Clock.nanos()`: a long; the interpreter gives the packet's timestamp."""

    range: Range = WHOLE[Type.LONG]

    @property
    def type(self) -> Type:
        return Type.LONG

    def __str__(self) -> str:
        return "nanos"


Operation = ReadNumber | Substring | Concat | OfNumber | Equals | Subpacket | NewPacket | Nanos


# ── statements ──


@dataclass(frozen=True, slots=True)
class Set:
    """`target = value`. A value of type String or Packet is an operation, a local, or a constant String."""

    target: Local
    value: Expression | Operation
    span: Span


@dataclass(frozen=True, slots=True)
class Load:
    """`target = array[index]`, atomic. The index was tested."""

    target: Local
    array: Array
    index: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class Store:
    """`array[index] = value`, atomic. Index and, for Strings, length (≤ 64) were tested."""

    array: Array
    index: Expression
    value: Expression
    span: Span


@dataclass(frozen=True, slots=True)
class Update:
    """`array[index] = array[index] operator operand`, atomic as one, for int[] and long[].

    The arithmetic is done in `width` (int or long, the operand has that type unless the operator shifts)
    and the result is wrapped to the element's type. `target`, if any, receives the element before
    (`gives_new` false) or after.
    """

    target: Local | None
    array: Array
    index: Expression
    operator: str
    operand: Expression
    width: Type
    gives_new: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Put:
    """Gather the value that `packet` has now for `stream`.

    `is_last`: no other put can follow in this handler, so that the packet may be moved instead of copied.
    """

    stream: str
    packet: Local
    span: Span
    is_last: bool = False


@dataclass(frozen=True, slots=True)
class If:
    """Exactly one of the two blocks is executed."""

    condition: Expression
    then: Block
    otherwise: Block
    span: Span


@dataclass(frozen=True, slots=True)
class Scope:
    """`body`, which a `Leave(label)` inside ends early. Labels are unique in a handler."""

    label: str
    body: Block
    span: Span


@dataclass(frozen=True, slots=True)
class Loop:
    """`body` again and again, until a `Leave(label)` inside ends the loop.

    `bound` is how often the body is entered at most, the last time to leave by its first test; so turns + 1.
    """

    label: str
    bound: int
    body: Block
    span: Span


@dataclass(frozen=True, slots=True)
class Leave:
    """Go on behind the enclosing Scope or Loop of that label."""

    label: str
    span: Span


@dataclass(frozen=True, slots=True)
class TrapIf:
    """End the handler and discard its puts if `condition` holds.

    A condition that is Constant true always traps.
    """

    condition: Expression
    kind: str
    span: Span


Statement = Set | Load | Store | Update | Put | If | Scope | Loop | Leave | TrapIf
Block = tuple[Statement, ...]

RANGE_ERROR = "range_error"
ARITHMETIC_ERROR = "arithmetic_error"
NO_PUT = "no_put"
EMPTY_PACKET = "empty_packet"
TARGET_LIMIT = "target_limit"
DROPS = (NO_PUT, EMPTY_PACKET, RANGE_ERROR, ARITHMETIC_ERROR, TARGET_LIMIT)
"""The names under which packets are counted that are not forwarded."""


# ── programs ──


@dataclass(frozen=True, slots=True)
class Array:
    """An array shared by all cores: `length` elements, at first 0 or the empty String (≤ 64 bytes each)."""

    name: str
    element: Type
    length: int


@dataclass(frozen=True, slots=True)
class Handler:
    """What is done with each packet of `stream`.

    `packet` is the local that holds the packet at first, of length 1 to MAXIMUM_PACKET. `locals` are all
    locals, `packet` included, each with the range of all its values. `maximum_puts` bounds the puts that
    one packet can gather.
    """

    stream: str
    method: str
    packet: Local
    locals: tuple[Local, ...]
    body: Block
    maximum_puts: int
    span: Span


@dataclass(frozen=True, slots=True)
class Program:
    """A whole program. `streams` are the imports in order; those without a handler are only put to."""

    name: str
    streams: tuple[str, ...]
    arrays: tuple[Array, ...]
    handlers: tuple[Handler, ...]
