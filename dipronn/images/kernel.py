"""A kernel to boot, with its initramfs: a plain tar file of `kernel` and, if there is one, `initramfs`.

Format of the kernel: Documentation/arch/x86/boot.rst of Linux. The initramfs is not unpacked here: only a
guest that boots it does that, in its own memory.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

from dipronn.errors import InvalidSession

_MEMBERS = ("kernel", "initramfs")
_BOOT_FLAG_AT, _MAGIC_AT = 0x1FE, 0x202
_ARCHIVES = {
    b"070701": "cpio",
    b"070702": "cpio",
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x02\x21\x4c\x18": "lz4",
}


def verify_kernel(path: Path) -> None:
    """Raises InvalidSession: no plain tar of these two, or they are not what they are called."""
    heads: dict[str, bytes] = {}
    size = path.stat().st_size
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                if name in ("", ".") and member.isdir():
                    continue
                if name not in _MEMBERS or not member.isreg() or name in heads:
                    raise _refused(path, f"{member.name!r}: pack `kernel` and `initramfs`, once, as files")
                if member.offset_data + member.size > size or member.size < 0:
                    raise _refused(path, f"ends within {name!r}; upload it again")
                source = tar.extractfile(member)
                heads[name] = source.read(1024) if source else b""
    except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
        raise _refused(path, f"no plain (uncompressed) tar file: {error}; make it with `tar cf`") from error
    kernel = heads.get("kernel")
    if kernel is None:
        raise _refused(path, "it has no `kernel`")
    if kernel[_BOOT_FLAG_AT:][:2] != b"\x55\xaa" or kernel[_MAGIC_AT:][:4] != b"HdrS":
        raise _refused(path, "its `kernel` is no Linux kernel for x86 (bzImage)")
    initramfs = heads.get("initramfs")
    if initramfs is not None and not any(initramfs.startswith(magic) for magic in _ARCHIVES):
        raise _refused(path, f"its `initramfs` is none of {', '.join(sorted(set(_ARCHIVES.values())))}")


def _refused(path: Path, why: str) -> InvalidSession:
    return InvalidSession(f"kernel {path.name}: {why}")
