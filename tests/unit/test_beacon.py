"""The beacon's datagrams, and its process."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dipronn import beacon

NONCE, KEY = bytes(range(16)), bytes(range(32))


@given(st.integers(0, 2**64 - 1), st.binary(max_size=60), st.data())
def test_only_what_was_sealed_by_the_key_is_genuine(number: int, noise: bytes, data: st.DataObject) -> None:
    sealed = beacon.seal(NONCE, KEY, number)
    assert beacon.parse(sealed) == (NONCE, number) and beacon.is_genuine(sealed, KEY)
    assert not beacon.is_genuine(sealed, bytes(32))
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    changed = (int.from_bytes(sealed) ^ 1 << bit).to_bytes(len(sealed))
    assert beacon.parse(changed) is None or not beacon.is_genuine(changed, KEY)
    assert beacon.parse(noise) is None or not beacon.is_genuine(noise, KEY)


def test_it_beats_for_a_while_after_its_agent_has_ended(tmp_path: Path) -> None:
    """Given a beacon; when its agent ends; then it beats on, numbered, and ends by itself."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as control:
        control.bind(str(tmp_path / f"c{beacon.UNIX_SUFFIX}"))
        control.settimeout(60)
        config = {"address": f"unix:{tmp_path / 'c'}", "nonce": NONCE.hex(), "key": KEY.hex()}
        process = subprocess.Popen(
            [sys.executable, "-I", beacon.__file__, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdin and process.stdout
        try:
            process.stdin.write(json.dumps({**config, "interval": 0.01, "outlive": 0.5}).encode() + b"\n")
            process.stdin.flush()
            assert process.stdout.readline() == b"beating\n"
            first = [beacon.parse(control.recv(100)) for _ in range(3)]
            process.stdin.close()
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.stdout.close()
        control.setblocking(False)
        later = []
        while True:
            try:
                later.append(control.recv(100))
            except BlockingIOError:
                break
    assert first == [(NONCE, 1), (NONCE, 2), (NONCE, 3)]
    assert len(later) > 3 and all(beacon.is_genuine(each, KEY) for each in later)
