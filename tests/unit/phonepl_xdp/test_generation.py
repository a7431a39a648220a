"""The C that programs become: its parts, its forms, and how packets are held."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from phonepl.command import app
from phonepl.compiler import compile_source
from phonepl.targets.xdp.rejection import Rejected, explained
from phonepl.targets.xdp.source import generate

FOLDER = Path(__file__).parents[3] / "examples" / "phonepl"
EXAMPLES = sorted(FOLDER.glob("*.phonepl"))


def program(body: str, fields: str = "") -> str:
    """A program whose packets of NetA go through `body`."""
    return f"""
import NetA;
import NetB;
class Test {{
  private NetStream outA, outB;
  {fields}
  public Test(NetStream a > fromA, NetStream b) {{ outA = a; outB = b; }}
  void fromA(Packet i) {{
    {body}
  }}
  void main() {{ new Test(new NetA(), new NetB()); }}
}}
"""


def handler(source: str, memory: bool = False) -> str:
    """The C of fromA alone."""
    text = generate(compile_source(source), memory).text
    found = re.search(r"^int on_NetA\(.*?^}", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[0]


@pytest.mark.req("P62", "P63", "P64")
def test_the_five_parts_are_there_in_order() -> None:
    text = generate(compile_source(program("outB.put(i); outA.put(i);"))).text
    titles = re.findall(r"^/\* ═══ (\w+)", text, re.MULTILINE)
    assert titles == ["data", "run", "output", "packet", "initialiser"]


@pytest.mark.parametrize("memory", [False, True], ids=["fast", "memory"])
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_has_both_forms(path: Path, memory: bool) -> None:
    compiled = compile_source(path.read_text(encoding="utf-8"), path.name)
    generated = generate(compiled, memory)
    routes = {h.stream for h in compiled.program.handlers}
    assert set(generated.manifest.functions) == routes
    for function in generated.manifest.functions.values():
        assert f"int {function}(struct xdp_md *ctx)" in generated.text


@pytest.mark.req("P32", "P51")
def test_a_packet_put_as_it_came_is_not_touched() -> None:
    text = handler(program("outB.put(i);"))
    assert "shape" not in text and "move" not in text and "leave(ctx, 1)" in text


@pytest.mark.req("P34", "P51", "P52")
def test_a_header_is_deleted_by_moving_the_border() -> None:
    text = handler(program("outB.put(i.subpacket(14));"))
    assert "shape(ctx, length, 0, 14, length)" in text
    assert "take" not in text and "load" not in text


@pytest.mark.req("P47", "P55")
def test_a_part_of_a_gathered_packet_is_resolved_at_compile_time() -> None:
    text = handler(program('Packet p = new Packet("abcdefgh", i); outB.put(p.subpacket(4));'))
    assert "shape(ctx, length, 4, 0, length)" in text
    assert "gather" not in text


def test_what_is_known_at_run_time_only_is_gathered_in_memory() -> None:
    text = handler(program('Packet p = new Packet("abcdefgh", i); outB.put(p.subpacket(i.byteAt(0) & 7));'))
    assert "p_bytes" in text or "t_bytes" in text


@pytest.mark.req("P66")
def test_elements_that_are_only_added_to_need_no_lock() -> None:
    added = program("n[0]++; outB.put(i);", "private int[] n = new int[4];")
    mixed = program("n[0]++; n[1] ^= 3; outB.put(i);", "private int[] n = new int[4];")
    assert "fetch_add_32" in handler(added) and "spin" not in handler(added)
    assert "bpf_spin_lock" in handler(mixed) and "fetch_add" not in handler(mixed)


def test_emit_prints_the_c() -> None:
    result = CliRunner().invoke(app, ["compile", "--emit", "c", str(FOLDER / "vlan.phonepl")])
    assert result.exit_code == 0
    assert "packet processors" in result.stdout


def test_a_method_that_is_too_large_is_refused_with_its_size() -> None:
    compiled = compile_source(program("outB.put(i);"), "test.phonepl")
    refused = Rejected("on_NetA", 40_000, "jump out of range from insn 10 to -1393")
    said = str(explained(compiled, refused, lambda: None))
    assert "test.phonepl:8:" in said and "40000 instructions" in said and "two programs" in said
