"""The control groups of a unit's VMs: limits that the kernel holds, and what it counts.

::

    <hierarchy>/<unit>/       its weight is what the unit offers
    <hierarchy>/<unit>/<vm>/  one VM, in every hierarchy that is used

A group outlives its owner, as its VM does; an owner that comes back finds both by their names.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import structlog

from dipronn.errors import TimedOut, Unavailable
from vmhost.vm import hierarchies
from vmhost.vm.hierarchies import CPU, CPU_TIME, IO, MEMORY, RESOURCES, Hierarchy, Limits
from vmhost.vm.spec import Usage

_log = structlog.get_logger(__name__)

BPFFS = Path("/sys/fs/bpf")
_REMOVAL_SECONDS = 10.0
_TRIAL = Limits(cpu=1.0, memory_bytes=1 << 30)


class Cgroups:
    """The groups below ``<hierarchy>/<name>``, for VMs that together may have ``cores``.

    ``folder``: on whose disk storage is limited. ``unheld``: by resource that no limit can be kept of here,
    why; that was found out by trying.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        cores: float | None = None,
        found: Mapping[str, Hierarchy] | None = None,
    ) -> None:
        self.name = name
        self.device = hierarchies.whole_disk(folder)
        self.unheld: dict[str, str] = {}
        self._cores = float(os.cpu_count() or 1) if cores is None else cores
        self._used: dict[str, Hierarchy] = {}
        found = hierarchies.mounted() if found is None else found
        for purpose in (*RESOURCES, CPU_TIME):
            why = self._unusable(purpose, found.get(purpose))
            if why is None:
                self._used[purpose] = found[purpose]
            elif purpose in RESOURCES:
                self.unheld[RESOURCES[purpose]] = why
        if self.device is None:
            self.unheld.setdefault(RESOURCES[IO], f"{folder} lies on no disk")
        self._remove_parents()

    @property
    def held(self) -> dict[str, str]:
        """By resource whose limits hold: by what."""
        return {
            text: f"cgroup v{self._used[purpose].version}"
            for purpose, text in RESOURCES.items()
            if text not in self.unheld
        }

    def make(self, vm: str, limits: Limits) -> None:
        """Make a VM's groups. Raises Unavailable; nothing is left then."""
        try:
            for purpose, hierarchy in self._used.items():
                parent = self._parent(hierarchy)
                self._make_parent(purpose, hierarchy)
                group = parent / vm
                group.mkdir(exist_ok=True)
                for setting in hierarchies.settings(purpose, hierarchy.version, limits):
                    _write(group, setting)
        except OSError as error:
            self._remove_now(vm)
            raise Unavailable(f"VM {vm}: its limits cannot be set: {error}") from error

    def enter(self, vm: str, pid: int) -> None:
        """Put a process into a VM's groups; what it starts is in them, too. Raises Unavailable."""
        try:
            for hierarchy in set(self._used.values()):
                (self._parent(hierarchy) / vm / "cgroup.procs").write_text(str(pid))
        except OSError as error:
            raise Unavailable(f"VM {vm}: process {pid} cannot be put under its limits: {error}") from error

    def usage(self, vm: str) -> Usage | None:
        """What a VM has used, as the kernel counts; None where it does not, or for an unknown VM."""
        try:
            cpu, memory = self._used[CPU_TIME], self._used[MEMORY]
            return Usage(
                hierarchies.cpu_nanoseconds(self._parent(cpu) / vm, cpu.version),
                hierarchies.memory_bytes(self._parent(memory) / vm, memory.version),
            )
        except (KeyError, OSError):
            return None

    def killed_for_memory(self, vm: str) -> bool:
        """Whether the kernel ended a process of a VM because it was at its memory limit."""
        with contextlib.suppress(KeyError, OSError):
            memory = self._used[MEMORY]
            return hierarchies.memory_kills(self._parent(memory) / vm, memory.version) > 0
        return False

    def vms(self) -> set[str]:
        """Every VM that has a group in any hierarchy."""
        return {
            path.name for hierarchy in set(self._used.values()) for path in _folders(self._parent(hierarchy))
        }

    async def remove(self, vm: str) -> None:
        """Remove a VM's groups, and end what still runs in them; of an unknown VM, nothing happens.

        Raises TimedOut: something in them does not end.
        """
        try:
            async with asyncio.timeout(_REMOVAL_SECONDS):
                while not self._remove_now(vm):  # noqa: ASYNC110 - the kernel tells nobody
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise TimedOut(
                f"VM {vm}: its control group in {self.name} is not empty; look at the host"
            ) from None
        self._remove_parents()

    def remove_all(self) -> None:
        """Remove every VM's groups, and the unit's, as ``remove`` does. Blocks."""
        deadline = time.monotonic() + _REMOVAL_SECONDS
        while left := [vm for vm in self.vms() if not self._remove_now(vm)]:
            if time.monotonic() > deadline:
                raise TimedOut(f"control groups in {self.name} are not empty: {', '.join(left)}")
            time.sleep(0.01)
        self._remove_parents()

    def _unusable(self, purpose: str, hierarchy: Hierarchy | None) -> str | None:
        """Why a purpose cannot be had, found out by trying."""
        if hierarchy is None:
            return "the kernel has no controller for it, or it is not mounted"
        try:
            self._make_parent(purpose, hierarchy)
            trial = self._parent(hierarchy) / f".trial-{os.getpid()}"
            trial.mkdir(exist_ok=True)
            try:
                for setting in hierarchies.settings(purpose, hierarchy.version, _TRIAL):
                    _write(trial, setting)
                _enter_and_leave(trial)
            finally:
                _remove_soon(trial)
        except OSError as error:
            return f"{hierarchy.root}: {error.strerror or error}"
        return None

    def _parent(self, hierarchy: Hierarchy) -> Path:
        return hierarchy.root / self.name

    def _make_parent(self, purpose: str, hierarchy: Hierarchy) -> None:
        parent = self._parent(hierarchy)
        if hierarchy.version == 2 and purpose in RESOURCES:
            _delegate(hierarchy.root, purpose)
        parent.mkdir(exist_ok=True)
        if hierarchy.version == 2 and purpose in RESOURCES:
            _delegate(parent, purpose)
        if purpose == CPU:  # against all else on this host
            for setting in hierarchies.settings(CPU, hierarchy.version, Limits(self._cores, 0)):
                _write(parent, setting)

    def _remove_now(self, vm: str) -> bool:
        """Whether no group of it is left."""
        gone = True
        for hierarchy in set(self._used.values()):
            group = self._parent(hierarchy) / vm
            with contextlib.suppress(OSError):
                for pid in (group / "cgroup.procs").read_text().split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
            try:
                group.rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                gone = False
        return gone

    def _remove_parents(self) -> None:
        for hierarchy in set(self._used.values()):
            with contextlib.suppress(OSError):  # a VM is in it, or it is not there
                for trial in self._parent(hierarchy).glob(".trial-*"):
                    if not Path(f"/proc/{trial.name.partition('-')[2]}").exists():
                        trial.rmdir()  # who tried was killed
                self._parent(hierarchy).rmdir()


