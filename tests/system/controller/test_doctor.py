"""`dipronn doctor` and `dipronn probe` on a real node: what was broken behind its back is found."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ebpf.bpf import Map
from tests.system.node.conftest import NodeUnderTest, run_dipronn

pytestmark = [pytest.mark.root, pytest.mark.vm]


def findings(node: NodeUnderTest) -> list[tuple[str, str, str]]:
    done = node.dipronn("doctor", "--json")
    told = json.loads(done.stdout)
    assert set(told["units"]) == {"distribution", "unit1", "unit2", "aggregation"}
    assert done.returncode == (1 if told["findings"] else 0)
    return [(one["unit"], one["kind"], one["what"]) for one in told["findings"]]


def within(node: NodeUnderTest, unit: str, *command: str) -> None:
    namespace = f"--net=/run/netns/{node.name}-{unit}"
    subprocess.run(["nsenter", namespace, *command], check=True, capture_output=True)


FAN = """session fan { input x : udp to 192.0.2.1:5100;
  output a to 198.51.100.7:6100; output b to 198.51.100.8:6100; data x -> a; data x -> b; }"""


def test_a_lost_branch_of_a_fork_is_found(node: NodeUnderTest, tmp_path: Path) -> None:
    text = tmp_path / "fan.dpn"
    text.write_text(FAN)
    assert node.dipronn("session", "establish", str(text)).returncode == 0
    assert findings(node) == []
    branches = Map.pinned("branch", str(node.places.pins / "distribution" / "branch"))
    try:
        key, value = max(branches.items())
        branches.delete(key)
        ((unit, kind, what),) = findings(node)
        assert (unit, kind) == ("distribution", "drift")
        assert what.startswith("fork row") and what.endswith("is missing")
        branches.update(key, value)
    finally:
        branches.close()
    assert findings(node) == []
    assert node.dipronn("session", "close", "fan").returncode == 0


def test_drift_and_residue_are_found(node: NodeUnderTest, hello: dict[str, Any]) -> None:
    """Given a node with a session, when a row, a program and a tap are changed by hand, doctor names each."""
    assert findings(node) == []
    unit = hello["instances"][0]["unit"]
    flows = Map.pinned("flow4", str(node.places.pins / "distribution" / "flow4"))
    try:
        ((key, value),) = flows.items()
        flows.delete(key)
        assert [(one[:2], "is missing" in one[2]) for one in findings(node)] == [
            (("distribution", "drift"), True)
        ]
        flows.update(key, value)
    finally:
        flows.close()
    within(node, unit, "ip", "tuntap", "add", "dtbad", "mode", "tap")
    within(node, "aggregation", "ip", "link", "set", "dev", "out0", "xdp", "off")
    assert set(findings(node)) == {
        (unit, "residue", "tap dtbad is nobody's"),
        ("aggregation", "drift", "no steering program is attached to out0"),
    }


def test_a_host_is_probed_by_trying() -> None:
    done = run_dipronn("probe", "--json")
    found = {one["name"]: one for one in json.loads(done.stdout)}
    assert done.returncode == 0, "the tests that run here need it all"
    assert found["native XDP on veth and tap"]["there"] and found["virtual machines"]["detail"].startswith(
        "by "
    )
