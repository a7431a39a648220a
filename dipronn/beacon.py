"""A unit's beacon: datagrams that tell the control unit, many times a second, that the unit's host lives.

Run by its path (``python -I beacon.py STATE``) as a process of its own, with real-time priority, locked
memory and nothing but the standard library, so that neither load on the host nor a busy agent stalls it. Its
configuration is one line of JSON on standard input, which the agent holds open; it says ``beating`` on
standard output, and ends ``outlive`` seconds after the agent has.

A datagram is 44 bytes: ``DPB1``, a nonce of 16 bytes that tells the unit, a number that grows (8 bytes, big
endian), and the first 16 bytes of HMAC-SHA256 over all before, under the key that the unit told in its Hello.
"""

from __future__ import annotations

import ctypes
import hmac
import json
import os
import select
import socket
import struct
import sys
import time
from typing import Any

INTERVAL = 0.02
"""Seconds between beats."""
OUTLIVE = 30.0
"""Seconds that a beacon goes on without its agent: the host still steers packets then."""
NONCE_BYTES = 16
KEY_BYTES = 32
UNIX_SUFFIX = ".beacons"
"""Where the control unit listens at a UNIX socket, its beacons come to the socket of this name beside it."""

_BEAT = struct.Struct("!4s16sQ")
_MAGIC = b"DPB1"
_TAG_BYTES = 16
_MCL_CURRENT, _MCL_FUTURE = 1, 2


def seal(nonce: bytes, key: bytes, number: int) -> bytes:
    """A beat as it is sent."""
    body = _BEAT.pack(_MAGIC, nonce, number)
    return body + _tag(key, body)


def parse(datagram: bytes) -> tuple[bytes, int] | None:
    """Nonce and number; None if it is no beat. Nothing is verified yet."""
    if len(datagram) != _BEAT.size + _TAG_BYTES or not datagram.startswith(_MAGIC):
        return None
    _, nonce, number = _BEAT.unpack_from(datagram)
    return nonce, number


def is_genuine(datagram: bytes, key: bytes) -> bool:
    """Whether a parsed beat was sealed by this key."""
    body = datagram[: _BEAT.size]
    return hmac.compare_digest(datagram[_BEAT.size :], _tag(key, body))


def _tag(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, body, "sha256")[:_TAG_BYTES]


def dial(address: str) -> socket.socket:
    """A socket to where a control unit hears beacons, by the address that agents dial.

    OSError if there is none now.
    """
    if address.startswith("unix:"):
        dialled = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        target: Any = address.removeprefix("unix:") + UNIX_SUFFIX
    else:
        host, _, port = address.rpartition(":")
        family, _, _, _, target = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0]
        dialled = socket.socket(family, socket.SOCK_DGRAM)
    dialled.setblocking(False)
    try:
        dialled.connect(target)
    except OSError:
        dialled.close()
        raise
    return dialled


def main() -> None:
    config = json.loads(sys.stdin.readline())
    nonce, key = bytes.fromhex(config["nonce"]), bytes.fromhex(config["key"])
    _never_stall()
    end = None
    number = 0
    line: socket.socket | None = None
    due = time.monotonic()
    while end is None or due < end:
        number += 1
        try:
            if line is None:
                line = dial(config["address"])
            line.send(seal(nonce, key, number))
        except BlockingIOError:
            pass  # what waits there tells the same
        except OSError:  # the control unit is away, or the network to it
            if line is not None:
                line.close()
            line = None
        if number == 1:
            sys.stdout.write("beating\n")
            sys.stdout.flush()
        due = max(due + config["interval"], time.monotonic())
        if end is None:
            readable, _, _ = select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))
            if readable and not os.read(sys.stdin.fileno(), 1):
                end = time.monotonic() + config["outlive"]
        time.sleep(max(0.0, due - time.monotonic()))


def _never_stall() -> None:
    """Where it may: before all ordinary processes, and never swapped out."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError as error:
        sys.stderr.write(f"the beacon has no real-time priority ({error.strerror}): load may stall it\n")
    ctypes.CDLL(None).mlockall(_MCL_CURRENT | _MCL_FUTURE)


if __name__ == "__main__":
    main()
