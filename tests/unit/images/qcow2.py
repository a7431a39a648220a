"""Makes qcow2 images for tests, the proper and the malicious."""

from __future__ import annotations

import struct
from pathlib import Path

CLUSTER = 1 << 16


def make_qcow2(path: Path, *, extensions: bytes = b"", **changed: int) -> Path:
    """An empty disk of 1 MiB with some fields of its header changed."""
    fields = {
        "magic": 0x514649FB,
        "version": 3,
        "backing_offset": 0,
        "backing_size": 0,
        "cluster_bits": 16,
        "size": 1 << 20,
        "encryption": 0,
        "l1_entries": 1,
        "l1_offset": 3 * CLUSTER,
        "refcounts_offset": CLUSTER,
        "refcount_clusters": 1,
        "snapshots": 0,
        "snapshots_offset": 0,
        "incompatible": 0,
        "compatible": 0,
        "autoclear": 0,
        "refcount_order": 4,
        "header_length": 104,
        **changed,
    }
    header = struct.pack(">IIQIIQIIQQIIQQQQII", *fields.values())
    data = bytearray(4 * CLUSTER)
    data[: len(header)] = header
    data[104 : 104 + len(extensions)] = extensions
    path.write_bytes(data)
    return path


def extension(kind: int, data: bytes) -> bytes:
    return struct.pack(">II", kind, len(data)) + data + bytes(-len(data) % 8)
