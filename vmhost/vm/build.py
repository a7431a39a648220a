"""Builds a whole machine's image from a folder: our kernel, init and guest library, and the folder on top.

The folder is what the machine has at its root, over what every guest has: `bin/tool` becomes `/bin/tool`,
which `run "tool"` starts. One with an `init` of its own replaces ours. Files of Python in it (`#!…python3`)
bring Python and the module `dipronn_guest` along.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import IO

from dipronn.errors import InvalidSession, NotFound, Unavailable
from vmhost.vm.cpio import CpioWriter
from vmhost.vm.image import GuestImages, load_order

MAX_BYTES = 448 << 20
"""Of the folder's files: a node takes images of up to 512 MiB."""

_MORE_MODULES = ("virtio_blk", "qemu_fw_cfg")
"""For the disk that `storage` gives a machine, and for what it is told to run."""
_PYTHON = re.compile(rb"#!\s*\S*(python3|env\s+python3)")


def build_image(images: GuestImages, folder: Path, out: Path) -> int:
    """Write the image, whole or not at all; the bytes that it has. Raises NotFound, InvalidSession."""
    if not folder.is_dir():
        raise NotFound(f"no folder {folder}")
    files = _files(folder)
    base = images.python if any(map(_is_python, files)) else images.small
    part = out.with_name(f".{out.name}.part")
    try:
        with tempfile.TemporaryFile() as initramfs, tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as tar:
            with base.open("rb") as source:
                shutil.copyfileobj(source, initramfs)
            _write_folder(initramfs, images, folder, files)
            with images.kernel.open("rb") as kernel:
                _add(tar, "kernel", kernel)
            _add(tar, "initramfs", initramfs)
            _add(tar, "machine", io.BytesIO(b"any\n"))
        part.rename(out)
    except OSError as error:
        raise Unavailable(f"{out} cannot be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    return out.stat().st_size


def _files(folder: Path) -> list[Path]:
    """Everything in it, sorted; folders before what is in them."""
    found = sorted(folder.rglob("*"))
    size = 0
    for path in found:
        if not (path.is_symlink() or path.is_dir() or path.is_file()):
            raise InvalidSession(f"{path}: neither a file nor a folder nor a link; leave it out")
        size += path.lstat().st_size
    if size > MAX_BYTES:
        raise InvalidSession(f"{folder}: {size} bytes, more than {MAX_BYTES}; a disk image can hold more")
    return found


def _is_python(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return _PYTHON.match(file.read(128)) is not None


def _write_folder(out: IO[bytes], images: GuestImages, folder: Path, files: list[Path]) -> None:
    out.write(bytes(-out.tell() % 4))
    cpio = CpioWriter(out)
    index = images.all_modules
    for bus, base in images.modules.items():
        more = [index[name] for name in load_order(index, _MORE_MODULES) if index[name].name not in base]
        for module in more:
            cpio.file(f"lib/modules/{module.name}", module.read_bytes())
        names = [*base, *(module.name for module in more)]
        cpio.file(f"etc/dipronn/modules/{bus}", "".join(f"{name}\n" for name in names).encode())
    for path in files:
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            cpio.symlink(name, str(path.readlink()))
        elif path.is_dir():
            cpio.directory(name)
        else:
            cpio.file(name, path.read_bytes(), 0o755 if path.stat().st_mode & 0o100 else 0o644)
    cpio.close()


def _add(tar: tarfile.TarFile, name: str, file: IO[bytes]) -> None:
    member = tarfile.TarInfo(name)
    member.size = file.seek(0, os.SEEK_END)
    file.seek(0)
    tar.addfile(member, file)
