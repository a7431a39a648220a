"""What the agent keeps on disk: the desired slices, the registered names, and who it is.

::

    <state>/lock                 held by the running agent
    <state>/agent.json           pid, unit, pins, devices, VMs: for `dipronn doctor` and for removal
    <state>/slices/<session>.pb  Slice: desired, stored before anything is touched
    <state>/names/<session>.json the names that its programs registered
    <state>/bundles/<sha256>     bundles, by content
    <state>/programs/<number>.json  the kernel programs that are at work; see vmhost/agent/kernel.py
    <state>/vms/                 the VM driver's
    <state>/usage.json           what machines have used; see vmhost/agent/meter.py

Files appear whole or not at all: they are written beside, synced, and renamed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from ipaddress import ip_address
from pathlib import Path

from dipronn.unit.slices import SliceStore, set_aside, unlink, write_whole
from vmhost.names import Registration


class Store(SliceStore):
    """The agent's files under one state folder, which is made if absent, for root's eyes only."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.bundles = folder / "bundles"
        self.vms = folder / "vms"
        self._names = folder / "names"
        self.programs = folder / "programs"
        self._folders += [self.bundles, self._names, self.programs]

    def drop_slice(self, session: int) -> None:
        super().drop_slice(session)
        unlink(self._names / f"{session}.json")

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
                set_aside(path, error)
        return found

    def put_names(self, session: int, names: Iterable[tuple[str, Registration]]) -> None:
        entries = [(vm, {**asdict(each), "address": str(each.address)}) for vm, each in names]
        write_whole(self._names / f"{session}.json", json.dumps(entries).encode())

    def remove(self) -> None:
        """Remove all that the agent ever wrote here, and the folder if nothing else is in it."""
        shutil.rmtree(self.vms, ignore_errors=True)
        for name in ("usage.json", "usage.part", "usage.bad"):
            (self.folder / name).unlink(missing_ok=True)
        super().remove()
