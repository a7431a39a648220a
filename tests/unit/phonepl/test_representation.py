"""Representation inference: how packets are held, and which tag checks remain at run time."""

from __future__ import annotations

import pytest

from phonepl.compiler import compile_source
from phonepl.representation import Use, representations
from tests.unit.phonepl.language import program


def _uses(body: str, members: str = "") -> list[Use]:
    compiled = program(body, members)
    return list(representations(compiled.program.handlers[0], compiled.optimized))


def _last(body: str, operation: str = "put") -> Use:
    return [use for use in _uses(body) if use.operation == operation][-1]


def _names(use: Use) -> str:
    return " ".join(sorted(kind.value for kind in use.kinds))


@pytest.mark.req("P40", "P41", "P42", "P43", "P44", "P45", "P52", "P53", "P54", "P55", "P56", "P57", "P58")
@pytest.mark.parametrize(
    ("body", "held"),
    [
        ("out.put(i);", "cached mixed"),
        ("if (i.length() > 256) out.put(i);", "mixed"),
        ("if (i.length() <= 100) out.put(i);", "cached"),
        # subpacket
        ("out.put(i.subpacket(14));", "cached mixed"),
        ("out.put(i.subpacket(0, 64));", "cached"),
        ("out.put(i.subpacket(300));", "uncached"),
        ("out.put(i.subpacket(200).subpacket(100));", "uncached"),
        ("if (i.length() > 256) out.put(i.subpacket(i.byteAt(0) * 2));", "mixed uncached"),
        ('out.put(new Packet(x"0011", i).subpacket(1));', "gathered"),
        ('if (i.length() > 256) out.put(new Packet(x"0011", i).subpacket(2));', "mixed"),
        ('out.put(new Packet(x"0011", i).subpacket(400));', "uncached"),
        ("out.put(i.subpacket(300).subpacket(10));", "uncached"),
        # construction
        ('out.put(new Packet(x"0011", i));', "gathered"),
        ('out.put(new Packet(x"00", new Packet(x"11", i)));', "gathered"),
        ('out.put(new Packet(x"0011"));', "cached"),
        ('out.put(new Packet(x"0011", x"22"));', "gathered"),
        # what meets
        (
            'Packet p = i; if (i.byteAt(0) == 1) p = new Packet(x"00", i); out.put(p);',
            "cached gathered mixed",
        ),
        (
            'Packet p = i; for (int j = 0; j < 200; j++) p = new Packet(x"00", p); out.put(p);',
            "cached gathered mixed",
        ),
    ],
)
def test_how_a_packet_is_held(body: str, held: str) -> None:
    assert _names(_last(body)) == held


@pytest.mark.req("P46", "P47")
def test_only_what_meets_unlike_packets_checks_tags() -> None:
    assert not any(use.checked for use in _uses("out.put(new Packet(i.substring(0, 14), i));"))
    mixed = 'Packet p = i; if (i.byteAt(0) == 1) p = new Packet(x"00", i); int x = p.byteAt(3); out.put(i);'
    assert [use.operation for use in _uses(mixed + " n[0] = x;", "int[] n = new int[1];") if use.checked] == [
        "read"
    ]


@pytest.mark.req("P48")
def test_without_optimisation_every_operation_checks() -> None:
    source = program("out.put(new Packet(i.substring(0, 14), i));").source
    compiled = compile_source(source, optimize=False)
    assert all(use.checked for use in representations(compiled.program.handlers[0], compiled.optimized))


@pytest.mark.req("P51")
def test_what_may_touch_slow_memory_is_told() -> None:
    members = "int[] n = new int[1];"
    near = next(u for u in _uses("n[0] = i.byteAt(255); out.put(i);", members) if u.operation == "read")
    far = next(u for u in _uses("n[0] = i.byteAt(256); out.put(i);", members) if u.operation == "read")
    assert (near.last_byte, near.stays_fast) == (255, True)
    assert (far.last_byte, far.stays_fast) == (256, False)
