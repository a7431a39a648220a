"""The agent's configuration: a TOML file, checked once.

::

    unit = "processing-1"
    roles = ["processing"]                      # distribution, processing, aggregation
    state = "/run/dipronn/processing-1"         # desired state, bundles, VMs; the agent's alone
    pins = "/sys/fs/bpf/dipronn/processing-1"   # where the maps are pinned
    cache = "/var/cache/dipronn"                # kernels and base images; shared by the units of a host

    [control]
    address = "unix:/run/dipronn/units.sock"    # or "10.0.0.1:7000", by mutual TLS with the files in `certs`
    certs = "/etc/dipronn/certs"                # ca.pem, cert.pem, key.pem
    heartbeat = 0.25                            # seconds; so is the next
    beacon = 0.02                               # from a process that no load stalls

    [resources]                                 # what is left out is measured
    cpu = 2.0
    memory = 4294967296
    storage = 10737418240
    bandwidth = 1000000000

    [limits]
    cpu = "shares"                              # or "strict": no machine gets more than it has reserved
    storage = 52428800                          # bytes/s each machine may read, and write; else no limit

    [[links]]
    device = "data0"
    network = "data"
    vlan = 0
    outside = false
    unmatched = "host"                          # drop, host, request
    rate = 1000000000                           # bit/s that leave by it, chosen by class

    [[links]]
    device = "ctl0"
    network = "control"
    control = true                              # control channels of sessions go here, beside the node's own
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from controller.steering.model import Unmatched
from dipronn.unit.config import Control, LinkConfig, TableReader
from dipronn.v1 import unit_pb2
from vmhost.vm.spec import LimitPolicy


@dataclass(frozen=True)
class ResourcesConfig:
    """What the unit offers; None is measured. Cores, bytes, bytes, bit/s."""

    cpu: float | None = None
    memory: int | None = None
    storage: int | None = None
    bandwidth: int | None = None


@dataclass(frozen=True)
class AgentConfig:
    unit: str
    roles: tuple[unit_pb2.Role.ValueType, ...]
    state: Path
    pins: Path
    cache: Path
    control: Control
    links: tuple[LinkConfig, ...]
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)
    limits: LimitPolicy = field(default_factory=LimitPolicy)


def read_config(path: Path) -> AgentConfig:
    """Read and check a configuration file; raises BadConfiguration."""
    file = _Reader.of_file(path)
    config = AgentConfig(
        unit=file.unit(),
        roles=file.roles(),
        state=file.path("state"),
        pins=file.path("pins"),
        cache=file.path("cache"),
        control=file.table("control").control(),
        links=file.links(),
        resources=file.table("resources").resources() if "resources" in file else ResourcesConfig(),
        limits=file.table("limits").limits() if "limits" in file else LimitPolicy(),
    )
    file.done()
    return config


class _Reader(TableReader):
    def links(self) -> tuple[LinkConfig, ...]:
        links = []
        for table in self.tables("links"):
            link = table.link()
            rate = int(table.number("rate", 0, 1, 1 << 60))
            link = replace(link, control=table.flag("control"), rate=rate)
            if link.control and (link.outside or link.unmatched is not Unmatched.HOST):
                raise table.wrong("control", "goes with neither `outside` nor another `unmatched` than host")
            links.append(link)
            table.done()
        self.once("links", [link.key for link in links])
        return tuple(links)

    def resources(self) -> ResourcesConfig:
        cpu = self.number("cpu", -1, 0.01, 1 << 20)
        sizes = [self.number(name, -1, 1, 1 << 60) for name in ("memory", "storage", "bandwidth")]
        self.done()
        memory, storage, bandwidth = (int(size) if size >= 0 else None for size in sizes)
        return ResourcesConfig(cpu if cpu >= 0 else None, memory, storage, bandwidth)

    def limits(self) -> LimitPolicy:
        strict = self.choice("cpu", {"shares": False, "strict": True}, self.take("cpu", "shares"))
        storage = int(self.number("storage", -1, 4096, 1 << 60))
        self.done()
        return LimitPolicy(strict_cpu=strict, io_bps=storage if storage >= 0 else None)
