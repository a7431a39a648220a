"""Kernels: an archive of two files that are what they are called; everything else is refused."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from dipronn.errors import InvalidSession
from dipronn.images.kernel import open_kernel, verify_kernel
from tests.unit.vmhost.tars import make_tar, member

KERNEL = bytes(0x1FE) + b"\x55\xaa" + b"\xeb\x6a" + b"HdrS" + bytes(1000)


@pytest.mark.parametrize("initramfs", [b"070701" + bytes(100), b"\x1f\x8b" + bytes(100), None])
def test_a_proper_kernel(tmp_path: Path, initramfs: bytes | None) -> None:
    files = {"./kernel": KERNEL, **({"initramfs": initramfs} if initramfs else {})}
    verify_kernel(make_tar(tmp_path / "k.tar", files))


@pytest.mark.parametrize(
    ("files", "others", "why"),
    [
        ({"initramfs": b"070701"}, [], "has no `kernel`"),
        ({"kernel": b"\x7fELF" + bytes(2000)}, [], "no Linux kernel"),
        ({"kernel": b"short"}, [], "no Linux kernel"),
        ({"kernel": KERNEL, "initramfs": b"PK\x03\x04"}, [], "none of cpio"),
        ({"kernel": KERNEL, "more": b"x"}, [], "'more'"),
        ({"kernel": KERNEL, "../initramfs": b"070701"}, [], "'../initramfs'"),
        ({}, [member("kernel", tarfile.SYMTYPE, "/boot/vmlinuz")], "'kernel'"),
        ({"kernel": KERNEL}, [member("kernel", tarfile.REGTYPE)], "'kernel'"),
        ({"kernel": KERNEL}, [member("initramfs", tarfile.CHRTYPE)], "'initramfs'"),
        ({"kernel": KERNEL, "cmdline": b"quiet\nmore"}, [], "`cmdline` is no one line"),
        ({"kernel": KERNEL, "cmdline": "q\u00fc".encode()}, [], "`cmdline` is no one line"),
        ({"kernel": KERNEL, "cmdline": b"x" * 2049}, [], "`cmdline` is no one line"),
        ({"kernel": KERNEL, "machine": b"microvm,pcie=on"}, [], "not the word `any`"),
    ],
)
def test_what_is_no_kernel_is_refused(
    tmp_path: Path, files: dict[str, bytes], others: list[tarfile.TarInfo], why: str
) -> None:
    with pytest.raises(InvalidSession, match=why):
        verify_kernel(make_tar(tmp_path / "k.tar", files, *others))


def test_what_an_image_states_is_read(tmp_path: Path) -> None:
    stated = {
        "kernel": KERNEL,
        "initramfs": b"070701" + bytes(9),
        "cmdline": b"root=/dev/vda\n",
        "machine": b"any\n",
    }
    with open_kernel(make_tar(tmp_path / "k.tar", stated)) as image:
        assert image.kernel.read() == KERNEL
        assert image.initramfs and image.initramfs.read() == stated["initramfs"]
        assert (image.command_line, image.any_machine) == ("root=/dev/vda", True)
    with open_kernel(make_tar(tmp_path / "k.tar", {"kernel": KERNEL})) as image:
        assert (image.initramfs, image.command_line, image.any_machine) == (None, None, False)


def test_archives_that_end_early_or_are_compressed_are_refused(tmp_path: Path) -> None:
    path = make_tar(tmp_path / "k.tar", {"kernel": KERNEL})
    whole = path.read_bytes()
    for data, why in (
        (whole[:800], "ends within|no plain"),
        (b"\x1f\x8b" + bytes(600), "no plain"),
        (b"", "no plain"),
    ):
        path.write_bytes(data)
        with pytest.raises(InvalidSession, match=why):
            verify_kernel(path)
