"""What the configuration files of all agents share: where the control unit is, links, and how a file is read.

Every entry of a table is taken once; what is left over was a mistake.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from controller.steering.model import LinkKey, Unmatched
from dipronn.beacon import INTERVAL
from dipronn.errors import DipronnError
from dipronn.v1 import unit_pb2

_T = TypeVar("_T")
UNIT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
DEVICE = re.compile(r"[^\s/:]{1,15}")
ROLES: dict[str, unit_pb2.Role.ValueType] = {
    "distribution": unit_pb2.ROLE_DISTRIBUTION,
    "processing": unit_pb2.ROLE_PROCESSING,
    "aggregation": unit_pb2.ROLE_AGGREGATION,
}
UNMATCHED = {each.name.lower(): each for each in Unmatched}


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
    control: bool = False
    """Of the control network: the host's, with the control channels of sessions and no data of theirs."""
    rate: int = 0
    """bit/s that the device carries: then what leaves by it is chosen by class. 0: it is not."""

    @property
    def key(self) -> LinkKey:
        return LinkKey(self.device, self.vlan)


@dataclass(frozen=True)
class Control:
    """Where the control unit is. ``certs`` is needed unless the address is a UNIX socket. ``heartbeat`` and
    ``beacon``: seconds between those of the stream, and those of the process that no load stalls."""

    address: str
    certs: Path | None = None
    heartbeat: float = 0.25
    beacon: float = INTERVAL


class TableReader:
    """One table of a file."""

    def __init__(self, path: Path, name: str, entries: Mapping[str, Any]) -> None:
        self._path = path
        self._name = name
        self._left = dict(entries)

    @classmethod
    def of_file(cls, path: Path) -> Self:
        """The whole of a TOML file; raises BadConfiguration."""
        try:
            entries = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise BadConfiguration(f"{path}: {error.strerror}; name a readable file with --config") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadConfiguration(f"{path}: not TOML: {error}") from error
        return cls(path, "", entries)

    def __contains__(self, entry: str) -> bool:
        return entry in self._left

    def unit(self) -> str:
        return self.text("unit", pattern=UNIT_NAME)

    def roles(self) -> tuple[unit_pb2.Role.ValueType, ...]:
        return tuple([self.choice("roles", ROLES, role) for role in self.items("roles")])

    def control(self) -> Control:
        """This table as `[control]`."""
        address = self.text("address")
        certs = self.path("certs") if "certs" in self else None
        if not address.startswith("unix:") and certs is None:
            raise self.wrong("certs", "is missing: TCP goes by mutual TLS only (`dipronn certs` makes them)")
        heartbeat = self.number("heartbeat", 0.25, 0.01, 60)
        beacon = self.number("beacon", INTERVAL, 0.005, 60)
        self.done()
        return Control(address, certs, heartbeat, beacon)

    def link(self) -> LinkConfig:
        """What a `[[links]]` table says of every link; the caller takes what else there is, and is done."""
        device = self.text("device", pattern=DEVICE)
        network = self.text("network")
        vlan = int(self.number("vlan", 0, 0, 4094))
        outside = self.flag("outside")
        unmatched = self.choice("unmatched", UNMATCHED, self.take("unmatched", "host"))
        return LinkConfig(device, network, vlan, outside, unmatched)

    def wrong(self, entry: str, what: str) -> BadConfiguration:
        return BadConfiguration(f"{self._path}: {self._name}{entry} {what}")

    def take(self, entry: str, default: Any = None) -> Any:
        if entry not in self._left and default is None:
            raise self.wrong(entry, "is missing")
        return self._left.pop(entry, default)

    def flag(self, entry: str) -> bool:
        """True or false; absent is false."""
        value = self._left.pop(entry, False)
        if not isinstance(value, bool):
            raise self.wrong(entry, "must be true or false")
        return value

    def text(self, entry: str, pattern: re.Pattern[str] | None = None) -> str:
        value = self.take(entry)
        if not isinstance(value, str) or not value or (pattern and not pattern.fullmatch(value)):
            raise self.wrong(
                entry, f"must be a text{f' like {pattern.pattern}' if pattern else ''}, not {value!r}"
            )
        return value

    def path(self, entry: str) -> Path:
        value = Path(self.text(entry))
        if not value.is_absolute():
            raise self.wrong(entry, f"must be an absolute path, not {str(value)!r}")
        return value

    def number(self, entry: str, default: float, low: float, high: float) -> float:
        if entry not in self._left:
            return default
        value = self._left.pop(entry)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.wrong(entry, f"must be a number from {low} to {high}, not {value!r}")
        return value

    def choice(self, entry: str, choices: Mapping[str, _T], value: object) -> _T:
        if not isinstance(value, str) or value not in choices:
            raise self.wrong(entry, f"must be one of {', '.join(choices)}, not {value!r}")
        return choices[value]

    def items(self, entry: str) -> Sequence[Any]:
        value = self.take(entry)
        if not isinstance(value, list):
            raise self.wrong(entry, f"must be a list, not {value!r}")
        return value

    def table(self, entry: str) -> Self:
        value = self.take(entry)
        if not isinstance(value, dict):
            raise self.wrong(entry, f"must be a table: [{entry}]")
        return type(self)(self._path, f"{entry}.", value)

    def tables(self, entry: str) -> tuple[Self, ...]:
        values = self.items(entry)
        if not all(isinstance(value, dict) for value in values):
            raise self.wrong(entry, f"must be tables: [[{entry}]]")
        return tuple([type(self)(self._path, f"{entry}[{i}].", value) for i, value in enumerate(values)])

    def once(self, entry: str, keys: Sequence[LinkKey]) -> None:
        """No link may stand twice."""
        if len(set(keys)) != len(keys):
            raise self.wrong(entry, "has a device and VLAN twice")

    def done(self) -> None:
        """No entry may be left."""
        if self._left:
            raise self.wrong(sorted(self._left)[0], "is unknown; take it out")
