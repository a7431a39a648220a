"""``dipronn unit``."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from dipronn.cli.output import write_json, write_table
from dipronn.cli.target import Target
from dipronn.v1 import node_pb2, unit_pb2

app = typer.Typer(help="The units of the node.", no_args_is_help=True)


@app.callback()
def _units() -> None:
    """The units of the node."""


@app.command(name="list")
def list_units(
    context: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False
) -> None:
    """Every unit: whether it is alive, its roles, what is reserved, what became of its packets."""
    units = asyncio.run(_fetch(context.obj))
    if as_json:
        write_json(units)
        return
    write_table(
        ("unit", "state", "roles", "cpu", "memory MiB", "not held to", "received", "sent", "dropped"),
        map(_row, units),
    )


async def _fetch(target: Target) -> list[node_pb2.UnitStatus]:
    async with target.connect() as node:
        return await node.units()


def _row(unit: node_pb2.UnitStatus) -> tuple[str, ...]:
    counters = unit.counters
    drops = ", ".join(f"{name} {count}" for name, count in sorted(counters.drops.items()) if count)
    return (
        unit.name,
        "alive" if unit.alive else "dead",
        ", ".join(unit_pb2.Role.Name(role).removeprefix("ROLE_").lower() for role in unit.roles),
        f"{unit.reserved.cpu:g} of {unit.total.cpu:g}",
        f"{unit.reserved.memory_bytes >> 20} of {unit.total.memory_bytes >> 20}",
        ", ".join(sorted(unit.unheld)),
        str(counters.received),
        str(counters.sent),
        drops or "0",
    )
