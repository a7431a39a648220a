"""The bpf(2) system call: the few commands that the loader needs, without a library in between.

Failures are OSError with the kernel's number; who knows what was wanted turns it into an error with a remedy.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

_NR_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
_libc = ctypes.CDLL(None, use_errno=True)


class Command(IntEnum):
    MAP_CREATE = 0
    MAP_LOOKUP = 1
    MAP_UPDATE = 2
    MAP_DELETE = 3
    MAP_NEXT_KEY = 4
    PROG_LOAD = 5
    OBJ_PIN = 6
    OBJ_GET = 7
    PROG_RUN = 10
    OBJ_INFO = 15
    RAW_TRACEPOINT = 17
    BTF_LOAD = 18
    MAP_LOOKUP_BATCH = 24
    MAP_UPDATE_BATCH = 26
    MAP_DELETE_BATCH = 27


class MapType(IntEnum):
    HASH = 1
    ARRAY = 2
    PROG_ARRAY = 3
    PERCPU_ARRAY = 6
    LRU_HASH = 9
    ARRAY_OF_MAPS = 12
    DEVMAP = 14
    XSKMAP = 17
    RINGBUF = 27


class ProgramType(IntEnum):
    XDP = 6
    RAW_TRACEPOINT = 17


XDP_DEVMAP = 33
"""Expected attach type of a program in a devmap."""
LIVE_FRAMES = 2
"""BPF_PROG_RUN flag: frames are really redirected."""


def call(command: Command, attributes: bytes) -> tuple[int, bytes]:
    """One bpf(2); gives its result and the attributes as the kernel left them."""
    buffer = ctypes.create_string_buffer(attributes, max(len(attributes), 144))
    result = _libc.syscall(_NR_BPF, int(command), buffer, len(attributes))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"bpf {command.name}: {os.strerror(number)}")
    return int(result), buffer.raw


def _address(data: ctypes.Array[ctypes.c_char] | None) -> int:
    return ctypes.addressof(data) if data is not None else 0


@dataclass(frozen=True)
class MapInfo:
    type: int
    id: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int


def map_info(fd: int) -> MapInfo:
    info = ctypes.create_string_buffer(128)
    call(Command.OBJ_INFO, struct.pack("=IIQ", fd, len(info), _address(info)))
    return MapInfo(*struct.unpack_from("=6I", info.raw))


def possible_cpus() -> int:
    """Per-CPU values have a slot for each CPU that may ever come."""
    text = Path("/sys/devices/system/cpu/possible").read_text()
    return int(text.strip().split("-")[-1].split(",")[-1]) + 1


class Map:
    """An open map.

    Keys and values are bytes; a per-CPU value is one for each possible CPU, each padded to 8.
    """

    def __init__(self, fd: int, name: str) -> None:
        self.fd = fd
        self.name = name
        self.info = map_info(fd)
        self._per_cpu = self.info.type == MapType.PERCPU_ARRAY
        self._stride = -(-self.info.value_size // 8) * 8 if self._per_cpu else self.info.value_size
        self.value_bytes = self._stride * (possible_cpus() if self._per_cpu else 1)

    @classmethod
    def create(
        cls,
        name: str,
        type: MapType,
        key_size: int,
        value_size: int,
        max_entries: int,
        *,
        flags: int = 0,
        inner: Map | None = None,
    ) -> Map:
        attributes = struct.pack(
            "=7I16s",
            type,
            key_size,
            value_size,
            max_entries,
            flags,
            inner.fd if inner else 0,
            0,
            name.encode()[:15],
        )
        return cls(call(Command.MAP_CREATE, attributes)[0], name)

    @classmethod
    def pinned(cls, name: str, path: str) -> Map:
        text = ctypes.create_string_buffer(path.encode())
        return cls(call(Command.OBJ_GET, struct.pack("=QII", _address(text), 0, 0))[0], name)

    def _call(self, command: Command, key: bytes, value: ctypes.Array[ctypes.c_char] | None) -> None:
        name = ctypes.create_string_buffer(key, len(key))
        call(command, struct.pack("=IIQQQ", self.fd, 0, _address(name), _address(value), 0))

    def lookup(self, key: bytes) -> bytes | None:
        value = ctypes.create_string_buffer(self.value_bytes)
        try:
            self._call(Command.MAP_LOOKUP, key, value)
        except FileNotFoundError:
            return None
        return value.raw

    def update(self, key: bytes, value: bytes) -> None:
        if len(key) != self.info.key_size or len(value) != self.value_bytes:
            raise ValueError(f"map {self.name}: key {len(key)} B, value {len(value)} B do not fit")
        self._call(Command.MAP_UPDATE, key, ctypes.create_string_buffer(value, len(value)))

    def delete(self, key: bytes) -> bool:
        try:
            self._call(Command.MAP_DELETE, key, None)
        except FileNotFoundError:
            return False
        return True

    def items(self) -> list[tuple[bytes, bytes]]:
        """All entries of a hash or an array, in batches.

        Not a snapshot when others write at the same time.
        """
        result: list[tuple[bytes, bytes]] = []
        for keys, values, count in self.batches():
            size, width = self.info.key_size, self.value_bytes
            result += [
                (keys[i * size : (i + 1) * size], values[i * width : (i + 1) * width]) for i in range(count)
            ]
        return result

    def batches(self) -> list[tuple[bytes, bytes, int]]:
        """Like ``items``, as (keys, values, count) of whole batches."""
        result = []
        batch = min(self.info.max_entries, 1 << 14)
        position = ctypes.create_string_buffer(max(4, self.info.key_size))
        first = True
        while True:
            keys = ctypes.create_string_buffer(batch * self.info.key_size)
            values = ctypes.create_string_buffer(batch * self.value_bytes)
            attributes = struct.pack(
                "=QQQQIIQQ",
                0 if first else _address(position),
                _address(position),
                _address(keys),
                _address(values),
                batch,
                self.fd,
                0,
                0,
            )
            buffer = ctypes.create_string_buffer(attributes, 144)
            done = _libc.syscall(_NR_BPF, int(Command.MAP_LOOKUP_BATCH), buffer, len(attributes)) < 0
            number = ctypes.get_errno() if done else 0
            count: int = struct.unpack_from("=I", buffer.raw, 32)[0]
            if (
                done and number == 28 and batch < self.info.max_entries
            ):  # ENOSPC: a bucket larger than the batch
                batch = min(batch * 2, self.info.max_entries)
                continue
            if done and number != 2:
                raise OSError(number, f"bpf MAP_LOOKUP_BATCH of {self.name}: {os.strerror(number)}")
            if count:
                result.append((keys.raw, values.raw, count))
            if done:
                return result
            first = False

    def update_batch(self, keys: bytes, values: bytes, count: int) -> None:
        """``count`` keys and values, each packed as an array."""
        held = (ctypes.c_char * len(keys)).from_buffer_copy(keys)
        given = (ctypes.c_char * len(values)).from_buffer_copy(values)
        attributes = struct.pack("=QQQQIIQQ", 0, 0, _address(held), _address(given), count, self.fd, 0, 0)
        call(Command.MAP_UPDATE_BATCH, attributes)

    def pin(self, path: str) -> None:
        pin(self.fd, path)

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def pin(fd: int, path: str) -> None:
    text = ctypes.create_string_buffer(path.encode())
    call(Command.OBJ_PIN, struct.pack("=QII", _address(text), fd, 0))


def load_program(
    name: str, type: ProgramType, instructions: bytes, *, expected_attach: int = 0, flags: int = 0
) -> int:
    """A program's descriptor. When the verifier refuses, OSError carries the end of its log."""
    code = ctypes.create_string_buffer(instructions, len(instructions))
    license = ctypes.create_string_buffer(b"GPL")

    def attempt(log: ctypes.Array[ctypes.c_char] | None) -> int:
        attributes = struct.pack(
            "=IIQQIIQII16sII",
            type,
            len(instructions) // 8,
            _address(code),
            _address(license),
            1 if log is not None else 0,
            len(log) if log is not None else 0,
            _address(log),
            0,
            flags,
            name.encode()[:15],
            0,
            expected_attach,
        )
        return call(Command.PROG_LOAD, attributes)[0]

    try:
        return attempt(None)
    except OSError as refused:
        log = ctypes.create_string_buffer(16 << 20)
        try:
            return attempt(log)
        except OSError:
            tail = log.value.decode(errors="replace")[-3000:]
            raise OSError(
                refused.errno, f"the kernel refused BPF program {name}: {refused.strerror}\n{tail}"
            ) from None


