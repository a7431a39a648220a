"""Disk images: raw, or qcow2 that stands alone. The format is stated by the owner and verified here.

Format: docs/interop/qcow2.rst of QEMU.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from dipronn.errors import InvalidSession

SECTOR = 512
_QCOW2_MAGIC = b"QFI\xfb"
# Whoever guesses a raw image's format by its first bytes opens what a guest wrote there.
_FOREIGN = {
    _QCOW2_MAGIC: "qcow2",
    b"QED\0": "QED",
    b"KDMV": "VMDK",
    b"COWD": "VMDK",
    b"vhdxfile": "VHDX",
    b"conectix": "VHD",
    b"<<< ": "VDI",
}
_HEADER = struct.Struct(">4sIQIIQIIQQIIQ")
_HEADER_V3 = struct.Struct(">QQQII")
_EXTENSION = struct.Struct(">II")
_BACKING_FORMAT, _EXTERNAL_DATA, _KNOWN_EXTENSIONS = 0xE2792ACA, 0x44415441, {0x6803F857, 0x23852875}
_MAX_EXTENSIONS = 64


def verify_raw(path: Path, max_virtual: int) -> None:
    """Raises InvalidSession: no whole number of sectors, too large, or another format's header."""
    size = path.stat().st_size
    if size == 0 or size % SECTOR:
        raise _refused(path, f"{size} bytes are no whole number of sectors of {SECTOR}; is it a raw disk?")
    if size > max_virtual:
        raise _refused(path, f"a disk of {size} bytes, more than the limit of {max_virtual}")
    with path.open("rb") as file:
        head = file.read(16)
    for magic, name in _FOREIGN.items():
        if head.startswith(magic):
            raise _refused(path, f"stated as raw, but it begins like {name}; state the format that it has")


def verify_qcow2(path: Path, max_virtual: int) -> None:
    """Raises InvalidSession: not qcow2, one that leans on other files, or one whose tables lie elsewhere."""
    size = path.stat().st_size
    with path.open("rb") as file:
        raw = file.read(_HEADER.size)
        if len(raw) < _HEADER.size or raw[:4] != _QCOW2_MAGIC:
            raise _refused(path, "stated as qcow2, but has no such header; state the format that it has")
        (
            _,
            version,
            backing_offset,
            backing_size,
            cluster_bits,
            virtual,
            encryption,
            l1_entries,
            l1_offset,
            refcounts_offset,
            refcount_clusters,
            snapshots,
            _,
        ) = _HEADER.unpack(raw)
        if version not in (2, 3):
            raise _refused(path, f"qcow2 of version {version}; versions 2 and 3 are taken")
        if backing_offset or backing_size:
            raise _refused(path, "it has a backing file; make it whole with `qemu-img convert`")
        if encryption:
            raise _refused(path, "it is encrypted; decrypt it with `qemu-img convert`")
        if snapshots:
            raise _refused(path, f"it has {snapshots} snapshots; drop them with `qemu-img convert`")
        if not 9 <= cluster_bits <= 21:
            raise _refused(path, f"clusters of 2^{cluster_bits} bytes; qcow2 has 2^9 to 2^21")
        if virtual == 0 or virtual % SECTOR or virtual > max_virtual:
            raise _refused(path, f"a virtual disk of {virtual} bytes; the limit is {max_virtual}")
        header_length = _HEADER.size
        if version == 3:
            incompatible, _, _, _, header_length = _HEADER_V3.unpack(
                _exactly(path, file.read(_HEADER_V3.size))
            )
            if incompatible:
                raise _refused(
                    path,
                    f"it needs features (bits {incompatible:#x}) such as a data file of its own, or was not "
                    "closed cleanly; make it plain with `qemu-img convert`",
                )
            if not _HEADER.size + _HEADER_V3.size <= header_length <= 1 << cluster_bits:
                raise _refused(path, f"its header claims {header_length} bytes")
        cluster = 1 << cluster_bits
        entries_needed = -(-virtual // (cluster * cluster // 8))
        _table(path, "L1 table", l1_offset, l1_entries * 8, cluster, size)
        if not entries_needed <= l1_entries <= entries_needed + cluster // 8:
            raise _refused(path, f"its L1 table has {l1_entries} entries, its disk needs {entries_needed}")
        _table(path, "refcount table", refcounts_offset, refcount_clusters * cluster, cluster, size)
        file.seek(header_length)
        for _ in range(_MAX_EXTENSIONS):
            kind, length = _EXTENSION.unpack(_exactly(path, file.read(_EXTENSION.size), _EXTENSION.size))
            if kind == 0:
                return
            if kind == _BACKING_FORMAT:
                raise _refused(
                    path, "it states a backing file's format; make it whole with `qemu-img convert`"
                )
            if kind == _EXTERNAL_DATA:
                raise _refused(path, "its data lies in another file; make it whole with `qemu-img convert`")
            if kind not in _KNOWN_EXTENSIONS:
                raise _refused(
                    path, f"an extension {kind:#x} in its header; make it plain with `qemu-img convert`"
                )
            file.seek(-(-length // 8) * 8, os.SEEK_CUR)
        raise _refused(path, f"more than {_MAX_EXTENSIONS} extensions in its header")


def virtual_size(path: Path, kind: str) -> int:
    """Bytes of a verified disk, `raw` or `qcow2`, as its guest sees it."""
    if kind == "raw":
        return path.stat().st_size
    with path.open("rb") as file:
        return int(_HEADER.unpack(_exactly(path, file.read(_HEADER.size), _HEADER.size))[5])


def _table(path: Path, name: str, offset: int, length: int, cluster: int, size: int) -> None:
    if length == 0 or offset < cluster or offset % cluster or offset + length > size:
        raise _refused(path, f"its {name} at {offset} with {length} bytes lies not within its {size} bytes")


def _exactly(path: Path, data: bytes, size: int = _HEADER_V3.size) -> bytes:
    if len(data) != size:
        raise _refused(path, "it ends within its header; upload it again")
    return data


def _refused(path: Path, why: str) -> InvalidSession:
    return InvalidSession(f"disk {path.name}: {why}")
