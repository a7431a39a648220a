"""The session language: what is read, what is refused, and where the message points."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from controller.program import Severity, check, check_text, draw, family, lay_out, render_all, unsupported
from controller.program.parse import MAX_BYTES, parse, tokens
from dipronn.v1 import session_pb2 as pb

CONFERENCE = """
session conference {
  owner "video@example.org"; transport artp;             # artp | udp, default for the inputs
  input  video : artp rate 1.5Gbps;
  input  audio : artp rate 3Mbps;
  output low   to 198.51.100.7:6000, 198.51.100.8:6000 override 198.51.100.0/24;
  output high  to 198.51.100.9:6000 order window 5ms;
  param  language "cs";

  vm studio { image "studio.img"; cpu 2; memory 1GiB; storage 4GiB; }
  program tv   in studio { run "transcode --to 2M"; in video; out low;
                 parallelizable 1..8 by round_robin; needs cpu 0.5; }
  program ta   { bundle "ta.tar"; in audio; out low; needs cpu 0.1, memory 64MiB, bandwidth 3Mbps; }
  program mixl { bundle "mix.tar"; in video, audio; out av; param gain 3; }
  program mixh { bundle "mix.tar"; in video, audio; out av; }
  program tag  { phonepl "timestamp.phonepl"; in NetStream1; out NetStream2; }

  data video -> tv.video;   data tv.low -> mixl.video;    data video -> mixh.video;
  data audio -> ta.audio;   data ta.low -> mixl.audio;    data audio->mixh.audio;
  data mixl.av -> tag.NetStream1; data tag.NetStream2 -> low;   data mixh.av -> high;
  control mixl.sync <-> mixh.sync;
  quality mixh { class realtime; latency 20ms; }
}
"""


def session(body: str = "", **parts: str) -> str:
    """A good session of one program, with parts replaced."""
    program = parts.get("program", 'bundle "p.tar"; in i; out o;')
    return (
        f"session s {{\n{parts.get('input', 'input x : udp;')}\n"
        f"{parts.get('output', 'output y to 192.0.2.1:6000;')}\nprogram p {{ {program} }}\n"
        f"{parts.get('data', 'data x -> p.i; data p.o -> y;')}\n{body}\n}}\n"
    )


def messages(text: str) -> str:
    return render_all(check_text(text).diagnostics, "s.dpn", text)


@pytest.mark.req("D49")
@pytest.mark.req("D50")
@pytest.mark.req("D44")
@pytest.mark.req("D46")
def test_the_example_of_the_language_is_read_in_full() -> None:
    parsed = check_text(CONFERENCE)
    assert parsed.diagnostics == []
    program = parsed.program
    assert program.name == "conference" and program.owner == "video@example.org"
    assert [item.rate_bps for item in program.inputs] == [1_500_000_000, 3_000_000]
    assert [receiver.address for receiver in program.outputs[0].receivers] == ["198.51.100.7", "198.51.100.8"]
    assert program.outputs[0].override_prefix == "198.51.100.0/24"
    assert (
        program.outputs[1].order == pb.ORDER_WINDOW
        and program.outputs[1].order_window.ToMicroseconds() == 5000
    )
    assert program.vms[0].needs.storage_bytes == 4 << 30 and program.vms[0].needs.cpu == 2
    tv, ta, mixl = program.programs[:3]
    assert (tv.vm, tv.run, tv.min_instances, tv.max_instances) == ("studio", "transcode --to 2M", 1, 8)
    assert (ta.needs.cpu, ta.needs.memory_bytes, ta.needs.bandwidth_bps) == (0.1, 64 << 20, 3_000_000)
    assert list(mixl.inputs) == ["video", "audio"] and mixl.parameters[0].value == "3"
    assert len(program.channels) == 10 and program.channels[-1].both_ways
    assert program.qualities[0].latency.ToMilliseconds() == 20


def test_statements_may_stand_in_any_order_and_arrows_need_no_space() -> None:
    text = (
        'session s{data x->p.i;data p.o->y;program p{out o;in i;bundle "b";}'
        "output y to 192.0.2.1:1;input x;transport udp;}"
    )
    assert messages(text) == ""
    assert check_text(text).program.inputs[0].transport == pb.TRANSPORT_UDP


@pytest.mark.parametrize(
    ("text", "where", "expected"),
    [
        (session(data="data x -> q.i; data p.o -> y;"), "5:11", "unknown program `q`"),
        (session(data="data z -> p.i; data p.o -> y;"), "5:6", "unknown session input `z`"),
        (session(data="data x -> p.k; data p.o -> y;"), "5:11", "unknown `in` port `p.k`"),
        (session(data="data x -> p.i; data p.i -> y;"), "5:21", "`p.i` is an `in` port"),
        (session(data="data x -> p; data p.o -> y;"), "5:11", "`p` is a program"),
        (session(data="data x -> y; data p.o -> y;"), "4:32", "`in` port `p.i` is not wired"),
        (session(data="data x -> p.i; data x -> y;"), "4:39", "`out` port `p.o` is not wired"),
        (session("input z : udp;"), "6:7", "input `z` is not used"),
        (session("output z to 192.0.2.1:1;"), "6:8", "output `z` is not reached"),
        (session("data p.o -> p.i;"), "6:1", "the data channels form a cycle: p -> p"),
        (session('program p { bundle "b"; }'), "6:9", "two programs are named `p`"),
        (session(program='bundle "b"; in i; out i;'), "4:35", "two ports named `i`"),
        (session(input="input x : udp rate 3Mbit;"), "2:20", "unknown unit `Mbit`"),
        (session(input="input x : udp rate 3;"), "2:20", "a unit is missing"),
        (session(input="input x;"), "2:7", "has no transport"),
        (session(output="output y;"), "3:8", "output `y` has no receiver"),
        (session(output="output y to 192.0.2.300:6000;"), "3:13", "bad address `192.0.2.300:6000`"),
        (session(output="output y to 192.0.2.1:70000;"), "3:13", "port 70000 is not in"),
        (session(output="output y to 224.0.0.1:7;"), "3:13", "multicast"),
        (session(output="output y to [2001:db8::g]:7;"), "3:13", "bad address"),
        (session(input="input x : udp from 192.0.2.1/24;"), "2:20", "bad prefix"),
        (session(program='bundle "b"; in i; out o; parallelizable 0;'), "4:38", "0..0 instances"),
        (session(program='bundle "b"; in i; out o; parallelizable 5..2;'), "4:38", "5..2 instances"),
        (session(program='bundle "b"; in i; out o; parallelizable 2 by weighted 3;'), "4:58", "1 weights"),
        (session(program="in i; out o;"), "4:9", "has no code"),
        (session(program='run "r"; in i; out o;'), "4:13", "no vm to run in"),
        (session(program='bundle "b"; phonepl "r"; in i; out o;'), "4:25", "besides `bundle`"),
        (session('owner "a"; owner "b";'), "6:12", "owner stands twice"),
        (session("quality q { class realtime; }"), "6:9", "unknown program `q`"),
        (session("data x -> p.i;"), "6:1", "stands twice"),
        (session("input data : udp;"), "6:7", "`data` is a keyword"),
        (session('owner "a'), "6:7", "the string does not end"),
        ("session s {\n", "1:12", "the text ends too early"),
        ("", "1:1", "the text ends too early"),
        ("session s { } x", "1:15", "unexpected `x`"),
        (session("@"), "6:1", "unexpected character '@'"),
    ],
)
def test_a_fault_is_refused_with_its_place(text: str, where: str, expected: str) -> None:
    rendered = messages(text)
    assert f"s.dpn:{where}: error: " in rendered and expected in rendered, rendered
    line, column = map(int, where.split(":"))
    shown, caret = rendered.split(f"s.dpn:{where}: error: ")[1].split("\n")[1:3]
    assert shown[2:] == (text.split("\n")[line - 1])[:120] and caret == "  " + " " * (column - 1) + "^"


def test_a_cycle_may_be_meant() -> None:
    assert messages(session("data p.o -> p.i; cycle ok;")) == ""


def test_control_ports_need_no_declaration_and_wire_what_is_declared() -> None:
    text = session('program q { bundle "q"; in sync; } control p.state -> q.sync;')
    assert messages(text) == ""


def test_a_receiver_of_another_family_is_a_warning() -> None:
    found = check_text(session(output="output y to [2001:db8::7]:6001;")).diagnostics
    assert [one.severity for one in found] == [Severity.WARNING]
    both = session(input="input x : udp from 2001:db8::/32;", output="output y to [2001:db8::7]:6001;")
    assert messages(both) == "" and family(parse(both).program) == 6


def test_the_protobuf_form_is_judged_alike() -> None:
    program = check_text(session()).program
    program.channels[0].destination.name = "k"
    (fault, unwired) = check(program)
    assert fault.render("request").startswith("request:channels[0].destination: error: unknown `in` port")
    assert unwired.path == "programs[0].inputs[0]"


def test_what_is_not_run_yet_is_named() -> None:
    parsed = check_text(CONFERENCE)
    text = render_all(unsupported(parsed.program, parsed.places), "c.dpn", CONFERENCE)
    for what in (
        "Phonepl",
        "`class realtime`",
        "`latency`",
    ):
        assert what in text
    assert unsupported(check_text(session()).program) == []


@pytest.mark.req("A35")
@pytest.mark.parametrize(
    ("transport", "clauses", "refused"),
    [
        ("artp", "order window 5ms", ""),
        ("artp", "order strict merge all", ""),
        ("udp", "order window 5ms by rtp", ""),
        ("udp", "merge 2 of 3 by rtp", ""),
        ("udp", "order strict", "`order` (output `y`) of UDP packets without an order token (input `x`)"),
        ("udp", "merge first", "`merge` (output `y`) of UDP packets without an order token (input `x`)"),
        ("artp", "merge first", "`merge` (output `y`) that drops copies of ARTP"),
    ],
)
def test_order_needs_a_token_in_every_packet(transport: str, clauses: str, refused: str) -> None:
    text = session(input=f"input x : {transport};", output=f"output y to 192.0.2.1:1 {clauses};")
    found = render_all(unsupported(check_text(text).program), "s.dpn", text)
    assert refused in found if refused else not found


def test_one_sequencer_serves_a_number_of_outputs() -> None:
    outputs = "".join(f"output y{i} to 192.0.2.1:{i} order strict by rtp;" for i in range(1, 18))
    lines = "".join(f"data p.o -> y{i};" for i in range(1, 18))
    text = session(output=outputs, data=f"data x -> p.i; {lines}")
    (found,) = unsupported(check_text(text).program)
    assert "more than 16 outputs" in found.message and found.path == "outputs[16].order"


def test_size_and_depth_are_bounded() -> None:
    assert "more than" in messages("#" * MAX_BYTES + "\n")
    assert messages("session s " + "{" * 10000).startswith("s.dpn:1:12: error: unexpected `{`")
    chain = "".join(
        f'program p{i} {{ bundle "b"; in i; out o; }} data p{i}.o -> p{i + 1}.i;' for i in range(2000)
    )
    last = 'program p2000 { bundle "b"; in i; out o; } data p2000.o -> y; '
    text = f"session s {{ input x : udp; output y to 192.0.2.1:1; data x -> p0.i; {chain} {last} }}"
    parsed = check_text(text)
    assert parsed.diagnostics == []
    assert "…" in draw(parsed.program)


def test_control_characters_are_not_passed_to_the_terminal() -> None:
    assert "\x1b" not in messages("session s {\n\x1b[31m\n}") and "\x1b" not in messages(
        'session s { owner "\x1b"; x }'
    )


@pytest.mark.req("D44")
def test_the_drawing_shows_every_program_channel_and_receiver() -> None:
    drawn = draw(check_text(CONFERENCE).program)
    for word in (
        "◉ video",
        "▣ tv.video  (× 1..8 round robin)",
        "─[av]─▶",
        "198.51.100.9:6000",
        "mixl.sync ◁┄▷ mixh.sync",
    ):
        assert word in drawn


@given(st.text(max_size=60))
def test_no_text_is_a_surprise(noise: str) -> None:
    for text in (noise, session(noise), session(program=noise)):
        messages(text)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda p: setattr(p.programs[0].needs, "cpu", -1.0), "needs -1.0 cores"),
        (lambda p: setattr(p.programs[0].needs, "cpu", float("nan")), "needs nan cores"),
        (lambda p: setattr(p.programs[0].needs, "memory_bytes", (1 << 64) - 1), "needs more than"),
        (lambda p: setattr(p.inputs[0], "rate_bps", (1 << 64) - 1), "the rate of input `x`"),
        (lambda p: setattr(p.programs[0], "policy", 99), "unknown number, 99"),
        (lambda p: setattr(p.programs[0], "max_instances", 1 << 31), "more than 1024"),
        (lambda p: setattr(p.programs[0], "name", "a/../b"), "no name of a program"),
        (lambda p: p.parameters.add(name="a", value="x\0y"), "has a NUL"),
        (
            lambda p: [p.parameters.add(name=name) for name in ("a-b", "a_b")],
            "two parameters are named `a_b`",
        ),
        (lambda p: setattr(p.channels[0], "kind", 0), "neither data nor control"),
        (lambda p: setattr(p.inputs[0].to, "port", 5), "a port without an address"),
        (lambda p: setattr(p.outputs[0].receivers[0], "address", ""), "bad address `-`"),
    ],
)
def test_a_message_that_no_text_could_say_is_refused(
    change: Callable[[pb.Program], object], expected: str
) -> None:
    program = check_text(session()).program
    change(program)
    assert expected in render_all(check(program), "request")


@given(st.data())
def test_no_message_is_a_surprise(data: st.DataObject) -> None:
    raw = bytearray(check_text(CONFERENCE).program.SerializeToString())
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        program = pb.Program.FromString(bytes(raw))
    except DecodeError:
        return
    render_all(check(program) + unsupported(program), "request")
    draw(program)


def test_the_layout_is_canonical_and_keeps_comments() -> None:
    text = (
        "# what it is\n\n\nsession s{input x:udp rate 5 Mbps;   # behind\n\n\n# before\n"
        'program p{bundle "b";in i,j;parallelizable 2 by weighted 3:1;}\n'
        "data x->p.i; }  # end"
    )
    assert lay_out(text) == (
        "# what it is\n\nsession s {\n  input x : udp rate 5Mbps;  # behind\n\n  # before\n"
        '  program p {\n    bundle "b";\n    in i, j;\n    parallelizable 2 by weighted 3:1;\n  }\n'
        "  data x -> p.i;\n}  # end\n"
    )


_SPACE = st.sampled_from(["", " ", "\n", "\n\n", "\t", " # a comment\n", "\n# another { ; }\n"])


@given(st.data())
def test_the_layout_changes_nothing_but_the_layout(data: st.DataObject) -> None:
    words = [str(token) for token in tokens(CONFERENCE)]
    text = words[0]
    for before, word in itertools.pairwise(words):
        space = data.draw(_SPACE)
        text += (space or " " * (before[-1].isalnum() and word[0].isalnum())) + word
    laid_out = lay_out(text)
    assert parse(laid_out).program == parse(CONFERENCE).program
    assert lay_out(laid_out) == laid_out
    assert laid_out.count("#") == text.count("#")
