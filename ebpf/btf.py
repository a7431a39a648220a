"""Offsets of members of the running kernel's structures, from its own BTF (Documentation/bpf/btf.rst)."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path

from dipronn.errors import Unavailable

_VMLINUX = Path("/sys/kernel/btf/vmlinux")
_STRUCT, _UNION, _TYPEDEF = 4, 5, 8
_TRAILER = {1: 4, 3: 12, 14: 4, 17: 4}  # INT, ARRAY, VAR, DECL_TAG
_PER_MEMBER = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}  # STRUCT, UNION, ENUM, FUNC_PROTO, DATASEC, ENUM64


@cache
def member_offsets(members: tuple[tuple[str, str], ...]) -> tuple[int, ...]:
    """Bytes from the start of each structure to its member. Unavailable where the kernel does not tell."""
    try:
        raw = _VMLINUX.read_bytes()
    except OSError:
        raise Unavailable("the kernel has no BTF (CONFIG_DEBUG_INFO_BTF)") from None
    _, _, _, header, types, types_length, strings, strings_length = struct.unpack_from("<HBBIIIII", raw)
    names = raw[header + strings : header + strings + strings_length]
    positions = [0]  # of type ids
    wanted = {f"\0{name}\0".encode(): name for name, _ in members}
    offsets_of = {names.find(text) + 1: name for text, name in wanted.items()}
    found: dict[str, int] = {}
    position, end = header + types, header + types + types_length
    while position < end:
        name, info, _ = struct.unpack_from("<III", raw, position)
        kind, count = info >> 24 & 0x1F, info & 0xFFFF
        if kind == _STRUCT and count and name in offsets_of:
            found.setdefault(offsets_of[name], len(positions))
        positions.append(position)
        position += 12 + _TRAILER.get(kind, 0) + _PER_MEMBER.get(kind, 0) * count

    def text(offset: int) -> str:
        return names[offset : names.index(b"\0", offset)].decode()

    def search(type_id: int, member: str) -> int | None:
        at = positions[type_id]
        _, info, _ = struct.unpack_from("<III", raw, at)
        if info >> 24 & 0x1F not in (_STRUCT, _UNION):
            return None
        for i in range(info & 0xFFFF):
            name, type_of, bits = struct.unpack_from("<III", raw, at + 12 + 12 * i)
            offset = int(bits & 0xFFFFFF if info >> 31 else bits) // 8
            if text(name) == member:
                return offset
            if name == 0 and (inner := search(type_of, member)) is not None:
                return offset + inner
        return None

    result = []
    for structure, member in members:
        offset = search(found[structure], member) if structure in found else None
        if offset is None:
            raise Unavailable(f"the kernel's BTF knows no {structure}.{member}")
        result.append(offset)
    return tuple(result)
