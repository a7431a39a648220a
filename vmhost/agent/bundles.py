"""Bundles of programs and images of whole machines, fetched once and kept by content.

What they contain is judged by the VM driver; here they are bytes with a hash.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path

from dipronn.errors import InvalidSession, Unavailable

MAX_BUNDLE = 256 << 20
"""Bytes of one bundle; more is refused while it comes in."""
MAX_CACHE = 2 << 30
"""Bytes that the cache keeps beyond what is in use."""

Fetch = Callable[[bytes], AsyncIterator[bytes]]


class BundleCache:
    """A folder of files named by their SHA-256 in hexadecimal."""

    def __init__(self, folder: Path, fetch: Fetch) -> None:
        self._folder = folder
        self._fetch = fetch
        self._locks: defaultdict[bytes, asyncio.Lock] = defaultdict(asyncio.Lock)

    def path(self, sha256: bytes) -> Path:
        """Where a bundle lies once it is here. Raises InvalidSession for what is no SHA-256."""
        if len(sha256) != hashlib.sha256().digest_size:
            raise InvalidSession(f"a bundle is named by {len(sha256)} bytes; a SHA-256 has 32")
        return self._folder / sha256.hex()

    async def ensure(self, sha256: bytes, largest: int | None = None) -> Path:
        """Have a content here; more than ``largest`` bytes, else MAX_BUNDLE, are refused while they come.

        Raises Unavailable if it cannot be had whole and as announced.
        """
        path = self.path(sha256)
        async with self._locks[sha256]:
            if path.exists():
                os.utime(path)  # the most recently used are kept longest
            else:
                await self._download(sha256, path, MAX_BUNDLE if largest is None else largest)
        return path

    def trim(self, in_use: Collection[bytes]) -> None:
        """Delete what was not used for longest until at most MAX_CACHE bytes are not in use."""
        kept = {sha256.hex() for sha256 in in_use}
        idle = [(path.stat(), path) for path in self._folder.iterdir() if path.name not in kept]
        excess = sum(stat.st_size for stat, _ in idle) - MAX_CACHE
        for stat, path in sorted(idle, key=lambda each: each[0].st_mtime):
            if excess <= 0:
                break
            path.unlink()
            excess -= stat.st_size

    async def _download(self, sha256: bytes, path: Path, largest: int) -> None:
        part = path.with_name(f"{path.name}.part")
        digest, size = hashlib.sha256(), 0
        try:
            with part.open("wb") as file:
                async for data in self._fetch(sha256):
                    digest.update(data)
                    size += len(data)
                    if size > largest:
                        raise Unavailable(f"bundle {path.name}: more than {largest} bytes; make it smaller")
                    file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if digest.digest() != sha256:
                raise Unavailable(
                    f"bundle {path.name}: {size} bytes with SHA-256 {digest.hexdigest()} were sent; "
                    "upload it again"
                )
            part.rename(path)
        except OSError as error:
            raise Unavailable(
                f"bundle {path.name}: cannot be kept here: {error.strerror}; free some space"
            ) from error
        finally:
            part.unlink(missing_ok=True)
