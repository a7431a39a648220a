"""The store of images: contents by their SHA-256, uploads that go on where they were broken off.

::

    <folder>/index.db                        whose names stand for which content
    <folder>/content/<sha256>                whole and judged
    <folder>/uploads/<owner>.<sha256>        what came so far; `owner` is hashed

An upload is known by its owner and content: who knows a hash but not the content gains nothing by it.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import structlog

from controller.images.index import ImageIndex, ImageRecord, Kind
from controller.images.judge import judge
from dipronn.errors import AlreadyExists, InsufficientResources, InvalidSession, NotFound
from dipronn.images.disk import virtual_size

_log = structlog.get_logger(__name__)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_OWNER = re.compile(r"[^\x00-\x1f\x7f]{0,256}")
_HASH_NAME = re.compile(r"sha256:([0-9a-f]{64})")
_ABANDONED_SECONDS = 7 * 86400
_READ = 1 << 20


@dataclass(frozen=True)
class ImageLimits:
    """Bytes. ``virtual``: of a disk as its guest sees it. ``quota``: of one owner's contents and uploads.
    ``keep_free``: what uploads leave free on the disk. ``names``, ``uploads``: how many one owner may have.
    """

    bundle: int = 72 << 20
    kernel: int = 512 << 20
    disk: int = 64 << 30
    virtual: int = 256 << 30
    quota: int = 16 << 30
    keep_free: int = 256 << 20
    names: int = 1000
    uploads: int = 16

    def of(self, kind: Kind) -> int:
        return {Kind.BUNDLE: self.bundle, Kind.KERNEL: self.kernel}.get(kind, self.disk)


class ImageStore:
    """``folder`` belongs to one control unit at a time. All methods are called from one event loop."""

    def __init__(self, folder: Path, limits: ImageLimits | None = None) -> None:
        self.limits = limits or ImageLimits()
        self._content = folder / "content"
        self._uploads = folder / "uploads"
        for each in (folder, self._content, self._uploads):
            each.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._index = ImageIndex(folder / "index.db")
        self._busy: dict[Path, int] = {}
        self._tidy()

    def close(self) -> None:
        self._index.close()

    def images(self) -> list[ImageRecord]:
        return self._index.records()

    def find(self, owner: str, name: str) -> ImageRecord:
        """An image by name, or by ``sha256:HEX``: the owner's, else the operator's. Raises NotFound."""
        wanted = _HASH_NAME.fullmatch(name)
        for whose in dict.fromkeys((owner, "")):
            if wanted:
                content = bytes.fromhex(wanted.group(1))
                if same := [one for one in self.images() if (one.owner, one.sha256) == (whose, content)]:
                    return same[0]
            elif found := self._index.get(whose, name):
                return found
        raise NotFound(f"no image `{name}` of {_whose(owner)}; `dipronn image push` uploads it")

    def bundle(self, owner: str, name: str) -> bytes:
        """The content of a bundle that an owner's session names so. Raises NotFound, InvalidSession."""
        record = self.find(owner, name)
        if record.kind is not Kind.BUNDLE:
            raise InvalidSession(f"image `{name}` of {_whose(record.owner)} is a {record.kind}, not a bundle")
        return record.sha256

    def machine(self, owner: str, name: str) -> tuple[ImageRecord, int]:
        """A kernel or disk that an owner's session boots, and the bytes of the disk as a guest sees it.

        Raises NotFound, InvalidSession.
        """
        record = self.find(owner, name)
        if record.kind is Kind.BUNDLE:
            raise InvalidSession(
                f"image `{name}` of {_whose(record.owner)} is a bundle, and bundles run without a vm"
            )
        disk = record.kind is not Kind.KERNEL
        return record, virtual_size(self._content / record.sha256.hex(), record.kind) if disk else 0

    def require(self, sha256: bytes) -> None:
        """Raises NotFound: it was removed meanwhile."""
        if all(one.sha256 != sha256 for one in self.images()):
            raise NotFound(f"the image with content {sha256.hex()} was removed meanwhile; push it again")

    def path(self, sha256: bytes) -> Path | None:
        """Where a content lies, if it is here."""
        path = self._content / sha256.hex()
        return path if path.exists() else None

    def used(self, owner: str) -> int:
        """Bytes that count against an owner's quota; a content counts once, however many names it has."""
        contents = {one.sha256: one.size for one in self.images() if one.owner == owner}
        begun = sum(
            max(self._busy.get(path, 0), path.stat().st_size)
            for path in self._uploads.glob(f"{_folded(owner)}.*")
        )
        return sum(contents.values()) + begun

    def owners(self) -> set[str]:
        return {one.owner for one in self.images()}

    def begin(self, wanted: ImageRecord) -> Upload:
        """Take an image in, or go on with it. Raises InvalidSession, AlreadyExists, InsufficientResources."""
        self._check(wanted)
        mine = [one for one in self.images() if (one.owner, one.sha256) == (wanted.owner, wanted.sha256)]
        if any(one.kind == wanted.kind and one.size == wanted.size for one in mine):
            if self._index.get(wanted.owner, wanted.name) is None:
                self._index.add(wanted)
            return Upload(self, wanted, None, wanted.size)
        part = self._uploads / f"{_folded(wanted.owner)}.{wanted.sha256.hex()}"
        if part in self._busy:
            raise AlreadyExists(
                f"image {wanted.name}: the same content is being uploaded already; wait for it"
            )
        self._require_few(wanted.owner, part)
        received = part.stat().st_size if part.exists() else 0
        if received > wanted.size:
            part.unlink()
            received = 0
        used = self.used(wanted.owner) - received
        if used + wanted.size > self.limits.quota:
            raise InsufficientResources(
                f"image {wanted.name}: {_whose(wanted.owner)} has a quota of {self.limits.quota} bytes, "
                f"- {used} used = {self.limits.quota - used} free < {wanted.size} needed; remove an image"
            )
        self._require_space(wanted, wanted.size - received)
        part.touch(mode=0o600)
        self._busy[part] = wanted.size
        return Upload(self, wanted, part, received)

    def remove(self, record: ImageRecord) -> None:
        """Forget an image, and its content when it was the last of it."""
        self._index.remove(record)
        if all(one.sha256 != record.sha256 for one in self.images()):
            (self._content / record.sha256.hex()).unlink(missing_ok=True)

    def is_last(self, record: ImageRecord) -> bool:
        """Whether its content goes with it."""
        return sum(one.sha256 == record.sha256 for one in self.images()) == 1

    # for Upload

    def take(self, record: ImageRecord, part: Path) -> None:
        """A content is whole and judged. Blocks as long as a rename."""
        part.rename(self._content / record.sha256.hex())
        _sync_folder(self._content)

    def enter(self, record: ImageRecord) -> None:
        existing = self._index.get(record.owner, record.name)
        if existing is not None and existing.sha256 != record.sha256:
            raise _taken(record)
        self._index.add(record)

    def release(self, part: Path) -> None:
        self._busy.pop(part, None)

    def _check(self, wanted: ImageRecord) -> None:
        if not _NAME.fullmatch(wanted.name):
            raise InvalidSession(f"{wanted.name[:60]!r} cannot name an image: {_NAME.pattern}")
        if not _OWNER.fullmatch(wanted.owner):
            raise InvalidSession("the owner's name has control characters or more than 256 characters")
        if len(wanted.sha256) != hashlib.sha256().digest_size:
            raise InvalidSession(f"image {wanted.name}: its SHA-256 has {len(wanted.sha256)} bytes, not 32")
        limit = self.limits.of(wanted.kind)
        if not 0 < wanted.size <= limit:
            raise InsufficientResources(
                f"image {wanted.name}: {wanted.size} bytes; a {wanted.kind} has from 1 to {limit}"
            )
        existing = self._index.get(wanted.owner, wanted.name)
        if existing is not None and (existing.sha256, existing.kind) != (wanted.sha256, wanted.kind):
            raise _taken(wanted)

    def _require_few(self, owner: str, part: Path) -> None:
        """Files cost more than the bytes in them."""
        names = sum(one.owner == owner for one in self.images())
        uploads = set(self._uploads.glob(f"{_folded(owner)}.*")) - {part}
        for count, limit, what in (
            (names, self.limits.names, "images; remove one"),
            (len(uploads), self.limits.uploads, "uploads under way or broken off; finish one"),
        ):
            if count >= limit:
                raise InsufficientResources(f"{_whose(owner)} has {count} {what}")

    def _require_space(self, wanted: ImageRecord, missing: int) -> None:
        disk = os.statvfs(self._uploads)
        free = disk.f_bavail * disk.f_frsize - self.limits.keep_free
        others = sum(
            size - path.stat().st_size if path.exists() else size for path, size in self._busy.items()
        )
        if missing > free - others:
            raise InsufficientResources(
                f"image {wanted.name}: {missing} bytes are to come, and the node's disk has {free - others} "
                "for them; free some space"
            )

    def _tidy(self) -> None:
        """Remove contents that no name stands for, and uploads that nobody goes on with."""
        named = {one.sha256.hex() for one in self.images()}
        for path in self._content.iterdir():
            if path.name not in named:
                path.unlink()
        for path in self._uploads.iterdir():
            if path.stat().st_mtime < time.time() - _ABANDONED_SECONDS:
                path.unlink()
        for record in self.images():
            if self.path(record.sha256) is None:
                _log.error("an image's content is gone", image=record.name, owner=record.owner)
                self._index.remove(record)


