"""What users see of a whole node: traffic through sessions, faults, and what they leave."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dipronn.node import namespaces, processes
from tests.system.node.conftest import HELLO, PATIENTLY, NodeUnderTest, run_dipronn
from tests.unit.vmhost.tars import make_tar

pytestmark = [pytest.mark.root, pytest.mark.vm]

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
INPUT = ("192.0.2.1", "5000")
RECEIVER = ("198.51.100.7", "6000")


def wait_for(what: str, happened: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain: {what}"
        time.sleep(0.05)


def state(node: NodeUnderTest) -> str:
    return str(node.json("session", "show", "hello")["state"])


def vms(node: NodeUnderTest) -> list[processes.Found]:
    return [found for found in processes.find(node.name) if "qemu-system" in found.command]


@pytest.mark.req("D1")
@pytest.mark.req("D12")
@pytest.mark.req("D15")
@pytest.mark.req("D61")
@pytest.mark.req("D68")
def test_packets_cross_the_program_and_are_counted(node: NodeUnderTest, hello: dict[str, Any]) -> None:
    receiver = node.traffic("receiver1", "receive", *RECEIVER, "2")
    node.traffic("source", "send", *INPUT, "50", "200").result()
    got = receiver.result()
    assert got["received"] == [f"Hello, {number}" for number in range(50)]
    assert got["sources"] == ["198.51.100.1:20000"]

    def counted() -> bool:
        channels = {
            each["channel"]: int(each.get("packets", 0))
            for each in node.json("session", "show", "hello")["channels"]
        }
        return channels == {
            "words -> greet.words": 50,
            "greet.greetings -> greetings": 50,
            "greetings -> 198.51.100.7:6000": 50,
        }

    wait_for("every channel counted 50 packets", counted)


TELL_PARAMETERS = """#!/usr/bin/python3
import json, os
import dipronn_guest as dipronn

words, greetings = dipronn.register("words"), dipronn.register("greetings")
while True:
    dipronn.receive(words)
    prefix = "DIPRONN_PARAM_"
    found = {key.removeprefix(prefix): value for key, value in os.environ.items() if key.startswith(prefix)}
    resolved = dipronn.resolve("words")[3]
    dipronn.send(greetings, json.dumps({"environment": found, "resolved": resolved}).encode())
