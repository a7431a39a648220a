"""A handler as a C function: the packet processor and, behind it, the output of what it put.

Numbers are variables; short Strings of constant length are arrays that become registers; all other bytes
lie in the scratch memory of the core. A Packet is no bytes at all but a `Gathered`: texts in front of a
part of the arrived packet, which stays where the kernel has it.

In `memory` every variable lies in the scratch memory and nothing is kept in registers from one statement to
the next. That is slower, but the verifier then meets the same state at each statement, so that no program
is too entangled for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from phonepl import ir
from phonepl.targets.xdp.formulas import C_TYPE, Formulas, binary
from phonepl.targets.xdp.limits import HEADROOM, MAXIMUM_FRONT, MAXIMUM_PUTS
from phonepl.targets.xdp.values import ZERO, Gathered, Number, Text
from phonepl.types import MAXIMUM_STORED_STRING, Type

_HEAD = 2048
"""Bytes at the front of the arrived packet that are read in place."""
_REGISTER_STRING = 64
_STACK = 192
"""Bytes of Strings that are arrays on the stack."""
SPACE = 512 + 512
"""Behind the scratch memory: as far as the verifier thinks that a copy may reach."""


class _NeedsScratch(Exception):
    """The String, or the Packet's front, of this name must lie in the scratch memory."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(name)


class _NeedsPlan(Exception):
    """Puts must be written down when they are made."""


@dataclass(frozen=True)
class Processor:
    """A handler in C: its function, and the members of its scratch memory."""

    stream: str
    scratch: tuple[str, ...]
    function: tuple[str, ...]
    plans: int
    """Puts that are written down per packet; 0 if the only put is carried out at once."""


def processor(program: ir.Program, handler: ir.Handler, memory: bool) -> Processor:
    """The C of a handler."""
    streams, locked = program.streams, locked_arrays(program)
    scratch: set[str] = set()
    plan = handler.maximum_puts > 1 or _puts_in_loops(handler.body)
    while True:
        try:
            return _Writer(handler, streams, locked, memory, frozenset(scratch), plan).written()
        except _NeedsScratch as needs:
            assert needs.name not in scratch, needs.name
            scratch.add(needs.name)
        except _NeedsPlan:
            assert not plan
            plan = True


def _puts_in_loops(block: ir.Block) -> bool:
    return any(
        isinstance(s, ir.Loop) and any(isinstance(inner, ir.Put) for inner in ir.walk(s.body))
        for s in ir.walk(block)
    )


@dataclass
class _Site:
    """A put of which there is only one per packet: carried out at the end."""

    stream: int
    packet: Gathered


