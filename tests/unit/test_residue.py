"""The residue check notices what it is there to notice."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests import residue
from vmhost.vm.cgroups import Cgroups
from vmhost.vm.hierarchies import Limits


def test_a_clean_host_shows_nothing(prefix: str) -> None:
    assert residue.find(f"{prefix}-nobody") == []


def test_a_forgotten_process_and_folder_are_found(prefix: str) -> None:
    name = f"{prefix}-forgotten"
    with (
        tempfile.TemporaryDirectory(prefix=name),
        subprocess.Popen(
            [sys.executable, "-c", "print(flush=True); input()", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process,
    ):
        assert process.stdout is not None
        process.stdout.readline()  # now it runs under its own name
        found = residue.find(name)
        process.communicate(b"\n")
    assert [line.split()[0] for line in found] == ["process", "temporary"]
    assert residue.find(name) == []


@pytest.mark.root
def test_a_forgotten_namespace_and_link_are_found(prefix: str) -> None:
    namespace, link = f"{prefix}ns", f"{prefix}l"
    subprocess.run(["ip", "netns", "add", namespace], check=True)
    try:
        subprocess.run(["ip", "link", "add", link, "type", "veth", "peer", "name", f"{link}p"], check=True)
        try:
            assert residue.find(prefix) == [
                f"network namespace {namespace}",
                f"link {link}",
                f"link {link}p",
            ]
        finally:
            subprocess.run(["ip", "link", "delete", link], check=True)
    finally:
        subprocess.run(["ip", "netns", "delete", namespace], check=True)
    assert residue.find(prefix) == []


@pytest.mark.root
@pytest.mark.skipif(not residue.BPFFS.is_mount(), reason="needs a bpffs")
def test_a_forgotten_pin_folder_is_found(prefix: str) -> None:
    folder = residue.BPFFS / f"{prefix}pins"
    folder.mkdir()
    try:
        assert residue.find(prefix) == [f"pin {folder}"]
    finally:
        folder.rmdir()


@pytest.mark.root
def test_a_forgotten_control_group_is_found(prefix: str, tmp_path: Path) -> None:
    cgroups = Cgroups(f"dipronn.{prefix}forgotten", tmp_path)
    cgroups.make("vm", Limits(1, 1 << 30))
    if not cgroups.vms():
        pytest.skip(f"no control groups here: {cgroups.unheld}")
    found = residue.find(f"{prefix}forgotten")
    cgroups.remove_all()
    assert found and all(line.startswith("control group ") for line in found)
    assert residue.find(f"{prefix}forgotten") == []
