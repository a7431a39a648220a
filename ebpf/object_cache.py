"""Compiled objects on disk: those used last are kept, up to a number of bytes."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path

LIMIT = 64 << 20
"""Bytes of all objects together: some thousands of them."""
ABANDONED = 3600.0
"""Seconds after which a file that is still being written never will be."""
_UNFINISHED = ".unfinished-"


def cache_folder() -> Path:
    """Where objects are kept: below XDG_CACHE_HOME, or ~/.cache."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "dipronn" / "ebpf"


def read(name: str) -> str | None:
    """What is kept under the name, which is the last used from now on; None if nothing is."""
    kept = cache_folder() / name
    try:
        text = kept.read_text()
        os.utime(kept)
    except FileNotFoundError:  # or another process has dropped it just now
        return None
    return text


def write(name: str, text: str, limit: int = LIMIT) -> None:
    """Keep it, and drop those used longest ago as far as all are more than `limit` bytes."""
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix=_UNFINISHED, delete=False) as file:
        file.write(text)
    Path(file.name).replace(folder / name)
    _shrink(folder, limit)


def _shrink(folder: Path, limit: int) -> None:
    found: list[tuple[float, int, Path]] = []
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # dropped by another process
            status = path.stat()
            if not path.name.startswith(_UNFINISHED):
                found.append((status.st_mtime, status.st_size, path))
            elif time.time() - status.st_mtime > ABANDONED:
                path.unlink()
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= limit:
            return
        path.unlink(missing_ok=True)
        total -= size
