"""BPF C to a loadable object, by bcc's own LLVM, in a process of its own.

The object is kept in a cache, so that LLVM (136 MB, a third of a second) is met once per source and never
stays in a process of the node. bcc makes small maps while it compiles; ``load`` puts the descriptors of the
real ones in their place. No kernel headers are needed: bcc gets a shim over the C library's own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dipronn.errors import Unavailable
from ebpf import object_cache
from ebpf.bpf import Map, ProgramType, load_program

_INCLUDE = re.compile(r'^#include "([\w./]+)"$', re.MULTILINE)
_TABLE = re.compile(
    r'^BPF_(?:TABLE|XDP_REDIRECT_MAP)\(\s*"[^"]+",[^;]*?(\w+),\s*1\);|^BPF_RINGBUF_OUTPUT\((\w+),',
    re.MULTILINE,
)
_LOAD_IMMEDIATE = 0x18
_PSEUDO_MAP_FD = 1
_ATOMIC_ADD = (0xC3, 0xDB)  # of 32 and 64 bits
_FETCH = 1


@dataclass(frozen=True)
class Field:
    name: str
    offset: int
    size: int


@dataclass(frozen=True)
class MapType:
    """A map as the program sees it; ``key`` and ``value`` are the layouts that the compiler made."""

    type: int
    key_size: int
    value_size: int
    key: tuple[Field, ...]
    value: tuple[Field, ...]


def _plain(fields: Sequence[Field]) -> list[tuple[str, int, int]]:
    return [(field.name, field.offset, field.size) for field in fields]


@dataclass(frozen=True)
class Object:
    """Compiled functions; ``references`` say which instruction loads the address of which map."""

    functions: Mapping[str, bytes]
    references: Mapping[str, Sequence[tuple[int, str]]]
    maps: Mapping[str, MapType]

    def load(
        self,
        function: str,
        type: ProgramType,
        maps: Mapping[str, Map],
        *,
        expected_attach: int = 0,
        flags: int = 0,
    ) -> int:
        """The descriptor of one function as a program over these maps."""
        code = bytearray(self.functions[function])
        for instruction, name in self.references[function]:
            struct.pack_into("=i", code, instruction * 8 + 4, maps[name].fd)
        return load_program(function, type, bytes(code), expected_attach=expected_attach, flags=flags)

    def to_json(self) -> str:
        return json.dumps(
            {
                "functions": {name: base64.b64encode(code).decode() for name, code in self.functions.items()},
                "references": {name: [list(r) for r in found] for name, found in self.references.items()},
                "maps": {
                    name: [m.type, m.key_size, m.value_size, _plain(m.key), _plain(m.value)]
                    for name, m in self.maps.items()
                },
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Object:
        raw = json.loads(text)
        return cls(
            {name: base64.b64decode(code) for name, code in raw["functions"].items()},
            {name: [(int(i), str(m)) for i, m in found] for name, found in raw["references"].items()},
            {
                name: MapType(t, k, v, tuple(Field(*f) for f in key), tuple(Field(*f) for f in value))
                for name, (t, k, v, key, value) in raw["maps"].items()
            },
        )


def source_text(source: Path) -> str:
    """The source with its own headers in it: bcc translates table accesses in one text only."""
    return _INCLUDE.sub(lambda match: source_text(source.parent / match[1]), source.read_text())


def compile(source: Path, functions: Sequence[str], *, flags: Sequence[str] = ()) -> Object:
    """The object of ``source``, from the cache where it has been compiled before.

    Unavailable when bcc is missing or refuses the source; the message carries its words.
    """
    text = source_text(source)
    compiler = Path(__file__).read_text()
    key = hashlib.sha256(
        json.dumps([text, compiler, list(functions), list(flags), os.uname().machine]).encode()
    ).hexdigest()
    name = f"{source.name.split('.')[0]}-{key[:24]}.json"
    if (cached := object_cache.read(name)) is not None:
        return Object.from_json(cached)
    request = json.dumps({"text": text, "functions": list(functions), "flags": list(flags)})
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-m", "ebpf.compiler"],
        input=request,
        capture_output=True,
        text=True,
        cwd=root,
        check=False,
    )
    if done.returncode:
        raise Unavailable(f"{source.name} does not compile here: {done.stderr.strip()[-3000:]}")
    compiled = Object.from_json(done.stdout)
    object_cache.write(name, done.stdout)
    return compiled


# What runs in the other process.

_KCONFIG = """\
#define CONFIG_BPF_SYSCALL 1
#define CONFIG_NET 1
#define __LINUX_BPF_H__ 1
#define offsetof(type, member) __builtin_offsetof(type, member)
#define NULL ((void *)0)
typedef unsigned char u8; typedef unsigned short u16; typedef unsigned int u32; typedef unsigned long long
u64; typedef signed char s8; typedef short s16; typedef int s32; typedef long long s64; typedef _Bool bool;
typedef unsigned long size_t; typedef unsigned long uintptr_t; enum { false = 0, true = 1 };
"""


def _header_shim(folder: Path) -> None:
    """As much of a kernel source tree as bcc asks for."""
    machine = os.uname().machine
    arch = {"x86_64": "x86", "aarch64": "arm64"}[machine]
    files = {
        "include/linux/kconfig.h": _KCONFIG,
        "include/linux/log2.h": "",
        "include/asm/page.h": "#define PAGE_SIZE 4096\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "include/uapi").symlink_to("/usr/include")
    (folder / f"arch/{arch}/include").mkdir(parents=True)
    (folder / f"arch/{arch}/include/uapi").symlink_to(f"/usr/include/{machine}-linux-gnu")


def _fields(layout: object, size: int) -> tuple[Field, ...]:
    fields = getattr(layout, "_fields_", None)
    if fields is None:
        return ()
    return tuple(Field(name, getattr(layout, name).offset, getattr(layout, name).size) for name, *_ in fields)


def _compile_here(text: str, functions: Sequence[str], flags: Sequence[str]) -> Object:
    if "__sync_" in text:
        raise ValueError("atomics by inline assembly only (fetch_add in packet.h): each gets the FETCH bit")
    with tempfile.TemporaryDirectory(prefix="dipronn-headers-") as folder:
        _header_shim(Path(folder))
        os.environ["BCC_KERNEL_SOURCE"] = folder
        from bcc import BPF

        module = BPF(text=text.encode(), cflags=["-O2", *flags])
        names = [a or b for a, b in _TABLE.findall(text)]
        maps, by_fd = {}, {}
        for name in names:
            try:
                table = module[name.encode()]
            except KeyError:
                continue  # under an #ifdef
            fd = table.map_fd if hasattr(table, "map_fd") else table.get_fd()
            info = Map(fd, name).info
            maps[name] = MapType(
                info.type,
                info.key_size,
                info.value_size,
                _fields(getattr(table, "Key", None), info.key_size),
                _fields(getattr(table, "Leaf", None), info.value_size),
            )
            by_fd[fd] = name
        codes, references = {}, {}
        for function in functions:
            code = bytearray(module.dump_func(function.encode()))
            found = []
            for i in range(len(code) // 8):
                opcode, registers, _, immediate = struct.unpack_from("=BBhi", code, i * 8)
                if opcode == _LOAD_IMMEDIATE and registers >> 4 == _PSEUDO_MAP_FD:
                    found.append((i, by_fd[immediate]))
                elif opcode in _ATOMIC_ADD:
                    struct.pack_into("=i", code, i * 8 + 4, immediate | _FETCH)
            codes[function], references[function] = bytes(code), found
        return Object(codes, references, maps)


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    sys.stdout.write(_compile_here(asked["text"], asked["functions"], asked["flags"]).to_json())
