"""What the unit offers to sessions: configured, or measured on this host."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pyroute2 import Ethtool
from pyroute2.ethtool.ethtool import UseIoctl
from pyroute2.ethtool.ioctl import EthtoolError
from pyroute2.netlink.exceptions import NetlinkError

from dipronn.v1 import unit_pb2
from vmhost.agent.config import AgentConfig

_UNKNOWN_SPEED = 0xFFFF
_MEMORY_SHARE = 0.75
"""The rest stays with the host: its kernel, the agent, QEMU's own needs."""


def measure_resources(config: AgentConfig, state: Path) -> unit_pb2.Resources:
    """Cores, bytes of memory and of storage beside ``state``, bit/s of the slowest link.

    To be called outside of an event loop.
    """
    given = config.resources
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return unit_pb2.Resources(
        cpu=len(os.sched_getaffinity(0)) if given.cpu is None else given.cpu,
        memory_bytes=int(memory * _MEMORY_SHARE) if given.memory is None else given.memory,
        storage_bytes=shutil.disk_usage(state).free if given.storage is None else given.storage,
        bandwidth_bps=_slowest(config) if given.bandwidth is None else given.bandwidth,
    )


def _slowest(config: AgentConfig) -> int:
    """Bit/s; 0 if no link tells its speed."""
    speeds = []
    with Ethtool() as ethtool:  # not /sys, which shows the namespace in which it was mounted
        for link in config.links:
            try:
                speed = ethtool.get_link_mode(link.device).speed
            except (OSError, NetlinkError, EthtoolError, UseIoctl):
                continue
            if speed and 0 < speed < _UNKNOWN_SPEED:
                speeds.append(speed * 1_000_000)
    return min(speeds, default=0)
