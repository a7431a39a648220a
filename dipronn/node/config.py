"""What an all-in-one node looks like; the defaults are the demo's."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_interface
from pathlib import Path
from typing import Any

from controller.advice import BadThresholds, thresholds
from dipronn.errors import DipronnError


class BadConfiguration(DipronnError):
    """A configuration file that cannot be used; the message names the file, the entry and the remedy."""


DATAPLANES = ("xdp", "p4")


@dataclass(frozen=True)
class NodeConfig:
    """``name`` prefixes every namespace.  Addresses carry their prefix length; one tuple a host.

    ``dataplane``: of distribution and aggregation; with "p4" each is a bmv2 switch.  ``beacon``: seconds
    between a unit's beats; longer than on hosts of their own, as all units share the cores of this one.
    ``limits``: a file of what users may have (docs/control-unit.md), from the folder of this one.
    ``elasticity``: thresholds other than the usual ones (``controller.advice.Thresholds``).
    """

    name: str = "dipronn"
    dataplane: str = "xdp"
    processing_units: int = 2
    beacon: float = 0.2
    source: tuple[str, ...] = ("192.0.2.10/24", "2001:db8:1::10/64")
    ingress: tuple[str, ...] = ("192.0.2.1/24", "2001:db8:1::1/64")
    egress: tuple[str, ...] = ("198.51.100.1/24", "2001:db8:2::1/64")
    receivers: tuple[tuple[str, ...], ...] = (
        ("198.51.100.7/24", "2001:db8:2::7/64"),
        ("198.51.100.8/24", "2001:db8:2::8/64"),
    )
    limits: Path | None = None
    elasticity: Mapping[str, float] = field(default_factory=dict)


def read_config(path: Path) -> NodeConfig:
    """Read a TOML file whose entries are the fields of ``NodeConfig``; absent entries keep their defaults."""
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfiguration(f"{path}: {error.strerror}; name a readable file with --config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadConfiguration(f"{path}: not TOML: {error}") from error
    unknown = entries.keys() - NodeConfig.__dataclass_fields__.keys()
    if unknown:
        known = ", ".join(NodeConfig.__dataclass_fields__)
        raise BadConfiguration(f"{path}: unknown entry {sorted(unknown)[0]!r}; there are {known}")
    return NodeConfig(**{entry: _check(path, entry, value) for entry, value in entries.items()})


def _check(path: Path, entry: str, value: Any) -> Any:
    if entry == "name":
        if isinstance(value, str) and re.fullmatch(r"[a-z][a-z0-9]{0,15}", value):
            return value
        raise BadConfiguration(f"{path}: name must be 1 to 16 of a-z and 0-9, a letter first, not {value!r}")
    if entry == "limits":
        if isinstance(value, str) and (path.parent / value).is_file():
            return (path.parent / value).resolve()
        raise BadConfiguration(f"{path}: limits must name a file from this one's folder, not {value!r}")
    if entry == "elasticity":
        try:
            thresholds(value if isinstance(value, dict) else {entry: value})
        except BadThresholds as error:
            raise BadConfiguration(f"{path}: table [elasticity]: {error}") from error
        return value
    if entry == "dataplane":
        if value in DATAPLANES:
            return value
        raise BadConfiguration(f"{path}: dataplane must be one of {', '.join(DATAPLANES)}, not {value!r}")
    if entry == "processing_units":
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 16:
            return value
        raise BadConfiguration(f"{path}: processing_units must be a number from 1 to 16, not {value!r}")
    if entry == "beacon":
        if isinstance(value, int | float) and not isinstance(value, bool) and 0.005 <= value <= 60:
            return value
        raise BadConfiguration(f"{path}: beacon must be a number of seconds from 0.005 to 60, not {value!r}")
    if entry == "receivers":
        if isinstance(value, list) and 1 <= len(value) <= 16:
            return tuple(_addresses(path, entry, addresses) for addresses in value)
        raise BadConfiguration(f"{path}: receivers must be 1 to 16 lists of addresses, one a receiver")
    return _addresses(path, entry, value)


def _addresses(path: Path, entry: str, value: Any) -> tuple[str, ...]:
    try:
        if not isinstance(value, list) or not value:
            raise ValueError("not a list")
        return tuple(str(ip_interface(text)) for text in value if isinstance(text, str) or _refuse(text))
    except ValueError as error:
        hint = 'write it like ["192.0.2.1/24"]'
        raise BadConfiguration(f"{path}: {entry} is no list of addresses ({error}); {hint}") from error


def _refuse(value: object) -> bool:
    raise ValueError(f"{value!r} is not a text")
