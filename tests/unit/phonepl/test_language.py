"""What programs mean, by the interpreter: each rule of the language once."""

from __future__ import annotations

import pytest

from phonepl.compiler import compile_source
from phonepl.parser import decode
from phonepl.targets.interpreter import Interpreter
from tests.unit.phonepl.language import PACKET, handled, outcome, program, value

DOCUMENT = """
import NetStream1;
import NetStream2;
class AddRemMAC {
  private NetStream out1, out2;
  public AddRemMAC(NetStream port1 > process1, NetStream port2 > process2) { out1 = port1; out2 = port2; }
  void process1(Packet i) { out2.put(new Packet(i.substring(0, 14), i)); }
  void process2(Packet i) { out1.put(i.subpacket(14)); }
  void main() { new AddRemMAC(new NetStream1(), new NetStream2()); }
}
"""


@pytest.mark.req("P26", "P27", "P28", "P29", "P33", "P34", "P35")
def test_the_program_of_the_document() -> None:
    running = Interpreter(compile_source(DOCUMENT).checked)
    added = running.handle("NetStream1", PACKET, 0)
    assert added.puts == [("NetStream2", PACKET[:14] + PACKET)] and not added.drops
    removed = running.handle("NetStream2", added.puts[0][1], 0)
    assert removed.puts == [("NetStream1", PACKET)]
    assert running.handle("NetStream1", PACKET[:13], 0).drops == ["range_error"]
    assert running.handle("NetStream2", PACKET[:14], 0).drops == ["empty_packet"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("2147483647 + 1", -2147483648),
        ("-2147483648 - 1", 2147483647),
        ("0x80000000", -2147483648),
        ("0xFFFFFFFF", -1),
        ("-7 / 2", -3),
        ("-7 % 3", -1),
        ("7 % -3", 1),
        ("(-2147483648) / -1", -2147483648),
        ("1 << 33", 2),
        ("-1 >>> 28", 15),
        ("-8 >> 1", -4),
        ("1 << 2L", 4),
        ("~5", -6),
        ("6 & 3 | 8 ^ 1", 11),
        ("2 + 3 * 4 - 5", 9),
        ("(int) 4294967298L", 2),
        ("i.byteAt(63)", 63),
        ("i.intAt(1)", 0x01020304),
        ("i.length()", 64),
        ('"abc".length()', 3),
        ('"a\\x00\\n\\r\\t\\0\\\\\\"".byteAt(5)', 0),
        ('x"00 1b21".byteAt(2)', 0x21),
        ('x"ffffffff".intAt(0)', -1),
        ('x"ff".byteAt(0)', 255),
    ],
)
def test_int_arithmetic_is_java_s(expression: str, expected: int) -> None:
    assert value(expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("4294967296", 1 << 32),
        ("9223372036854775807L + 1", -(1 << 63)),
        ("-9223372036854775808L", -(1 << 63)),
        ("1 + 1L", 2),
        ("1L << 33", 1 << 33),
        ("1L << 65", 2),
        ("-1L >>> 60", 15),
        ("(long) -1", -1),
        ("2147483647 + 1", -2147483648),
        ("2147483647 + 1L", 2147483648),
        ("i.longAt(0)", 0x0001020304050607),
        ("0xFFFFFFFFFFFFFFFFL", -1),
    ],
)
def test_long_arithmetic_is_java_s(expression: str, expected: int) -> None:
    assert value(expression, "long") == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1 < 2 && 2 <= 2 && 3 > 2 && 3 >= 3 && 1 != 2", True),
        ("true ^ true", False),
        ("!(1 == 1L)", False),
        ('"ab".equals(x"6162")', True),
        ('"ab".equals("abc")', False),
        # The right side would be a range_error; it is not evaluated.
        ("false && i.byteAt(1000) == 0", False),
        ("true || i.byteAt(1000) == 0", True),
    ],
)
def test_booleans(expression: str, expected: bool) -> None:
    assert value(expression, "boolean") is expected


@pytest.mark.req("P22", "P23")
@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("i.substring(60)", PACKET[60:]),
        ("i.substring(2, 5)", PACKET[2:5]),
        ("i.substring(64)", b""),
        ('"ab".concat("c", x"00", "")', b"abc\0"),
        ("i.substring(0, 10).substring(3, 5)", PACKET[3:5]),
        ("String.ofInt(-2)", b"\xff\xff\xff\xfe"),
        ("String.ofLong(258)", bytes(6) + b"\x01\x02"),
        ("String.ofByte(0x1ff)", b"\xff"),
        ('"abcd".substring(1)', b"bcd"),
    ],
)
def test_strings(expression: str, expected: bytes) -> None:
    assert value('"<".concat(' + expression + ")", "String") == b"<" + expected


