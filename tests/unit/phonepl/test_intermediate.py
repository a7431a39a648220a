"""The intermediate language that comes of a program: what is folded, unrolled, proved and marked."""

from __future__ import annotations

from pathlib import Path

import pytest

from phonepl import ir, structure, traversal
from phonepl.compiler import compile_source
from phonepl.explain import explain
from phonepl.printing import printed
from phonepl.types import Type
from tests.unit.phonepl.language import program

GOLDEN = Path(__file__).parent / "intermediate"
EXAMPLES = Path(__file__).parents[3] / "examples" / "phonepl"


def _handler(body: str, members: str = "") -> ir.Handler:
    return program(body, members).program.handlers[0]


def _count(handler: ir.Handler, kind: type[ir.Statement]) -> int:
    return sum(isinstance(statement, kind) for statement in traversal.walk(handler.body))


@pytest.mark.parametrize("name", ["add_rem_mac", "mac_swap", "gre"])
def test_the_printed_form_is_as_agreed(name: str) -> None:
    source = (EXAMPLES / f"{name}.phonepl").read_text(encoding="utf-8")
    compiled = compile_source(source, name)
    shown = f"{printed(compiled.program)}\n{explain(compiled)}"
    assert shown == (GOLDEN / f"{name}.expected").read_text(encoding="utf-8")


def test_one_test_of_the_length_covers_the_reads_behind_it() -> None:
    reads = "int a = i.byteAt(12); int b = i.intAt(30); out.put(new Packet(String.ofInt(a + b), i));"
    assert _count(_handler("if (i.length() < 34) return; " + reads), ir.TrapIf) == 0
    assert _count(_handler(reads), ir.TrapIf) == 2
    assert _count(_handler("int b = i.intAt(30); " + reads.replace("int b", "int c")), ir.TrapIf) == 1


def test_slices_at_a_variable_offset_have_a_known_length() -> None:
    handler = _handler("int at = i.byteAt(0); out.put(new Packet(i.substring(at + 2, at + 6)));")
    (slice_,) = [
        s.value
        for s in traversal.walk(handler.body)
        if isinstance(s, ir.Set) and isinstance(s.value, ir.Substring)
    ]
    assert slice_.range == ir.Range(4, 4)


@pytest.mark.req("P64")
def test_the_singleton_is_resolved_and_calls_are_expanded() -> None:
    handler = _handler("send(out, i);", "void send(NetStream s, Packet p) { s.put(p); }")
    (put,) = handler.body
    assert isinstance(put, ir.Put) and (put.stream, put.packet.name) == ("Out", "i")


def test_short_loops_are_unrolled_and_long_ones_bounded() -> None:
    short = _handler(
        "int x = 0; for (int j = 0; j < 4; j++) x += i.byteAt(j); out.put(new Packet(String.ofInt(x)));"
    )
    assert _count(short, ir.Loop) == 0
    offsets = [
        s.value.offset
        for s in traversal.walk(short.body)
        if isinstance(s, ir.Set) and isinstance(s.value, ir.ReadNumber)
    ]
    assert offsets == [ir.Constant(n, Type.INT) for n in range(4)]
    long = _handler(
        "int x = 0; for (int j = 0; j < i.byteAt(0); j++) x += j; out.put(new Packet(String.ofInt(x)));"
    )
    assert [s.bound for s in traversal.walk(long.body) if isinstance(s, ir.Loop)] == [256]


def test_puts_are_counted_and_the_last_ones_marked() -> None:
    handler = _handler("out.put(i); if (i.byteAt(0) == 1) out.put(i); else back.put(i);")
    puts = [s for s in traversal.walk(handler.body) if isinstance(s, ir.Put)]
    assert [put.is_last for put in puts] == [False, True, True] and handler.maximum_puts == 2
    handler = _handler("for (int j = 0; j < i.byteAt(0); j++) out.put(i);")
    assert [s.is_last for s in traversal.walk(handler.body) if isinstance(s, ir.Put)] == [False]
    assert handler.maximum_puts >= 255


def test_code_without_jumps_has_none() -> None:
    body = """
      if (i.byteAt(0) == 1) { if (i.byteAt(1) == 2) return; out.put(i); }
      for (int j = 0; j < 3; j++) { if (i.byteAt(j) == 9) return; }
      back.put(i);
    """
    handler = structure.without_leaves(structure.unrolled(_handler(body), 10_000))
    assert {type(s) for s in traversal.walk(handler.body)} <= {ir.Set, ir.If, ir.Put, ir.TrapIf}


def test_constant_strings_are_folded() -> None:
    members = (
        'static final String A = x"0102".concat(String.ofByte(3)); static final int N = A.byteAt(2) << 2;'
    )
    handler = _handler("out.put(new Packet(A.substring(1), String.ofInt(N).concat(A)));", members)
    (new,) = [s.value for s in traversal.walk(handler.body) if isinstance(s, ir.Set)]
    assert isinstance(new, ir.NewPacket)
    assert [part.value for part in new.parts if isinstance(part, ir.Constant)] == [
        b"\x02\x03",
        b"\x00\x00\x00\x0c\x01\x02\x03",
    ]


def test_every_statement_knows_its_place() -> None:
    handler = _handler("int x = 10 / i.byteAt(1);\n  out.put(new Packet(String.ofInt(x)));")
    assert {s.span.line for s in traversal.walk(handler.body)} == {8, 9}
