"""What the agent says about its unit, as messages. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf.duration_pb2 import Duration

from dipronn.v1 import unit_pb2
from vmhost.agent.config import AgentConfig
from vmhost.agent.desired import session_of
from vmhost.agent.plan import Machine
from vmhost.vm.cgroups import group_name
from vmhost.vm.spec import VmInfo, VmState

_STATES = {
    VmState.STARTING: unit_pb2.VM_STATE_STARTING,
    VmState.RUNNING: unit_pb2.VM_STATE_RUNNING,
    VmState.FAILED: unit_pb2.VM_STATE_DEAD,
    VmState.STOPPED: unit_pb2.VM_STATE_DEAD,
}


def vm_report(machine: Machine, state: VmState, age: float, message: str = "") -> unit_pb2.VmReport:
    """``age``: seconds since it was spawned."""
    duration = Duration()
    duration.FromNanoseconds(int(age * 1e9))
    return unit_pb2.VmReport(
        session=machine.session, vm=machine.name, state=_STATES[state], message=message, age=duration
    )


def program_report(machine: Machine, program: str, status: int | None) -> unit_pb2.ProgramReport:
    """``status`` as the driver tells it: None while the program runs, negative for a signal."""
    return unit_pb2.ProgramReport(
        session=machine.session,
        vm=machine.name,
        program=program,
        running=status is None,
        exit_status=0 if status is None else status if status >= 0 else 128 - status,
    )


def description(config: AgentConfig, devices: Iterable[str], vms: Mapping[str, VmInfo]) -> dict[str, Any]:
    """What agent.json says."""
    return {
        "unit": config.unit,
        "pid": os.getpid(),
        "pins": str(config.pins),
        "cgroup": group_name(config.pins),
        "devices": sorted(devices),
        "vms": [
            {
                "session": session_of(name)[0],
                "name": session_of(name)[1],
                "device": info.tap,
                "pid": info.pid,
                "state": str(info.state),
            }
            for name, info in sorted(vms.items())
        ],
    }
