"""`dipronn up`, `down` and `demo`: a whole node on this machine."""

from __future__ import annotations

import asyncio
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from dipronn.demo.result import print_result
from dipronn.demo.run import run_demo
from dipronn.node import starter, switches
from dipronn.node.config import NodeConfig, read_config

app = typer.Typer()


def _progress(message: str) -> None:
    Console(stderr=True, highlight=False).print(message)


class Dataplane(StrEnum):
    XDP = "xdp"
    P4 = "p4"


def _require(dataplane: str) -> None:
    """End with status 2 if this machine has no such data plane: nothing was tried."""
    try:
        if dataplane == Dataplane.P4:
            switches.require()
    except switches.NoSwitch as error:
        _progress(f"dipronn: {error}")
        raise typer.Exit(2) from error


@app.command()
def up(
    config: Annotated[
        Path | None, typer.Option(help="TOML file; absent: the demonstration's layout.")
    ] = None,
) -> None:
    """Start a node in network namespaces of its own and keep it running."""
    wanted = read_config(config) if config else NodeConfig()
    _require(wanted.dataplane)
    topology = asyncio.run(starter.up(wanted, _progress))
    places = starter.Places(wanted.name)
    sys.stdout.write(
        f"node {wanted.name} is up: {len(topology.units)} units; reach it with\n"
        f"  export DIPRONN_NODE_ADDRESS=unix:{places.socket}\n"
        f"Sources send from namespace {topology.source}, receivers are {', '.join(topology.receivers)};\n"
        f"enter one with: nsenter --net=/run/netns/{topology.source}\n"
        f"Remove it with: dipronn down --name {wanted.name}\n"
    )


@app.command()
def down(name: Annotated[str, typer.Option(help="The node's name.")] = NodeConfig.name) -> None:
    """Remove a node and everything that it left, whatever state it is in."""
    there = starter.down(name, _progress)
    sys.stdout.write(f"node {name} is removed\n" if there else f"there is no node {name}\n")


@app.command()
def demo(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
    dataplane: Annotated[
        Dataplane, typer.Option(help="Of distribution and aggregation: XDP, or a P4 switch (bmv2) each.")
    ] = Dataplane.XDP,
) -> None:
    """Run the demonstration: exit code 0 only if every promise was verified."""
    _require(dataplane)
    result = asyncio.run(run_demo(_progress, dataplane))
    if as_json:
        sys.stdout.write(json.dumps(result.as_json()) + "\n")
    else:
        print_result(result, Console())
    raise typer.Exit(0 if result.ok else 1)
