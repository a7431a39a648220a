"""Two instances on two units, in real machines: what they say over the control network, and share."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dipronn.node import namespaces
from tests.system.node.conftest import PATIENTLY, NodeUnderTest
from tests.system.node.test_node import INPUT, RECEIVER, wait_for

pytestmark = [pytest.mark.root, pytest.mark.vm]

SESSION = """
session team {
  input ask : udp to 192.0.2.1:5000;
  output told to 198.51.100.7:6000;
  program member { bundle "member"; in ask; out told; parallelizable 2; needs cpu 0.1; }
  data ask -> member.ask; data member.told -> told;
  control member.peer <-> member.peer;
}
"""
MEMBER = Path(__file__).with_name("member.run")
CONTROL_UNIT = "10.78.0.1"


@pytest.fixture(scope="module")
def team(node: NodeUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("team")
    (folder / "team.dpn").write_text(SESSION)
    (folder / "member").mkdir()
    shutil.copy(MEMBER, folder / "member" / "run")
    (folder / "member" / "run").chmod(0o755)
    established = node.dipronn("session", "establish", str(folder / "team.dpn"), *PATIENTLY, "--json")
    assert established.returncode == 0, established.stderr
    yield json.loads(established.stdout)
    node.dipronn("session", "close", "team")


def told(node: NodeUnderTest, command: str) -> list[dict[str, Any]]:
    """What both instances say to a command: each gets one of two packets, which name it."""
    receiver = node.traffic("receiver1", "receive", *RECEIVER, "90", "2")
    node.traffic("source", "say", *INPUT, command, command).result()
    answers = [json.loads(answer) for answer in receiver.result()["received"]]
    assert sorted(answer["instance"] for answer in answers) == [0, 1], answers
    return sorted(answers, key=lambda answer: int(answer["instance"]))


def kill(pid: int) -> None:
    """Without mercy, and not before it is gone: its lock is, then."""
    process = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(process, signal.SIGKILL)
        assert select.select([process], [], [], 60)[0], f"process {pid} does not end"
    finally:
        os.close(process)


def counters(node: NodeUnderTest) -> dict[str, dict[str, Any]]:
    return {unit["name"]: unit["counters"] for unit in node.json("unit", "list")}


@pytest.mark.req("D9", "D17", "D19", "D47")
def test_instances_talk_over_the_control_network(node: NodeUnderTest, team: dict[str, Any]) -> None:
    assert {one["unit"] for one in team["instances"]} == {"unit1", "unit2"}

    def wired() -> bool:
        names = [one.get("names", []) for one in node.json("session", "show", "team")["instances"]]
        return all(any(name["port"] == "peer" for name in each) for each in names)

    wait_for("both have registered their control port", wired, 60)
    for answer in told(node, "talk"):
        assert answer["pongs"] == 20, answer

    def counted() -> bool:
        channels = {
            each["channel"]: int(each.get("packets", 0))
            for each in node.json("session", "show", "team")["channels"]
        }
        return channels["control member.peer -> member.peer"] >= 40

    wait_for("both directions are counted", counted)


@pytest.mark.req("D27", "D17")
def test_a_guest_reaches_nothing_else_on_the_control_network(
    node: NodeUnderTest, team: dict[str, Any]
) -> None:
    before = counters(node)
    listener = subprocess.Popen(
        [
            "nsenter",
            f"--net={namespaces.NAMESPACES / (node.name + '-control')}",
            sys.executable,
            str(Path(__file__).with_name("namespace_traffic.py")),
            *("receive", CONTROL_UNIT, "7999", "90", "1"),  # ends with the first
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert listener.stdout and listener.stdout.readline() == "ready\n"
        for answer in told(node, f"intrude {CONTROL_UNIT}"):
            assert answer["connected"] == [], answer

        def refused() -> bool:
            now = counters(node)
            return all(
                int(now[unit]["drops"].get("guest_forbidden", 0))
                - int(before[unit].get("drops", {}).get("guest_forbidden", 0))
                >= 5
                for unit in ("unit1", "unit2")
            )

        wait_for("what they tried is counted", refused)
        assert listener.poll() is None, "the control unit's host heard a guest"
    finally:
        listener.kill()
        listener.wait()


@pytest.mark.req("D19")
def test_instances_meet_at_barriers_and_one_of_them_wins(node: NodeUnderTest, team: dict[str, Any]) -> None:
    first, second = told(node, "race")
    assert first["rounds"] == second["rounds"] == [1, 2, 3]
    assert sorted([first["won"], second["won"]]) == [False, True]
    assert first["leader"] == second["leader"] in ("0", "1")
    assert first["sum"] == second["sum"] == 20, "no increment of either is lost"


@pytest.mark.req("D19")
def test_what_is_shared_outlives_agents_and_the_control_unit(
    node: NodeUnderTest, team: dict[str, Any]
) -> None:
    before = told(node, "sum")
    for fragment, place in (("unit1/agent.toml", "unit1"), ("-m controller", "control")):
        killed = node.process(fragment)
        kill(killed.pid)
        node.start_again(killed, place)

    def back() -> bool:
        units = node.dipronn("unit", "list", "--json")
        return units.returncode == 0 and all(unit["alive"] for unit in json.loads(units.stdout))

    wait_for("the control unit and every unit are back", back, 120)
    assert told(node, "sum") == before
