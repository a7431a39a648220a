"""The demonstration, as its users run it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dipronn.demo.run import NODE
from dipronn.node import starter
from tests.system.node.conftest import run_dipronn

pytestmark = [pytest.mark.root, pytest.mark.vm, pytest.mark.timeout(300)]


@pytest.mark.req("D4")
@pytest.mark.req("D14")
@pytest.mark.req("D16")
@pytest.mark.req("D23")
@pytest.mark.req("D50")
@pytest.mark.req("A21")
def test_the_demonstration_keeps_its_promises() -> None:
    done = run_dipronn("demo", "--json", timeout=280)
    assert done.returncode == 0, done.stderr + done.stdout
    result = json.loads(done.stdout)
    assert result["ok"] is True
    assert all(check["kept"] for check in result["checks"])
    assert result["sent_datagrams"] > 1000
    delivered = {each["output"]: each["bytes"] for each in result["delivered"]}
    assert delivered["high"] == delivered["safe"] == result["sent_bytes"]
    assert 0 < delivered["low"] < 0.8 * delivered["high"]
    assert starter.residue(NODE) == []


@pytest.mark.bmv2
@pytest.mark.req("D50")
def test_the_demonstration_keeps_its_promises_on_switches() -> None:
    """Distribution and aggregation are bmv2: nothing else changes."""
    done = run_dipronn("demo", "--json", "--dataplane", "p4", timeout=280)
    assert done.returncode == 0, done.stderr + done.stdout
    result = json.loads(done.stdout)
    assert all(check["kept"] for check in result["checks"])
    delivered = {each["output"]: each["bytes"] for each in result["delivered"]}
    assert delivered["high"] == delivered["safe"] == result["sent_bytes"]
    assert starter.residue(NODE) == []


def test_without_a_switch_the_way_to_one_is_named(tmp_path: Path) -> None:
    done = run_dipronn("demo", "--dataplane", "p4", path=tmp_path)
    assert done.returncode == 2
    assert "p4lang" in done.stderr and "simple_switch_grpc" in done.stderr
    assert starter.residue(NODE) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demonstration_leaves_nothing(number: signal.Signals) -> None:
    demo = subprocess.Popen(
        [str(Path(sys.executable).with_name("dipronn")), "demo"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts what it puts into the background with SIGINT ignored, and that is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert demo.stderr
    for line in demo.stderr:
        if line.startswith("establishing"):
            break
    demo.send_signal(number)
    demo.communicate(timeout=120)
    assert demo.returncode != 0
    assert starter.residue(NODE) == []


def test_what_a_killed_demonstration_left_is_removed() -> None:
    demo = subprocess.Popen(
        [str(Path(sys.executable).with_name("dipronn")), "demo"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert demo.stderr
    for line in demo.stderr:
        if line.startswith("establishing"):
            break
    demo.kill()
    demo.communicate(timeout=120)
    assert starter.residue(NODE) != []
    removed = run_dipronn("down", "--name", NODE)
    assert removed.returncode == 0, removed.stderr
    assert starter.residue(NODE) == []
