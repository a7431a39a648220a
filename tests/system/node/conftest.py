"""A whole node, brought up and removed as its users do: by the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dipronn.node import namespaces, processes, starter

TRAFFIC = Path(__file__).with_name("namespace_traffic.py")
PATIENTLY = ("--registration-timeout", "120")
"""Machines are emulated here, and cores few."""
RESTLESS = """
[elasticity]
grow_above = 0
grow_after = 0
shrink_below = 1000
shrink_after = 1
idle_below = 1000
idle_after = 2
"""
"""Where the number of instances may vary, they come and go all the time."""
HELLO = Path(__file__).parents[3] / "examples" / "hello" / "hello.dpn"


class NodeUnderTest:
    """A running node and the commands that its users type."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.places = starter.Places(name)

    def dipronn(self, *arguments: str, timeout: float = 150) -> subprocess.CompletedProcess[str]:
        return run_dipronn(*arguments, socket=self.places.socket, timeout=timeout)

    def json(self, *arguments: str) -> Any:
        done = self.dipronn(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def traffic(self, place: str, *arguments: str) -> Traffic:
        return Traffic(self.name, place, arguments)

    def process(self, fragment: str) -> processes.Found:
        """The one process of the node whose command holds ``fragment``."""
        (found,) = (each for each in processes.find(self.name) if fragment in each.command)
        return found

    def start_again(self, killed: processes.Found, place: str) -> None:
        """Start a killed process by its own command, as a supervisor would."""
        command = killed.command.split(" ")
        processes.start(self.name, f"{self.name}-{place}", command, self.places.log(f"{place}-again"))


class Traffic:
    """One end of the traffic, running in a namespace."""

    def __init__(self, node: str, place: str, arguments: tuple[str, ...]) -> None:
        namespace = namespaces.NAMESPACES / f"{node}-{place}"
        self._process = subprocess.Popen(
            ["nsenter", f"--net={namespace}", "--", sys.executable, str(TRAFFIC), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, processes.MARK: node},
        )
        if arguments[0] in ("receive", "collect"):
            assert self._process.stdout and self._process.stdout.readline() == "ready\n"

    def result(self) -> Any:
        """Waits for its end; a stream ends when it is asked."""
        output, _ = self._process.communicate(timeout=120)
        assert self._process.returncode == 0
        return json.loads(output)


def run_dipronn(
    *arguments: str, socket: Path | None = None, timeout: float = 150, path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """``path``: the only folder in which it finds programs."""
    environment = {**os.environ, **({"DIPRONN_NODE_ADDRESS": f"unix:{socket}"} if socket else {})}
    if path:
        environment["PATH"] = str(path)
    return subprocess.run(
        [str(Path(sys.executable).with_name("dipronn")), *arguments],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment,
        check=False,
    )


@pytest.fixture(scope="module")
def node(prefix: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeUnderTest]:
    """A node with two processing units; after the tests nothing of it is left."""
    yield from running_node(f"{prefix}n", RESTLESS, tmp_path_factory.mktemp("node"))


def running_node(name: str, entries: str, folder: Path) -> Iterator[NodeUnderTest]:
    """Bring a node up with these entries in its configuration, and down."""
    file = folder / "node.toml"
    file.write_text(f'name = "{name}"\n{entries}')
    under_test = NodeUnderTest(name)
    try:
        started = run_dipronn("up", "--config", str(file))
        assert started.returncode == 0, started.stderr
        yield under_test
    finally:
        ended = run_dipronn("down", "--name", under_test.name)
    assert ended.returncode == 0, ended.stderr
    assert starter.residue(under_test.name) == []


@pytest.fixture
def hello(node: NodeUnderTest) -> Iterator[dict[str, Any]]:
    """The tutorial's session, active; closed after the test."""
    established = node.dipronn("session", "establish", str(HELLO), *PATIENTLY, "--json")
    assert established.returncode == 0, established.stderr
    yield json.loads(established.stdout)
    node.dipronn("session", "close", "hello")
    assert node.json("session", "list") == []
