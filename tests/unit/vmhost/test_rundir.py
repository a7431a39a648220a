"""Run directories: records that survive, processes that are told apart, sockets below any path."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.vmhost.test_spec import SPEC
from vmhost.vm.rundir import Process, Record, RunDirectory
from vmhost.vm.spec import BootImage, BootKind, GuestProgram, VmSpec


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    directory = RunDirectory(tmp_path / SPEC.name)
    directory.make()
    return directory


WHOLE = replace(
    SPEC,
    image=BootImage(BootKind.QCOW2, Path("/images/ab"), 4 << 20),
    programs=(GuestProgram("tv", None, SPEC.addresses[:1], {"A": "b"}, "transcode --to 2M"),),
)


@pytest.mark.parametrize("spec", [SPEC, WHOLE])
@pytest.mark.parametrize("process", [None, Process(7, 8, "boot")])
def test_a_record_is_read_back(directory: RunDirectory, process: Process | None, spec: VmSpec) -> None:
    record = Record(spec, "tap0", 720_001, process)
    directory.write_record(record)
    assert directory.read_record() == record
    assert directory.path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"spec": {}, "tap": "t", "uid": 1, "process": {"pid": 1}}']
)
def test_no_record_is_made_of_what_is_none(directory: RunDirectory, text: str) -> None:
    assert directory.read_record() is None
    (directory.path / "vm.json").write_text(text)
    assert directory.read_record() is None


def test_a_record_of_another_version_is_none(directory: RunDirectory) -> None:
    directory.write_record(Record(SPEC, "tap0", 1, None))
    raw = json.loads((directory.path / "vm.json").read_text())
    raw["spec"]["novelty"] = 1
    (directory.path / "vm.json").write_text(json.dumps(raw))
    assert directory.read_record() is None


def test_a_process_is_told_from_another_with_its_number() -> None:
    child = subprocess.Popen(["sleep", "60"])
    process = Process.of(child.pid)
    assert process is not None
    fd = process.open()
    assert fd is not None
    os.close(fd)
    assert replace(process, start=process.start - 1).open() is None
    assert replace(process, boot_id="another").open() is None
    replace(process, start=process.start - 1).kill()
    assert Process.of(child.pid) == process
    process.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert Process.of(child.pid) is None  # a zombie
    assert process.open() is None
    child.wait()
    assert Process.of(child.pid) is None
    assert process.open() is None


def test_sockets_work_however_deep_the_directory_lies(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d" * 50] * 4)
    deep.mkdir(parents=True)
    directory = RunDirectory(deep / "vm")
    directory.make()
    with directory.listen("qmp") as listener, directory.connect("qmp") as connection:
        served, _ = listener.accept()
        with served:
            connection.send(b"x")
            assert served.recv(1) == b"x"
    with pytest.raises(ConnectionRefusedError):
        directory.connect("qmp")
