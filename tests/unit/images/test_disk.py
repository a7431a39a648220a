"""Disks: what is proper is taken, what leans on other files or lies about itself is refused by name."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dipronn.errors import InvalidSession
from dipronn.images.disk import verify_qcow2, verify_raw
from tests.unit.images.qcow2 import extension, make_qcow2

GIB = 1 << 30


@pytest.mark.parametrize("options", [{}, {"version": 2}, {"extensions": extension(0x6803F857, bytes(48))}])
def test_a_proper_qcow2(tmp_path: Path, options: dict[str, Any]) -> None:
    verify_qcow2(make_qcow2(tmp_path / "d", **options), GIB)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"magic": 0x514649FC}, "has no such header"),
        ({"version": 1}, "version 1"),
        ({"backing_offset": 512, "backing_size": 11}, "backing file"),
        ({"backing_size": 11}, "backing file"),
        ({"extensions": extension(0xE2792ACA, b"raw")}, "backing file's format"),
        ({"extensions": extension(0x44415441, b"/etc/shadow")}, "data lies in another file"),
        ({"extensions": extension(0x12345678, b"?")}, "extension 0x12345678"),
        ({"extensions": extension(0x6803F857, b"") * 100}, "more than 64 extensions"),
        ({"incompatible": 4}, "a data file of its own"),
        ({"incompatible": 1}, "not closed cleanly"),
        ({"encryption": 1}, "encrypted"),
        ({"snapshots": 2}, "2 snapshots"),
        ({"size": 1 << 60}, "virtual disk"),
        ({"size": 0}, "virtual disk"),
        ({"size": 1000}, "virtual disk"),
        ({"cluster_bits": 60}, "clusters"),
        ({"l1_offset": 1 << 40}, "L1 table"),
        ({"l1_entries": 1 << 31}, "L1 table"),
        ({"l1_entries": 0}, "L1 table"),
        ({"refcounts_offset": 7}, "refcount table"),
        ({"refcount_clusters": 1 << 20}, "refcount table"),
        ({"header_length": 1 << 31}, "header claims"),
    ],
)
def test_a_hostile_qcow2_is_refused(tmp_path: Path, options: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidSession, match=why):
        verify_qcow2(make_qcow2(tmp_path / "d", **options), GIB)


@pytest.mark.parametrize("size", [0, 3, 71, 103, 108])
def test_a_qcow2_that_ends_within_its_header_is_refused(tmp_path: Path, size: int) -> None:
    path = make_qcow2(tmp_path / "d")
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(InvalidSession):
        verify_qcow2(path, GIB)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 120), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_damaged_qcow2_is_taken_or_refused(tmp_path: Path, damage: list[tuple[int, int]]) -> None:
    path = make_qcow2(tmp_path / "d")
    data = bytearray(path.read_bytes())
    for at, value in damage:
        data[at] = value
    path.write_bytes(data)
    try:
        verify_qcow2(path, GIB)
    except InvalidSession:
        return
    assert data[8:20] == bytes(12), "one with a backing file was taken"


def test_raw_disks(tmp_path: Path) -> None:
    path = tmp_path / "d"
    path.write_bytes(bytes(4096))
    verify_raw(path, GIB)
    for content, why in (
        (b"", "no whole number of sectors"),
        (bytes(1000), "no whole number of sectors"),
        (bytes(2048), "more than the limit"),
        (b"QFI\xfb" + bytes(508), "begins like qcow2"),
        (b"KDMV" + bytes(508), "begins like VMDK"),
    ):
        path.write_bytes(content)
        with pytest.raises(InvalidSession, match=why):
            verify_raw(path, 1024)


@pytest.mark.skipif(not shutil.which("qemu-img"), reason="needs qemu-img")
def test_what_qemu_makes_is_judged_alike(tmp_path: Path) -> None:
    def create(*arguments: str) -> None:
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *arguments], cwd=tmp_path, check=True)

    create("-o", "compat=0.10", "old", "10M")
    create("new", "10G")
    create("-o", "cluster_size=512", "small", "10M")
    for name in ("old", "new", "small"):
        verify_qcow2(tmp_path / name, 16 * GIB)
    create("-b", "new", "-F", "qcow2", "backed")
    create("-o", "data_file=other,data_file_raw=on", "apart", "10M")
    for name, why in (("backed", "backing file"), ("apart", "data file")):
        with pytest.raises(InvalidSession, match=why):
            verify_qcow2(tmp_path / name, 16 * GIB)
