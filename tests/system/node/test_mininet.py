"""The Mininet testbed, as its users run it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dipronn.demo.run import NODE
from dipronn.node import starter

ROOT = Path(__file__).parents[3]
RUN = ROOT / "examples" / "mininet" / "run.py"
SYSTEM_PYTHON = "/usr/bin/python3"


def has_mininet() -> bool:
    return subprocess.run([SYSTEM_PYTHON, "-c", "import mininet.net"], capture_output=True).returncode == 0


pytestmark = [pytest.mark.root, pytest.mark.vm, pytest.mark.bmv2, pytest.mark.timeout(400)]
mininet = pytest.mark.skipif(
    shutil.which("simple_switch_grpc") is not None and not has_mininet(), reason="needs Debian's mininet"
)


def run(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(RUN), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=380,
        env={**os.environ, **environment},
        cwd=ROOT,
        check=False,
    )


@mininet
@pytest.mark.req("D50")
def test_the_demonstration_keeps_its_promises_in_mininet() -> None:
    done = run("--json")
    assert done.stdout, done.stderr
    result = json.loads(done.stdout)
    assert [check for check in result["checks"] if not check["kept"]] == []
    assert result["ok"] is True and done.returncode == 0
    delivered = {each["output"]: each["bytes"] for each in result["delivered"]}
    assert delivered["high"] == delivered["safe"] == result["sent_bytes"]
    assert starter.residue(NODE) == []


@mininet
def test_mininets_prompt_shows_the_node_and_its_end_leaves_nothing() -> None:
    done = run("--cli", stdin="unit1 ping -c 1 -W 20 10.77.0.3\naggregation ip -br link\nexit\n")
    assert done.returncode == 0, done.stderr + done.stdout
    shown = done.stdout + done.stderr
    assert "1 received" in shown, "the units reach each other over Mininet's links"
    assert "out0" in shown and "data0" in shown
    assert starter.residue(NODE) == []


def test_without_mininet_the_way_to_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "mininet.py").write_text("raise ImportError('as if it were not there')")
    done = run(PYTHONPATH=str(tmp_path))
    assert done.returncode == 2
    assert "apt-get install mininet" in done.stderr and "--plain" in done.stderr


LOGGING = """
import runpy, sys
import structlog
import dipronn.demo.run
from dipronn.errors import Unavailable

async def build_images(*_):
    log = structlog.get_logger()
    log.info("base image built")
    log.error("something is wrong")
    raise Unavailable("enough")

dipronn.demo.run.run_demo = build_images
sys.argv = [sys.argv[1], "--plain", "--json"]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_standard_output_is_for_the_result_alone() -> None:
    """The first run builds images, and logs it: that must not stand before the JSON object."""
    command = [sys.executable, "-c", LOGGING, str(RUN)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT, check=False)
    assert (done.stdout, done.returncode) == ("", 1), done.stderr
    assert "something is wrong" in done.stderr and "enough" in done.stderr
