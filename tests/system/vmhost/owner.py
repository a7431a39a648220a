"""An owner of VMs that a test kills: starts one VM, says "started", and waits for its end."""

from __future__ import annotations

import asyncio
import pickle
import sys
from pathlib import Path

from vmhost.tap import open_tap
from vmhost.vm.cgroups import Cgroups
from vmhost.vm.image import GuestImages
from vmhost.vm.machine import Machine
from vmhost.vm.qemu import QemuDriver
from vmhost.vm.spec import VmSpec


async def own(
    run: Path, images: GuestImages, machine: Machine, group: str, device: str, spec: VmSpec
) -> None:
    driver = QemuDriver(run, images, machine, cgroups=Cgroups(group, run.parent))
    with await open_tap(device, spec.mac, spec.addresses) as tap:
        await driver.start(spec, tap)
    sys.stdout.write("started\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(own(*pickle.load(sys.stdin.buffer)))
