"""The store of images: what is taken in, counted, gone on with after a break, and removed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.images import ImageLimits, ImageRecord, ImageStore, Kind
from dipronn.errors import AlreadyExists, InsufficientResources, InvalidSession, NotFound
from tests.unit.images.qcow2 import make_qcow2
from tests.unit.vmhost.tars import make_tar

ROOT = Path(__file__).parents[3]
LIMITS = ImageLimits(bundle=1 << 20, disk=1 << 20, virtual=1 << 30, quota=100_000, keep_free=0)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ImageStore]:
    store = ImageStore(tmp_path / "images", LIMITS)
    yield store
    store.close()


def bundle(tmp_path: Path, content: bytes = b"#!/bin/sh\n") -> bytes:
    return make_tar(tmp_path / "b.tar", {"run": content}).read_bytes()


def record(data: bytes, name: str = "p.tar", owner: str = "ann", kind: Kind = Kind.BUNDLE) -> ImageRecord:
    return ImageRecord(owner, name, kind, hashlib.sha256(data).digest(), len(data), 1.0)


async def push(store: ImageStore, wanted: ImageRecord, data: bytes, stop_after: int | None = None) -> int:
    """Send what is missing, in small pieces; the bytes that were there before."""
    upload = store.begin(wanted)
    before = upload.received
    try:
        await upload.open()
        for at in range(before, len(data) if stop_after is None else stop_after, 1000):
            await upload.write(data[at : at + 1000])
        if stop_after is None:
            await upload.finish()
    finally:
        upload.close()
    return before


def files(store_folder: Path) -> list[str]:
    return sorted(path.name for each in ("content", "uploads") for path in (store_folder / each).iterdir())


async def test_an_image_is_kept_by_its_content(store: ImageStore, tmp_path: Path) -> None:
    data = bundle(tmp_path)
    await push(store, record(data), data)
    sha256 = hashlib.sha256(data).digest()
    path = store.path(sha256)
    assert path is not None and path.read_bytes() == data
    assert store.find("ann", "p.tar") == store.find("ann", f"sha256:{sha256.hex()}") == record(data)
    # Another name of the same owner costs nothing; another owner has to send it all the same.
    assert await push(store, record(data, "q.tar"), data) == len(data)
    assert await push(store, record(data, owner="bob"), data) == 0
    assert files(tmp_path / "images") == [sha256.hex()]
    assert store.used("ann") == store.used("bob") == len(data)

    for name in ("p.tar", "q.tar"):
        store.remove(store.find("ann", name))
    assert store.path(sha256) == path, "the other owner's"
    store.remove(store.find("bob", "p.tar"))
    assert files(tmp_path / "images") == []
    with pytest.raises(NotFound, match=r"no image `p\.tar` of owner `ann`"):
        store.find("ann", "p.tar")


async def test_a_broken_upload_goes_on_where_it_was_also_after_a_restart(
    store: ImageStore, tmp_path: Path
) -> None:
    data = bundle(tmp_path, os.urandom(8000))
    with pytest.raises(InvalidSession):
        await push(store, record(data), data)  # no interpreter
    data = bundle(tmp_path, b"#!/bin/sh\n" + os.urandom(8000))
    assert await push(store, record(data), data, stop_after=5000) == 0
    assert store.used("ann") == 5000
    store.close()
    again = ImageStore(tmp_path / "images", LIMITS)
    # Somebody else who knows the hash does not get at it.
    assert await push(again, record(data, owner="bob"), data, stop_after=0) == 0
    assert await push(again, record(data), data) == 5000
    path = again.path(record(data).sha256)
    assert path is not None and path.read_bytes() == data
    again.close()


async def test_what_came_damaged_is_refused_and_gone(store: ImageStore, tmp_path: Path) -> None:
    data = bundle(tmp_path)
    wrong = data[:-1] + b"x"
    with pytest.raises(InvalidSession, match="has the SHA-256"):
        await push(store, record(data), wrong)
    with pytest.raises(InvalidSession, match="more came than"):
        await push(store, record(data), data + b"x")
    upload = store.begin(record(data))
    await upload.open()
    await upload.write(data[:100])
    with pytest.raises(InvalidSession, match=r"100 of \d+ bytes came"):
        await upload.finish()
    upload.close()
    assert store.images() == [] and len(files(tmp_path / "images")) == 1  # the last one goes on some day


async def test_what_is_not_what_was_announced_is_refused_and_gone(store: ImageStore, tmp_path: Path) -> None:
    climbing = make_tar(tmp_path / "c.tar", {"run": b"#!/bin/sh\n", "../../etc/cron.d/x": b"x"}).read_bytes()
    disk = make_qcow2(tmp_path / "d")
    sparse = disk.read_bytes()[:65536]
    backed = make_qcow2(tmp_path / "d", backing_offset=512, backing_size=11).read_bytes()[:65536]
    for data, kind, why in (
        (climbing, Kind.BUNDLE, r"bundle p\.tar: .*the name leaves the bundle"),
        (sparse, Kind.QCOW2, r"disk p\.tar: its L1 table"),
        (backed, Kind.QCOW2, r"disk p\.tar: it has a backing file"),
        (sparse, Kind.RAW, r"disk p\.tar: stated as raw, but it begins like qcow2"),
        (bytes(512), Kind.KERNEL, r"kernel p\.tar: "),
    ):
        with pytest.raises(InvalidSession, match=why):
            await push(store, record(data, kind=kind), data)
    assert store.images() == [] and files(tmp_path / "images") == []


async def test_caps_and_quotas(store: ImageStore, tmp_path: Path) -> None:
    with pytest.raises(InsufficientResources, match="a bundle has from 1 to 1048576"):
        store.begin(ImageRecord("ann", "big", Kind.BUNDLE, bytes(32), (1 << 20) + 1, 1.0))
    with pytest.raises(InsufficientResources, match="0 bytes"):
        store.begin(ImageRecord("ann", "none", Kind.BUNDLE, bytes(32), 0, 1.0))
    data = bundle(tmp_path, b"#!/bin/sh\n" + os.urandom(50_000))
    await push(store, record(data), data)
    other = bundle(tmp_path, b"#!/bin/sh\n" + os.urandom(50_000))
    with pytest.raises(InsufficientResources, match=r"owner `ann` has a quota of 100000 bytes, - 61440 used"):
        store.begin(record(other, "q.tar"))
    await push(store, record(other, "q.tar", owner="bob"), other)  # who has a quota of their own
    small = bundle(tmp_path, b"#!/bin/sh\n" + os.urandom(9_000))
    upload = store.begin(record(small, "s.tar"))  # what is under way counts whole
    with pytest.raises(InsufficientResources, match="quota"):
        store.begin(record(bundle(tmp_path, b"#!/bin/sh\n" + os.urandom(20_000)), "t.tar"))
    with pytest.raises(AlreadyExists, match="being uploaded already"):
        store.begin(record(small, "u.tar"))
    upload.close()


async def test_an_owner_has_so_many_names_and_uploads(tmp_path: Path) -> None:
    store = ImageStore(tmp_path / "images", ImageLimits(names=2, uploads=3, keep_free=0))
    for number in range(4):  # nothing came of these, so nothing stays
        store.begin(record(b"%d" % number)).close()
    assert files(tmp_path / "images") == []
    contents = [b"%d" % number * 2000 for number in range(3)]
    for content in contents:
        await push(store, record(content), content, stop_after=1)
    with pytest.raises(InsufficientResources, match="owner `ann` has 3 uploads"):
        store.begin(record(b"3"))
    assert await push(store, record(contents[0]), contents[0], stop_after=1) == 1000  # to go on is allowed
    data = bundle(tmp_path)
    for name in ("a", "b"):
        await push(store, record(data, name, owner="bob"), data)
    with pytest.raises(InsufficientResources, match="owner `bob` has 2 images"):
        store.begin(record(b"4", "c", owner="bob"))
    store.close()


async def test_a_name_stands_for_one_content(store: ImageStore, tmp_path: Path) -> None:
    data = bundle(tmp_path)
    await push(store, record(data), data)
    other = bundle(tmp_path, b"#!/bin/sh\nexit\n")
    with pytest.raises(AlreadyExists, match=r"another image `p\.tar`"):
        store.begin(record(other))
    for name in ("", "../p", "a/b", "x" * 129, "-p", "p\n"):
        with pytest.raises(InvalidSession, match="cannot name an image"):
            store.begin(record(other, name))
    with pytest.raises(InvalidSession, match="control characters"):
        store.begin(record(other, "q", owner="a\0b"))


async def test_the_operators_images_are_everybodys(store: ImageStore, tmp_path: Path) -> None:
    data = bundle(tmp_path)
    await push(store, record(data, "shared", owner=""), data)
    await push(store, record(data, "mine", owner="bob"), data)
    assert store.find("ann", "shared").owner == ""
    with pytest.raises(NotFound):
        store.find("ann", "mine")
    disk = bytes(4096)
    await push(store, record(disk, "disk", kind=Kind.RAW), disk)
    with pytest.raises(InvalidSession, match="is a raw, not a bundle"):
        store.bundle("ann", "disk")


async def test_what_a_crash_left_is_removed(store: ImageStore, tmp_path: Path) -> None:
    data = bundle(tmp_path)
    await push(store, record(data), data)
    folder = tmp_path / "images"
    (folder / "content" / "nobodys").write_bytes(b"x")
    (folder / "uploads" / "abandoned").write_bytes(b"x")
    os.utime(folder / "uploads" / "abandoned", (1, 1))
    store.close()
    again = ImageStore(folder, LIMITS)
    assert files(folder) == [record(data).sha256.hex()]
    again.close()
    (folder / "content" / record(data).sha256.hex()).unlink()
    last = ImageStore(folder, LIMITS)
    assert last.images() == [], "a name without content is none"
    last.close()


FULL = """
import asyncio, hashlib, pathlib, sys
from controller.images import ImageLimits, ImageRecord, ImageStore, Kind
from dipronn.errors import InsufficientResources