@dataclass(frozen=True)
class Run:
    verdict: int
    frame: bytes
    nanoseconds: int
    """Mean of one repeat."""


def run_program(
    fd: int,
    frame: bytes,
    *,
    context: bytes | None = None,
    repeat: int = 1,
    flags: int = 0,
    cpu: int = 0,
    batch: int = 0,
) -> Run:
    """BPF_PROG_RUN.

    ``context``: a ``struct xdp_md``, whose ``data`` says how much of ``frame`` is metadata.
    """
    live = bool(flags & LIVE_FRAMES)
    data = ctypes.create_string_buffer(frame, len(frame))
    out = None if live else ctypes.create_string_buffer(len(frame) + 256)
    given = ctypes.create_string_buffer(context, len(context)) if context else None
    attributes = struct.pack(
        "=IIIIQQIIIIQQIIII",
        fd,
        0,
        len(frame),
        len(out) if out is not None else 0,
        _address(data),
        _address(out),
        repeat,
        0,
        len(context) if context else 0,
        0,
        _address(given),
        0,
        flags,
        cpu,
        batch,
        0,
    )
    _, raw = call(Command.PROG_RUN, attributes)
    verdict, _, size = struct.unpack_from("=III", raw, 4)
    return Run(verdict, out.raw[:size] if out is not None else b"", struct.unpack_from("=I", raw, 36)[0])


def open_raw_tracepoint(name: str, program: int) -> int:
    """A link that lasts as long as its descriptor or its pin."""
    text = ctypes.create_string_buffer(name.encode())
    return call(Command.RAW_TRACEPOINT, struct.pack("=QII", _address(text), program, 0))[0]


def close_all(descriptors: Sequence[int]) -> None:
    for fd in descriptors:
        if fd >= 0:
            os.close(fd)
