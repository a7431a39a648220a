"""Numbers on bmv2 are Java's: signs, shifts, wrapping, and division without a division."""

from __future__ import annotations

import itertools
import struct

import pytest

from phonepl.compiler import compile_source
from phonepl.targets import Arrival
from phonepl.targets.interpreter import TARGET as INTERPRETER
from phonepl.targets.p4 import TARGET, p4c
from tests.system.phonepl_p4.agreement import by_stream

pytestmark = [
    pytest.mark.bmv2,
    pytest.mark.skipif(not p4c.is_here(), reason="needs p4c-bm2-ss"),
    pytest.mark.timeout(600),
]

DIVISORS = (1, -1, 2, -2, 3, -7, 10, 16, -16, 1000, 2147483647, -2147483648)
WIDE_DIVISORS = (3, -7, 1 << 32, 10**18, -(10**18), 9223372036854775807)
BINARY = ("+", "-", "*", "&", "|", "^", "<<", ">>", ">>>")
COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
EDGES = (0, 1, -1, 2, 31, 63, 255, -256, (1 << 31) - 1, -(1 << 31), (1 << 63) - 1, -(1 << 63), 0x123456789)


def _put(strings: list[str]) -> str:
    """A put of some Strings in a packet."""
    return f"out.put(new Packet({', '.join(strings)}));"


def _source() -> str:
    ints = [f"String.ofInt(a {operator} b)" for operator in BINARY]
    ints += ["String.ofInt(-a)", "String.ofInt(~a)", "String.ofLong(a)", "String.ofByte(a)"]
    longs = [f"String.ofLong(x {operator} y)" for operator in BINARY]
    longs += ["String.ofInt((int) x)", "String.ofLong(x + a)", "String.ofLong(a * y)"]
    quotients = [f"String.ofInt(a {operator} ({divisor}))" for divisor in DIVISORS for operator in "/%"]
    wide = [f"String.ofLong(x {operator} ({divisor}L))" for divisor in WIDE_DIVISORS for operator in "/%"]
    wide.append("String.ofLong(a / 7L)")
    tests = "".join(
        f"if (a {operator} b) bits |= 1 << {2 * n}; if (x {operator} y) bits |= 1 << {2 * n + 1};\n"
        for n, operator in enumerate(COMPARISONS)
    )
    return f"""
import In;
import Out;
class Arithmetic {{
  private NetStream out;
  private int[] n = new int[2];
  private long[] m = new long[2];
  public Arithmetic(NetStream from > compute, NetStream to) {{ out = to; }}
  void compute(Packet i) {{
    long x = i.longAt(0), y = i.longAt(8);
    int a = (int) x, b = (int) y;
    int bits = 0;
    {tests}
    n[0] += x; n[1] >>= b; n[1] ^= a; m[0] -= a; m[1] <<= y; m[1] |= x; m[0] %= 1000003;
    {_put(ints)}
    {_put(longs)}
    {_put(quotients)}
    {_put(wide)}
    {
        _put(
            [
                "String.ofInt(bits)",
                "String.ofInt(n[0])",
                "String.ofInt(n[1])",
                "String.ofLong(m[0])",
                "String.ofLong(m[1])",
            ]
        )
    }
  }}
  void main() {{ new Arithmetic(new In(), new Out()); }}
}}
"""


def test_numbers_are_what_the_interpreter_computes() -> None:
    compiled = compile_source(_source())
    pairs = list(itertools.product(EDGES, EDGES))[::5]
    arrivals = [Arrival("In", 0, struct.pack(">qq", x, y)) for x, y in pairs]
    assert by_stream(TARGET.run(compiled, arrivals)) == by_stream(INTERPRETER.run(compiled, arrivals))
