"""The maps of a program, as long as the program says."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Mapping

from ebpf.bpf import Command, Map, MapType, call, possible_cpus
from ebpf.compiler import Object
from phonepl import ir
from phonepl.targets import NotAvailable
from phonepl.targets.xdp.package import Manifest

PLANS = 256
"""As in `source`: plans per core."""
_KINDS = {"drops": MapType.PERCPU_ARRAY, "serial": MapType.PERCPU_ARRAY, "tx": MapType.DEVMAP}


def make_maps(
    manifest: Manifest, compiled: Object, shared: Mapping[str, Map] | None = None
) -> dict[str, Map]:
    """All maps by name, zeroed, but those that are `shared`.

    Raises NotAvailable where the kernel does not make them.
    """
    streams = max(1, len(manifest.streams))
    cores = possible_cpus()
    lengths = {
        "drops": len(ir.DROPS) + 1,
        "tx": streams,
        "run": 1,
        "scratch": cores,
        "plans": PLANS * cores,
        "serial": 1,
        "device": streams,
        "copies": max(1, sum(manifest.puts.values())),
    }
    arrays = {f"array_{array.name}": array for array in manifest.arrays}
    made: dict[str, Map] = {}
    try:
        for name, layout in compiled.maps.items():
            if shared and name in shared:
                continue
            array = arrays.get(name)
            length = array.length if array else lengths[name]
            if array is not None and array.locked:
                made[name] = _locked_array(name, layout.value_size, length)
                continue
            kind = MapType.DEVMAP if name == "copies" else _KINDS.get(name, MapType.ARRAY)
            made[name] = Map.create(name, kind, layout.key_size, layout.value_size, length)
    except OSError as refused:
        for each in made.values():
            each.close()
        raise NotAvailable(
            f"the kernel makes no map for {name.removeprefix('array_')}: {refused}"
        ) from refused
    return made


def _locked_array(name: str, size: int, length: int) -> Map:
    """An array whose elements begin with a lock, described, without which the verifier allows none."""
    described = _load_btf(size)
    try:
        attributes = struct.pack(
            "=7I16s4I", MapType.ARRAY, 4, size, length, 0, 0, 0, name.encode()[:15], 0, described, 1, 5
        )
        return Map(call(Command.MAP_CREATE, attributes)[0], name)
    finally:
        os.close(described)


def _load_btf(size: int) -> int:
    """BTF (Documentation/bpf/btf.rst) of u32, struct bpf_spin_lock, u8, an array of u8, and an element."""
    names, at = b"\0", {}
    for name in (b"u32", b"bpf_spin_lock", b"val", b"u8", b"element", b"lock", b"rest"):
        at[name] = len(names)
        names += name + b"\0"
    integer, array, structure = 1 << 24, 3 << 24, 4 << 24
    types = struct.pack("=4I", at[b"u32"], integer, 4, 32)
    types += struct.pack("=6I", at[b"bpf_spin_lock"], structure | 1, 4, at[b"val"], 1, 0)
    types += struct.pack("=4I", at[b"u8"], integer, 1, 8)
    types += struct.pack("=6I", 0, array, 0, 3, 1, size - 4)
    types += struct.pack("=3I", at[b"element"], structure | 2, size)
    types += struct.pack("=6I", at[b"lock"], 2, 0, at[b"rest"], 4, 32)
    header = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(names))
    blob = ctypes.create_string_buffer(header + types + names, len(header) + len(types) + len(names))
    return call(Command.BTF_LOAD, struct.pack("=QQIII", ctypes.addressof(blob), 0, len(blob), 0, 0))[0]
