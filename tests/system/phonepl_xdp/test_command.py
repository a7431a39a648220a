"""`compile` and `run` on XDP as users meet them: files, messages, exit codes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from phonepl import capture
from phonepl.command import app
from phonepl.compiler import compile_source
from phonepl.targets import Arrival, NotExpressible
from phonepl.targets.xdp import program as loading
from phonepl.targets.xdp.package import Package
from phonepl.targets.xdp.program import accepted, load_package
from phonepl.targets.xdp.runner import run_loaded
from phonepl.targets.xdp.source import Generated, generate
from tests.unit.phonepl_xdp.test_generation import program

pytestmark = pytest.mark.root

EXAMPLES = Path(__file__).parents[3] / "examples" / "phonepl"


def test_compile_writes_c_and_packages(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["compile", "-o", str(tmp_path), str(EXAMPLES / "gre.phonepl")])
    assert result.exit_code == 0, result.stderr
    written = sorted(path.name for path in tmp_path.iterdir())
    assert len(written) == 3 and written[0].endswith(".bpf.c")
    for path in tmp_path.glob("*.xdp.json"):
        package = Package.from_json(path.read_text())
        with load_package(package) as loaded:
            assert set(loaded.functions) == set(package.manifest.functions)
            assert set(loaded.drops().values()) == {0}


def test_a_package_runs_as_the_program_did() -> None:
    compiled = compile_source(program("outB.put(new Packet(i.substring(0, 4), i)); outA.put(i);"))
    _, package, first = accepted(compiled, run=True)
    with first, load_package(Package.from_json(package.to_json())) as second:
        arrivals = [Arrival("NetA", 5, bytes(range(40)))]
        assert run_loaded(first, arrivals) == run_loaded(second, arrivals)
        assert len(run_loaded(second, arrivals).departures) == 2


def _run(tmp_path: Path, source: str, packets: list[bytes]) -> tuple[int, str, str]:
    file, given = tmp_path / "test.phonepl", tmp_path / "in.pcap"
    file.write_text(source)
    capture.write(given, 1, [capture.Record(1000 * n, data) for n, data in enumerate(packets)], True)
    arguments = ["run", "--target", "xdp", str(file), "--in", f"NetA={given}"]
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.stdout, result.stderr


def test_a_packet_that_xdp_cannot_take_is_said(tmp_path: Path) -> None:
    code, _, said = _run(tmp_path, program("outB.put(i);"), [bytes(60), bytes(13)])
    assert code == 3 and "packet 2" in said and "NetA" in said and "13 bytes" in said


@pytest.mark.parametrize(
    ("body", "drop"),
    [
        ("outB.put(i.subpacket(20));", "target_limit"),  # 10 bytes: no frame
        ("outB.put(i.subpacket(30));", "empty_packet"),
        ("outB.put(i); int x = i.byteAt(30);", "range_error"),
        ("outB.put(i); int x = 1 / i.byteAt(0);", "arithmetic_error"),
        ("if (i.length() > 99) outB.put(i);", "no_put"),
        ("Packet p = i; for (int k = 0; k < 19; k++) p = new Packet(p.substring(0, 30), p); outB.put(p);",
         "target_limit"),  # 570 bytes in front
    ],
)  # fmt: skip
def test_what_is_dropped_is_counted_by_name(tmp_path: Path, body: str, drop: str) -> None:
    code, printed, said = _run(tmp_path, program(body), [bytes(30)])
    assert code == 0, said
    report = json.loads(printed)
    assert {kind: count for kind, count in report["drops"].items() if count} == {drop: 1}
    assert report["streams"]["NetB"] == {"in": 0, "out": 0}


def test_what_the_verifier_refuses_is_said_of_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    source = program(
        "int x = i.byteAt(3);\n    int y = i.byteAt(x & 7);\n    outB.put(new Packet(String.ofInt(y), i));"
    )
    line = source.split("\n").index("    int y = i.byteAt(x & 7);") + 1

    def broken(compiled: object, memory: bool = False, marked: bool = False, node: bool = False) -> Generated:
        made = generate(compile_source(source), memory, marked, node)
        mark = f"AT({line});"
        assert mark in made.text
        text = made.text.replace(mark, f"{mark} *(volatile u64 *)(start(ctx) + 1000) = 1;")
        return Generated(text, made.manifest, marked)

    monkeypatch.setattr(loading, "generate", broken)
    with pytest.raises(NotExpressible) as refused:
        loading.load(compile_source(source, "test.phonepl"))
    assert f"test.phonepl:{line}:" in str(refused.value)
    assert "verifier" in str(refused.value) and "packet" in str(refused.value)


@pytest.mark.soak
def test_a_method_that_is_too_large_is_refused_with_its_size() -> None:
    step = 's = s.concat(i.substring(x & 7, (x & 7) + (i.byteAt(9) & 3)), "x"); if (s.length() > 200) s = "";'
    source = program(
        'String s = ""; int x = i.byteAt(1);\n' + "\n".join([step] * 330) + "\noutB.put(new Packet(s, i));"
    )
    with pytest.raises(NotExpressible) as refused:
        loading.load(compile_source(source), memory=True)
    assert "instructions" in str(refused.value) and "two programs" in str(refused.value)


def test_without_root_the_target_is_not_available(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    code, _, said = _run(tmp_path, program("outB.put(i);"), [bytes(60)])
    assert code == 4 and "root" in said
