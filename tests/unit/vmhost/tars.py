"""Makes tar files for tests, the proper and the malicious."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path


def make_tar(path: Path, files: Mapping[str, bytes], *others: tarfile.TarInfo) -> Path:
    """A tar file with executable files and, behind them, other members as they are."""
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            member.mode = 0o755
            tar.addfile(member, io.BytesIO(data))
        for member in others:
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    return path


def member(name: str, kind: bytes, target: str = "", size: int = 0) -> tarfile.TarInfo:
    """One member; kinds are tarfile's (DIRTYPE, SYMTYPE, LNKTYPE, CHRTYPE, …)."""
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    info.size = size
    info.mode = 0o755
    return info


def names(entries: Iterable[object]) -> list[str]:
    return [getattr(entry, "name", "") for entry in entries]
