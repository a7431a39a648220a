"""What the unit's machines have used: CPU time as the kernel counts it, memory summed over time.

::

    <state>/usage.json   the sums of memory, so that they go on after a restart of the agent
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from dipronn.unit.slices import set_aside
from dipronn.v1 import accounts_pb2
from vmhost.agent.desired import session_of
from vmhost.vm.rundir import Process, boot_id
from vmhost.vm.spec import VmDriver

_log = structlog.get_logger(__name__)


@dataclass
class _Reading:
    """``incarnation``: when the machine's process began, in clock ticks since the host's boot. ``time``: when
    this was read, in seconds since that boot."""

    incarnation: int
    cpu_ns: int
    memory_bytes: int
    memory_byte_seconds: float
    time: float


class Meter:
    """Reads every machine of a driver. Of those that are gone, nothing is kept."""

    def __init__(self, driver: VmDriver | None, state: Path) -> None:
        self._driver = driver
        self._path = state / "usage.json"
        self._readings = self._restore()

    def read(self) -> accounts_pb2.UsageReport:
        """The sums of now. Of a host that does not count, none."""
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        readings: dict[str, _Reading] = {}
        for name, info in (self._driver.vms() if self._driver else {}).items():
            assert self._driver
            usage = self._driver.usage(name)
            before = self._readings.get(name)
            process = Process.of(info.pid)
            incarnation = process.start if process else before.incarnation if before else 0
            if usage is None or not incarnation:
                continue
            if before is None or before.incarnation != incarnation:
                began = incarnation / os.sysconf("SC_CLK_TCK")
                before = _Reading(incarnation, 0, usage.memory_bytes, 0.0, min(began, now))
            # Between two readings memory is taken to have changed evenly.
            mean = (before.memory_bytes + usage.memory_bytes) / 2
            total = before.memory_byte_seconds + mean * (now - before.time)
            readings[name] = _Reading(incarnation, usage.cpu_ns, usage.memory_bytes, total, now)
        self._readings = readings
        return _report(readings)

    def keep(self) -> None:
        """Write the sums down. What a crash forgets is made up from the reading before."""
        temporary = self._path.with_suffix(".part")
        try:
            temporary.write_text(
                json.dumps(
                    {"boot": boot_id(), "vms": {name: asdict(r) for name, r in self._readings.items()}}
                )
            )
            temporary.rename(self._path)
        except OSError as error:  # a full disk must not keep the agent from its work
            _log.warning("what machines used is not written down", error=str(error))

    def _restore(self) -> dict[str, _Reading]:
        with contextlib.suppress(FileNotFoundError):
            try:
                raw = json.loads(self._path.read_text())
                if raw["boot"] == boot_id():
                    return {name: _Reading(**reading) for name, reading in raw["vms"].items()}
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                set_aside(self._path, error)
        return {}


def _report(readings: Mapping[str, _Reading]) -> accounts_pb2.UsageReport:
    report = accounts_pb2.UsageReport()
    for name, reading in readings.items():
        session, vm = session_of(name)
        report.vms.add(
            session=session,
            vm=vm,
            incarnation=reading.incarnation,
            cpu_ns=reading.cpu_ns,
            memory_byte_seconds=reading.memory_byte_seconds,
        )
    return report
