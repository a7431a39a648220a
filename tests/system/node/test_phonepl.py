"""Phonepl programs in a session as users see them: traffic, replacement, faults, and what they leave."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from dipronn.client import SyncNode, connect_sync
from phonepl.compiler import compile_source
from phonepl.targets.interpreter import Interpreter
from tests.system.node.conftest import NodeUnderTest

pytestmark = [pytest.mark.root]

EXAMPLES = Path(__file__).parents[3] / "examples" / "phonepl"
SESSION = EXAMPLES / "numbered.dpn"
NUMBER = EXAMPLES / "in_session" / "udp_number.phonepl"
INPUT = ("192.0.2.1", "5000")
NUMBERS = ("198.51.100.7", "6000")
MONITOR = ("198.51.100.8", "6000")
MARK = "@"  # in the first byte of what the program numbers that replaces the other


def wait_for(what: str, happened: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        time.sleep(0.1)


def pins(node: NodeUnderTest) -> list[str]:
    """Kernel programs that are pinned for this node."""
    return [str(path) for path in Path("/sys/fs/bpf").rglob("program_*") if node.name in str(path)]


@pytest.fixture
def numbered(node: NodeUnderTest, api: SyncNode) -> Iterator[dict[str, Any]]:
    """The example's session, active; closed after the test, and nothing of it left in the kernel."""
    yield node.json("session", "establish", str(SESSION))
    api.close_session("numbered")
    assert api.sessions() == []
    assert pins(node) == []


def interpreted(payloads: list[bytes]) -> tuple[list[str], list[str]]:
    """What the example's chain makes of datagrams, by the interpreter: their payloads at both receivers."""
    paths = [EXAMPLES / "in_session" / f"{name}.phonepl" for name in ("udp_number", "udp_sample")]
    number, sample = (Interpreter(compile_source(path.read_text(), path.name).checked) for path in paths)
    found: dict[str, list[str]] = {"Out": [], "Monitor": []}
    for payload in payloads:
        frame = bytes(
            Ether() / IP(src="192.0.2.9", dst="192.0.2.1") / UDP(sport=9, dport=5000) / Raw(payload)
        )
        ((_, numbered),) = number.handle("In", frame, 0).puts
        for stream, data in sample.handle("In", numbered, 0).puts:
            assert IP(data[14:]).len == len(data) - 14
            found[stream].append(data[42:].decode("latin-1"))
    return found["Out"], found["Monitor"]


@pytest.fixture(scope="module")
def api(node: NodeUnderTest) -> Iterator[SyncNode]:
    """To ask often: a command takes its time to start."""
    with connect_sync(f"unix:{node.places.socket}") as connected:
        yield connected


def packets(api: SyncNode) -> dict[str, int]:
    return {each.channel: each.packets for each in api.session("numbered").channels}


def crossed(api: SyncNode) -> int:
    return packets(api)["words -> number.In"]


@pytest.mark.req("R8")
def test_a_chain_in_the_distribution_unit_does_what_the_interpreter_does(
    node: NodeUnderTest, api: SyncNode, numbered: dict[str, Any]
) -> None:
    assert {one["program"]: one["unit"] for one in numbered["instances"]} == {
        "number": "distribution",
        "sample": "distribution",
    }
    all_, some = (
        node.traffic("receiver1", "receive", *NUMBERS, "3"),
        node.traffic("receiver2", "receive", *MONITOR, "3"),
    )
    node.traffic("source", "send", *INPUT, "40", "200").result()
    expected = interpreted([b"%d" % number for number in range(40)])
    assert (all_.result()["received"], some.result()["received"]) == expected
    assert len(expected[0]) == 40 and len(expected[1]) == 10

    def counted() -> bool:
        return packets(api) == {
            "words -> number.In": 40,
            "number.Out -> sample.In": 40,
            "sample.Out -> numbers": 40,
            "sample.Monitor -> monitor": 10,
            "numbers -> 198.51.100.7:6000": 40,
            "monitor -> 198.51.100.8:6000": 10,
        }

    wait_for("every channel counted what crossed it", counted)


