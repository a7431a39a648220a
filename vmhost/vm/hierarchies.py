"""Which cgroup hierarchies this host has, and how each version of cgroups writes a limit down. Pure but for
reading what is mounted.

A controller is taken from version 2 where the kernel offers it there, else from version 1: on one host both
may be in use, for different controllers.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

CPU, MEMORY, IO, CPU_TIME = "cpu", "memory", "io", "cpu time"
"""What a hierarchy is wanted for: the first three hold limits, the last only counts."""
RESOURCES = {CPU: "CPU", MEMORY: "memory", IO: "storage I/O"}

_NAMES_V1 = {CPU: "cpu", MEMORY: "memory", IO: "blkio", CPU_TIME: "cpuacct"}
_PERIOD_US = 100_000


@dataclass(frozen=True)
class Limits:
    """What one VM is held to.

    ``cpu``: cores reserved; when the CPUs are contended for, VMs get them in this proportion. ``cpu_cap``:
    cores that are never exceeded, None if what is idle may be used. ``memory_bytes``: of the whole QEMU
    process. ``io_bps``: bytes/s read, and as many written, on ``device`` (major:minor); None: no limit.
    """

    cpu: float
    memory_bytes: int
    cpu_cap: float | None = None
    io_bps: int | None = None
    device: str | None = None


@dataclass(frozen=True)
class Hierarchy:
    root: Path
    version: int


@dataclass(frozen=True)
class Setting:
    """``needed`` is false for what not every kernel has and what only completes another setting."""

    file: str
    value: str
    needed: bool = True


def mounted(mountinfo: Path = Path("/proc/self/mountinfo")) -> dict[str, Hierarchy]:
    """The hierarchy of every purpose that this host has one for."""
    found: dict[str, Hierarchy] = {}
    unified: Path | None = None
    for line in mountinfo.read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split(" ", 2)
        root = Path(before.split(" ")[4].replace(r"\040", " "))
        if kind == "cgroup":
            controllers = set(options.split(","))
            for purpose, name in _NAMES_V1.items():
                if name in controllers:
                    found.setdefault(purpose, Hierarchy(root, 1))
        elif kind == "cgroup2" and unified is None:
            unified = root
    if unified is not None:
        offered = (unified / "cgroup.controllers").read_text().split()
        found.update({purpose: Hierarchy(unified, 2) for purpose in RESOURCES if purpose in offered})
        if CPU_TIME not in found or CPU in offered:  # every group of version 2 counts its CPU time
            found[CPU_TIME] = Hierarchy(unified, 2)
    return found


def settings(purpose: str, version: int, limits: Limits) -> list[Setting]:
    """The files of a group, in the order in which they are written."""
    match purpose, version:
        case "cpu", 1:
            cap = -1 if limits.cpu_cap is None else max(1000, round(limits.cpu_cap * _PERIOD_US))
            return [
                Setting("cpu.shares", str(min(max(2, round(1024 * limits.cpu)), 262_144))),
                Setting("cpu.cfs_quota_us", str(cap), needed=cap > 0),
            ]
        case "cpu", 2:
            quota = "max" if limits.cpu_cap is None else str(max(1000, round(limits.cpu_cap * _PERIOD_US)))
            return [
                Setting("cpu.weight", str(min(max(1, round(100 * limits.cpu)), 10_000))),
                Setting("cpu.max", f"{quota} {_PERIOD_US}", needed=quota != "max"),
            ]
        case "memory", 1:
            return [
                Setting("memory.limit_in_bytes", str(limits.memory_bytes)),
                Setting("memory.memsw.limit_in_bytes", str(limits.memory_bytes), needed=False),
            ]
        case "memory", 2:
            return [
                Setting("memory.max", str(limits.memory_bytes)),
                Setting("memory.swap.max", "0", needed=False),
            ]
        case "io", 1 if limits.io_bps and limits.device:
            return [
                Setting(f"blkio.throttle.{way}_bps_device", f"{limits.device} {limits.io_bps}")
                for way in ("read", "write")
            ]
        case "io", 2 if limits.io_bps and limits.device:
            return [Setting("io.max", f"{limits.device} rbps={limits.io_bps} wbps={limits.io_bps}")]
    return []


def cpu_nanoseconds(group: Path, version: int) -> int:
    """CPU time that a group has used. Raises OSError."""
    if version == 1:
        return int((group / "cpuacct.usage").read_text())
    return _field(group / "cpu.stat", "usage_usec") * 1000


def memory_bytes(group: Path, version: int) -> int:
    """Memory that a group uses now. Raises OSError."""
    return int((group / ("memory.usage_in_bytes" if version == 1 else "memory.current")).read_text())


def memory_kills(group: Path, version: int) -> int:
    """How often a process of the group was killed because the group was at its limit. Raises OSError."""
    return _field(group / ("memory.oom_control" if version == 1 else "memory.events"), "oom_kill")


def whole_disk(folder: Path) -> str | None:
    """major:minor of the disk that a folder lies on; None if it lies on none, as on a tmpfs."""
    device = folder.stat().st_dev
    sysfs = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    if not sysfs.exists():
        return None
    # Limits are kept by disks, not by their partitions.
    disk = sysfs.resolve().parent if (sysfs / "partition").exists() else sysfs
    return (disk / "dev").read_text().strip()


def _field(file: Path, name: str) -> int:
    for line in file.read_text().splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return 0
