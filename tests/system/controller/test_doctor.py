"""`dipronn doctor` and `dipronn probe` on a real node: what was broken behind its back is found."""

from __future__ import annotations

import json
import subprocess
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