@dataclass
class _Writer:
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
        self._sites: list[_Site] = []
        self._line = 0
        self._sets: dict[str, int] = {}
        for statement in ir.walk(self.handler.body):
            target = ir.written(statement)
            if target is not None:
                self._sets[target.name] = self._sets.get(target.name, 0) + 1
        self._traps: set[str] = set()
        self._uses_now = False
        length = self._own("length", "s32")
        arrived = Gathered((), ZERO, Number(length))
        self._packets[self.handler.packet.name] = arrived
        self._arrived_length = length

    # ── the whole ──

    def written(self) -> Processor:
        """The function; raises _NeedsScratch, _NeedsPlan."""
        for local in self.handler.locals:
            self._declare(local)
        put = "" if self.plan else self._own("put", "s32")
        self._block(self.handler.body)
        body, self.lines = self.lines, []
        count = min(self.handler.maximum_puts, MAXIMUM_PUTS) if self.plan else 0
        plans = 1 << (count - 1).bit_length() if count else 0
        name = f"on_{self.handler.stream}"
        span = self.handler.span
        self.lines.append(f"/* {self.handler.stream} > {self.handler.method}, line {span.line} */")
        self.lines += [f"int {name}(struct xdp_md *ctx)", "{"]
        if self._scratch:
            self._emit(f"struct scratch_{self.handler.stream} *s = scratch_of_core();")
            self._emit("if (!s)")
            self._emit("    return XDP_ABORTED;")
        if self.plan:
            self._emit("struct plan *plan = new_plan();")
            self._emit("if (!plan)")
            self._emit("    return XDP_ABORTED;")
        for variable, kind in self._numbers.items():
            if not variable.startswith("s->"):
                self._emit(f"{kind} {variable} = 0;")
        for variable, size in self._stack.items():
            self._emit(f"u8 {variable}[{size}] __attribute__((aligned(8)));")
        self._emit(f"{self._arrived_length} = frame_length(ctx);")
        if put:
            self._emit(f"{put} = 0;")
        if self._uses_now:
            self._emit(f"{self._own('now', 's64')} = nanos();")
        self._emit("")
        self.lines += body
        self._emit("")
        if self.plan:
            self._emit(f"return carry_out(ctx, plan, {self._arrived_length});")
        else:
            self._output(put)
        for kind in sorted(self._traps):
            self.lines.append(f"{kind}:")
            self._emit(f"return drop({kind.upper()}, 1);")
        self.lines.append("}")
        members = tuple(self._scratch.values())
        return Processor(self.handler.stream, members, tuple(self.lines), plans)

    def _output(self, put: str) -> None:
        for number, site in enumerate(self._sites, 1):
            self._emit(f"if ({put} == {number}) {{")
            self.depth += 1
            packet = site.packet
            length = self._arrived_length
            size = packet.size
            if not packet.texts and packet.begin.value == 0 and packet.end.text == length:
                self._leave(site.stream)
                continue
            self._emit(
                f"s32 made = shape(ctx, {length}, {size.text}, {packet.begin.text}, {packet.end.text});"
            )
            self._emit("if (made < 0)")
            self._emit("    return drop(-made, 1);")
            self._write_front(packet, size)
            self._leave(site.stream)
        self._emit("return drop(NO_PUT, 1);")

    def _leave(self, stream: int) -> None:
        self._emit(f"return leave(ctx, {stream}); /* {self.streams[stream]} */")
        self.depth -= 1
        self._emit("}")

    def _write_front(self, packet: Gathered, size: Number) -> None:
        """The texts into the packet that has been made as long as it must be."""
        if size.value == 0:
            return
        if size.value is not None:
            self._traps.add("target_limit")
            self._emit("u8 *head = start(ctx);")
            self._emit(f"if (head + {size.value} > end(ctx))")
            self._emit("    goto target_limit;")
            at = 0
            for text in packet.texts:
                self._write(f"head + {at}" if at else "head", text)
                at += text.most
            return
        if len(packet.texts) > 1 or packet.texts[0].constant is not None:
            raise _NeedsPlan
        text = packet.texts[0]
        if not text.indexed:
            raise _NeedsPlan
        self._emit(
            f"if ({size.text} > 0 && bpf_xdp_store_bytes(ctx, 0, {text.address}, amount({size.text})))"
        )
        self._trap("    ", "target_limit")

    # ── lines ──

    def _emit(self, text: str) -> None:
        self.lines.append("    " * self.depth + text if text else "")

    def _at(self, line: int) -> None:
        if line != self._line:
            self._emit(f"AT({line});")
            self._line = line

    def _trap(self, pad: str, kind: str) -> None:
        self._traps.add(kind)
        self._emit(f"{pad}goto {kind};")

    # ── where things are kept ──

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
            raise _NeedsScratch(operand.name)
        return text

    # ── statements ──

    def _block(self, block: ir.Block) -> None:
        for statement in block:
            self._at(statement.span.line)
            self._statement(statement)
            if self.memory:
                self._emit("KEEP;")

    def _statement(self, statement: ir.Statement) -> None:
        match statement:
            case ir.Set():
                self._set(statement.target, statement.value)
            case ir.TrapIf():
                self._emit(f"if ({self._formulas.text(statement.condition)})")
                self._trap("    ", statement.kind)
            case ir.If():
                self._if(statement)
            case ir.Scope():
                self._block(statement.body)
                self.lines.append(f"leave_{statement.label}:;")
            case ir.Leave():
                self._emit(f"goto leave_{statement.label};")
            case ir.Loop():
                self._loop(statement)
            case ir.Put():
                self._put(statement)
            case ir.Load():
                self._load(statement)
            case ir.Store():
                self._store(statement)
            case ir.Update():
                self._update(statement)

    def _if(self, statement: ir.If) -> None:
        self._emit(f"if ({self._formulas.text(statement.condition)}) {{")
        self._nested(statement.then)
        if statement.otherwise:
            self._emit("} else {")
            self._line = 0
            self._nested(statement.otherwise)
        self._emit("}")
        self._line = 0

    def _nested(self, block: ir.Block) -> None:
        self.depth += 1
        self._block(block)
        self.depth -= 1

    def _loop(self, statement: ir.Loop) -> None:
        turn = f"turn_{statement.label}"
        if self.memory:
            self._emit("for (;;) {")
            self.depth += 1
            self._traps.add("target_limit")
            self._emit("MAY_GOTO(target_limit);")
            self.depth -= 1
        else:
            self._emit(f"for (u32 {turn} = 0; {turn} < {statement.bound}; {turn}++) {{")
        self._nested(statement.body)
        self._emit("}")
        self.lines.append(f"leave_{statement.label}:;")

    # ── values ──

    def _set(self, target: ir.Local, value: ir.Expression | ir.Operation) -> None:
        match value:
            case ir.ReadNumber():
                self._read(target, value)
            case ir.Equals():
                self._emit(f"{self._variable(target)} = {self._equal(value)};")
            case ir.Nanos():
                self._uses_now = True
                self._emit(f"{self._variable(target)} = {self._own('now', 's64')};")
            case ir.Substring():
                self._substring(target, value)
            case ir.Concat():
                self._assemble(self._texts[target.name], [self._text(part) for part in value.parts])
            case ir.OfNumber():
                self._of_number(self._texts[target.name], value)
            case ir.Subpacket():
                self._subpacket(target, value)
            case ir.NewPacket():
                self._new_packet(target, value)
            case _ if target.type is Type.STRING:
                assert isinstance(value, ir.Local | ir.Constant)
                self._assemble(self._texts[target.name], [self._text(value)])
            case _ if target.type is Type.PACKET:
                assert isinstance(value, ir.Local)
                self._keep(target, self._packets[value.name])
            case _:
                self._emit(f"{self._variable(target)} = {self._formulas.text(value)};")

    def _source(self, operand: ir.Bytes) -> Gathered:
        """What is read: a Packet, or a String as a packet of nothing else."""
        if isinstance(operand, ir.Local) and operand.type is Type.PACKET:
            return self._packets[operand.name]
        return Gathered((self._text(operand),), ZERO, ZERO)

    def _fetch(self, to: str, operand: ir.Bytes, at: Number, n: Number) -> None:
        """Bytes `at` to `at + n` of a Packet or String to memory; whether they are there was tested."""
        source = self._source(operand)
        if n.value == 0:
            return
        part = source.cut(at, at.plus(n))
        if part is not None and n.value is not None:
            self._fetch_known(to, part, n.value)
            return
        if not source.texts:
            self._emit(f"if (load(ctx, {to}, {source.begin.plus(at).text}, {n.text}))")
            self._trap("    ", "target_limit")
            return
        if isinstance(operand, ir.Constant) or operand.type is Type.STRING:
            text = self._in_memory(operand)
            if n.value is not None:
                self._emit(f"move({to}, {text.address} + offset({at.text}), {n.value});")
            else:
                self._emit(f"copy({to}, 0, {text.address} + offset({at.text}), {n.text});")
            return
        if len(source.texts) > 1 or not source.texts[0].indexed:
            raise _NeedsScratch(operand.name)
        front = source.texts[0]
        into = to if n.value is None else self._buffer("window", 512)
        self._emit(
            f"if (gather(ctx, {into}, {front.address}, {front.length.text}, {source.begin.text}, "
            f"{at.text}, {n.text}))"
        )
        self._trap("    ", "target_limit")
        if n.value is not None:
            self._emit(f"move({to}, {into}, {n.value});")

    def _fetch_known(self, to: str, part: Gathered, n: int) -> None:
        at = 0
        for text in part.texts:
            self._write(f"{to} + {at}" if at else to, text)
            at += text.most
        if at < n:
            self._from_arrived(f"{to} + {at}" if at else to, part.begin, n - at)

    def _from_arrived(self, to: str, at: Number, n: int) -> None:
        if at.value is not None and 0 <= at.value <= _HEAD - n:
            self._emit(f"if (take(ctx, {to}, {at.value}, {n}))")
        else:
            self._emit(f"if (load(ctx, {to}, {at.text}, {n}))")
        self._trap("    ", "target_limit")

    def _read(self, target: ir.Local, value: ir.ReadNumber) -> None:
        bits = 8 * value.width
        variable = self._variable(target)
        self._emit("{")
        self.depth += 1
        self._emit(f"u{bits} raw = 0;")
        self._fetch("&raw", value.source, self._formulas.number(value.offset), Number.of(value.width))
        read = "raw" if bits == 8 else f"({C_TYPE[target.type]})swap{bits}(raw)"
        self._emit(f"{variable} = {read};")
        self.depth -= 1
        self._emit("}")

    def _substring(self, target: ir.Local, value: ir.Substring) -> None:
        text = self._texts[target.name]
        begin, end = self._formulas.number(value.begin), self._formulas.number(value.end)
        n = end.minus(begin)
        if text.length.value is not None:
            n = text.length
        aliased = isinstance(value.source, ir.Local) and value.source.name == target.name
        into = self._buffer("assembly", 256) if aliased else text.address
        if n.value is None:
            # The length may be that of the source, which is the target.
            length = self._own("n", "s32")
            self._emit(f"{length} = {n.text};")
            n = Number(length)
        self._fetch(into, value.source, begin, n)
        if aliased:
            self._emit(f"move({text.address}, {into}, {-(-text.most // 8) * 8});")
        if text.length.value is None:
            self._emit(f"{text.length.text} = {n.text};")

    def _of_number(self, text: Text, value: ir.OfNumber) -> None:
        bits = 8 * value.width
        operand = self._formulas.text(value.operand)
        number = f"(u{bits})({operand})"
        self._emit(f"*(u{bits} *){text.address} = {number if bits == 8 else f'swap{bits}({number})'};")
        self._set_length(text, Number.of(value.width))

    def _equal(self, value: ir.Equals) -> str:
        left, right = self._text(value.left), self._text(value.right)
        if left.length.value is not None and right.length.value is not None:
            if left.length.value != right.length.value:
                return "false"
            if left.length.value == 0:
                return "true"
        if left.constant is not None and right.constant is not None:
            return "true" if left.constant == right.constant else "false"
        if left.constant is not None:
            left, right = right, left
            value = ir.Equals(value.right, value.left)
        if right.constant is not None and left.constant is None:
            tests = [f"{left.length.text} == {len(right.constant)}"] if left.length.value is None else []
            tests += _word_tests(left.address, right.constant)
            return " && ".join(tests)
        first, second = self._in_memory(value.left), self._in_memory(value.right)
        alike = f"same({first.address}, {second.address}, {first.length.text})"
        return f"{first.length.text} == {second.length.text} && {alike}"

    def _set_length(self, text: Text, length: Number) -> None:
        if text.length.value is None:
            self._emit(f"{text.length.text} = {length.text};")

    # ── bytes to memory ──

    def _store_constant(self, to: str, value: bytes) -> None:
        for at, width, word in _words(value):
            place = f"{to} + {at}" if at else to
            self._emit(f"*(u{8 * width} *)({place}) = {word};")

    def _write(self, to: str, text: Text) -> None:
        """A text of constant length."""
        assert text.length.value is not None
        if text.constant is not None:
            self._store_constant(to, text.constant)
        elif text.length.value:
            self._emit(f"move({to}, {text.address}, {text.length.value});")

    def _assemble(self, target: Text, texts: list[Text]) -> None:
        """The texts, joined, into the target's memory, and the length."""
        own = [text.constant is None and text.address == target.address for text in texts]
        if own[:1] == [True] and not any(own[1:]):
            # What comes first is in its place already.
            self._append(target, texts[0].length, texts[1:])
            return
        if any(own):
            aside = Text(self._buffer("assembly", MAXIMUM_FRONT), target.length, target.most, None, True)
            self._append(aside, ZERO, texts)
            self._emit(f"copy({target.address}, 0, {aside.address}, {target.length.text});")
            return
        self._append(target, ZERO, texts)

    def _append(self, target: Text, at: Number, texts: list[Text]) -> None:
        known = at.value is not None and all(text.length.value is not None for text in texts)
        if not known and not target.indexed:
            raise _NeedsScratch(target.address.removesuffix("_bytes"))
        total = at
        for text in texts:
            if text.length.value is not None:
                if total.value is not None:
                    place = f"{target.address} + {total.value}" if total.value else target.address
                else:
                    place = f"{target.address} + offset({total.text})"
                self._write(place, text)
            else:
                self._emit(f"copy({target.address}, {total.text}, {text.address}, {text.length.text});")
            total = total.plus(text.length)
        self._set_length(target, total)

    # ── packets ──

    def _subpacket(self, target: ir.Local, value: ir.Subpacket) -> None:
        source = self._packets[value.source.name]
        begin, end = self._formulas.number(value.begin), self._formulas.number(value.end)
        part = source.cut(begin, end)
        if part is not None:
            self._keep(target, part)
            return
        if len(source.texts) > 1 or not source.texts[0].indexed:
            raise _NeedsScratch(value.source.name)
        if not self._is_declared(target):
            raise _NeedsScratch(target.name)
        self._cut(self._packets[target.name], source, begin, end)

    def _cut(self, into: Gathered, source: Gathered, begin: Number, end: Number) -> None:
        """A part whose borders and texts are known at run time only."""
        first, last = self._own("first", "s32"), self._own("last", "s32")
        size, from_ = self._own("n", "s32"), self._own("from", "s32")
        self._emit(f"{first} = {begin.text};")
        self._emit(f"{last} = {end.text};")
        self._emit(f"{size} = {source.size.text};")
        self._emit(f"{from_} = {source.begin.text};")
        own, target = source.texts[0], into.texts[0]
        self._emit(f"{into.end.text} = {from_} + ({last} > {size} ? {last} - {size} : 0);")
        self._emit(f"{into.begin.text} = {from_} + ({first} > {size} ? {first} - {size} : 0);")
        self._emit(f"{size} = ({last} < {size} ? {last} : {size}) - {first};")
        self._emit(f"if ({size} < 0)")
        self._emit(f"    {size} = 0;")
        if own.address == target.address:
            aside = self._buffer("assembly", MAXIMUM_FRONT)
            self._emit(f"copy({aside}, 0, {own.address} + offset({first}), {size});")
            self._emit(f"copy({target.address}, 0, {aside}, {size});")
        else:
            self._emit(f"copy({target.address}, 0, {own.address} + offset({first}), {size});")
        self._emit(f"{target.length.text} = {size};")

    def _new_packet(self, target: ir.Local, value: ir.NewPacket) -> None:
        texts = tuple(text for part in value.parts if (text := self._text(part)).most)
        if value.tail is not None:
            tail = self._packets[value.tail.name]
            made = Gathered((*texts, *tail.texts), tail.begin, tail.end)
        else:
            # Nothing of the arrived packet but the memory that it lies in.
            made = Gathered(texts, ZERO, ZERO)
        if made.most > MAXIMUM_FRONT:
            size = made.size
            if size.value is None or size.value > MAXIMUM_FRONT:
                self._emit(f"if ({size.text} > {MAXIMUM_FRONT})")
                self._trap("    ", "target_limit")
        self._keep(target, made)

    def _keep(self, target: ir.Local, packet: Gathered) -> None:
        """A packet as the value of a local: by reference where that can be, else by a copy of its texts."""
        held = self._packets[target.name] if self._is_declared(target) else None
        if held is None:
            if not packet.is_stable:
                raise _NeedsScratch(target.name)
            begin = self._fixed(target, "begin", packet.begin)
            end = self._fixed(target, "end", packet.end)
            self._packets[target.name] = Gathered(packet.texts, begin, end)
            return
        front = held.texts[0]
        begin, end = packet.begin, packet.end
        if held.begin.text != begin.text or held.end.text != end.text:
            self._emit(f"{held.begin.text} = {begin.text};")
            self._emit(f"{held.end.text} = {end.text};")
        if packet.texts != held.texts:
            self._assemble(front, list(packet.texts))

    def _fixed(self, target: ir.Local, what: str, number: Number) -> Number:
        if number.value is not None or number.text == self._arrived_length:
            return number
        variable = self._own(f"{target.name}_{what}", "s32")
        self._emit(f"{variable} = {number.text};")
        return Number(variable)

    # ── puts ──

    def _put(self, statement: ir.Put) -> None:
        packet = self._packets[statement.packet.name]
        stream = self.streams.index(statement.stream)
        if not self.plan:
            if not packet.is_stable or _may_lack_room(packet):
                raise _NeedsPlan
            self._sites.append(_Site(stream, packet))
            self._emit(f"{self._own('put', 's32')} = {len(self._sites)}; /* {statement.stream} */")
            return
        self._emit("{")
        self.depth += 1
        size = packet.size
        begin, end = packet.begin.text, packet.end.text
        self._emit(f"struct put *p = new_put(plan, {stream}, {size.text}, {begin}, {end});")
        if packet.texts:
            self._emit("if (p) {")
            self.depth += 1
            into = Text("p->bytes", size, MAXIMUM_FRONT, None, True)
            if size.value is not None or len(packet.texts) > 1:
                # The length is in the plan already.
                into = Text("p->bytes", ZERO, MAXIMUM_FRONT, None, True)
                self._append(into, ZERO, list(packet.texts))
            else:
                text = packet.texts[0]
                self._emit(f"copy(p->bytes, 0, {text.address}, {text.length.text});")
            self.depth -= 1
            self._emit("}")
        self.depth -= 1
        self._emit("}")

    # ── arrays ──

    def _element(self, array: ir.Array, index: ir.Expression, kind: str) -> None:
        self._emit("{")
        self.depth += 1
        self._emit(f"u32 index = {self._formulas.text(index)};")
        self._emit(f"{kind} *element = array_{array.name}.lookup(&index);")
        self._emit("if (!element)")
        self._trap("    ", "range_error")

    def _end_element(self) -> None:
        self.depth -= 1
        self._emit("}")

    def _load(self, statement: ir.Load) -> None:
        array = statement.array
        if array.element is Type.STRING:
            self._load_string(statement)
            return
        kind = self._number_element(array, statement.index)
        variable = self._variable(statement.target)
        place = "element->value" if array.name in self.locked else "*element"
        self._emit(f"{variable} = ({C_TYPE[array.element]})*(volatile {kind} *)&{place};")
        self._end_element()

    def _number_element(self, array: ir.Array, index: ir.Expression) -> str:
        kind = CELL[array.element]
        self._element(array, index, f"struct locked_{kind}" if array.name in self.locked else kind)
        return kind

    def _load_string(self, statement: ir.Load) -> None:
        text = self._texts[statement.target.name]
        if not text.indexed:
            raise _NeedsScratch(statement.target.name)
        self._element(statement.array, statement.index, "struct string")
        into = self._buffer("element", MAXIMUM_STORED_STRING)
        length = self._own("n", "s32")
        self._emit("bpf_spin_lock(&element->lock);")
        self._emit(f"{length} = element->length;")
        self._emit(f"move({into}, element->bytes, {MAXIMUM_STORED_STRING});")
        self._emit("bpf_spin_unlock(&element->lock);")
        self._emit(f"move({text.address}, {into}, {-(-text.most // 8) * 8});")
        self._set_length(text, Number(length))
        self._end_element()

    def _store(self, statement: ir.Store) -> None:
        array = statement.array
        if array.element is Type.STRING:
            self._store_string(statement)
            return
        value = self._formulas.text(statement.value)
        kind = self._number_element(array, statement.index)
        if array.name in self.locked:
            self._emit(f"{kind} made = ({kind}){value};")
            self._emit("bpf_spin_lock(&element->lock);")
            self._emit("element->value = made;")
            self._emit("bpf_spin_unlock(&element->lock);")
        else:
            self._emit(f"*(volatile {kind} *)element = ({kind}){value};")
        self._end_element()

    def _store_string(self, statement: ir.Store) -> None:
        assert isinstance(statement.value, ir.Local | ir.Constant)
        text = self._text(statement.value)
        aside = self._buffer("element", MAXIMUM_STORED_STRING)
        length = self._own("n", "s32")
        self._emit(f"{length} = {text.length.text};")
        if text.length.value is not None:
            if text.length.value <= MAXIMUM_STORED_STRING:
                self._write(aside, text)
        else:
            self._emit(
                f"move({aside}, {text.address}, {min(-(-text.most // 8) * 8, MAXIMUM_STORED_STRING)});"
            )
        self._element(statement.array, statement.index, "struct string")
        self._emit("bpf_spin_lock(&element->lock);")
        self._emit(f"element->length = {length};")
        self._emit(f"move(element->bytes, {aside}, {MAXIMUM_STORED_STRING});")
        self._emit("bpf_spin_unlock(&element->lock);")
        self._end_element()

    def _update(self, statement: ir.Update) -> None:
        array, operator = statement.array, statement.operator
        target = self._variable(statement.target) if statement.target is not None else None
        operand = self._formulas.text(statement.operand)
        signed, wide = C_TYPE[array.element], C_TYPE[statement.width]
        kind = self._number_element(array, statement.index)
        if array.name not in self.locked:
            sign = "-" if operator == "-" else ""
            self._emit(f"{kind} by = {sign}({kind}){operand};")
            self._emit(f"{kind} old = fetch_add_{array.element.bits}(element, by);")
            new = "old + by"
        else:
            self._emit(f"{C_TYPE[statement.operand.type]} by = {operand};")
            new = binary(operator, f"(({wide})({signed})old)", "by", statement.width)
            self._emit("bpf_spin_lock(&element->lock);")
            self._emit(f"{kind} old = element->value, made = ({kind}){new};")
            self._emit("element->value = made;")
            self._emit("bpf_spin_unlock(&element->lock);")
            new = "made"
        if target:
            self._emit(f"{target} = ({signed})({new if statement.gives_new else 'old'});")
        self._end_element()


