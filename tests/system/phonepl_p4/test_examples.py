"""Every example does on a real bmv2 what the interpreter does, by the artefacts that are kept of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from phonepl import capture
from phonepl.command import app
from phonepl.compiler import compile_source
from phonepl.targets import Arrival
from phonepl.targets.interpreter import TARGET as INTERPRETER
from phonepl.targets.p4 import p4c
from phonepl.targets.p4.runner import Runner
from phonepl.targets.p4.switch import Switch
from tests.system.phonepl_p4.agreement import by_stream

pytestmark = [pytest.mark.bmv2, pytest.mark.timeout(600)]

FOLDER = Path(__file__).parents[3] / "examples" / "phonepl"
NAMES = sorted(path.stem for path in FOLDER.glob("*.phonepl"))


@pytest.mark.req("P3", "P7", "P67", "P70", "P71")
@pytest.mark.parametrize("name", NAMES)
def test_an_example_does_on_bmv2_what_the_interpreter_does(name: str) -> None:
    path = FOLDER / f"{name}.phonepl"
    compiled = compile_source(path.read_text(encoding="utf-8"), path.name)
    arrivals = [
        Arrival(each.stem[3:], record.timestamp, record.data)
        for each in sorted((FOLDER / "captures" / name).glob("in-*.pcap"))
        for record in capture.read(each).records
    ]
    arrivals.sort(key=lambda arrival: arrival.timestamp)
    manifest, pipeline = p4c.load(compiled.program.name, FOLDER / "p4")
    with Switch(manifest, pipeline) as switch:
        found = Runner(manifest, switch).run(arrivals)
    expected = INTERPRETER.run(compiled, arrivals)
    assert by_stream(found) == by_stream(expected)
    assert found.departures


@pytest.mark.skipif(not p4c.is_here(), reason="needs p4c-bm2-ss")
def test_run_on_p4_is_run_on_the_interpreter(tmp_path: Path) -> None:
    """By the command line: compiled by p4c, captures in and out, the counters printed."""
    folder, said = FOLDER / "captures" / "timestamp_exit", []
    for target in ("interpreter", "p4"):
        into = tmp_path / target
        into.mkdir()
        arguments = ["run", "--target", target, str(FOLDER / "timestamp_exit.phonepl")]
        for stream in ("Network", "Control"):
            arguments += ["--in", f"{stream}={folder}/in-{stream}.pcap"]
        for stream in ("Terminal", "Control"):
            arguments += ["--out", f"{stream}={into}/{stream}.pcap"]
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.stderr
        said.append(result.stdout.replace(f'"{target}"', '""'))
    assert said[0] == said[1]
    for stream in ("Terminal", "Control"):
        made = [(tmp_path / target / f"{stream}.pcap").read_bytes() for target in ("interpreter", "p4")]
        assert made[0] == made[1]


def test_packets_of_a_page_and_more_pass_untouched() -> None:
    path = FOLDER / "add_rem_mac.phonepl"
    compiled = compile_source(path.read_text(encoding="utf-8"), path.name)
    body = bytes(range(256)) * 36
    arrivals = [
        Arrival(f"NetStream{n}", 0, body[:size]) for size in (14, 15, 1500, 4096, 9000) for n in (1, 2)
    ]
    manifest, pipeline = p4c.load(compiled.program.name, FOLDER / "p4")
    with Switch(manifest, pipeline) as switch:
        found = Runner(manifest, switch).run(arrivals)
    assert by_stream(found) == by_stream(INTERPRETER.run(compiled, arrivals))
