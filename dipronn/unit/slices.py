"""The desired slices of a unit on disk, and who works on them.

::

    <state>/lock                 held by the running agent
    <state>/agent.json           who it is, for `dipronn doctor` and for removal
    <state>/slices/<session>.pb  Slice: desired, stored before anything is touched

Files appear whole or not at all: they are written beside, synced, and renamed.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import signal
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog
from google.protobuf.message import DecodeError

from dipronn.errors import AlreadyExists, TimedOut
from dipronn.v1 import unit_pb2

_log = structlog.get_logger(__name__)
_FLOCK = struct.Struct("hhqqi4x")  # struct flock of Linux on 64 bits
_END_SECONDS = 10.0


class SliceStore:
    """An agent's files under one state folder, which is made if absent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._slices = folder / "slices"
        self._folders = [self._slices]

    def open(self) -> None:
        """Make the folders, and remove files that a crash left half-written."""
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        for each in self._folders:
            each.mkdir(mode=0o700, exist_ok=True)
            for leftover in each.glob("*.part"):
                leftover.unlink()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Only one agent works on a state folder; raises AlreadyExists while another does."""
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise AlreadyExists(
                    f"{self.folder}: an agent runs here already (pid {self.holder()}); end it first"
                ) from error
            yield
        finally:
            os.close(descriptor)

    def holder(self) -> int | None:
        """The process that holds the lock, by the kernel's word; None if nobody does."""
        try:
            descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            wanted = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            kind, *_, pid = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, wanted))
            return None if kind == fcntl.F_UNLCK else pid
        finally:
            os.close(descriptor)

    def end_holder(self) -> None:
        """End the agent that runs here, if one does. Raises TimedOut."""
        pid = self.holder()
        if not pid:
            return
        try:
            process = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            for number in (signal.SIGTERM, signal.SIGKILL):
                if self.holder() == pid:
                    with suppress(ProcessLookupError):
                        signal.pidfd_send_signal(process, number)
                    if select.select([process], [], [], _END_SECONDS)[0]:
                        return
            raise TimedOut(f"agent {pid} on {self.folder} does not end even when killed; look at the host")
        finally:
            os.close(process)

    def slices(self) -> dict[int, unit_pb2.Slice]:
        """Every desired slice, by session. A file that cannot be read is logged and set aside as ``.bad``."""
        found = {}
        for path in sorted(self._slices.glob("*.pb")):
            try:
                slice_ = unit_pb2.Slice.FromString(path.read_bytes())
            except DecodeError as error:
                set_aside(path, error)
            else:
                found[slice_.session] = slice_
        return found

    def put_slice(self, slice_: unit_pb2.Slice) -> None:
        write_whole(self._slices / f"{slice_.session}.pb", slice_.SerializeToString(deterministic=True))

    def drop_slice(self, session: int) -> None:
        unlink(self._slices / f"{session}.pb")

    def describe(self, facts: Mapping[str, Any]) -> None:
        """Write agent.json."""
        write_whole(self.folder / "agent.json", json.dumps(facts, indent=2, sort_keys=True).encode() + b"\n")

    def remove(self) -> None:
        """Remove all that the agent ever wrote here, and the folder if nothing else is in it."""
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)
        for name in ("agent.json", "agent.json.part", "lock"):
            (self.folder / name).unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()


def set_aside(path: Path, error: Exception) -> None:
    """Rename a file that cannot be read to ``.bad``, and say so."""
    _log.error("a stored file is broken and is set aside", path=str(path), error=str(error))
    path.rename(path.with_suffix(".bad"))


def write_whole(path: Path, data: bytes) -> None:
    """Have ``data`` in the file, or what was there before, whatever happens."""
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    _sync_folder(path.parent)


def unlink(path: Path) -> None:
    """Remove a file, if it is there, for good."""
    path.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
