"""How much one user, and all together, may have at a time: counted over sessions and held offers."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from controller.placement.admission import Amount
from controller.placement.wanted import needs
from controller.program import RATES, SIZES
from controller.record import SessionRecord
from dipronn.errors import DipronnError
from dipronn.v1 import session_pb2 as pb

_MIB = 1 << 20


class BadLimits(DipronnError):
    """A file of limits that cannot be used; the message names the file, the entry and the remedy."""


@dataclass(frozen=True)
class Allowance:
    """None: as much as there is.  Bytes and bit/s as in ``Amount``."""

    sessions: int | None = None
    instances: int | None = None
    offers: int | None = None
    cpu: float | None = None
    memory: int | None = None
    storage: int | None = None
    bandwidth: int | None = None


@dataclass(frozen=True)
class Limits:
    """``user``: of each user who is not named in ``users``; ``node``: of all together."""

    user: Allowance = Allowance(sessions=100, instances=1000, offers=20)
    users: Mapping[str, Allowance] = field(default_factory=dict)
    node: Allowance = Allowance(sessions=10_000, instances=100_000, offers=1000)

    def of(self, user: str) -> Allowance:
        return self.users.get(user, self.user)

    def shortage(
        self, user: str, program: pb.Program, counts: Mapping[str, int], others: Iterable[SessionRecord]
    ) -> str:
        """Why this session is too much beside what there is; empty if it is not."""
        wanted = _wanted(program, counts)
        everybody = list(others)
        mine = [record for record in everybody if record.user == user]
        who = f"user `{user}`" if user else "whoever states no owner"
        return _over(who, self.of(user), _used(mine), wanted) or _over(
            "this node", self.node, _used(everybody), wanted
        )


def read_limits(path: Path) -> Limits:
    """Read a TOML file: tables [user], [node] and [users."NAME"] with the fields of ``Allowance``."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadLimits(f"{path}: {error.strerror}; name a readable file with --limits") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadLimits(f"{path}: not TOML: {error}") from error
    named = tables.pop("users", {})
    unknown = tables.keys() - {"user", "node"}
    if unknown or not isinstance(named, dict):
        raise BadLimits(f"{path}: unknown entry {sorted(unknown)[:1]}; there are user, users and node")
    known = {name: _allowance(path, name, table) for name, table in tables.items()}
    users = {name: _allowance(path, f"users.{name}", table) for name, table in named.items()}
    return Limits(**known, users=users)


def _allowance(path: Path, where: str, table: Any) -> Allowance:
    known = {one.name for one in fields(Allowance)}
    if not isinstance(table, dict) or table.keys() - known:
        raise BadLimits(f"{path}: [{where}] is a table of {', '.join(sorted(known))}")
    values: dict[str, Any] = {
        name: _value(f"{path}: {where}.{name}", name, value) for name, value in table.items()
    }
    return Allowance(**values)


def _value(where: str, name: str, value: object) -> int | float:
    units = {"bandwidth": RATES, "memory": SIZES, "storage": SIZES}.get(name)
    if units:
        match = re.fullmatch(r"(\d+(?:\.\d+)?) *([A-Za-z]+)", value) if isinstance(value, str) else None
        if match is None or match[2] not in units:
            raise BadLimits(f'{where} is a text with a unit, as "5{list(units)[-1]}", not {value!r}')
        return round(float(match[1]) * units[match[2]])
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise BadLimits(f"{where} is a number from 0, not {value!r}")
    if name != "cpu" and not isinstance(value, int):
        raise BadLimits(f"{where} is a whole number, not {value!r}")
    return value


@dataclass(frozen=True)
class _Use:
    sessions: int
    instances: int
    amount: Amount

    def of(self, name: str) -> float:
        if name in ("sessions", "instances"):
            return float(getattr(self, name))
        return {
            "cpu": round(self.amount.cpu, 3),
            "memory": float(self.amount.memory_bytes),
            "storage": float(self.amount.storage_bytes),
            "bandwidth": float(self.amount.bandwidth_bps),
        }[name]


def _wanted(program: pb.Program, counts: Mapping[str, int]) -> _Use:
    amount = Amount(bandwidth_bps=sum(item.rate_bps for item in program.inputs))
    for active in program.programs:
        for _ in range(counts[active.name]):
            amount = amount.plus(needs(program, active))
    return _Use(1, sum(counts.values()), amount)


def _used(records: Iterable[SessionRecord]) -> _Use:
    sessions = instances = 0
    amount = Amount()
    for record in records:
        counts = {active.name: 0 for active in record.program.programs}
        for one in record.instances:
            counts[one.program] += 1
        use = _wanted(record.program, counts)
        sessions, instances, amount = sessions + 1, instances + use.instances, amount.plus(use.amount)
    return _Use(sessions, instances, amount)


def _over(who: str, allowance: Allowance, used: _Use, wanted: _Use) -> str:
    short = []
    for name in ("sessions", "instances", "cpu", "memory", "storage", "bandwidth"):
        limit = getattr(allowance, name)
        if limit is not None and used.of(name) + wanted.of(name) > limit + 0.0005:
            limit_, used_, wanted_ = (
                _shown(name, value) for value in (limit, used.of(name), wanted.of(name))
            )
            short.append(f"{name} {limit_} allowed - {used_} in use < {wanted_} wanted")
    return f"{who} has a limit: {'; '.join(short)}" if short else ""


def _shown(name: str, value: float) -> str:
    if name in ("memory", "storage"):
        return f"{value / _MIB:g} MiB"
    return f"{value / 1e6:g} Mbps" if name == "bandwidth" else f"{value:g}"
