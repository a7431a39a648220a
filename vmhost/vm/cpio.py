"""Writes cpio archives in the "newc" format that the kernel unpacks as an initramfs.

Format: Documentation/driver-api/early-userspace/buffer-format.rst. Archives may follow one another in one
file, each padded to 4 bytes. Output depends on the input alone: no times, no inode numbers of the host.
"""

from __future__ import annotations

import stat
from pathlib import PurePosixPath
from typing import IO


class CpioWriter:
    """Appends entries to a binary file; parent directories are made as they are needed (0755, root)."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._inode = 0
        self._directories: set[str] = set()

    def directory(self, name: str, mode: int = 0o755, *, uid: int = 0, gid: int = 0) -> None:
        """Nothing happens if this archive has the directory already."""
        if name and name not in self._directories:
            self._parents(name)
            self._directories.add(name)
            self._entry(name, stat.S_IFDIR | mode, uid=uid, gid=gid, links=2)

    def file(self, name: str, data: bytes, mode: int = 0o644) -> None:
        self._parents(name)
        self._entry(name, stat.S_IFREG | mode, data)

    def symlink(self, name: str, target: str) -> None:
        self._parents(name)
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def character_device(self, name: str, major: int, minor: int, mode: int = 0o600) -> None:
        self._parents(name)
        self._entry(name, stat.S_IFCHR | mode, device=(major, minor))

    def close(self) -> None:
        """Write the trailer; the underlying file stays open, and another archive may follow."""
        self._inode = -1
        self._entry("TRAILER!!!", 0)

    def _parents(self, name: str) -> None:
        if name.startswith("/") or ".." in PurePosixPath(name).parts:
            raise ValueError(f"cpio entry {name!r}: names are relative to the root and go down only")
        parent = PurePosixPath(name).parent.as_posix()
        if parent != ".":
            self.directory(parent)

    def _entry(
        self,
        name: str,
        mode: int,
        data: bytes = b"",
        *,
        uid: int = 0,
        gid: int = 0,
        links: int = 1,
        device: tuple[int, int] = (0, 0),
    ) -> None:
        self._inode += 1
        raw = name.encode() + b"\0"
        fields = (self._inode, mode, uid, gid, links, 0, len(data), 0, 0, *device, len(raw), 0)
        head = b"070701" + b"".join(b"%08X" % value for value in fields) + raw
        self._out.write(head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4))
