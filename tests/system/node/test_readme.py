"""The README's tutorial says what the examples say, and its Python runs as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.node.conftest import HELLO, NodeUnderTest

README = Path(__file__).parents[3] / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


def lines(text: str) -> list[str]:
    """Those that say something, without their indentation."""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def test_the_session_and_the_program_shown_are_the_example() -> None:
    assert [block for block in blocks("") if lines(block) == lines(HELLO.read_text())]
    program, _ = blocks("python")
    run = lines((HELLO.parent / "greet" / "run").read_text())
    assert lines(program) == run[-len(lines(program)) :]


@pytest.mark.root
@pytest.mark.vm
def test_the_python_shown_establishes_the_session(node: NodeUnderTest) -> None:
    """Given the example's folder; when the README's Python is run there; then the session is active."""
    _, program = blocks("python")
    environment = {**os.environ, "DIPRONN_NODE_ADDRESS": f"unix:{node.places.socket}"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=HELLO.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    try:
        (session,) = node.json("session", "list")
        assert session["program"]["name"] == "hello" and session["state"] == "SESSION_STATE_ACTIVE"
    finally:
        assert node.dipronn("session", "close", "hello").returncode == 0