def group_name(pins: Path) -> str:
    """The name of a unit's groups: like its pins they are one of a kind on a host, whatever its namespace."""
    parts = pins.relative_to(BPFFS).parts if pins.is_relative_to(BPFFS) else pins.parts[1:]
    return ".".join(parts if parts[0] == "dipronn" else ("dipronn", *parts))


def group_vms(name: str) -> set[str]:
    """The VMs that have a group in a unit's, whoever made it."""
    roots = {hierarchy.root for hierarchy in hierarchies.mounted().values()}
    return {path.name for root in roots if name for path in _folders(root / name)}


def groups_of(name: str) -> list[str]:
    """The groups of units whose name is ``name`` or goes on with a dot: of one unit, or of all of a node."""
    roots = {hierarchy.root for hierarchy in hierarchies.mounted().values()}
    return sorted(
        {
            path.name
            for root in roots
            for path in _folders(root)
            if path.name == name or path.name.startswith(f"{name}.")
        }
    )


def _remove_soon(group: Path) -> None:
    """Remove a group whose last process has just ended, which the kernel may not have noticed yet."""
    for _ in range(100):
        try:
            return group.rmdir()
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            time.sleep(0.01)
    raise OSError(errno.EBUSY, f"{group} stays busy")


def _enter_and_leave(group: Path) -> None:
    """Have a process in a group for a moment: it may be made, and yet take nobody. Raises OSError."""
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        try:
            (group / "cgroup.procs").write_text(str(process.pid))
        finally:
            process.kill()


def _folders(parent: Path) -> list[Path]:
    """Trials are nobody's."""
    try:
        return [path for path in parent.iterdir() if path.is_dir() and not path.name.startswith(".")]
    except OSError:
        return []


def _delegate(group: Path, controller: str) -> None:
    """Have a controller in what is below a group."""
    if controller not in (group / "cgroup.subtree_control").read_text().split():
        (group / "cgroup.subtree_control").write_text(f"+{controller}")


def _write(group: Path, setting: hierarchies.Setting) -> None:
    try:
        (group / setting.file).write_text(setting.value)
    except OSError:
        if setting.needed:
            raise
