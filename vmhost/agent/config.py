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
    heartbeat = 0.25                            # seconds

    [resources]                                 # what is left out is measured
    cpu = 2.0
    memory = 4294967296
    storage = 10737418240
    bandwidth = 1000000000

    [[links]]
    device = "data0"
    network = "data"
    vlan = 0
    outside = false
    unmatched = "host"                          # drop, host, request
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from controller.steering.model import LinkKey, Unmatched
from dipronn.errors import DipronnError
from dipronn.v1 import unit_pb2

_T = TypeVar("_T")
_UNIT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_DEVICE = re.compile(r"[^\s/:]{1,15}")
_ROLES: dict[str, unit_pb2.Role.ValueType] = {
    "distribution": unit_pb2.ROLE_DISTRIBUTION,
    "processing": unit_pb2.ROLE_PROCESSING,
    "aggregation": unit_pb2.ROLE_AGGREGATION,
}
_UNMATCHED = {each.name.lower(): each for each in Unmatched}


class BadConfiguration(DipronnError):
    """The configuration file cannot be used; the message names the file, the entry and the remedy."""


@dataclass(frozen=True)
class LinkConfig:
    """One link of the unit to the node's networks or to the outside; VLAN 0 is untagged."""

    device: str
    network: str
    vlan: int = 0
    outside: bool = False
    unmatched: Unmatched = Unmatched.HOST

    @property
    def key(self) -> LinkKey:
        return LinkKey(self.device, self.vlan)


@dataclass(frozen=True)
class Control:
    """Where the control unit is. ``certs`` is needed unless the address is a UNIX socket."""

    address: str
    certs: Path | None = None
    heartbeat: float = 0.25


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


def read_config(path: Path) -> AgentConfig:
    """Read and check a configuration file; raises BadConfiguration."""
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfiguration(f"{path}: {error.strerror}; name a readable file with --config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfiguration(f"{path}: not TOML: {error}") from error
    return _Table(path, "", entries).agent()


class _Table:
    """One table of the file; every entry is taken once, and what is left over was a mistake."""

    def __init__(self, path: Path, name: str, entries: Mapping[str, Any]) -> None:
        self._path = path
        self._name = name
        self._left = dict(entries)

    def agent(self) -> AgentConfig:
        unit = self._text("unit", pattern=_UNIT_NAME)
        roles = tuple([self._choice("roles", _ROLES, role) for role in self._list("roles")])
        links = tuple(table.link() for table in self._tables("links"))
        keys = [link.key for link in links]
        if len(set(keys)) != len(keys):
            raise self._wrong("links", "has a device and VLAN twice")
        config = AgentConfig(
            unit=unit,
            roles=roles,
            state=self._path_entry("state"),
            pins=self._path_entry("pins"),
            cache=self._path_entry("cache"),
            control=self._table("control").control(),
            links=links,
            resources=self._table("resources").resources()
            if "resources" in self._left
            else ResourcesConfig(),
        )
        self._done()
        return config

    def control(self) -> Control:
        address = self._text("address")
        certs = self._path_entry("certs") if "certs" in self._left else None
        if not address.startswith("unix:") and certs is None:
            raise self._wrong("certs", "is missing: TCP goes by mutual TLS only (`dipronn certs` makes them)")
        heartbeat = self._number("heartbeat", 0.25, 0.01, 60)
        self._done()
        return Control(address, certs, heartbeat)

    def resources(self) -> ResourcesConfig:
        cpu = self._number("cpu", -1, 0.01, 1 << 20)
        sizes = [self._number(name, -1, 1, 1 << 60) for name in ("memory", "storage", "bandwidth")]
        self._done()
        memory, storage, bandwidth = (int(size) if size >= 0 else None for size in sizes)
        return ResourcesConfig(cpu if cpu >= 0 else None, memory, storage, bandwidth)

    def link(self) -> LinkConfig:
        device = self._text("device", pattern=_DEVICE)
        network = self._text("network")
        vlan = int(self._number("vlan", 0, 0, 4094))
        outside = self._left.pop("outside", False)
        if not isinstance(outside, bool):
            raise self._wrong("outside", "must be true or false")
        unmatched = self._choice("unmatched", _UNMATCHED, self._left.pop("unmatched", "host"))
        self._done()
        return LinkConfig(device, network, vlan, outside, unmatched)

    def _wrong(self, entry: str, what: str) -> BadConfiguration:
        return BadConfiguration(f"{self._path}: {self._name}{entry} {what}")

    def _take(self, entry: str) -> Any:
        if entry not in self._left:
            raise self._wrong(entry, "is missing")
        return self._left.pop(entry)

    def _text(self, entry: str, pattern: re.Pattern[str] | None = None) -> str:
        value = self._take(entry)
        if not isinstance(value, str) or not value or (pattern and not pattern.fullmatch(value)):
            raise self._wrong(
                entry, f"must be a text{f' like {pattern.pattern}' if pattern else ''}, not {value!r}"
            )
        return value

    def _path_entry(self, entry: str) -> Path:
        value = Path(self._text(entry))
        if not value.is_absolute():
            raise self._wrong(entry, f"must be an absolute path, not {str(value)!r}")
        return value

    def _number(self, entry: str, default: float, low: float, high: float) -> float:
        if entry not in self._left:
            return default
        value = self._left.pop(entry)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self._wrong(entry, f"must be a number from {low} to {high}, not {value!r}")
        return value

    def _choice(self, entry: str, choices: Mapping[str, _T], value: object) -> _T:
        if not isinstance(value, str) or value not in choices:
            raise self._wrong(entry, f"must be one of {', '.join(choices)}, not {value!r}")
        return choices[value]

    def _list(self, entry: str) -> list[Any]:
        value = self._take(entry)
        if not isinstance(value, list):
            raise self._wrong(entry, f"must be a list, not {value!r}")
        return value

    def _table(self, entry: str) -> _Table:
        value = self._take(entry)
        if not isinstance(value, dict):
            raise self._wrong(entry, f"must be a table: [{entry}]")
        return _Table(self._path, f"{entry}.", value)

    def _tables(self, entry: str) -> list[_Table]:
        values = self._list(entry)
        if not all(isinstance(value, dict) for value in values):
            raise self._wrong(entry, f"must be tables: [[{entry}]]")
        return [_Table(self._path, f"{entry}[{i}].", value) for i, value in enumerate(values)]

    def _done(self) -> None:
        if self._left:
            raise self._wrong(sorted(self._left)[0], "is unknown; take it out")
