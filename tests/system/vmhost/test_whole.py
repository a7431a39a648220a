"""Whole machines of users: a kernel that we built or a disk of any system, behind a tap like every guest.

Given an image, when a VM boots it, then it has what its session gave it: its programs' commands, a disk that
nobody else writes, and no more.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dipronn.errors import InvalidSession
from tests.system.vmhost.conftest import GUESTS, LIBRARY, V4, Hooks, Unit, Watcher, exchange, until
from vmhost.vm.build import build_image
from vmhost.vm.image import GuestImages
from vmhost.vm.spec import BootImage, BootKind, GuestProgram, VmSpec

pytestmark = [pytest.mark.root, pytest.mark.vm]


@pytest.fixture(scope="module")
def built(images: GuestImages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image of our own with a C and a shell program in it."""
    folder = tmp_path_factory.mktemp("machine")
    (folder / "bin").mkdir()
    command = ["gcc", "-static", "-O2", f"-I{LIBRARY}", "-o", str(folder / "bin" / "echoing")]
    subprocess.run([*command, str(GUESTS / "echo.c"), str(LIBRARY / "dipronn_guest.c")], check=True)
    out = folder.parent / "machine.img"
    build_image(images, folder, out)
    return out


def whole(unit: Unit, image: BootImage, *programs: GuestProgram, memory_mib: int = 128) -> VmSpec:
    spec = unit.spec(memory_mib=memory_mib)
    return VmSpec(spec.name, memory_mib, 1, spec.mac, (V4,), programs, image=image)


# Writes to its disk and tells on its serial console what was there before.
DISK = "dd if=/dev/vda bs=16 count=1 2>/dev/null | md5sum > /dev/console; echo marked > /dev/vda; sync; "


@pytest.mark.req("D25", "D46", "D63")
async def test_two_programs_run_in_a_machine_of_ours(unit: Unit, built: Path) -> None:
    driver, hooks = unit.driver(), Hooks()
    watcher = Watcher(driver)
    image = BootImage(BootKind.KERNEL, built, 16 << 20)
    told = {"DIPRONN_PARAM_KEY": 'it\'s "a b"'}
    spec = whole(
        unit,
        image,
        GuestProgram("first", None, (V4,), told, "exec echoing"),
        GuestProgram("second", None, (V4,), {}, DISK + "exec echoing"),
    )
    await unit.boot(driver, spec, hooks)
    first, second = await hooks.wait("first/in"), await hooks.wait("second/in")
    assert await exchange(V4, first.real_port, b"param KEY") == told["DIPRONN_PARAM_KEY"].encode()
    assert await exchange(V4, second.real_port, b"hello") == b"hello"
    disk = unit.run / spec.name / "disk.qcow2"
    await until(lambda: b"marked" in disk.read_bytes())

    await driver.stop(spec.name)
    assert not disk.exists() and not disk.parent.exists()
    assert len(watcher.seen) >= 3


async def test_a_kernel_that_is_none_is_refused_and_leaves_nothing(unit: Unit, tmp_path: Path) -> None:
    (tmp_path / "no.img").write_bytes(bytes(4096))
    spec = whole(unit, BootImage(BootKind.KERNEL, tmp_path / "no.img"))
    with await unit.tap(spec) as tap, pytest.raises(InvalidSession):
        await unit.driver().start(spec, tap)
    assert [path.name for path in unit.run.iterdir()] == [".lock"] and unit.cgroups.vms() == set()
