"""Starts QEMU with no more rights than it needs."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

from dipronn.errors import Unavailable
from vmhost.vm.machine import Accelerator, Machine

LOG_BYTES = 1 << 20
"""A serial log is moved aside at half of this; QEMU itself cannot write more than this."""
DEFAULT_UIDS = range(720_000, 785_536)
"""Users and groups that nobody else on a host has."""


def spawn_unprivileged(
    command: list[str],
    descriptors: tuple[int, ...],
    uid: int,
    machine: Machine,
    errors: int,
    *,
    max_file_bytes: int = LOG_BYTES,
    outlives_us: bool = True,
) -> subprocess.Popen[bytes]:
    """Start QEMU as a user without rights, in a session of its own, with these descriptors and no others.

    It can write no file beyond `max_file_bytes`, and drops what goes to its log then. Unless it
    `outlives_us`, it is killed when the calling thread ends. Raises Unavailable if it is not installed.
    """
    # prlimit and setpriv replace themselves by QEMU.
    bound = ["prlimit", f"--fsize={max_file_bytes}", "--core=0", "--"]
    if not outlives_us:
        bound = ["setpriv", "--pdeathsig", "KILL", "--", *bound]
    groups: list[int] = []
    if machine.accelerator is Accelerator.KVM:
        with contextlib.suppress(OSError):
            kvm = Path("/dev/kvm").stat()
            if kvm.st_mode & 0o060 == 0o060:
                groups.append(kvm.st_gid)
    try:
        return subprocess.Popen(
            [*bound, *command],
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            pass_fds=descriptors,
            user=uid,
            group=uid,
            extra_groups=groups,
            start_new_session=True,
            # Python ignores SIGXFSZ, and so shall QEMU: a full log is an error that it survives.
            restore_signals=False,
            cwd="/",
            env={"PATH": os.defpath},
        )
    except FileNotFoundError as error:
        raise Unavailable(f"{bound[0]} (util-linux) is not installed; run `make setup`") from error
