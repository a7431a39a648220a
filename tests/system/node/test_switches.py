"""A node whose distribution and aggregation are bmv2: switches and their agents end and come back."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dipronn.node.namespaces import NAMESPACES
from tests.system.node.conftest import NodeUnderTest, running_node
from tests.system.node.test_node import wait_for

pytestmark = [pytest.mark.root, pytest.mark.vm, pytest.mark.bmv2]

ROOT = Path(__file__).parents[3]
SESSION = """
session straight {
  input in1 : udp rate 1Mbps to 192.0.2.1:5100;
  output out1 to 198.51.100.7:6100;
  data in1 -> out1;
}
"""
INPUT, RECEIVER = ("192.0.2.1", "5100"), ("198.51.100.7", "6100")


@pytest.fixture(scope="module")
def switches(prefix: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeUnderTest]:
    """The node with a session that needs no machines."""
    folder = tmp_path_factory.mktemp("switches")
    (folder / "straight.dpn").write_text(SESSION)
    for node in running_node(f"{prefix}s", 'dataplane = "p4"\nprocessing_units = 1\n', folder):
        established = node.dipronn("session", "establish", str(folder / "straight.dpn"))
        assert established.returncode == 0, established.stderr
        assert "Error" not in node.places.log("distribution-switch").read_text(), "its queues were not set"
        yield node


def passes(node: NodeUnderTest, count: int = 20) -> bool:
    """Whether all of a few datagrams go through."""
    receiver = node.traffic("receiver1", "receive", *RECEIVER, "1")
    node.traffic("source", "send", *INPUT, str(count), "100").result()
    return len(receiver.result()["received"]) == count


def resumes(node: NodeUnderTest) -> bool:
    """Whether traffic that is sent meanwhile begins to go through, and then does not stop."""
    receiver = node.traffic("receiver1", "receive", *RECEIVER, "2")
    node.traffic("source", "send", *INPUT, "400", "100").result()
    received = [int(number) for number in receiver.result()["received"]]
    return bool(received) and received == list(range(received[0], 400))


def alive(node: NodeUnderTest) -> set[str]:
    listed = node.dipronn("unit", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    return {unit["name"] for unit in node.json("unit", "list") if unit.get("alive")}


ALL = {"distribution", "unit1", "aggregation"}


def test_a_switch_that_dies_takes_nobody_with_it_and_is_repaired(switches: NodeUnderTest) -> None:
    assert passes(switches)
    bmv2 = switches.process("2@in0")
    os.kill(bmv2.pid, signal.SIGKILL)
    wait_for("the switch's unit counts as dead", lambda: alive(switches) == ALL - {"distribution"}, 60)
    switches.start_again(bmv2, "distribution")
    wait_for("the unit is back", lambda: alive(switches) == ALL, 60)
    wait_for("traffic goes through again", lambda: resumes(switches), 90)


def test_an_operator_looks_into_a_switch(switches: NodeUnderTest) -> None:
    """By the name of its namespace."""
    done = subprocess.run(
        [str(ROOT / "setup" / "shell.sh"), f"{switches.name}-aggregation"],
        input='print("units:", len(list(table_entry["unit"].read())))\nexit()\n',
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"units: [1-9]", done.stdout), done.stdout


def test_traffic_outlives_an_agent(switches: NodeUnderTest) -> None:
    agent = switches.process("units/aggregation/switch.toml")
    os.kill(agent.pid, signal.SIGKILL)
    assert passes(switches)
    switches.start_again(agent, "aggregation")
    wait_for("the unit is back", lambda: alive(switches) == ALL, 60)
    assert passes(switches)


def test_a_switch_that_was_removed_can_join_again(switches: NodeUnderTest) -> None:
    agent = switches.process("units/aggregation/switch.toml")
    config = switches.places.unit("aggregation") / "switch.toml"
    removed = subprocess.run(
        [
            *("nsenter", f"--net={NAMESPACES / f'{switches.name}-aggregation'}", "--"),
            *(sys.executable, "-m", "controller.drivers.p4runtime", "--config", str(config), "--remove"),
        ],
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert removed.returncode == 0
    assert not (config.parent / "state").exists()
    switches.start_again(agent, "aggregation")
    wait_for("traffic goes through again", lambda: resumes(switches), 90)
