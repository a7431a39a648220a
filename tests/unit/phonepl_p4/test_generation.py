"""The P4 that programs become: its parts, what is parsed of a packet, and what it costs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from phonepl.command import app
from phonepl.compiler import compile_source
from phonepl.targets.p4.source import Generated, generate

FOLDER = Path(__file__).parents[3] / "examples" / "phonepl"
EXAMPLES = sorted(FOLDER.glob("*.phonepl"))


def generated(body: str, members: str = "") -> Generated:
    """A program whose packets of NetA go through `body`."""
    return generate(
        compile_source(
            f"""
import NetA;
import NetB;
class Test {{
  private NetStream outA, outB;
  {members}
  public Test(NetStream a > fromA, NetStream b) {{ outA = a; outB = b; }}
  void fromA(Packet i) {{
    {body}
  }}
  void main() {{ new Test(new NetA(), new NetB()); }}
}}
"""
        )
    )


def fields(text: str) -> list[int]:
    """The bits of the fields of what is parsed, in order."""
    declared = re.findall(r"header head_\w+_t \{(.*?)\}", text, re.DOTALL)
    return [int(bits) for header in declared for bits in re.findall(r"bit<(\d+)>", header)]


def extracted(text: str) -> int:
    return text.count("packet.extract(")


@pytest.mark.req("P64")
def test_the_five_parts_are_there_in_order() -> None:
    text = generated("outB.put(i); outA.put(i);").text
    titles = re.findall(r"^/\* ═══ (\w[\w ]*\w)", text, re.MULTILINE)
    parts = ["data", "parser and deparser", "packet processors", "output of several puts", "initialiser"]
    assert titles == parts


@pytest.mark.parametrize("more", [[], ["--no-opt"]], ids=["optimised", "no-opt"])
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_can_be_expressed(path: Path, more: list[str]) -> None:
    result = CliRunner().invoke(app, ["compile", "--emit", "p4", *more, str(path)])
    assert result.exit_code == 0, result.stderr
    assert "V1Switch(" in result.stdout


@pytest.mark.req("P32", "P51")
def test_a_packet_put_as_it_came_is_not_parsed() -> None:
    text = generated("outB.put(i);").text
    assert extracted(text) == 0 and "packet.emit(" not in text and "hdr." not in text


@pytest.mark.req("P34", "P51", "P52")
def test_a_header_is_deleted_by_making_it_invalid() -> None:
    text = generated("outB.put(i.subpacket(14));").text
    assert fields(text) == [8 * 14] and "hdr.head_0_14.setInvalid();" in text
    assert "front" not in text.split("processors")[1]


def test_nothing_behind_the_last_byte_that_is_touched_is_parsed() -> None:
    text = generated("if (i.length() > 500 && i.byteAt(23) == 17) outB.put(i);").text
    assert sum(fields(text)) == 8 * 24


def test_what_a_test_before_proves_to_be_there_is_one_header() -> None:
    reads = "if (i.byteAt(12) == 8 && i.intAt(26) != 0) outB.put(i);"
    guarded = generated(f"if (i.length() < 60) return; {reads}").text
    alone = generated(reads).text
    assert extracted(guarded) == 1 and fields(guarded) == [8 * n for n in (12, 1, 13, 4)]
    # Without it a packet of 20 bytes must show its byte 12, so that the headers end where reads do.
    assert extracted(alone) == 2 and sum(fields(alone)) == 8 * 30


@pytest.mark.req("P47", "P55")
def test_a_part_of_a_composed_packet_is_resolved_at_compile_time() -> None:
    text = generated('Packet p = new Packet("abcdefgh", i); outB.put(p.subpacket(4));').text
    assert "32w0x65666768" in text and b"abcd".hex() not in text


def test_every_path_knows_what_it_puts() -> None:
    body = "Packet p = i; if (i.byteAt(0) == 1) p = i.subpacket(4); outB.put(p);"
    text = generated(body).text
    there, elsewhere = text.split("sm.egress_spec = 2;")[:2]
    assert fields(text) == [8, 24]
    assert there.count("setInvalid()") == 2 and elsewhere.count("setInvalid()") == 0


def test_several_puts_are_copies_that_egress_makes() -> None:
    made = generated("outB.put(i); outA.put(i.subpacket(14)); if (i.byteAt(0) == 1) outB.put(i);")
    assert made.manifest.groups == ((2, 1, 2), (1, 2))
    output = made.text.split("output of several puts")[1]
    assert "sm.egress_rid == 3" in output and "setInvalid()" in output


def test_a_division_by_a_constant_is_a_multiplication() -> None:
    text = generated("int n = i.byteAt(0) / 10; outB.put(new Packet(String.ofByte(n), i));").text
    assert str((1 << 64) // 10 + 1) in text and " / " not in text.split("processors")[1]


def test_names_of_the_program_never_meet_names_of_ours() -> None:
    source = """
import hdr;
import array;
class front {
  private NetStream meta, sm;
  private int[] drops = new int[2], n_0 = new int[2];
  public front(NetStream packet > drop, NetStream bytes > apply) { meta = packet; sm = bytes; }
  void drop(Packet exit) {
    drops[0] += n_0[1]++;
    meta.put(new Packet(exit.substring(0, 4), exit.subpacket(4)));
  }
  void apply(Packet bit) { sm.put(bit.subpacket(8)); }
  void main() { new front(new hdr(), new array()); }
}
"""
    text = generate(compile_source(source)).text
    assert "on_hdr_old_0" in text and "array_drops" in text and "array_n_0" in text