@pytest.mark.parametrize(
    "body",
    [
        "i.byteAt(64);",
        "i.byteAt(-1);",
        "i.intAt(61);",
        "i.longAt(57);",
        "i.substring(65);",
        "i.substring(5, 4);",
        "i.subpacket(5, 4);",
        "i.subpacket(0, 65);",
        '"abc".byteAt(3);',
        "n[4] = 1;",
        "n[-1]++;",
        "int x = n[i.byteAt(9)];",
        "t[0] = i.substring(0, 60).concat(i.substring(0, 5));",
        "String s = i.substring(0, 64); s = s.concat(s, s, s, s);",
    ],
)
def test_what_lies_outside_is_a_range_error(body: str) -> None:
    members = "  int[] n = new int[4];\n  String[] t = new String[1];"
    result = handled("out.put(i); " + body, members)
    assert result.puts == [] and result.drops == ["range_error"]


def test_a_long_slice_is_a_range_error_only_as_a_string() -> None:
    packet = bytes(300)
    assert handled("i.substring(0, 257);", packet=packet).drops == ["range_error"]
    assert handled("out.put(new Packet(i.substring(0, 256)));", packet=packet).puts == [("Out", bytes(256))]
    assert handled("out.put(i.subpacket(0, 257));", packet=packet).puts == [("Out", bytes(257))]


@pytest.mark.parametrize(
    "body", ["int x = 5 / (i.length() - 64);", "long x = 5L % i.byteAt(0);", "n[0] /= n[1];"]
)
def test_division_by_zero_is_an_arithmetic_error(body: str) -> None:
    result = handled("out.put(i); " + body, "  int[] n = new int[4];")
    assert result.puts == [] and result.drops == ["arithmetic_error"]


@pytest.mark.req("P32")
def test_an_error_discards_puts_and_keeps_what_was_stored() -> None:
    body = "n[0]++; out.put(new Packet(String.ofInt(n[0]))); i.byteAt(9);"
    puts, drops = outcome(body, "  int[] n = new int[1];", [bytes(20), bytes(5), bytes(20)])
    assert puts == [b"\0\0\0\x01", b"\0\0\0\x03"]
    assert drops == {"range_error": 1}


def test_several_puts_leave_in_order_and_a_packet_may_be_put_again() -> None:
    result = handled(
        "Packet p = i.subpacket(62); out.put(p); back.put(i); p = new Packet(p); out.put(p); out.put(i);"
    )
    assert result.puts == [("Out", PACKET[62:]), ("In", PACKET), ("Out", PACKET[62:]), ("Out", PACKET)]


def test_what_is_not_put_is_counted() -> None:
    assert outcome("if (i.length() > 3) out.put(i);", "", [b"abc", b"abcd", b""]) == (
        [b"abcd"],
        {"no_put": 1, "empty_packet": 1},
    )
    assert outcome('out.put(i); out.put(new Packet("")); out.put(new Packet());') == (
        [PACKET],
        {"empty_packet": 2},
    )


def test_a_stream_without_a_method_drops_what_arrives() -> None:
    running = Interpreter(program("out.put(i);").checked)
    assert running.handle("Out", PACKET, 0).drops == ["no_put"]


@pytest.mark.req("P24")
def test_packets_are_made_of_strings_and_a_packet() -> None:
    assert handled('out.put(new Packet("ab", x"00", i.subpacket(62)));').puts == [
        ("Out", b"ab\0" + PACKET[62:])
    ]
    assert handled('out.put(new Packet("ab", "c"));').puts == [("Out", b"abc")]


@pytest.mark.req("P18")
def test_packets_do_not_change() -> None:
    body = """
      Packet p = i;
      Packet q = new Packet("x", p);
      p = p.subpacket(60);
      out.put(q);
      out.put(p);
      out.put(i);
    """
    assert [data for _, data in handled(body).puts] == [b"x" + PACKET, PACKET[60:], PACKET]


def test_arrays_begin_empty_and_live_from_packet_to_packet() -> None:
    members = "  private long[] n = new long[2];\n  String[] t = new String[2];"
    body = "out.put(new Packet(t[1], String.ofLong(n[1]))); t[1] = i.substring(0, 1); n[1] += 3;"
    assert outcome(body, members, [b"a", b"b", b"c"])[0] == [
        bytes(8),
        b"a" + bytes(7) + b"\x03",
        b"b" + bytes(7) + b"\x06",
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("int x = 1; int y = x++ + x++ * 10; r = x + y * 10;", 213),
        ("int x = 1; int y = x + (x = 5) * x; r = y;", 26),
        ("int x = 3; x += x++ + ++x; r = x;", 11),
        ("int x = 7; x -= (x = 2); r = x;", 5),
        ("n[0] = 5; int y = n[0]++ + n[0]; r = y * 10 + n[0];", 116),
        ("n[0] = 5; int y = (n[0] += 2); r = y + --n[0];", 13),
        ("int x = 10; x += 4294967297L; r = x;", 11),
        ("int x = 0; x = n[1] = 4; r = x + n[1];", 8),
        ("n[0] = 1; n[n[0]++] = n[0] + 5; r = n[1];", 7),
        ("n[0] = 2; n[0] <<= 33; r = n[0];", 4),
        ("n[0] = 2; n[0] += n[0]++; r = n[0];", 5),
        ("boolean b = true; b &= i.length() > 100; if (b) r = 1; else r = 2;", 2),
    ],
)
def test_evaluation_goes_from_left_to_right(body: str, expected: int) -> None:
    result = handled(
        "int r = 0; " + body + " out.put(new Packet(String.ofInt(r)));", "  int[] n = new int[4];"
    )
    assert int.from_bytes(result.puts[0][1], "big", signed=True) == expected


