"""Where a handler's values lie in the generated C, and the lines of it.

Numbers are variables; short Strings of constant length are arrays that become registers; all other bytes
lie in the scratch memory of the core. A Packet is no bytes at all but a `Gathered`: texts in front of a
part of the arrived packet, which stays where the kernel has it.

In `memory` every variable lies in the scratch memory and nothing is kept in registers from one statement to
the next. That is slower, but the verifier then meets the same state at each statement, so that no program
is too entangled for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from phonepl import ir, traversal
from phonepl.targets.xdp.formulas import C_TYPE, Formulas
from phonepl.targets.xdp.limits import MAXIMUM_FRONT
from phonepl.targets.xdp.values import ZERO, Gathered, Number, Text
from phonepl.types import Type

SPACE = 512 + 512
"""Behind the scratch memory: as far as the verifier thinks that a copy may reach."""
_REGISTER_STRING = 64
_STACK = 192
"""Bytes of Strings that are arrays on the stack."""


class NeedsScratch(Exception):
    """The String, or the Packet's front, of this name must lie in the scratch memory."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


@dataclass
class Places:
    """The places of one handler's values.

    `in_scratch`: Strings and Packets that need scratch memory, as an earlier attempt found. `locked`: arrays
    whose elements have locks. `plan`: puts are written down when they are made.
    """

    handler: ir.Handler
    streams: tuple[str, ...]
    locked: frozenset[str]
    memory: bool
    in_scratch: frozenset[str]
    plan: bool
    lines: list[str] = field(default_factory=list)
    depth: int = 1

    def __post_init__(self) -> None:
        self._formulas = Formulas(self._variable, self._length)
        self._numbers: dict[str, str] = {}
        self._scratch: dict[str, str] = {}
        self._stack: dict[str, int] = {}
        self._texts: dict[str, Text] = {}
        self._packets: dict[str, Gathered] = {}
        self._line = 0
        self._sets: dict[str, int] = {}
        for statement in traversal.walk(self.handler.body):
            target = traversal.written(statement)
            if target is not None:
                self._sets[target.name] = self._sets.get(target.name, 0) + 1
        self._traps: set[str] = set()
        self._uses_now = False
        length = self._own("length", "s32")
        arrived = Gathered((), ZERO, Number(length))
        self._packets[self.handler.packet.name] = arrived
        self._arrived_length = length

    def _emit(self, text: str) -> None:
        self.lines.append("    " * self.depth + text if text else "")

    def _at(self, line: int) -> None:
        if line != self._line:
            self._emit(f"AT({line});")
            self._line = line

    def _trap(self, pad: str, kind: str) -> None:
        self._traps.add(kind)
        self._emit(f"{pad}goto {kind};")

    def _own(self, name: str, kind: str) -> str:
        """A variable of the generated code itself, or of a local."""
        variable = f"s->{name}" if self.memory else name
        self._numbers[variable] = kind
        if self.memory:
            self._scratch.setdefault(name, f"{kind} {name};")
        return variable

    def _buffer(self, name: str, size: int) -> str:
        self._scratch.setdefault(name, f"u8 {name}[{-(-max(size, 1) // 8) * 8}] __attribute__((aligned(8)));")
        return f"s->{name}"

    def _variable(self, local: ir.Local) -> str:
        return self._own(f"{local.name}_", C_TYPE[local.type])

    def _declare(self, local: ir.Local) -> None:
        if local.type is Type.STRING:
            self._texts[local.name] = self._declared_text(local)
        elif local.type is Type.PACKET and self._is_declared(local):
            self._declare_packet(local)

    def _is_declared(self, packet: ir.Local) -> bool:
        """Has the packet memory of its own?"""
        return self._sets.get(packet.name, 0) > 1 or packet.name in self.in_scratch

    def _declared_text(self, local: ir.Local) -> Text:
        name, stable = local.name, self._sets.get(local.name, 0) <= 1
        low, high = local.range.low, local.range.high
        length = Number.of(low) if low == high else Number(self._own(f"{name}_length", "s32"))
        used = sum(-(-size // 8) * 8 for size in self._stack.values())
        fits = low == high <= _REGISTER_STRING and used + -(-high // 8) * 8 <= _STACK
        if fits and not self.memory and name not in self.in_scratch:
            self._stack[f"{name}_bytes"] = max(high, 1)
            return Text(f"{name}_bytes", length, high, None, False, stable)
        return Text(self._buffer(f"{name}_bytes", high), length, high, None, True, stable)

    def _declare_packet(self, local: ir.Local) -> None:
        name, stable = local.name, self._sets.get(local.name, 0) <= 1
        size = Number(self._own(f"{name}_size", "s32"))
        front = Text(self._buffer(f"{name}_bytes", MAXIMUM_FRONT), size, MAXIMUM_FRONT, None, True, stable)
        begin, end = self._own(f"{name}_begin", "s32"), self._own(f"{name}_end", "s32")
        self._packets[name] = Gathered((front,), Number(begin), Number(end))

    def _length(self, local: ir.Local) -> Number:
        if local.type is Type.STRING:
            return self._texts[local.name].length
        return self._packets[local.name].length

    def _text(self, operand: ir.Bytes) -> Text:
        if isinstance(operand, ir.Constant):
            assert isinstance(operand.value, bytes)
            return Text.literal(operand.value)
        return self._texts[operand.name]

    def _in_memory(self, operand: ir.Bytes) -> Text:
        """The String where any offset may be read."""
        text = self._text(operand)
        if text.constant is not None:
            at = self._buffer("constant", 256)
            self._store_constant(at, text.constant)
            return Text(at, text.length, text.most, None, True, False)
        if not text.indexed:
            assert isinstance(operand, ir.Local)
            raise NeedsScratch(operand.name)
        return text

    def _store_constant(self, to: str, value: bytes) -> None:
        for at, width, word in words(value):
            place = f"{to} + {at}" if at else to
            self._emit(f"*(u{8 * width} *)({place}) = {word};")


def words(value: bytes) -> list[tuple[int, int, str]]:
    """Offset, width and C literal of the words that make up the bytes."""
    found, at = [], 0
    for width in (8, 4, 2, 1):
        while len(value) - at >= width:
            number = int.from_bytes(value[at : at + width], "little")
            found.append((at, width, f"0x{number:0{2 * width}x}{'ull' if width == 8 else ''}"))
            at += width
    return found
