"""The command line as a user meets it: what it prints, what it writes, and its exit codes."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from phonepl import capture
from phonepl.command import app

SOURCE = """import In;
import Other;
import Out;
class Tag {
  private NetStream out;
  private int[] n = new int[1];
  Tag(NetStream a > go, NetStream b > go, NetStream o) { out = o; }
  void go(Packet i) {
    n[0]++;
    if (i.byteAt(0) == 0xff) return;
    out.put(new Packet(String.ofByte(n[0]), String.ofLong(Clock.nanos()), i));
  }
  void main() { new Tag(new In(), new Other(), new Out()); }
}
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "tag.phonepl"
    path.write_text(SOURCE)
    return path


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def _capture(order: str, magic: int, link: int, records: list[tuple[int, int, bytes]]) -> bytes:
    parts = [struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, 65535, link)]
    for seconds, fraction, data in records:
        parts.append(struct.pack(f"{order}IIII", seconds, fraction, len(data), len(data)) + data)
    return b"".join(parts)


def test_check_says_nothing_of_a_right_program(source: Path) -> None:
    result = _run("check", source)
    assert (result.exit_code, result.output) == (0, "")


def test_check_tells_place_line_caret_and_hint(tmp_path: Path) -> None:
    path = tmp_path / "bad.phonepl"
    path.write_text(SOURCE.replace("i.byteAt(0) ==", 'i.substring(0, 1) == x"ff" &&'))
    result = _run("check", path)
    assert result.exit_code == 1
    first, line, caret, hint = result.stderr.split("\n")[:4]
    assert first.startswith(f"{path}:10:27: error: ")
    assert line.strip().startswith("if (i.substring")
    assert caret.index("^") == line.index("==") and hint.strip().startswith("hint: ")


def test_run_merges_by_time_and_keeps_timestamp_order_and_link_type(source: Path, tmp_path: Path) -> None:
    # One input big-endian in microseconds, the other little-endian in nanoseconds; ties go by --in.
    (tmp_path / "a.pcap").write_bytes(_capture(">", 0xA1B2C3D4, 101, [(5, 0, b"a1"), (6, 7, b"a2")]))
    (tmp_path / "b.pcap").write_bytes(
        _capture("<", 0xA1B23C4D, 101, [(5, 0, b"b1"), (5, 999_999_999, b"\xffb2"), (4, 1, b"b3")])
    )
    out = tmp_path / "out.pcap"
    result = _run(
        "run",
        source,
        "--in",
        f"Other={tmp_path}/b.pcap",
        "--in",
        f"In={tmp_path}/a.pcap",
        "--out",
        f"Out={out}",
    )
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {
        "target": "interpreter",
        "streams": {"In": {"in": 2, "out": 0}, "Other": {"in": 3, "out": 0}, "Out": {"in": 0, "out": 4}},
        "drops": {"no_put": 1, "empty_packet": 0, "range_error": 0, "arithmetic_error": 0, "target_limit": 0},
    }
    written = capture.read(out)
    assert (written.link_type, written.nanoseconds) == (101, True)
    times = [4_000_000_001, 5_000_000_000, 5_000_000_000, 6_000_007_000]
    assert [record.timestamp for record in written.records] == times
    assert [(r.data[0], int.from_bytes(r.data[1:9], "big"), r.data[9:]) for r in written.records] == [
        (1, times[0], b"b3"),
        (2, times[1], b"b1"),
        (3, times[2], b"a1"),
        (5, times[3], b"a2"),
    ]


def test_run_without_inputs_and_with_an_output_writes_an_empty_capture(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.pcap"
    result = _run("run", source, "--target", "interpreter", "--out", f"Out={out}")
    assert result.exit_code == 0 and capture.read(out) == capture.Capture(1, False, ())


def test_no_opt_gives_the_same(source: Path, tmp_path: Path) -> None:
    (tmp_path / "a.pcap").write_bytes(_capture("<", 0xA1B2C3D4, 1, [(1, 0, bytes(20)), (2, 0, b"\xff")]))
    results = [_run("run", source, "--in", f"In={tmp_path}/a.pcap", *more) for more in ([], ["--no-opt"])]
    assert results[0].stdout == results[1].stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "SOURCE", "--in", "Nobody=x.pcap"],
        ["run", "SOURCE", "--out", "Nobody=x.pcap"],
        ["run", "SOURCE", "--in", "In"],
        ["run", "SOURCE", "--in", "In=/does/not/exist.pcap"],
        ["run", "SOURCE", "--in", "In=SOURCE"],
        ["run", "SOURCE", "--out", "Out=a", "--out", "Out=b"],
        ["run", "SOURCE", "--target", "abacus"],
        ["run", "/does/not/exist.phonepl"],
        ["run"],
        ["compile", "SOURCE"],
        ["compile", "SOURCE", "--emit", "java"],
        ["check"],
        ["frobnicate"],
    ],
)
def test_wrong_usage_is_exit_code_2(arguments: list[str], source: Path) -> None:
    result = _run(*[a.replace("SOURCE", str(source)) for a in arguments])
    assert result.exit_code == 2 and result.stderr


def test_a_wrong_program_is_exit_code_1_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "bad.phonepl"
    path.write_text("class T { }")
    for command in ("check", "explain", "run"):
        assert _run(command, path).exit_code == 1


def test_the_interpreter_compiles_nothing(source: Path, tmp_path: Path) -> None:
    assert _run("compile", "--target", "interpreter", "-o", tmp_path / "made", source).exit_code == 2


def test_fmt_prints_writes_and_checks(source: Path) -> None:
    printed = _run("fmt", source)
    assert (
        printed.exit_code == 0
        and "  Tag(NetStream a > go, NetStream b > go, NetStream o) {\n    out = o;" in printed.stdout
    )
    assert _run("fmt", "--check", source).exit_code == 1
    assert _run("fmt", "--write", source).exit_code == 0
    assert source.read_text() == printed.stdout
    assert _run("fmt", "--check", source).exit_code == 0


def test_stages_are_printed(source: Path) -> None:
    assert _run("compile", "--emit", "ast", source).stdout.startswith("Program @1:1\n  Import @1:1")
    printed = _run("compile", "--emit", "ir", source).stdout
    assert (
        printed.startswith("program Tag\nstream In\n")
        and "trap range_error if (length(i) < 1)" not in printed
    )
    assert "trap range_error" in _run("compile", "--emit", "ir", "--no-opt", source).stdout


@pytest.mark.req("P47", "P48")
def test_explain_shows_representations_and_the_checks_that_remain(source: Path) -> None:
    report = _run("explain", source).stdout
    assert "cached or mixed → gathered" in report and "tag checks that remain: 0 of" in report
    assert "slow memory never" in report and "n (4 B)" in report
    plain = _run("explain", "--no-opt", source).stdout
    assert "tag checks that remain: 0 of" not in plain


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "too short"),
        (b"\x0a\x0d\x0d\x0a" + bytes(40), "pcapng"),
        (bytes(40), "not those of a pcap"),
        (_capture("<", 0xA1B2C3D4, 1, [(0, 0, bytes(9))])[:-3], "cut off"),
        (_capture("<", 0xA1B2C3D4, 1, []) + bytes(7), "cut off"),
    ],
)
def test_broken_captures_are_refused(content: bytes, said: str, source: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.pcap").write_bytes(content)
    result = _run("run", source, "--in", f"In={tmp_path}/broken.pcap")
    assert result.exit_code == 2 and said in result.stderr


def test_the_module_runs_as_a_program(source: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "phonepl", "check", source], capture_output=True, timeout=60)
    assert done.returncode == 0