def _may_lack_room(packet: Gathered) -> bool:
    """Can there be more in front of the arrived part than the driver surely leaves room for?"""
    return packet.begin != packet.end and packet.most - (packet.begin.value or 0) > HEADROOM


CELL = {Type.INT: "u32", Type.LONG: "u64"}
_ADDED = ("+", "-")


def locked_arrays(program: ir.Program) -> frozenset[str]:
    """The arrays whose elements need a lock: Strings, and what is changed by more than one instruction."""
    names = {array.name for array in program.arrays if array.element is Type.STRING}
    for handler in program.handlers:
        for statement in ir.walk(handler.body):
            if isinstance(statement, ir.Update) and statement.operator not in _ADDED:
                names.add(statement.array.name)
    return frozenset(names)


def _words(value: bytes) -> list[tuple[int, int, str]]:
    """Offset, width and C literal of the words that make up the bytes."""
    found, at = [], 0
    for width in (8, 4, 2, 1):
        while len(value) - at >= width:
            number = int.from_bytes(value[at : at + width], "little")
            found.append((at, width, f"0x{number:0{2 * width}x}{'ull' if width == 8 else ''}"))
            at += width
    return found


def _word_tests(bytes_: str, value: bytes) -> list[str]:
    return [
        f"*(u{8 * width} *)({f'{bytes_} + {at}' if at else bytes_}) == {word}"
        for at, width, word in _words(value)
    ]
