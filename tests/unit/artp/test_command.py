"""``python -m artp`` pipes bytes from one process to another."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "artp"]
PATIENCE = 60.0


def run(*words: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, *words], input=data, capture_output=True, timeout=PATIENCE, check=False)


@pytest.mark.parametrize(("host", "keyed"), [("127.0.0.1", False), ("[::1]", True)])
def test_bytes_arrive_in_order(host: str, keyed: bool, tmp_path: Path) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as free:
        free.bind((host.strip("[]"), 0))
        port = free.getsockname()[1]
    where = f"{host}:{port}"
    options = ["--group-key", "00" * 15 + "2a"] if keyed else []
    data = os.urandom(300_001)
    copy = tmp_path / "copy"
    with (
        copy.open("wb") as out,
        subprocess.Popen([*COMMAND, "receive", where, *options], stdout=out) as receiver,
    ):
        try:
            # What comes before the receiver listens is repeated.
            sent = run("send", where, "--size", "7000", "--timeout", "60", *options, data=data)
            assert sent.returncode == 0, sent.stderr
            receiver.wait(timeout=PATIENCE)
        finally:
            receiver.kill()
    assert receiver.returncode == 0
    assert copy.read_bytes() == data


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["send", "nowhere"], "not an address and a port"),
        (["send", "127.0.0.1:70000"], "not an address and a port"),
        (["send", "127.0.0.1:1", "--size", "65537"], "--size is 1 to 65536"),
        (["receive", "127.0.0.1:1", "--group-key", "abc"], "32 hexadecimal digits"),
    ],
)
def test_wrong_use(words: list[str], complaint: str) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert complaint in done.stderr.decode()


def test_an_address_that_is_not_here() -> None:
    done = run("receive", "192.0.2.1:5004")
    assert done.returncode == 1
    assert "192.0.2.1" in done.stderr.decode() or "assign" in done.stderr.decode()
