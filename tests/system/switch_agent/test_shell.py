"""`make shell`: an operator looks into a switch beside its agent."""

from __future__ import annotations

import asyncio
import subprocess

import pytest

from tests.system.agent.conftest import ROOT
from tests.system.switch_agent.conftest import Edge, Network, steers
from tests.system.switch_agent.rows import base, slice_

SHELL = ROOT / "setup" / "shell.sh"


def shell(switch: str, commands: str = "exit()\n") -> subprocess.CompletedProcess[str]:
    """What ``make shell SWITCH=...`` runs."""
    command = [str(SHELL), switch]
    return subprocess.run(command, input=commands, capture_output=True, text=True, timeout=170, check=False)


@steers
@pytest.mark.timeout(240)
async def test_the_shell_reads_our_tables_and_changes_nothing(edge: Edge, network: Network) -> None:
    refused = await asyncio.to_thread(shell, edge.switch.address)
    assert refused.returncode == 1
    assert "No forwarding pipeline" in refused.stderr and "does its agent run?" in refused.stderr
    await edge.start()
    assert await edge.control.order(slice_(0, base(units=3))) == ""
    commands = 'print("units:", len(list(table_entry["unit"].read())))\n'
    commands += 'table_entry["unit"](action="dead").insert()\nexit()\n'
    done = await asyncio.to_thread(shell, edge.switch.address, commands)
    assert done.returncode == 0, done.stderr
    assert "you only have read access" in done.stdout + done.stderr
    assert "units: 3" in done.stdout
    assert edge.has() == edge.expected(base(units=3))


@pytest.mark.parametrize(
    ("switch", "why"), [("", "which switch?"), ("nowhere", "neither host:port nor a namespace")]
)
def test_a_switch_that_cannot_be_meant_is_refused(switch: str, why: str) -> None:
    done = shell(switch)
    assert done.returncode == 2
    assert why in done.stderr
