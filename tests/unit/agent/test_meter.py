"""The meter: memory summed over time, sums that go on after a restart, nothing of what is gone."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from tests.unit.vmhost.test_spec import SPEC
from vmhost.agent import meter
from vmhost.agent.meter import Meter
from vmhost.vm.rundir import Process
from vmhost.vm.spec import Usage, VmDriver, VmInfo, VmState


@dataclass
class Clock:
    """``now``: seconds since the host's boot."""

    now: float

    CLOCK_BOOTTIME = 7

    def clock_gettime(self, clock: int) -> float:
        return self.now


@dataclass
class FakeDriver:
    pid: int
    cpu_ns: int = 0
    memory: int = 0
    names: list[str] = field(default_factory=lambda: ["7.p-0"])

    def vms(self) -> dict[str, VmInfo]:
        return {name: VmInfo(SPEC, "tap", VmState.RUNNING, self.pid, {}) for name in self.names}

    def usage(self, name: str) -> Usage:
        return Usage(self.cpu_ns, self.memory)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    process = Process.of(os.getpid())
    assert process
    clock = Clock(process.start / os.sysconf("SC_CLK_TCK"))
    monkeypatch.setattr(meter, "time", clock)
    return clock


def sums(read: Meter) -> tuple[int, float]:
    (vm,) = read.read().vms
    assert (vm.session, vm.vm) == (7, "p-0") and vm.incarnation > 0
    return vm.cpu_ns, round(vm.memory_byte_seconds, 3)


def test_memory_is_summed_over_time_also_over_a_restart_of_the_agent(tmp_path: Path, clock: Clock) -> None:
    driver = FakeDriver(os.getpid(), cpu_ns=5, memory=100)
    read = Meter(cast(VmDriver, driver), tmp_path)
    clock.now += 2
    assert sums(read) == (5, 200), "from its beginning"
    clock.now += 1
    driver.memory, driver.cpu_ns = 300, 9
    assert sums(read) == (9, 400), "half of the change"
    read.keep()
    clock.now += 10
    assert sums(read) == (9, 3400)  # not written down: the agent is killed
    again = Meter(cast(VmDriver, driver), tmp_path)
    clock.now += 10
    assert sums(again) == (9, 6400)
    (tmp_path / "usage.json").write_text("{")
    broken = Meter(cast(VmDriver, driver), tmp_path)
    assert sums(broken) == (9, 300 * 23), "at least from what is known now"
    driver.names.clear()
    assert not broken.read().vms


def test_a_unit_without_machines_or_counting_has_nothing_to_tell(tmp_path: Path) -> None:
    assert not Meter(None, tmp_path).read().vms

    class Uncounted(FakeDriver):
        def usage(self, name: str) -> Usage:
            return cast(Usage, None)

    assert not Meter(cast(VmDriver, Uncounted(os.getpid())), tmp_path).read().vms