class Upload:
    """One image on its way. ``received``: bytes that are here. ``part`` is None if the content was known."""

    def __init__(self, store: ImageStore, record: ImageRecord, part: Path | None, received: int) -> None:
        self.record = record
        self.received = received
        self._store = store
        self._part = part
        self._file: IO[bytes] | None = None
        self._digest = hashlib.sha256()

    async def open(self) -> None:
        """Read what came before, so that the hash of the whole can be told."""
        if self._part is not None:
            await asyncio.to_thread(self._open, self._part)

    async def write(self, data: bytes) -> None:
        """Take more in. Raises InvalidSession (more than announced), InsufficientResources (no space)."""
        if self.received + len(data) > self.record.size:
            self._discard()
            raise InvalidSession(
                f"image {self.record.name}: more came than the {self.record.size} bytes announced"
            )
        await asyncio.to_thread(self._write, data)
        self.received += len(data)

    async def finish(self) -> ImageRecord:
        """Judge the whole and keep it. Raises InvalidSession: it is not what was announced, and is gone."""
        if self._part is not None:
            if self.received < self.record.size:
                raise InvalidSession(
                    f"image {self.record.name}: {self.received} of {self.record.size} bytes came; "
                    "push it again, and it goes on from there"
                )
            try:
                await asyncio.to_thread(self._judge, self._part)
            except InvalidSession:
                self._discard()
                raise
            self._store.enter(self.record)  # first: a content without a name goes with the next start
            try:
                self._store.take(self.record, self._part)
            except OSError:
                self._store.remove(self.record)
                raise
        return self.record

    def close(self) -> None:
        """Let go; what came stays for the next attempt."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._part is not None:
            if self._part.exists() and not self._part.stat().st_size:
                self._discard()
            self._store.release(self._part)

    def _open(self, part: Path) -> None:
        self._file = part.open("ab+")
        self._file.seek(0)
        while data := self._file.read(_READ):
            self._digest.update(data)

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        with self._full_disk():
            self._file.write(data)
            self._file.flush()
        self._digest.update(data)

    def _judge(self, part: Path) -> None:
        assert self._file is not None
        with self._full_disk():
            os.fsync(self._file.fileno())
        if self._digest.digest() != self.record.sha256:
            raise InvalidSession(
                f"image {self.record.name}: what came has the SHA-256 {self._digest.hexdigest()}, not the "
                "one announced; push it again"
            )
        judge(self.record, part, self._store.limits.virtual)

    @contextmanager
    def _full_disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            self._discard()  # a disk that is full must not stay so
            raise InsufficientResources(
                f"image {self.record.name}: the node's disk is full; free some space and push it again"
            ) from error

    def _discard(self) -> None:
        if self._part is not None:
            self._part.unlink(missing_ok=True)


def _taken(wanted: ImageRecord) -> AlreadyExists:
    return AlreadyExists(
        f"there is another image `{wanted.name}` of {_whose(wanted.owner)}; remove it or take another name"
    )


def _whose(owner: str) -> str:
    return f"owner `{owner}`" if owner else "the operator"


def _folded(owner: str) -> str:
    """An owner's part of file names: nothing that a user wrote becomes a path."""
    return hashlib.sha256(owner.encode()).hexdigest()[:16]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
