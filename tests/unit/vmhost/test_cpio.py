"""The cpio writer against the format's definition, read back by an independent reader."""

from __future__ import annotations

import io
import stat

import pytest

from vmhost.vm.cpio import CpioWriter


def read(data: bytes) -> list[tuple[str, int, int, int, bytes, tuple[int, int]]]:
    """Entries of concatenated newc archives: name, mode, uid, gid, data, device."""
    entries = []
    at = 0
    while at < len(data):
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        name_size, size = fields[11], fields[6]
        name = data[at + 110 : at + 110 + name_size - 1].decode()
        assert data[at + 110 + name_size - 1] == 0
        start = at + 110 + name_size
        start += -start % 4
        end = start + size
        if name != "TRAILER!!!":
            entries.append((name, fields[1], fields[2], fields[3], data[start:end], (fields[9], fields[10])))
        at = end + -end % 4
    return entries


def test_every_kind_of_entry_is_read_back() -> None:
    out = io.BytesIO()
    cpio = CpioWriter(out)
    cpio.file("init", b"abc", 0o755)
    cpio.character_device("dev/console", 5, 1)
    cpio.symlink("bin/sh", "busybox")
    cpio.directory("programs/tv", 0o750, gid=10001)
    cpio.file("programs/tv/run", b"")
    cpio.close()
    assert read(out.getvalue()) == [
        ("init", stat.S_IFREG | 0o755, 0, 0, b"abc", (0, 0)),
        ("dev", stat.S_IFDIR | 0o755, 0, 0, b"", (0, 0)),
        ("dev/console", stat.S_IFCHR | 0o600, 0, 0, b"", (5, 1)),
        ("bin", stat.S_IFDIR | 0o755, 0, 0, b"", (0, 0)),
        ("bin/sh", stat.S_IFLNK | 0o777, 0, 0, b"busybox", (0, 0)),
        ("programs", stat.S_IFDIR | 0o755, 0, 0, b"", (0, 0)),
        ("programs/tv", stat.S_IFDIR | 0o750, 0, 10001, b"", (0, 0)),
        ("programs/tv/run", stat.S_IFREG | 0o644, 0, 0, b"", (0, 0)),
    ]


def test_archives_follow_one_another_at_multiples_of_four() -> None:
    out = io.BytesIO()
    for name in ("a", "ab", "abc"):
        cpio = CpioWriter(out)
        cpio.file(name, name.encode())
        cpio.close()
        assert len(out.getvalue()) % 4 == 0
    assert [entry[0] for entry in read(out.getvalue())] == ["a", "ab", "abc"]


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x"])
def test_names_only_go_down(name: str) -> None:
    with pytest.raises(ValueError, match="go down only"):
        CpioWriter(io.BytesIO()).file(name, b"")
