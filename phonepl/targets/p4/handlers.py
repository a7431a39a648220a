"""A handler as P4: its part of ingress, and of egress where a packet is put more than once."""

from __future__ import annotations

from dataclasses import dataclass

from phonepl import ir, traversal
from phonepl.targets.p4.formulas import BITS, arithmetic
from phonepl.targets.p4.head import Head, Header
from phonepl.targets.p4.limits import MAXIMUM_PUTS
from phonepl.targets.p4.puts import Gathered, Puts
from phonepl.targets.p4.refusals import Refused
from phonepl.targets.p4.strings import array_name
from phonepl.targets.p4.values import ZERO, Form, Number, Piece, Text
from phonepl.targets.p4.writer import P4_TYPE, Held, indivisible
from phonepl.types import Type


@dataclass(frozen=True)
class Processor:
    """A handler in P4."""

    stream: str
    headers: tuple[Header, ...]
    variables: dict[str, str]
    """Name to type, in ingress; those in `kept` are metadata."""
    kept: frozenset[str]
    ingress: tuple[str, ...]
    egress: tuple[str, ...]
    egress_variables: dict[str, str]
    fronts: frozenset[tuple[int, int]]
    """Position and size of the headers that packets are given in front."""
    groups: tuple[tuple[str, ...], ...]
    """The streams of each set of puts of one packet, by replication id: the multicast groups from
    `first_group` on."""
    uses_clock: bool


def processor(program: ir.Program, handler: ir.Handler, first_group: int) -> Processor:
    """The P4 of a straight handler; its multicast groups count from `first_group`. Raises Refused."""
    headers: tuple[Header, ...] | None = None
    kept: frozenset[str] = frozenset()
    while True:
        several = handler.maximum_puts > 1
        length = Number("meta.length" if several else "sm.packet_length", handler.packet.range)
        writer = _Paths(
            prefix=f"on_{handler.stream}",
            types={local.name: local.type for local in handler.locals},
            arrived=length,
            head=Head(headers),
            kept=kept,
            streams=program.streams,
            first_group=first_group,
        )
        if several:
            writer.emit(f"{length.text} = sm.packet_length;")
        writer.held[handler.packet.name] = Form((), ZERO, None)
        writer.block(handler.body, True, frozenset())
        found, needed = writer.head.needs.headers(), writer.needed_behind()
        if (found, needed) == (headers, kept):
            return Processor(
                handler.stream,
                found,
                writer.variables,
                kept,
                tuple(writer.lines),
                tuple(writer.egress),
                writer.egress_variables,
                frozenset(writer.fronts),
                tuple(writer.groups),
                writer.uses_clock,
            )
        headers, kept = found, needed


