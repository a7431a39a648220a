"""What the agent keeps on disk: the desired slices, the registered names, and who it is.

::

    <state>/lock                 held by the running agent
    <state>/agent.json           pid, unit, pins, devices, VMs: for `dipronn doctor` and for removal
    <state>/slices/<session>.pb  Slice: desired, stored before anything is touched
    <state>/names/<session>.pb   HeldSlice: the names that its programs registered
    <state>/bundles/<sha256>     bundles, by content
    <state>/vms/                 the VM driver's

Files appear whole or not at all: they are written beside, synced, and renamed.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import structlog
from google.protobuf.message import DecodeError, Message

from dipronn.errors import AlreadyExists, Unavailable
from dipronn.v1 import unit_pb2

_log = structlog.get_logger(__name__)
_M = TypeVar("_M", bound=Message)
_FLOCK = struct.Struct("hhqqi4x")  # struct flock of Linux on 64 bits


class Store:
    """The agent's files under one state folder, which is made if absent, for root's eyes only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bundles = folder / "bundles"
        self.vms = folder / "vms"
        self._slices = folder / "slices"
        self._names = folder / "names"

    def open(self) -> None:
        """Make the folders, and remove files that a crash left half-written."""
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        for each in (self.bundles, self._slices, self._names):
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

    # desired slices

    def slices(self) -> dict[int, unit_pb2.Slice]:
        """Every desired slice, by session. A file that cannot be read is logged and set aside as ``.bad``."""
        return {each.session: each for each in self._all(self._slices, unit_pb2.Slice)}

    def put_slice(self, slice_: unit_pb2.Slice) -> None:
        _write(self._slices / f"{slice_.session}.pb", slice_.SerializeToString(deterministic=True))

    def drop_slice(self, session: int) -> None:
        _unlink(self._slices / f"{session}.pb")
        _unlink(self._names / f"{session}.pb")

    # registered names

    def names(self) -> dict[int, list[unit_pb2.NameReport]]:
        return {each.session: list(each.names) for each in self._all(self._names, unit_pb2.HeldSlice)}

    def put_names(self, session: int, names: list[unit_pb2.NameReport]) -> None:
        held = unit_pb2.HeldSlice(session=session, names=names)
        _write(self._names / f"{session}.pb", held.SerializeToString(deterministic=True))

    # who the agent is

    def describe(self, facts: Mapping[str, Any]) -> None:
        """Write agent.json."""
        _write(self.folder / "agent.json", json.dumps(facts, indent=2, sort_keys=True).encode() + b"\n")

    def remove(self) -> None:
        """Remove the folder and all that is in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.folder.exists():
            raise Unavailable(
                f"{self.folder}: could not be removed whole; look for mounts or open files there"
            )

    def _all(self, folder: Path, kind: type[_M]) -> Iterator[_M]:
        for path in sorted(folder.glob("*.pb")):
            message = kind()
            try:
                message.ParseFromString(path.read_bytes())
            except DecodeError as error:
                _log.error("a stored file is broken and is set aside", path=str(path), error=str(error))
                path.rename(path.with_suffix(".bad"))
            else:
                yield message


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(f"{path.name}.part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.rename(path)
    _sync_folder(path.parent)


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
