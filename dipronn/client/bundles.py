"""Bundles as they are sent along: a tar file as it is, a folder packed reproducibly."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from dipronn.errors import NotFound


def load(source: bytes | str | Path) -> bytes:
    """The tar file of a bundle.  Raises NotFound."""
    if isinstance(source, bytes):
        return source
    path = Path(source)
    if path.is_dir():
        return pack(path)
    if path.is_file():
        return path.read_bytes()
    raise NotFound(f"no bundle {source}: neither a folder nor a tar file")


def find(folder: Path, name: str) -> Path | None:
    """Where the bundle that a session file in ``folder`` names lies: ``x.tar``, or the folder ``x`` of it.

    None if it is not there.  A session that came from somewhere must not make us send files from outside its
    folder: raises NotFound.
    """
    base = folder.resolve()
    path = (base / name).resolve()
    if path != base and base in path.parents:
        for candidate in (path, path.with_suffix("") if path.suffix == ".tar" else path):
            if candidate.exists():
                return candidate
        return None
    raise NotFound(f"the bundle {name} is not inside the folder of its session file, {folder}")


def pack(folder: Path) -> bytes:
    """A folder as a tar file: sorted, without times and owners; links and other files are left out."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(folder.rglob("*")):
            if path.is_symlink() or not (path.is_file() or path.is_dir()) or "__pycache__" in path.parts:
                continue
            member = tarfile.TarInfo(path.relative_to(folder).as_posix())
            executable = path.is_dir() or path.stat().st_mode & 0o111
            member.mode = 0o755 if executable else 0o644
            if path.is_dir():
                member.type = tarfile.DIRTYPE
                tar.addfile(member)
            else:
                data = path.read_bytes()
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()
