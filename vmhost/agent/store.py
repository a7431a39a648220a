"""What the agent keeps on disk: the desired slices, the registered names, and who it is.

::

    <state>/lock                 held by the running agent
    <state>/agent.json           pid, unit, pins, devices, VMs: for `dipronn doctor` and for removal
    <state>/slices/<session>.pb  Slice: desired, stored before anything is touched
    <state>/names/<session>.json the names that its programs registered
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
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import structlog
from google.protobuf.message import DecodeError

from dipronn.errors import AlreadyExists
from dipronn.v1 import unit_pb2
from vmhost.names import Registration

_log = structlog.get_logger(__name__)
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
        found = {}
        for path in sorted(self._slices.glob("*.pb")):
            try:
                slice_ = unit_pb2.Slice.FromString(path.read_bytes())
            except DecodeError as error:
                _set_aside(path, error)
            else:
                found[slice_.session] = slice_
        return found

    def put_slice(self, slice_: unit_pb2.Slice) -> None:
        _write(self._slices / f"{slice_.session}.pb", slice_.SerializeToString(deterministic=True))

    def drop_slice(self, session: int) -> None:
        _unlink(self._slices / f"{session}.pb")
        _unlink(self._names / f"{session}.json")

    # registered names

    def names(self) -> dict[int, list[tuple[str, Registration]]]:
        """Registered names with the VM that registered each, by session."""
        found = {}
        for path in sorted(self._names.glob("*.json")):
            try:
                found[int(path.stem)] = [
                    (vm, Registration(**{**entry, "address": ip_address(entry["address"])}))
                    for vm, entry in json.loads(path.read_text())
                ]
            except (ValueError, TypeError, KeyError) as error:
                _set_aside(path, error)
        return found

    def put_names(self, session: int, names: Iterable[tuple[str, Registration]]) -> None:
        entries = [(vm, {**asdict(each), "address": str(each.address)}) for vm, each in names]
        _write(self._names / f"{session}.json", json.dumps(entries).encode())

    # who the agent is

    def describe(self, facts: Mapping[str, Any]) -> None:
        """Write agent.json."""
        _write(self.folder / "agent.json", json.dumps(facts, indent=2, sort_keys=True).encode() + b"\n")

    def remove(self) -> None:
        """Remove all that the agent ever wrote here, and the folder if nothing else is in it."""
        for folder in (self.bundles, self._slices, self._names, self.vms):
            shutil.rmtree(folder, ignore_errors=True)
        for name in ("agent.json", "agent.json.part", "lock"):
            (self.folder / name).unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()


def _set_aside(path: Path, error: Exception) -> None:
    _log.error("a stored file is broken and is set aside", path=str(path), error=str(error))
    path.rename(path.with_suffix(".bad"))


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
