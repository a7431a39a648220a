"""A handler as a C function: the packet processor and, behind it, the output of what it put."""

from __future__ import annotations

from dataclasses import dataclass, field

from phonepl import ir, traversal
from phonepl.targets.xdp.arrays import Arrays, locked_arrays
from phonepl.targets.xdp.limits import MAXIMUM_FRONT, MAXIMUM_PUTS
from phonepl.targets.xdp.packets import Packets, may_lack_room
from phonepl.targets.xdp.places import NeedsScratch
from phonepl.targets.xdp.values import ZERO, Gathered, Number, Text
from phonepl.types import Type


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


@dataclass
class _Site:
    """A put of which there is only one per packet: carried out at the end."""

    stream: int
    packet: Gathered


def processor(program: ir.Program, handler: ir.Handler, memory: bool) -> Processor:
    """The C of a handler."""
    streams, locked = program.streams, locked_arrays(program)
    scratch: set[str] = set()
    plan = handler.maximum_puts > 1 or _puts_in_loops(handler.body)
    while True:
        try:
            return _Writer(handler, streams, locked, memory, frozenset(scratch), plan).written()
        except NeedsScratch as needs:
            assert needs.name not in scratch, needs.name
            scratch.add(needs.name)
        except _NeedsPlan:
            assert not plan
            plan = True


def _puts_in_loops(block: ir.Block) -> bool:
    return any(
        isinstance(s, ir.Loop) and any(isinstance(inner, ir.Put) for inner in traversal.walk(s.body))
        for s in traversal.walk(block)
    )


@dataclass
class _Writer(Packets, Arrays):
    """Writes the function; what it finds out too late for itself, it raises for the next attempt."""

    sites: list[_Site] = field(default_factory=list)

    def written(self) -> Processor:
        """The function; raises NeedsScratch, _NeedsPlan."""
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
            self._emit(f"return drop(ctx, {kind.upper()});")
        self.lines.append("}")
        members = tuple(self._scratch.values())
        return Processor(self.handler.stream, members, tuple(self.lines), plans)

    def _output(self, put: str) -> None:
        for number, site in enumerate(self.sites, 1):
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
            self._emit("    return drop(ctx, -made);")
            self._write_front(packet, size)
            self._leave(site.stream)
        self._emit("return drop(ctx, NO_PUT);")

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

    def _put(self, statement: ir.Put) -> None:
        packet = self._packets[statement.packet.name]
        stream = self.streams.index(statement.stream)
        if not self.plan:
            if not packet.is_stable or may_lack_room(packet):
                raise _NeedsPlan
            self.sites.append(_Site(stream, packet))
            self._emit(f"{self._own('put', 's32')} = {len(self.sites)}; /* {statement.stream} */")
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