@pytest.mark.parametrize(
    ("loop", "expected"),
    [
        ("for (int j = 0; j < 5; j++) r += j;", 10),
        ("for (int j = 5; j > 0; j--) r += j;", 15),
        ("for (int j = 4; j >= 0; j -= 2) r += j;", 6),
        ("for (int j = 0; j != 3; ++j) r++;", 3),
        ("for (int j = 0; 4 > j; j = j + 1) r++;", 4),
        ("for (int j = 0, k = 10; j < k; j++, k--) r++;", 5),
        ("int j = 0; while (j < 3) { r += 2; j++; }", 6),
        ("int j = 3; while (j-- > 0) r++;", 3),
        ("for (int j = 0; j < i.byteAt(7); j++) r++;", 7),
        ("for (int j = 0; j < (i.intAt(0) & 0xfff); j++) r++;", 0x203),
        ("String s = i.substring(0, 9); for (int j = 0; j < s.length(); j++) r += s.byteAt(j);", 36),
        ("if (i.length() <= 100) for (int j = 0; j < i.length(); j++) r++;", 64),
        ("for (int j = 0; j < 4 && i.byteAt(j) < 2; j++) r++;", 2),
        ("for (long j = 0; j < 4; j++) r++;", 4),
        ("int at = 0; while (at + 2 <= 20) { r++; at += 2 + i.byteAt(at); }", 4),
        ("for (int j = 0; j < n.length; j++) for (int k = 0; k < j; k++) r++;", 6),
        ("for (int j = 0; j < 4096; j++) r++;", 4096),
    ],
)
def test_loops_that_end(loop: str, expected: int) -> None:
    body = "int r = 0; " + loop + " out.put(new Packet(String.ofInt(r)));"
    assert int.from_bytes(handled(body, "  int[] n = new int[4];").puts[0][1], "big") == expected


def test_own_methods_streams_and_arrays_as_parameters() -> None:
    members = """
      int[] n = new int[4];
      static final int SHIFT = 2 + 1;
      static final String MARK = "m".concat(String.ofByte(SHIFT));
      int sum(int[] a, Packet p) { a[0] += p.length(); return a[0] << SHIFT; }
      void send(NetStream where, Packet p) { if (p.length() < 2) return; where.put(p); }
      boolean longer(Packet p, int than) { if (p.length() > than) { return true; } else return false; }
      Packet marked(Packet p) { p = new Packet(MARK, p); return p; }
      long twice(long x) { return 2 * x; }
    """
    body = """
      NetStream where = out;
      if (longer(i, 10)) send(where, marked(i.subpacket(60)));
      send(this.out, new Packet("x"));
      this.send(back, new Packet(String.ofLong(twice(sum(this.n, i)))));
    """
    result = handled(body, members)
    assert result.puts == [("Out", b"m\x03" + PACKET[60:]), ("In", (2 * (64 << 3)).to_bytes(8, "big"))]


def test_the_clock_is_the_packet_s_timestamp() -> None:
    stamp = 1_700_000_000_123_456_789
    result = handled("out.put(new Packet(String.ofLong(Clock.nanos())));", timestamp=stamp)
    assert result.puts == [("Out", stamp.to_bytes(8, "big"))]


@pytest.mark.req("P37", "P38", "P39")
def test_streams_may_be_named_in_main_and_one_method_may_take_several() -> None:
    source = """
      import A; import B; import C;
      class T {
        private NetStream out;
        T(NetStream a > go, NetStream b > go, NetStream out) { this.out = out; }
        void go(Packet i) { out.put(i); }
        public static void main() { NetStream last = new C(); T t = new T(new A(), new B(), last); }
      }
    """
    running = Interpreter(compile_source(source).checked)
    assert running.handle("A", b"x", 0).puts == [("C", b"x")]
    assert running.handle("B", b"y", 0).puts == [("C", b"y")]


def test_a_packet_beyond_the_longest_is_counted_as_target_limit() -> None:
    body = "Packet p = i; for (int j = 0; j < 2000; j++) p = new Packet(i.substring(0, 256), p); out.put(p);"
    assert handled(body, packet=bytes(256)).drops == ["target_limit"]


def test_final_variables_windows_lines_and_a_byte_order_mark() -> None:
    members = "int twice(final int x) { final int y = 2; return x * y; }"
    assert value("twice(21)", members=members) == 42
    text = DOCUMENT.replace("\n", "\r\n").encode()
    running = Interpreter(compile_source(decode(b"\xef\xbb\xbf" + text)).checked)
    assert running.handle("NetStream2", PACKET, 0).puts == [("NetStream1", PACKET[14:])]