async def main(folder):
    data = bytes(3 << 20)
    store = ImageStore(folder, ImageLimits(keep_free=0))
    wanted = ImageRecord("ann", "d", Kind.RAW, hashlib.sha256(data).digest(), len(data), 1.0)
    upload = store.begin(wanted)
    (folder / "others").write_bytes(bytes(3 << 20))  # the disk fills while it comes
    await upload.open()
    try:
        for at in range(0, len(data), 1 << 16):
            await upload.write(data[at : at + (1 << 16)])
    except InsufficientResources as error:
        print(error)
    upload.close()
    print(store.images(), list((folder / "uploads").iterdir()))
    try:
        store.begin(wanted)
    except InsufficientResources as error:
        print(error)
    (folder / "others").unlink()
    upload = store.begin(wanted)
    await upload.open()
    await upload.write(data)
    print((await upload.finish()).name)

asyncio.run(main(pathlib.Path(sys.argv[1])))
"""


@pytest.mark.root
def test_a_disk_that_fills_during_an_upload(tmp_path: Path) -> None:
    """In a mount namespace of its own, on a file system of 5 MiB, which are gone with the process."""
    mount = f'mount -t tmpfs -o size=5m none {tmp_path} && exec $0 -c "$1" {tmp_path}'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mount, sys.executable, FULL],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    full, left, refused, name = done.stdout.splitlines()
    assert full == "image d: the node's disk is full; free some space and push it again"
    assert left == "[] []"
    assert "3145728 bytes are to come, and the node's disk has" in refused
    assert name == "d"