"""


@pytest.mark.req("D48")
def test_parameters_reach_a_program_by_its_environment_and_by_resolve(
    node: NodeUnderTest, tmp_path: Path
) -> None:
    value = '50 % of ž="x" a+b'
    odd = value.replace('"', '\\"')
    stated = f'param GREETING "{odd}"; param frame-rate 25; needs cpu'
    text = HELLO.read_text().replace('param GREETING "Hello, "; needs cpu', stated)
    (tmp_path / "told.dpn").write_text(text.replace("program greet", 'param language "cs";\n  program greet'))
    (tmp_path / "greet").mkdir()
    (tmp_path / "greet" / "run").write_text(TELL_PARAMETERS)
    (tmp_path / "greet" / "run").chmod(0o755)
    established = node.dipronn("session", "establish", str(tmp_path / "told.dpn"), *PATIENTLY)
    try:
        assert established.returncode == 0, established.stderr
        receiver = node.traffic("receiver1", "receive", *RECEIVER, "2")
        node.traffic("source", "send", *INPUT, "1", "10").result()
        (told,) = receiver.result()["received"]
    finally:
        node.dipronn("session", "close", "hello")
    expected = {"GREETING": value, "frame_rate": "25", "language": "cs"}
    assert json.loads(told) == {"environment": expected, "resolved": expected}


@pytest.mark.req("D21")
@pytest.mark.req("D51")
def test_an_offer_of_the_node_is_taken_and_carries_traffic(node: NodeUnderTest, tmp_path: Path) -> None:
    text = HELLO.read_text().replace("needs cpu 0.1", "parallelizable 1..2; needs cpu 0.1")
    (tmp_path / "hello.dpn").write_text(text)
    shutil.copytree(HELLO.parent / "greet", tmp_path / "greet")
    file = str(tmp_path / "hello.dpn")
    offer = node.json("session", "negotiate", file, "--valid-for", "300")
    assert offer["programs"][0]["least"] == 1 and 1 <= offer["programs"][0]["instances"] <= 2
    assert node.json("session", "list") == [] and vms(node) == []
    established = node.dipronn("session", "establish", file, "--offer", offer["id"], *PATIENTLY, "--json")
    try:
        assert established.returncode == 0, established.stderr
        places = [(each["program"], each["index"], each["unit"]) for each in offer["instances"]]
        running = json.loads(established.stdout)["instances"]
        assert [(each["program"], each["index"], each["unit"]) for each in running] == places
        receiver = node.traffic("receiver1", "receive", *RECEIVER, "2")
        node.traffic("source", "send", *INPUT, "20", "100").result()
        assert sorted(receiver.result()["received"]) == sorted(f"Hello, {number}" for number in range(20))
    finally:
        node.dipronn("session", "close", "hello")


@pytest.mark.req("D51")
@pytest.mark.req("A22")
@pytest.mark.timeout(600)
def test_instances_come_and_go_under_traffic_and_no_datagram_is_lost(
    node: NodeUnderTest, tmp_path: Path
) -> None:
    text = HELLO.read_text().replace("needs cpu 0.1", "parallelizable 1..2; needs cpu 0.1")
    (tmp_path / "hello.dpn").write_text(text)
    shutil.copytree(HELLO.parent / "greet", tmp_path / "greet")
    ended, bursts = threading.Event(), 0

    def stream() -> None:
        nonlocal bursts
        while not ended.is_set():
            node.traffic("source", "send", *INPUT, "100", "200").result()
            bursts += 1

    sender = threading.Thread(target=stream)
    established = node.dipronn("session", "establish", str(tmp_path / "hello.dpn"), *PATIENTLY)
    try:
        assert established.returncode == 0, established.stderr
        receiver = node.traffic("receiver1", "receive", *RECEIVER, "10")
        sender.start()
        with subprocess.Popen(
            [str(Path(sys.executable).with_name("dipronn")), "session", "watch", "hello", "--json"],
            env={**os.environ, "DIPRONN_NODE_ADDRESS": f"unix:{node.places.socket}"},
            stdout=subprocess.PIPE,
            text=True,
        ) as watch:
            assert watch.stdout
            told = (json.loads(line).get("message", "") for line in watch.stdout)
            shown = [
                next(text for text in told if end in text) for end in ("takes its part", "is idle and ends")
            ]
            watch.terminate()
        assert shown[0].split(" on ")[0] == shown[1].split(" on ")[0] == "greet-1"
    finally:
        ended.set()
        if sender.ident:
            sender.join()
        node.dipronn("session", "close", "hello")
    got = Counter(receiver.result()["received"])
    assert got == {f"Hello, {number}": bursts for number in range(100)}


def test_a_second_node_of_the_name_is_refused(node: NodeUnderTest, tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text(f'name = "{node.name}"\n')
    second = run_dipronn("up", "--config", str(file))
    assert second.returncode == 1
    assert f"`dipronn down --name {node.name}` removes it" in second.stderr
    assert len(node.json("unit", "list")) == 4


def test_no_capacity_is_refused_with_the_arithmetic(node: NodeUnderTest, tmp_path: Path) -> None:
    file = tmp_path / "greedy.dpn"
    file.write_text(HELLO.read_text().replace("cpu 0.1", "cpu 64"))
    shutil.copytree(HELLO.parent / "greet", tmp_path / "greet")
    refused = node.dipronn("session", "establish", str(file))
    assert refused.returncode == 1
    assert "64" in refused.stderr and "cpu" in refused.stderr
    assert node.json("session", "list") == []


def test_a_program_that_never_registers_is_named(node: NodeUnderTest, tmp_path: Path) -> None:
    (tmp_path / "hello.dpn").write_text(HELLO.read_text())
    (tmp_path / "greet").mkdir()
    run = tmp_path / "greet" / "run"
    run.write_text("#!/bin/sh\nexec sleep 1000\n")
    run.chmod(0o755)
    command = ("session", "establish", str(tmp_path / "hello.dpn"), "--registration-timeout", "15")
    refused = node.dipronn(*command)
    assert refused.returncode == 1
    assert "greet/words" in refused.stderr and "greet/greetings" in refused.stderr
    assert node.json("session", "list") == []
    assert vms(node) == []


def test_a_client_that_vanishes_leaves_nothing(node: NodeUnderTest) -> None:
    client = subprocess.Popen(
        [str(Path(sys.executable).with_name("dipronn")), "session", "establish", str(HELLO)],
        env={**os.environ, "DIPRONN_NODE_ADDRESS": f"unix:{node.places.socket}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for("a machine was started", lambda: bool(vms(node)))
    client.kill()
    client.wait()
    wait_for("the session is undone", lambda: node.json("session", "list") == [] and not vms(node))


def test_traffic_outlives_the_control_unit(node: NodeUnderTest, hello: dict[str, Any]) -> None:
    receiver = node.traffic("receiver1", "receive", *RECEIVER, "3")
    source = node.traffic("source", "send", *INPUT, "300", "100")
    control = node.process("-m controller")
    os.kill(control.pid, signal.SIGKILL)
    source.result()
    assert receiver.result()["received"] == [f"Hello, {number}" for number in range(300)]
    unreachable = node.dipronn("session", "list")
    assert unreachable.returncode == 3

    node.start_again(control, "control")
    wait_for("the units are back", lambda: _alive(node) == 4, 60)
    wait_for("the session is active", lambda: state(node) == "SESSION_STATE_ACTIVE")
    receiver = node.traffic("receiver1", "receive", *RECEIVER, "2")
    node.traffic("source", "send", *INPUT, "20", "200").result()
    assert len(receiver.result()["received"]) == 20


def _alive(node: NodeUnderTest) -> int:
    listed = node.dipronn("unit", "list", "--json")
    if listed.returncode:
        return 0
    return sum(bool(unit.get("alive")) for unit in json.loads(listed.stdout))


def test_traffic_and_machines_outlive_an_agent(node: NodeUnderTest, hello: dict[str, Any]) -> None:
    unit = hello["instances"][0]["unit"]
    machines = vms(node)
    receiver = node.traffic("receiver1", "receive", *RECEIVER, "3")
    source = node.traffic("source", "send", *INPUT, "300", "100")
    agent = node.process(f"units/{unit}/agent.toml")
    os.kill(agent.pid, signal.SIGKILL)
    source.result()
    assert receiver.result()["received"] == [f"Hello, {number}" for number in range(300)]

    node.start_again(agent, unit)
    wait_for("the unit is back", lambda: _alive(node) == 4, 60)
    assert [each.pid for each in vms(node)] == [each.pid for each in machines]
    wait_for("the session is active", lambda: state(node) == "SESSION_STATE_ACTIVE")


def test_a_killed_machine_is_seen_in_watch(node: NodeUnderTest, hello: dict[str, Any]) -> None:
    watch = subprocess.Popen(
        [str(Path(sys.executable).with_name("dipronn")), "session", "watch", "hello", "--json"],
        env={**os.environ, "DIPRONN_NODE_ADDRESS": f"unix:{node.places.socket}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watch.stdout
    first = json.loads(watch.stdout.readline())
    assert first["session"]["state"] == "SESSION_STATE_ACTIVE"
    os.kill(vms(node)[0].pid, signal.SIGKILL)
    for line in watch.stdout:
        session = json.loads(line)["session"]
        if session["state"] == "SESSION_STATE_DEGRADED":
            break
    assert session["state"] == "SESSION_STATE_DEGRADED"
    assert session["instances"][0]["state"] == "INSTANCE_STATE_DEAD"
    watch.terminate()
    watch.wait()


ORDERED = """
session ordered {
  input  stream : udp to 192.0.2.1:5001;
  output wall to 198.51.100.7:6001 order window 5s by rtp;
  program relay { bundle "relay.tar"; in raw; out done; parallelizable 2; needs cpu 0.1; }
  data stream -> relay.raw; data relay.done -> wall;
}
"""


@pytest.mark.req("A35")
def test_machines_of_unequal_delay_leave_in_order(node: NodeUnderTest, tmp_path: Path) -> None:
    """Of two instances one takes 30 ms longer, and a packet comes every 20 ms."""
    for name, sources in (
        ("run", [HERE / "delaying.c", LIBRARY / "dipronn_guest.c", f"-I{LIBRARY}", "-static"]),
        ("traffic", [ROOT / "bench" / "order_traffic.c"]),
    ):
        subprocess.run(["gcc", "-O2", "-o", str(tmp_path / name), *map(str, sources)], check=True)
    make_tar(tmp_path / "relay.tar", {"run": (tmp_path / "run").read_bytes()})
    (tmp_path / "ordered.dpn").write_text(ORDERED)
    established = node.dipronn("session", "establish", str(tmp_path / "ordered.dpn"), *PATIENTLY)
    assert established.returncode == 0, established.stderr

    def traffic(place: str, *words: str) -> subprocess.Popen[str]:
        enter = ["nsenter", f"--net={namespaces.NAMESPACES / f'{node.name}-{place}'}"]
        return subprocess.Popen(
            [*enter, str(tmp_path / "traffic"), *words], stdout=subprocess.PIPE, text=True
        )

    packets, start = 150, str(time.monotonic_ns())
    sink = traffic("receiver1", "sink", "6001", str(packets))
    assert sink.stdout and sink.stdout.readline() == "ready\n"
    traffic("source", "instance", "0", "1", "0", "50", str(packets), start, "192.0.2.1", "5001").communicate()
    seen = json.loads(sink.communicate(timeout=120)[0])

    def told() -> bool:
        orders = node.json("session", "show", "ordered").get("orders", [])
        return any(int(one["counts"].get("released", 0)) == packets for one in orders)

    wait_for("the sequencer's counts", told)
    (order,) = node.json("session", "show", "ordered")["orders"]
    late = int(order["counts"].get("late_released", 0))  # none, unless a machine stood still for 5 s
    assert (seen["received"], seen["behind"]) == (packets, late)
    assert int(order["counts"]["reordered"]) > late and int(order["depthBefore"]) > 0
    assert order["output"] == "wall" and order["running"]
    assert "ordered output" in node.dipronn("session", "show", "ordered").stdout
    closed = node.dipronn("session", "close", "ordered")
    assert closed.returncode == 0, closed.stderr


MACHINE = HELLO.parents[1] / "machine"


def prefixed(node: NodeUnderTest, port: str) -> list[str]:
    """What the receiver gets of three datagrams to an input of the session ``machine``."""
    receiver = node.traffic("receiver1", "receive", *RECEIVER, "2")
    node.traffic("source", "send", INPUT[0], port, "3", "100").result()
    received = receiver.result()["received"]
    assert isinstance(received, list)
    return received


@pytest.mark.timeout(480)
@pytest.mark.req("D18")
@pytest.mark.req("D25")
@pytest.mark.req("D46")
def test_a_users_machine_runs_two_programs_and_is_restarted_when_it_dies(
    node: NodeUnderTest, tmp_path: Path
) -> None:
    image = str(tmp_path / "studio.img")
    for command in (
        ("image", "build", str(MACHINE / "studio"), "-o", image),
        ("image", "push", image, "--kind", "kernel"),
        ("session", "establish", str(MACHINE / "machine.dpn"), *PATIENTLY),
    ):
        done = node.dipronn(*command)
        assert done.returncode == 0, done.stderr
    try:
        assert prefixed(node, "5000") == ["Hello, 0", "Hello, 1", "Hello, 2"]
        # Its DHCP client was answered through the steering program.
        address = node.json("session", "show", "machine")["instances"][0]["address"]
        lease = f"{address} 255.255.255.255 100.64.0.1 1500: "
        assert prefixed(node, "5001") == [f"{lease}{number}" for number in range(3)]

        (killed,) = vms(node)
        os.kill(killed.pid, signal.SIGKILL)

        def restarted() -> bool:
            shown = node.json("session", "show", "machine")
            counts = [each.get("restarts") for each in shown["instances"]]
            return shown["state"] == "SESSION_STATE_ACTIVE" and counts == [1, 1]

        wait_for("another machine has taken its place", restarted, 120)
        assert [each.pid for each in vms(node)] != [killed.pid]
        assert prefixed(node, "5000") == ["Hello, 0", "Hello, 1", "Hello, 2"]
    finally:
        node.dipronn("session", "close", "machine")
    removed = node.dipronn("image", "rm", "studio.img")
    assert removed.returncode == 0, removed.stderr


RELAY = Path(__file__).with_name("artp_relay.c")
LIBRARY = Path(__file__).parents[3] / "vmhost" / "guest" / "lib"
GROUP_KEY = "00112233445566778899aabbccddeeff"
RELAYED = f"""
session relay {{
  transport artp;
  param artp_key "{GROUP_KEY}";
  input  words : artp rate 10Mbps to 192.0.2.1:5000;
  output greetings to 198.51.100.7:6000;
  program one {{ bundle "relay.tar"; in words; out greetings; needs cpu 0.1, memory 16MiB; }}
  data words -> one.words;
  data one.greetings -> greetings;
}}
"""


def artp_command(node: NodeUnderTest, place: str, *words: str) -> list[str]:
    namespace = namespaces.NAMESPACES / f"{node.name}-{place}"
    return ["nsenter", f"--net={namespace}", "--", sys.executable, "-m", "artp", *words]


@pytest.mark.req("D37", "D38", "D39", "D53")
def test_bytes_cross_a_program_over_artp(node: NodeUnderTest, tmp_path: Path) -> None:
    relay = tmp_path / "relay"
    sources = [
        Path(__file__).with_name("artp_relay.c"),
        LIBRARY / "dipronn_guest.c",
        *LIBRARY.glob("artp*.c"),
    ]
    command = ["gcc", "-static", "-O2", f"-I{LIBRARY}", "-o", str(relay)]
    subprocess.run([*command, *map(str, sources)], check=True)
    make_tar(tmp_path / "relay.tar", {"run": relay.read_bytes()})
    (tmp_path / "relay.dpn").write_text(RELAYED)
    established = node.dipronn("session", "establish", str(tmp_path / "relay.dpn"), *PATIENTLY)
    assert established.returncode == 0, established.stderr
    original, copy = os.urandom(200_000), tmp_path / "copy"
    receive = artp_command(
        node, "receiver1", "receive", "198.51.100.7:6000", "--group-key", GROUP_KEY, "--count", "21"
    )
    with copy.open("wb") as out, subprocess.Popen(receive, stdout=out) as receiver:
        try:
            send = artp_command(
                node, "source", "send", "192.0.2.1:5000", "--timeout", "60", "--size", "10000"
            )
            sent = subprocess.run(send, input=original, capture_output=True, timeout=120, check=False)
            assert sent.returncode == 0, sent.stderr
            receiver.wait(timeout=120)
        finally:
            receiver.kill()
    assert copy.read_bytes() == original
    closed = node.dipronn("session", "close", "relay")
    assert closed.returncode == 0, closed.stderr
