"""A testbed of bmv2 switches, processing units and hosts in Mininet, and the demonstration on it.

    sudo .venv/bin/python examples/mininet/run.py            the demonstration, then everything is gone
    sudo .venv/bin/python examples/mininet/run.py --cli      a node, and Mininet's prompt to look around
    sudo .venv/bin/python examples/mininet/run.py --plain    the same network without Mininet

Exit status: 0 if every promise of the demonstration was verified, 1 if not, 2 if something is not installed,
130 after Ctrl-C or SIGTERM. Whatever ends it, `dipronn down --name demo` removes what may be left.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
from rich.console import Console

from dipronn.demo.result import print_result
from dipronn.demo.run import NODE, run_demo
from dipronn.errors import DipronnError, Unavailable
from dipronn.node import namespaces, starter, switches
from dipronn.node.config import NodeConfig
from dipronn.node.topology import Topology

PYTHON = "/usr/bin/python3"
TESTBED = Path(__file__).with_name("testbed.py")


class Testbed:
    """Mininet in a process of its own; its network is gone when ``close`` returns, or when we end."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def build(self, topology: Topology) -> None:
        """The network of a topology.  Raises Unavailable."""
        prefix = f"{NODE}-"
        plan = {
            "hosts": [name.removeprefix(prefix) for name in topology.namespaces],
            "links": [
                [
                    part
                    for end in (veth.near, veth.far)
                    for part in (end.namespace.removeprefix(prefix), end.device)
                ]
                for veth in topology.veths
            ],
        }
        answers, their_answers = os.pipe()
        their_orders, orders = os.pipe()
        theirs = (their_answers, their_orders)
        command = [PYTHON, str(TESTBED), json.dumps(plan), *map(str, theirs)]
        self._process = subprocess.Popen(command, pass_fds=theirs)
        for descriptor in theirs:
            os.close(descriptor)
        self._answers, self._orders = os.fdopen(answers), os.fdopen(orders, "w")
        line = self._answers.readline()
        if not line:
            raise Unavailable("Mininet ended; what it said stands above")
        pids: dict[str, int] = json.loads(line)
        namespaces.adopt(topology, {prefix + name: pid for name, pid in pids.items()})

    def cli(self) -> None:
        """Mininet's prompt on this terminal, until its user leaves it."""
        self._orders.write("cli\n")
        self._orders.flush()
        self._answers.readline()

    def close(self) -> None:
        if self._process is not None:
            self._orders.close()
            self._process.wait(30)
            self._answers.close()


@contextmanager
def testbed(plain: bool) -> Iterator[tuple[starter.Build, Testbed]]:
    bed = Testbed()
    try:
        yield (namespaces.build if plain else bed.build), bed
    finally:
        bed.close()


def main() -> int:
    summary, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(prog="run.py", description=summary)
    parser.add_argument(
        "--plain", action="store_true", help="by the kernel's namespaces alone, without Mininet"
    )
    parser.add_argument("--cli", action="store_true", help="no demonstration: Mininet's prompt")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    arguments = parser.parse_args()
    if arguments.plain and arguments.cli:
        parser.error("--cli is Mininet's prompt; leave out --plain")
    say = Console(stderr=True, highlight=False).print
    # Standard output is the result's: images, which the first run builds, are told of elsewhere.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    _end_as_by_ctrl_c(signal.SIGTERM)
    try:
        _require(arguments.plain)
        with testbed(arguments.plain) as (build, bed):
            if arguments.cli:
                return _look_around(build, bed, say)
            result = asyncio.run(run_demo(say, "p4", build))
    except (switches.NoSwitch, NoMininet) as error:
        say(f"run.py: {error}")
        return 2
    except DipronnError as error:
        say(f"run.py: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    if arguments.json:
        sys.stdout.write(json.dumps(result.as_json()) + "\n")
    else:
        print_result(result, Console())
    return 0 if result.ok else 1


def _end_as_by_ctrl_c(number: signal.Signals) -> None:
    """What was started is removed then, too."""
    us = os.getpid()

    def end(_: int, __: object) -> None:
        if os.getpid() != us:  # a child forked without exec, which is ended by this signal
            os._exit(128 + number)
        raise KeyboardInterrupt

    signal.signal(number, end)


def _look_around(build: starter.Build, bed: Testbed, say: starter.Progress) -> int:
    starter.down(NODE, say)
    asyncio.run(starter.up(NodeConfig(name=NODE, dataplane="p4"), say, build))
    try:
        say(f"export DIPRONN_NODE_ADDRESS=unix:{starter.Places(NODE).socket}")
        bed.cli()
    finally:
        starter.down(NODE, say)
    return 0


class NoMininet(Unavailable):
    """This machine has no Mininet."""


def _require(plain: bool) -> None:
    switches.require()
    found = subprocess.run([PYTHON, "-c", "import mininet.net"], capture_output=True, check=False)
    if not plain and found.returncode != 0:
        raise NoMininet(
            "Mininet is not installed: `apt-get install mininet`, or run the same network with --plain"
        )


if __name__ == "__main__":
    sys.exit(main())
