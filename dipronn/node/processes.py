"""The node's processes: started in a namespace, found again by a mark in their environment, ended by pid.

The mark makes a node removable after a crash of whoever started it: every process started here carries
``DIPRONN_NODE=<name>``.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dipronn.node.namespaces import NAMESPACES, existing

MARK = "DIPRONN_NODE"


@dataclass(frozen=True)
class Found:
    """A process of a node."""

    pid: int
    command: str


def start(
    node: str,
    namespace: str,
    arguments: Sequence[str],
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process in a network namespace, in a session of its own, its output appended to ``log``."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        # nsenter and not `ip netns exec`, which remounts /sys and so hides the pinned maps.
        return subprocess.Popen(
            ["nsenter", f"--net={NAMESPACES / namespace}", "--", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, **(environment or {}), MARK: node},
        )


def find(node: str) -> list[Found]:
    """Every process that carries the node's mark, and the virtual machines in its namespaces; not the caller.

    Virtual machines are started with an environment of nothing, so they are known by where they run.
    """
    mark = f"{MARK}={node}".encode()
    places = {(NAMESPACES / name).stat().st_ino for name in existing(node)}
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            machine = command.startswith("qemu-system-") and (entry / "ns" / "net").stat().st_ino in places
            if machine or mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(Found(int(entry.name), command))
    return found


def end(processes: Iterable[Found], grace: float = 5.0) -> None:
    """End processes: SIGTERM, and SIGKILL for those that are still there after ``grace`` seconds."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        waiting = []
        for process in processes:
            # The descriptor is taken before the signal, so that a pid used anew is never hit.
            with suppress(ProcessLookupError):
                descriptor = os.pidfd_open(process.pid)
                waiting.append(descriptor)
                signal.pidfd_send_signal(descriptor, sign)
        poller = select.poll()
        for descriptor in waiting:
            poller.register(descriptor, select.POLLIN)
        left = set(waiting)
        while left and (ready := poller.poll(grace * 1000)):
            for descriptor, _ in ready:
                poller.unregister(descriptor)
                left.discard(descriptor)
        for descriptor in waiting:
            os.close(descriptor)
        if not left:
            return
