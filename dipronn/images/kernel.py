"""A kernel to boot: a plain tar file of `kernel` and, if they are there, `initramfs`, `cmdline`, `machine`.

Format of the kernel: Documentation/arch/x86/boot.rst of Linux. The initramfs is not unpacked here: only a
guest that boots it does that, in its own memory. `cmdline` is the kernel's command line, instead of the
node's own. `machine` is the word `any`: it boots on every machine of a node, also without PCI or a BIOS.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dipronn.errors import InvalidSession

MEMBERS = ("kernel", "initramfs", "cmdline", "machine")
MAX_COMMAND_LINE = 2048
_BOOT_FLAG_AT, _MAGIC_AT = 0x1FE, 0x202
_ARCHIVES = {
    b"070701": "cpio",
    b"070702": "cpio",
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x02\x21\x4c\x18": "lz4",
}


@dataclass(frozen=True)
class KernelImage:
    """An image that was judged, open: its files can be read as long as it is."""

    kernel: IO[bytes]
    initramfs: IO[bytes] | None
    command_line: str | None
    any_machine: bool


def verify_kernel(path: Path) -> None:
    """Raises InvalidSession: no plain tar of these, or they are not what they are called."""
    with open_kernel(path):
        pass


@contextmanager
def open_kernel(path: Path) -> Iterator[KernelImage]:
    """Judge an image and open it. Raises InvalidSession."""
    with ExitStack() as stack:
        try:
            image = _read(path, stack.enter_context(tarfile.open(path, "r:")))
        except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
            why = f"no plain (uncompressed) tar file: {error}; make it with `tar cf`"
            raise _refused(path, why) from error
        yield image


def _read(path: Path, tar: tarfile.TarFile) -> KernelImage:
    size = path.stat().st_size
    members: dict[str, tarfile.TarInfo] = {}
    for member in tar:
        name = member.name.removeprefix("./")
        if name in ("", ".") and member.isdir():
            continue
        if name not in MEMBERS or not member.isreg() or name in members:
            raise _refused(path, f"{member.name!r}: pack `kernel` and `initramfs`, once, as files")
        if member.offset_data + member.size > size or member.size < 0:
            raise _refused(path, f"ends within {name!r}; upload it again")
        members[name] = member
    if "kernel" not in members:
        raise _refused(path, "it has no `kernel`")
    kernel = _head(tar, members["kernel"], 1024)
    if kernel[_BOOT_FLAG_AT:][:2] != b"\x55\xaa" or kernel[_MAGIC_AT:][:4] != b"HdrS":
        raise _refused(path, "its `kernel` is no Linux kernel for x86 (bzImage)")
    if "initramfs" in members:
        head = _head(tar, members["initramfs"], 16)
        if not any(head.startswith(magic) for magic in _ARCHIVES):
            raise _refused(path, f"its `initramfs` is none of {', '.join(sorted(set(_ARCHIVES.values())))}")
    return KernelImage(
        kernel=_file(tar, members["kernel"]),
        initramfs=_file(tar, members["initramfs"]) if "initramfs" in members else None,
        command_line=_line(path, tar, members["cmdline"]) if "cmdline" in members else None,
        any_machine="machine" in members and _any_machine(path, tar, members["machine"]),
    )


def _line(path: Path, tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    line = _head(tar, member, MAX_COMMAND_LINE + 1).decode(errors="replace").removesuffix("\n")
    if len(line) > MAX_COMMAND_LINE or not (line.isascii() and (line.isprintable() or not line)):
        raise _refused(path, f"its `cmdline` is no one line of up to {MAX_COMMAND_LINE} ASCII characters")
    return line


def _any_machine(path: Path, tar: tarfile.TarFile, member: tarfile.TarInfo) -> bool:
    if _head(tar, member, 16).strip() != b"any":
        raise _refused(path, "its `machine` is not the word `any`; leave it out for one with PCI and a BIOS")
    return True


def _file(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(member)
    assert file is not None  # it is a regular file
    return file


def _head(tar: tarfile.TarFile, member: tarfile.TarInfo, size: int) -> bytes:
    with _file(tar, member) as file:
        return file.read(size)


def _refused(path: Path, why: str) -> InvalidSession:
    return InvalidSession(f"kernel {path.name}: {why}")
