"""Bundles from users: what is proper comes through, everything else is refused by name and with a remedy."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dipronn.errors import InvalidSession
from dipronn.images.bundle import BundleDirectory, BundleFile, BundleLink, read_bundle
from tests.unit.vmhost.tars import make_tar, member, names

RUN = {"run": b"#!/bin/sh\n"}


@pytest.mark.req("D24")
def test_a_proper_bundle(tmp_path: Path) -> None:
    members = [member("lib/", tarfile.DIRTYPE), member("lib/self", tarfile.SYMTYPE, "../run")]
    tar = make_tar(tmp_path / "b.tar", {"./run": b"#!/bin/sh\n", "/data/x/y": b"1"}, *members)
    bundle = read_bundle(tar)
    assert bundle.entries == (
        BundleDirectory("data"),
        BundleDirectory("data/x"),
        BundleFile("data/x/y", b"1", 0o755),
        BundleDirectory("lib"),
        BundleLink("lib/self", "../run"),
        BundleFile("run", b"#!/bin/sh\n", 0o755),
    )
    assert not bundle.python


@pytest.mark.parametrize(
    ("start", "python"),
    [
        (b"#!/usr/bin/python3\n", True),
        (b"#!/usr/bin/env python3\n", True),
        (b"#! /usr/bin/python3.11 -S\n", True),
        (b"#!/bin/sh\n", False),
        (b"\x7fELF", False),
    ],
)
def test_what_run_needs_chooses_the_base(tmp_path: Path, start: bytes, python: bool) -> None:
    assert read_bundle(make_tar(tmp_path / "b.tar", {"run": start})).python is python


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([member("../evil", tarfile.REGTYPE)], "leaves the bundle"),
        ([member("a/../../evil", tarfile.REGTYPE)], "leaves the bundle"),
        ([member("disk", tarfile.BLKTYPE)], "a device"),
        ([member("tty", tarfile.CHRTYPE)], "a device"),
        ([member("pipe", tarfile.FIFOTYPE)], "special file"),
        ([member("hard", tarfile.LNKTYPE, "run")], "--hard-dereference"),
        ([member("l", tarfile.SYMTYPE, "/etc/passwd")], "outside the bundle"),
        ([member("a/l", tarfile.SYMTYPE, "../../etc")], "outside the bundle"),
        ([member("l", tarfile.SYMTYPE, "a"), member("l/x", tarfile.REGTYPE)], "no directory"),
        ([member("run/x", tarfile.REGTYPE)], "no directory"),
        ([member("run", tarfile.REGTYPE)], "comes twice"),
        ([member("x" * 241, tarfile.REGTYPE)], "longer than"),
        ([member("big", tarfile.REGTYPE, size=2000)], "exceed the limit"),
        ([member("bad\udcffname", tarfile.REGTYPE)], "not UTF-8"),
    ],
)
def test_what_is_refused(tmp_path: Path, members: list[tarfile.TarInfo], message: str) -> None:
    tar = make_tar(tmp_path / "evil.tar", RUN, *members)
    with pytest.raises(InvalidSession, match=message) as refusal:
        read_bundle(tar, max_bytes=1000)
    assert "evil.tar" in str(refusal.value)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"other": b""}, "no regular file /run"),
        ({"run": b"echo"}, "neither a static ELF"),
        ({"run": b"#!/usr/bin/perl\n"}, "wants 'perl'"),
        ({"run": b"\x7fELF...../lib64/ld-linux-x86-64.so.2\0"}, "-static"),
    ],
)
def test_what_cannot_run_is_refused(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    with pytest.raises(InvalidSession, match=message):
        read_bundle(make_tar(tmp_path / "b.tar", files))


def test_run_must_be_executable(tmp_path: Path) -> None:
    info = member("run", tarfile.REGTYPE)
    info.mode = 0o644
    with pytest.raises(InvalidSession, match=r"chmod \+x"):
        read_bundle(make_tar(tmp_path / "b.tar", {}, info))


def test_privileges_in_modes_are_dropped(tmp_path: Path) -> None:
    info = member("tool", tarfile.REGTYPE)
    info.mode = 0o6777
    entries = read_bundle(make_tar(tmp_path / "b.tar", RUN, info)).entries
    assert BundleFile("tool", b"", 0o755) in entries


def test_a_sparse_file_cannot_claim_more_than_the_limit(tmp_path: Path) -> None:
    info = member("huge", tarfile.REGTYPE)
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.realsize": "1" + "0" * 15,
    }
    with tarfile.open(tmp_path / "b.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(info)
    with pytest.raises(InvalidSession):
        read_bundle(tmp_path / "b.tar")


def test_compressed_missing_and_oversized_files_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "b.tar", "w:gz") as tar:
        tar.addfile(member("run", tarfile.REGTYPE))
    with pytest.raises(InvalidSession, match="uncompressed"):
        read_bundle(tmp_path / "b.tar")
    with pytest.raises(InvalidSession, match="cannot be read"):
        read_bundle(tmp_path / "none.tar")
    with (tmp_path / "large.tar").open("wb") as file:
        file.truncate(20 << 20)
    with pytest.raises(InvalidSession, match="more than the limit"):
        read_bundle(tmp_path / "large.tar", max_bytes=1000)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_tar_is_read_or_refused_and_nothing_leaves_it(tmp_path: Path, data: st.DataObject) -> None:
    links = member("lib/self", tarfile.SYMTYPE, "../run")
    tar = bytearray(make_tar(tmp_path / "b.tar", {**RUN, "lib/a": b"1234"}, links).read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        tar[data.draw(st.integers(0, 3000))] = data.draw(st.integers(0, 255))
    (tmp_path / "b.tar").write_bytes(tar)
    try:
        bundle = read_bundle(tmp_path / "b.tar")
    except InvalidSession:
        return
    assert not any(".." in name.split("/") or name.startswith("/") for name in names(bundle.entries))
