"""Starts QEMU with no more rights than it needs."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from dipronn.errors import TimedOut, Unavailable
from vmhost.vm.machine import Accelerator, Machine

LOG_BYTES = 1 << 20
"""A serial log is moved aside at half of this; QEMU itself cannot write more than this."""
DEFAULT_UIDS = range(720_000, 785_536)
"""Users and groups that nobody else on a host has."""
_UID_LOCK = Path("/run")
_UID_SECONDS = 30.0
# Waits for a line from us and then becomes the program; if we die before, it ends.
_GATE = ("/bin/sh", "-c", 'read -r _ && exec "$@" </dev/null', "gate")


@asynccontextmanager
async def unused_uid(uids: range = DEFAULT_UIDS) -> AsyncIterator[int]:
    """A user ID under which nothing runs on this host, whoever owns the VMs on it.

    Its process must run before the context is left: from then on that is what claims it, and the claim ends
    with the process. Raises Unavailable: all are taken. TimedOut: somebody else does not finish choosing.
    """
    lock = os.open(_UID_LOCK, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            async with asyncio.timeout(_UID_SECONDS):
                while not _locked(lock):  # noqa: ASYNC110 - the kernel tells nobody
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise TimedOut(
                f"{_UID_LOCK} has been locked for {_UID_SECONDS:g} s; another agent on this host is stuck "
                "while it starts a VM"
            ) from None
        taken = await asyncio.to_thread(_uids_of_processes)
        uid = next((uid for uid in uids if uid not in taken), None)
        if uid is None:
            raise Unavailable(f"all {len(uids)} user IDs for VMs are taken; stop a VM or widen the range")
        yield uid
    finally:
        os.close(lock)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _uids_of_processes() -> set[int]:
    uids: set[int] = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            text = (folder / "status").read_text()
            uids.update(int(uid) for uid in text.partition("\nUid:")[2].partition("\n")[0].split())
    return uids


def spawn_unprivileged(
    command: list[str],
    descriptors: tuple[int, ...],
    uid: int,
    machine: Machine,
    errors: int,
    *,
    max_file_bytes: int = LOG_BYTES,
    outlives_us: bool = True,
    limit: Callable[[int], None] | None = None,
) -> subprocess.Popen[bytes]:
    """Start QEMU as a user without rights, in a session of its own, with these descriptors and no others.

    It can write no file beyond `max_file_bytes`, and drops what goes to its log then. Unless it
    `outlives_us`, it is killed when the calling thread ends. `limit` is called with its number before the
    program begins; if it raises, the program never does. Raises Unavailable if it is not installed.
    """
    # prlimit and setpriv replace themselves by QEMU.
    bound = ["prlimit", f"--fsize={max_file_bytes}", "--core=0", "--"]
    if not outlives_us:
        bound = ["setpriv", "--pdeathsig", "KILL", "--", *bound]
    if limit is not None:
        bound = [*_GATE, *bound]
    groups: list[int] = []
    if machine.accelerator is Accelerator.KVM:
        with contextlib.suppress(OSError):
            kvm = Path("/dev/kvm").stat()
            if kvm.st_mode & 0o060 == 0o060:
                groups.append(kvm.st_gid)
    try:
        child = subprocess.Popen(
            [*bound, *command],
            stdin=subprocess.PIPE if limit is not None else subprocess.DEVNULL,
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
    if limit is not None:
        try:
            assert child.stdin is not None
            with child.stdin:
                limit(child.pid)
                child.stdin.write(b"\n")
        except BaseException:
            child.kill()
            child.wait()
            raise
    return child
