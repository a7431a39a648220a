"""``dipronn top``: what flows through sessions and units now."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dipronn.cli.output import write
from dipronn.cli.target import Target
from dipronn.v1 import node_pb2
from dipronn.v1 import session_pb2 as pb

app = typer.Typer()


@dataclass(frozen=True)
class Channel:
    """``packets`` since the session began."""

    channel: str
    packets_per_s: float
    bits_per_s: float
    packets: int


@dataclass(frozen=True)
class Session:
    """``changes``: what became of its instances since the last look."""

    session: str
    state: str
    instances: dict[str, str]
    channels: list[Channel]
    changes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Unit:
    """``dropped_per_s`` by the reason's name."""

    unit: str
    alive: bool
    received_per_s: float
    sent_per_s: float
    dropped_per_s: dict[str, float]


@dataclass(frozen=True)
class Look:
    """The node as it was asked at one time (seconds)."""

    at: float
    sessions: Mapping[str, pb.Session]
    units: Mapping[str, node_pb2.UnitStatus]


def sessions(before: Look, after: Look) -> list[Session]:
    seconds = after.at - before.at
    found = []
    for name, session in sorted(after.sessions.items()):
        former = before.sessions.get(name, pb.Session())
        known = {one.channel: one for one in former.channels}
        channels = [
            Channel(
                one.channel,
                _rate(one.packets, known[one.channel].packets if one.channel in known else 0, seconds),
                _rate(8 * one.bytes, 8 * known[one.channel].bytes if one.channel in known else 0, seconds),
                one.packets,
            )
            for one in session.channels
        ]
        instances, then = _instances(session), _instances(former)
        changes = [
            f"{key}: {then.get(key, 'new')} -> {instances.get(key, 'gone')}"
            for key in sorted(instances.keys() | then.keys())
            if then and instances.get(key) != then.get(key)
        ]
        found.append(Session(name, _word(pb.SessionState.Name(session.state)), instances, channels, changes))
    return found


def units(before: Look, after: Look) -> list[Unit]:
    seconds = after.at - before.at
    found = []
    for name, unit in sorted(after.units.items()):
        now = unit.counters
        then = before.units[name].counters if name in before.units else now
        drops = {
            reason: _rate(count, then.drops.get(reason, 0), seconds)
            for reason, count in sorted(now.drops.items())
            if count != then.drops.get(reason, 0)
        }
        received, sent = _rate(now.received, then.received, seconds), _rate(now.sent, then.sent, seconds)
        found.append(Unit(name, unit.alive, received, sent, drops))
    return found


def _rate(now: int, then: int, seconds: float) -> float:
    """Per second; what counts from the beginning again has counted what it shows."""
    return round((now - then if now >= then else now) / seconds, 1)


def _instances(session: pb.Session) -> dict[str, str]:
    return {
        f"{one.program}-{one.index} on {one.unit}": _word(pb.InstanceState.Name(one.state))
        for one in session.instances
    }


def _word(name: str) -> str:
    return name.rpartition("STATE_")[2].lower()


@app.command()
def top(
    context: typer.Context,
    session: Annotated[str, typer.Argument(help="Only this session; all if not stated.")] = "",
    interval: Annotated[float, typer.Option(help="Seconds; units count once a second.", min=1)] = 2.0,
    count: Annotated[int, typer.Option(help="So many looks, then end; 0: until Ctrl-C.", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON document on a line for each look.")] = False,
) -> None:
    """What flows through every channel and unit now, what is dropped and why, what became of instances."""
    asyncio.run(_follow(context.obj, session, interval, count, as_json))


async def _follow(target: Target, name: str, interval: float, count: int, as_json: bool) -> None:
    async with target.connect() as node:

        async def look() -> Look:
            shown = [await node.session(name)] if name else await node.sessions()
            return Look(
                time.monotonic(),
                {one.name: one for one in shown},
                {unit.name: unit for unit in await node.units()},
            )

        before, seen = await look(), 0
        # Without a terminal only the last is printed.
        live = None if as_json else Live(console=Console(highlight=False), auto_refresh=False)
        with live or nullcontext():
            while not count or seen < count:
                await asyncio.sleep(interval)
                after = await look()
                here, there = sessions(before, after), units(before, after)
                if live:
                    live.update(Group(*_tables(here, there)), refresh=True)
                else:
                    write(json.dumps({"sessions": [*map(asdict, here)], "units": [*map(asdict, there)]}))
                    sys.stdout.flush()
                before, seen = after, seen + 1


def _tables(here: list[Session], there: list[Unit]) -> Iterator[Table]:
    channels = _table("session", "channel", "packets/s", "Mbit/s", "packets")
    for session in here:
        state = f"{session.session} ({session.state})"
        for one in session.channels:
            rates = (f"{one.packets_per_s:,.0f}", f"{one.bits_per_s / 1e6:,.2f}", f"{one.packets:,}")
            channels.add_row(Text(state), Text(one.channel), *rates)
            state = ""
        for change in session.changes:
            channels.add_row(Text(state), Text(change))
            state = ""
    yield channels
    table = _table("unit", "state", "received/s", "sent/s", "dropped/s")
    for unit in there:
        drops = ", ".join(f"{reason} {rate:g}" for reason, rate in unit.dropped_per_s.items())
        rates = (f"{unit.received_per_s:,.0f}", f"{unit.sent_per_s:,.0f}", drops or "0")
        table.add_row(Text(unit.unit), "alive" if unit.alive else "dead", *rates)
    yield table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column.endswith("/s") or column == "packets" else "left")
    return table
