"""`dipronn up`, `down` and `demo`: a whole node on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Coroutine
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from dipronn.demo.result import print_result
from dipronn.demo.run import run_demo
from dipronn.node import starter, switches
from dipronn.node.config import NodeConfig, read_config

app = typer.Typer()
_Result = TypeVar("_Result")


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


def _run(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Run to the end.  SIGTERM and SIGHUP cancel it as SIGINT does, so that it removes what it started."""
    received: list[int] = []

    async def cancellable() -> _Result:
        task, loop, us = asyncio.current_task(), asyncio.get_running_loop(), os.getpid()
        assert task

        # Not by the loop's own handlers: children that are forked without exec would share its wake-up pipe.
        def end(number: int, _: FrameType | None) -> None:
            if os.getpid() != us:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            received.append(number)
            loop.call_soon_threadsafe(task.cancel)

        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, end)
        return await work

    try:
        return asyncio.run(cancellable())
    except asyncio.CancelledError:
        raise typer.Exit(128 + received[0]) from None


@app.command()
def up(
    config: Annotated[
        Path | None, typer.Option(help="TOML file; absent: the demonstration's layout.")
    ] = None,
) -> None:
    """Start a node in network namespaces of its own and keep it running."""
    wanted = read_config(config) if config else NodeConfig()
    _require(wanted.dataplane)
    topology = _run(starter.up(wanted, _progress))
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
    result = _run(run_demo(_progress, dataplane))
    if as_json:
        sys.stdout.write(json.dumps(result.as_json()) + "\n")
    else:
        print_result(result, Console())
    raise typer.Exit(0 if result.ok else 1)
