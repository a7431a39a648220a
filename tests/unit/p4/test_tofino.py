"""The pipeline for Tofino has v1model's tables and actions, and fits (``FIT=1``: that takes minutes)."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from finsy.proto import p4i
from google.protobuf import text_format

from controller.drivers.p4runtime.entries import EntryKey, NotForSwitches
from controller.drivers.p4runtime.pipeline import P4, Pipeline

SECONDS = 300
"""For the compiler's front end on a busy machine."""
UNREAD = {"artp", "override", "next_hop", "next_hop6"}
"""The tables of ARTP, which Tofino's pipeline has not."""
_compiler = pytest.mark.skipif(
    not all(map(shutil.which, ("p4c", "p4c-barefoot", "bfas"))),
    reason="needs p4c's Tofino back end and its assembler (https://github.com/p4lang/p4c)",
)


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> p4i.P4Info:
    """Tofino's, which is there as soon as the front end has found no error."""
    folder = tmp_path_factory.mktemp("tofino")
    path, log = folder / "p4info.txtpb", folder / "log"
    command = ["p4c", "-S", "--target", "tofino", "--arch", "tna", "-o", str(folder), "tna/steering.p4"]
    command += ["--p4runtime-force-std-externs", "--p4runtime-files", str(path)]
    deadline = time.monotonic() + SECONDS
    with log.open("wb") as output:
        compiler = subprocess.Popen(command, cwd=P4, stdout=output, stderr=output, start_new_session=True)
    try:
        while True:
            try:
                compiler.wait(0.2)
            except subprocess.TimeoutExpired:
                ended = False
            else:
                ended = True
            if path.exists() and (whole := _parsed(path)):
                return whole
            assert not ended, log.read_text()[-3000:]
            assert time.monotonic() < deadline, "no P4Info yet"
    finally:
        if compiler.poll() is None:
            os.killpg(compiler.pid, signal.SIGKILL)
            compiler.wait()


def _parsed(path: Path) -> p4i.P4Info | None:
    """None while it is being written."""
    info = p4i.P4Info()
    try:
        # What is Tofino's own in it are messages that only its control plane knows.
        text = re.sub(r"(?ms)^externs \{.*?^\}\n", "", path.read_text())
        text_format.Parse(text, info)
    except text_format.ParseError:
        return None
    return info if info.tables and info.actions else None


def test_tables_actions_and_sizes_are_shared() -> None:
    """One text: a table or an action that a target had of its own would be another pipeline."""
    shared = (P4 / "shared" / "tables.p4").read_text()
    names = set(re.findall(r"^(?:table|action) (\w+)", shared, re.M))
    assert {"flow", "endpoint", "unit", "set_endpoint"} <= names
    for target in ("v1model", "tna"):
        source = "".join(path.read_text() for path in (P4 / target).glob("*.p4"))
        assert '#include "../shared/tables.p4"' in source
        assert '#include "../shared/sizes.p4"' in source
        assert not names & set(re.findall(r"^ +(?:table|action) (\w+)", source, re.M)), target


@_compiler
@pytest.mark.timeout(SECONDS + 60)
def test_entries_for_bmv2_are_entries_for_tofino(info: p4i.P4Info) -> None:
    """Given the compiler's P4Info, then tables, keys, actions and parameters are v1model's but for ARTP."""
    theirs, ours = Pipeline(info, b""), Pipeline.load()

    def tables(pipeline: Pipeline) -> dict[str, list[tuple[str, int]]]:
        return {
            table.preamble.alias: [(field.name, field.bitwidth) for field in table.match_fields]
            for table in pipeline.info.tables
            if table.preamble.alias in ours.tables
        }

    def actions(pipeline: Pipeline) -> dict[str, list[tuple[str, int]]]:
        shared = [table for table in pipeline.info.tables if table.preamble.alias in tables(theirs)]
        used = {reference.id for table in shared for reference in table.action_refs}
        return {
            action.preamble.alias: [(each.name, each.bitwidth) for each in action.params]
            for action in pipeline.info.actions
            if action.preamble.id in used
        }

    assert tables(theirs) == {name: key for name, key in tables(ours).items() if name not in UNREAD}
    assert actions(theirs) == actions(ours)
    assert {"set_endpoint", "answer6", "lead", "branch", "alive"} <= actions(ours).keys()


@_compiler
@pytest.mark.timeout(SECONDS + 60)
def test_artp_is_refused_by_name(info: p4i.P4Info) -> None:
    pipeline = Pipeline(info, b"")
    pipeline.require([EntryKey("flow_wild", (1, 2)), EntryKey("endpoint", (1,))])
    with pytest.raises(NotForSwitches, match=r"artp\(7\): this switch's pipeline has no table artp"):
        pipeline.require([EntryKey("endpoint", (1,)), EntryKey("artp", (7,))])


@_compiler
@pytest.mark.skipif("FIT" not in os.environ, reason="takes minutes of processor time: FIT=1, or make fit")
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("chip", "stages"), [("tofino", 12), ("tofino2", 20)])
def test_it_is_assembled_within_the_stages_of_the_chip(chip: str, stages: int, tmp_path: Path) -> None:
    done = subprocess.run([P4 / "fit.sh", tmp_path, chip], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    used = re.findall(r"^stage (\d+) ", (tmp_path / chip / "pipe" / "steering.bfa").read_text(), re.M)
    assert 0 < max(map(int, used)) + 1 <= stages
    assert list((tmp_path / chip / "assembled").glob("*.bin")), "nothing that a chip could load"
