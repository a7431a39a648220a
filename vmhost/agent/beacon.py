"""The unit's beacon as the agent sees it: a process that is started before an agent joins, and outlives it.

``<state>/beacon.json`` tells its pid, so that the next agent ends it once its own beats, and removal at once.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from dipronn import beacon
from dipronn.errors import TimedOut, Unavailable
from dipronn.unit.slices import write_whole
from dipronn.v1 import unit_pb2

_END_SECONDS = 10.0


class Beacon:
    """``identity`` is for the unit's Hello."""

    def __init__(self, state: Path, address: str, interval: float) -> None:
        self._state = state
        self._address = address
        self._interval = interval
        self._process: subprocess.Popen[bytes] | None = None
        self.identity = unit_pb2.Beacon(
            nonce=secrets.token_bytes(beacon.NONCE_BYTES), key=secrets.token_bytes(beacon.KEY_BYTES)
        )
        self.identity.interval.FromNanoseconds(int(interval * 1e9))

    async def start(self) -> None:
        """Return when it beats and that of a former agent has ended. Raises Unavailable, TimedOut."""
        await asyncio.to_thread(self._start)

    def _start(self) -> None:
        # Not asyncio's: that kills its children when the loop ends.
        process = self._process = subprocess.Popen(
            [sys.executable, "-I", beacon.__file__, str(self._state)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # a terminal's Ctrl-C is for the agent
        )
        assert process.stdin and process.stdout
        config = {
            "address": self._address,
            "nonce": self.identity.nonce.hex(),
            "key": self.identity.key.hex(),
            "interval": self._interval,
            "outlive": beacon.OUTLIVE,
        }
        process.stdin.write(json.dumps(config).encode() + b"\n")
        process.stdin.flush()
        if process.stdout.readline() != b"beating\n":
            raise Unavailable("the unit's beacon does not start; standard error tells why")
        end(self._state)
        write_whole(_file(self._state), json.dumps({"pid": process.pid}).encode())

    def beats(self) -> bool:
        """Whether it still runs; it ends only if somebody kills it."""
        return self._process is not None and self._process.poll() is None


def end(state: Path) -> None:
    """End the beacon of a unit, if one runs. Raises TimedOut."""
    try:
        pid = int(json.loads(_file(state).read_text())["pid"])
        process = os.pidfd_open(pid)
    except (FileNotFoundError, ProcessLookupError, ValueError, KeyError):
        return
    try:
        # After the descriptor was taken, the number can't be another's.
        if not _is_beacon(pid, state):
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, signal.SIGKILL)
        if not select.select([process], [], [], _END_SECONDS)[0]:
            raise TimedOut(f"the beacon of {state} (pid {pid}) does not end; look at the host")
    finally:
        os.close(process)


def forget(state: Path) -> None:
    """End the beacon and remove what is written of it."""
    end(state)
    _file(state).unlink(missing_ok=True)


def _is_beacon(pid: int, state: Path) -> bool:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return os.fsencode(beacon.__file__) in arguments and os.fsencode(state) in arguments


def _file(state: Path) -> Path:
    return state / "beacon.json"
