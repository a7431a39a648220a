"""Which cgroup hierarchies are used, and what is written to them, for hosts of every kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmhost.vm.cgroups import BPFFS, Cgroups, group_name
from vmhost.vm.hierarchies import CPU, CPU_TIME, IO, MEMORY, Hierarchy, Limits, Setting, mounted, settings

LIMITS = Limits(cpu=0.5, memory_bytes=1 << 28, cpu_cap=0.5, io_bps=4096, device="8:0")


def mountinfo(folder: Path, *, v1: dict[str, str], v2: str | None) -> Path:
    """A host with these controllers: of version 1 by mount, of version 2 those that it offers."""
    lines = ["23 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw"]
    lines += [f"32 31 0:29 / {folder}/{name} rw - cgroup cgroup rw,{options}" for name, options in v1.items()]
    if v2 is not None:
        (folder / "unified").mkdir()
        (folder / "unified" / "cgroup.controllers").write_text(v2)
        lines.append(f"40 31 0:36 / {folder}/unified rw,relatime - cgroup2 cgroup2 rw")
    (folder / "mountinfo").write_text("\n".join(lines) + "\n")
    return folder / "mountinfo"


def test_version_1_alone(tmp_path: Path) -> None:
    v1 = {"cpu,cpuacct": "cpu,cpuacct", "memory": "memory", "blkio": "blkio", "pids": "pids"}
    joint = Hierarchy(tmp_path / "cpu,cpuacct", 1)
    assert mounted(mountinfo(tmp_path, v1=v1, v2=None)) == {
        CPU: joint,
        CPU_TIME: joint,
        MEMORY: Hierarchy(tmp_path / "memory", 1),
        IO: Hierarchy(tmp_path / "blkio", 1),
    }


def test_version_2_alone(tmp_path: Path) -> None:
    unified = Hierarchy(tmp_path / "unified", 2)
    found = mounted(mountinfo(tmp_path, v1={}, v2="cpuset cpu io memory pids\n"))
    assert found == dict.fromkeys((CPU, MEMORY, IO, CPU_TIME), unified)


def test_each_controller_is_taken_where_it_is(tmp_path: Path) -> None:
    """On a hybrid host version 2 has the controllers that version 1 does not."""
    found = mounted(mountinfo(tmp_path, v1={"cpu": "cpu"}, v2="hugetlb memory\n"))
    unified = Hierarchy(tmp_path / "unified", 2)
    assert found == {CPU: Hierarchy(tmp_path / "cpu", 1), MEMORY: unified, CPU_TIME: unified}


def test_a_host_without_any_says_so(tmp_path: Path) -> None:
    cgroups = Cgroups("dipronn.test", tmp_path, found=mounted(mountinfo(tmp_path, v1={}, v2=None)))
    assert set(cgroups.unheld) == {"CPU", "memory", "storage I/O"}
    assert "no controller" in cgroups.unheld["CPU"]
    assert cgroups.held == {}
    cgroups.make("vm", LIMITS)  # a machine starts all the same
    assert cgroups.usage("vm") is None and cgroups.vms() == set()


def test_a_hierarchy_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    cgroups = Cgroups("dipronn.test", tmp_path, found={CPU: Hierarchy(tmp_path / "gone", 2)})
    assert "No such file" in cgroups.unheld["CPU"]


@pytest.mark.parametrize(
    ("purpose", "version", "written"),
    [
        (CPU, 1, {"cpu.shares": "512", "cpu.cfs_quota_us": "50000"}),
        (CPU, 2, {"cpu.weight": "50", "cpu.max": "50000 100000"}),
        (MEMORY, 1, {"memory.limit_in_bytes": "268435456", "memory.memsw.limit_in_bytes": "268435456"}),
        (MEMORY, 2, {"memory.max": "268435456", "memory.swap.max": "0"}),
        (
            IO,
            1,
            {"blkio.throttle.read_bps_device": "8:0 4096", "blkio.throttle.write_bps_device": "8:0 4096"},
        ),
        (IO, 2, {"io.max": "8:0 rbps=4096 wbps=4096"}),
        (CPU_TIME, 1, {}),
    ],
)
def test_limits_as_they_are_written(purpose: str, version: int, written: dict[str, str]) -> None:
    assert {one.file: one.value for one in settings(purpose, version, LIMITS)} == written


def test_without_a_cap_idle_cpus_may_be_used() -> None:
    share = Limits(cpu=2.0, memory_bytes=1)
    assert settings(CPU, 1, share)[1] == Setting("cpu.cfs_quota_us", "-1", needed=False)
    assert settings(CPU, 2, share)[1] == Setting("cpu.max", "max 100000", needed=False)
    assert settings(IO, 1, share) == settings(IO, 2, share) == []


def test_the_smallest_and_largest_shares_are_those_of_the_kernel() -> None:
    for cores, shares, weight in ((0.0001, "2", "1"), (1e6, "262144", "10000")):
        limits = Limits(cores, 1)
        assert settings(CPU, 1, limits)[0].value == shares
        assert settings(CPU, 2, limits)[0].value == weight


def test_a_units_groups_are_named_like_its_pins() -> None:
    assert group_name(BPFFS / "dipronn" / "node" / "u1") == "dipronn.node.u1"
    assert group_name(BPFFS / "own") == "dipronn.own"
    assert group_name(Path("/elsewhere/u1")) == "dipronn.elsewhere.u1"