@pytest.mark.req("R8")
def test_a_program_is_replaced_under_traffic_and_no_packet_is_lost(
    node: NodeUnderTest, api: SyncNode, numbered: dict[str, Any], tmp_path: Path
) -> None:
    text = NUMBER.read_text()
    other = tmp_path / "other.phonepl"
    other.write_text(text.replace("next[0]++)", "next[0]++ | 1L << 62)"))
    assert other.read_text() != text
    wrong = tmp_path / "wrong.phonepl"
    wrong.write_text(text.replace("out.put(new Packet(", "out.put(new Pocket(", 1))
    receiver = node.traffic("receiver1", "collect", *NUMBERS)
    sender = node.traffic("source", "stream", *INPUT, "100")
    wait_for("traffic", lambda: crossed(api) > 50)
    refused = node.dipronn("session", "replace", "numbered", "number", str(wrong))
    assert refused.returncode == 1
    assert "wrong.phonepl:" in refused.stderr and "Pocket" in refused.stderr
    node.json("session", "replace", "numbered", "number", str(other))
    replaced = crossed(api)
    wait_for("traffic behind it", lambda: crossed(api) > replaced + 50)
    sent = sender.result()["sent"]
    received = receiver.result()["received"]
    assert [payload[8:] for payload in received] == [str(number) for number in range(sent)]
    new = [payload[0] == MARK for payload in received]
    change = new.index(True)
    assert change > 0 and all(new[change:]), "first the one program, then the other"
    assert received[change][1:8] == "\0" * 7, "the new program's array is its own"


@pytest.mark.req("R8")
def test_errors_of_a_program_are_counted_by_name_and_a_refused_source_establishes_nothing(
    node: NodeUnderTest, api: SyncNode, numbered: dict[str, Any], tmp_path: Path
) -> None:
    faulty = tmp_path / "faulty.phonepl"
    text = NUMBER.read_text()
    faulty.write_text(
        text.replace(
            "void number(Packet i) {", "void number(Packet i) {\n    if (i.byteAt(500) == 0) return;"
        )
    )
    node.json("session", "replace", "numbered", "number", str(faulty))
    node.traffic("source", "send", *INPUT, "5", "100").result()

    def counted() -> bool:
        drops = {
            one["program"]: one["drops"] for one in node.json("session", "show", "numbered")["instances"]
        }
        return {reason: int(count) for reason, count in drops["number"].items() if int(count)} == {
            "range_error": 5
        }

    wait_for("the unit tells of five range errors", counted)
    shown = node.dipronn("session", "show", "numbered").stdout
    assert "range_error 5" in shown
    folder = tmp_path / "again"
    (folder / "in_session").mkdir(parents=True)
    (folder / "again.dpn").write_text(
        SESSION.read_text().replace("session numbered", "session again").replace("5000", "5001")
    )
    for name in ("udp_number", "udp_sample"):
        (folder / "in_session" / f"{name}.phonepl").write_text(text.replace("Packet i", "Packet"))
    refused = node.dipronn("session", "establish", str(folder / "again.dpn"))
    assert refused.returncode == 1
    assert (
        "in_session/udp_number.phonepl:" in refused.stderr
        or "in_session/udp_sample.phonepl:" in refused.stderr
    )
    assert [one.name for one in api.sessions()] == ["numbered"]


@pytest.mark.req("R8")
def test_an_agent_that_is_killed_finds_its_programs_at_work(
    node: NodeUnderTest, api: SyncNode, numbered: dict[str, Any]
) -> None:
    before = pins(node)
    assert len(before) == 2
    agent = node.process("units/distribution/agent.toml")
    receiver = node.traffic("receiver1", "collect", *NUMBERS)
    sender = node.traffic("source", "stream", *INPUT, "100")
    wait_for("traffic", lambda: crossed(api) > 50)
    os.kill(agent.pid, signal.SIGKILL)
    node.start_again(agent, "distribution")
    killed = crossed(api)
    wait_for("the agent that was started again tells of traffic", lambda: crossed(api) > killed + 50)
    sent = sender.result()["sent"]
    received = receiver.result()["received"]
    assert [payload[8:] for payload in received] == [str(number) for number in range(sent)]
    assert pins(node) == before
    wait_for("all is counted", lambda: crossed(api) == sent + 3)
