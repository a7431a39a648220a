"""The choice of the machine: what boots counts, and the answer is kept.

Given a host, when machines are tried on it, then the first that boots a guest is chosen, and only once.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.system.conftest import CACHE
from tests.system.vmhost.conftest import ROOT, until
from vmhost.vm.image import GuestImages, prepare_images
from vmhost.vm.machine import Accelerator, Machine, MachineType
from vmhost.vm.trial import choose_machine, probe_machines, try_machine

pytestmark = [pytest.mark.root, pytest.mark.vm]

Q35 = Machine(Accelerator.TCG, MachineType.Q35)


async def test_the_first_machine_that_boots_is_chosen_and_kept(images: GuestImages, tmp_path: Path) -> None:
    trials = await probe_machines(tmp_path, images)

    *failed, chosen = trials
    assert chosen.seconds is not None and chosen.failure == ""
    assert all(trial.seconds is None and trial.failure for trial in failed)
    assert await choose_machine(tmp_path, images) == chosen.machine

    # Kept: asked again, nothing boots; but for another boot of the host it does not hold.
    kept = tmp_path / "machine.json"
    raw = json.loads(kept.read_text())
    raw["trials"][-1]["seconds"] = 1234.5
    kept.write_text(json.dumps(raw))
    assert (await probe_machines(tmp_path, images))[-1].seconds == 1234.5
    kept.write_text(json.dumps({**raw, "key": ["another boot", *raw["key"][1:]]}))
    again = (await probe_machines(tmp_path, images))[-1]
    assert again.machine == chosen.machine and again.seconds != 1234.5


async def test_what_does_not_boot_says_why(images: GuestImages, tmp_path: Path) -> None:
    (tmp_path / "kernel").write_bytes(b"no kernel")
    trial = await try_machine(Q35, replace(images, kernel=tmp_path / "kernel"))
    assert trial.seconds is None
    assert "QEMU ended" in trial.failure


async def test_a_killed_trial_leaves_nothing(images: GuestImages) -> None:
    script = (
        "import asyncio, pickle, sys\n"
        "from vmhost.vm.trial import try_machine\n"
        "asyncio.run(try_machine(*pickle.load(sys.stdin.buffer)))"
    )
    process = subprocess.Popen(  # noqa: ASYNC220 - the loop must not watch it
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE
    )
    assert process.stdin is not None
    pickle.dump((Q35, images), process.stdin)
    process.stdin.close()
    await until(lambda: len(children(process.pid)) == 1)
    (qemu,) = children(process.pid)
    await until(lambda: b"qemu-system" in Path(f"/proc/{qemu}/cmdline").read_bytes()[:20])

    process.send_signal(signal.SIGKILL)
    process.wait()

    await until(lambda: not Path(f"/proc/{qemu}/exe").exists())
    # Its folder goes with the next preparation of the images.
    await asyncio.to_thread(prepare_images, CACHE)
    assert not list(CACHE.glob(".tmp-*"))


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