@dataclass
class _Paths(Puts):
    """Statements, path by path."""

    def block(self, block: ir.Block, is_end: bool, behind: frozenset[str]) -> None:
        """`is_end`: the handler ends behind it. `behind`: the locals that are read then."""
        for position, statement in enumerate(block):
            if not isinstance(statement, ir.If):
                self._statement(statement)
                continue
            rest = block[position + 1 :]
            self._if(statement, is_end and not rest, behind | traversal.read_in(rest))
            if is_end and not rest:
                return
        if is_end:
            self.end()

    def _if(self, statement: ir.If, is_end: bool, behind: frozenset[str]) -> None:
        before, puts = dict(self.held), list(self.puts)
        self.emit(f"if ({self.written(statement.condition, statement)}) {{")
        first = self._branch(statement.then, is_end, behind)
        self.held, self.puts = dict(before), list(puts)
        second = self._branch(statement.otherwise, is_end, behind)
        merges: tuple[list[str], list[str]] = ([], [])
        if not is_end:
            merges = self._merged(first[1], second[1], behind)
        for number, (lines, _) in enumerate((first, second)):
            body = [*lines, *("    " * (self.depth + 1) + line for line in merges[number])]
            if number and body:
                self.emit("} else {")
            self.lines += body
        self.emit("}")

    def _branch(
        self, block: ir.Block, is_end: bool, behind: frozenset[str]
    ) -> tuple[list[str], dict[str, Held]]:
        outside, self.lines = self.lines, []
        self.depth += 1
        self.block(block, is_end, behind)
        self.depth -= 1
        lines, self.lines = self.lines, outside
        return lines, self.held

    def _merged(
        self, first: dict[str, Held], second: dict[str, Held], behind: frozenset[str]
    ) -> tuple[list[str], list[str]]:
        """What both branches must assign, so that locals that are read behind them hold one thing."""
        ours: tuple[list[str], list[str]] = ([], [])
        self.held = {**second, **first}
        for name in sorted(behind & first.keys() & second.keys()):
            one, other = first[name], second[name]
            if one == other:
                continue
            if isinstance(one, Text) and isinstance(other, Text):
                self.held[name] = self._merged_text(name, one, other, ours)
            else:
                assert isinstance(one, str) and isinstance(other, str), name
                variable = self.variable(name, P4_TYPE[self.types[name]])
                for lines, value in zip(ours, (one, other), strict=True):
                    lines.append(f"{variable} = {value};")
                self.held[name] = variable
        return ours

    def _merged_text(self, name: str, one: Text, other: Text, ours: tuple[list[str], list[str]]) -> Text:
        most = max(one.most, other.most)
        known = one.length.range.join(other.length.range)
        length = ZERO if known.high == 0 else Number.of(known.low)
        if not known.is_single:
            length = Number(self.variable(f"{name}_n", "bit<32>"), known)
        pieces = (Piece.whole(self.variable(name, f"bit<{8 * most}>"), most),) if most else ()
        for lines, value in zip(ours, (one, other), strict=True):
            if pieces:
                lines.append(f"{pieces[0].base} = {value.padded(most)};")
            if not known.is_single:
                lines.append(f"{length.text} = {value.length.text};")
        return Text(pieces, length)

    # ── statements ──

    def _statement(self, statement: ir.Statement) -> None:
        match statement:
            case ir.Set():
                self.held[statement.target.name] = self._value(statement)
            case ir.Load():
                index = self.written(statement.index, statement)
                self.held[statement.target.name] = self._loaded(statement, index)
            case ir.Store():
                self._store(statement)
            case ir.Update():
                self._update(statement)
            case ir.TrapIf():
                self.emit(f"if ({self.written(statement.condition, statement)}) {{")
                self.emit(f"    drop({statement.kind.upper()});")
                self.emit("}")
            case ir.Put():
                self._put(statement)
            case _:
                raise AssertionError(statement)

    def _value(self, statement: ir.Set) -> Held:
        value = statement.value
        match value:
            case ir.Substring():
                return self.substring(value, statement)
            case ir.Concat():
                return self.concatenated([self.text_of(each) for each in value.parts], value.range)
            case ir.OfNumber():
                bits = BITS[value.operand.type]
                return self.of_number(self.written(value.operand, statement), bits, value.width)
            case ir.Subpacket():
                return self.subpacket(value, statement)
            case ir.NewPacket():
                return self.new_packet(value, statement)
            case ir.Equals():
                return self.assigned(
                    "same", "bool", self.equal(self.text_of(value.left), self.text_of(value.right))
                )
            case ir.ReadNumber():
                kind = P4_TYPE[value.type]
                return self.assigned(statement.target.name, kind, self.read_number(value, statement))
            case ir.Nanos():
                self.uses_clock = True
                return "meta.now"
            case ir.Local() if value.type in (Type.STRING, Type.PACKET):
                return self.held[value.name]
            case ir.Constant() if isinstance(value.value, bytes):
                return Text.literal(value.value)
        text = self.written(value, statement)
        if isinstance(value, ir.Local | ir.Constant | ir.Length):
            return text
        return self.assigned(statement.target.name, P4_TYPE[value.type], text)

    def _loaded(self, statement: ir.Load, index: str) -> Held:
        array = statement.array
        if array.element is Type.STRING:
            return self.loaded(array, index)
        variable = self.variable(statement.target.name, P4_TYPE[array.element])
        self.emit(f"{array_name(array)}.read({variable}, {index});")
        return variable

    def _store(self, statement: ir.Store) -> None:
        array, index = statement.array, self.written(statement.index, statement)
        if array.element is Type.STRING:
            assert isinstance(statement.value, ir.Local | ir.Constant)
            self.stored(array, index, self.text_of(statement.value))
            return
        self.emit(f"{array_name(array)}.write({index}, {self.written(statement.value, statement)});")

    def _update(self, statement: ir.Update) -> None:
        array, index = statement.array, self.written(statement.index, statement)
        operand = self.written(statement.operand, statement)
        kind = P4_TYPE[array.element]
        old = self.variable("old", kind)
        self.emit(f"{array_name(array)}.read({old}, {index});")
        wide, element = BITS[statement.width], BITS[array.element]
        left = old
        if wide > element:
            left = f"((bit<{wide}>)(int<{wide}>)(int<{element}>){old})"
        elif wide < element:
            left = f"((bit<{wide}>){old})"
        divisor = statement.operand.range.low if statement.operand.range.is_single else None
        if statement.operator in ("/", "%") and divisor is None:
            raise indivisible(statement)
        value = arithmetic(statement.operator, left, operand, statement.width, True, divisor)
        if wide > element:
            value = f"(bit<{element}>){value}"
        elif wide < element:
            value = f"(bit<{element}>)(int<{element}>)(int<{wide}>){value}"
        new = self.assigned("new", kind, value)
        self.emit(f"{array_name(array)}.write({index}, {new});")
        if statement.target is not None:
            self.held[statement.target.name] = new if statement.gives_new else old

    def _put(self, statement: ir.Put) -> None:
        if len(self.puts) == MAXIMUM_PUTS:
            raise Refused(
                statement.span,
                f"more than {MAXIMUM_PUTS} puts of one packet",
                "each put of a packet is a member of a multicast group",
                "send copies from several programs in a row",
            )
        self.puts.append(Gathered(statement.stream, self.form_of(statement.packet)))
