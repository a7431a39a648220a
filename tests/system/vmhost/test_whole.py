"""Whole machines of users: a kernel that we built or a disk of any system, behind a tap like every guest.

Given an image, when a VM boots it, then it has what its session gave it: its programs' commands, a disk that
nobody else writes, an address that it can ask for, and no more.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dipronn.errors import InvalidSession, Unavailable
from tests.system.conftest import CACHE
from tests.system.vmhost.conftest import GUESTS, LIBRARY, V4, V6, Hooks, Unit, exchange, until
from vmhost.agent.addresses import servers_of
from vmhost.agent.plan import Machine
from vmhost.vm.build import build_image
from vmhost.vm.debian import DebianPackages
from vmhost.vm.image import GuestImages, locked
from vmhost.vm.spawn import DEFAULT_UIDS
from vmhost.vm.spec import BootImage, BootKind, GuestProgram, VmSpec

pytestmark = [pytest.mark.root, pytest.mark.vm]

# Debian's own shell and DHCP client, and what they are linked with.
DEBIAN = (
    *("bash", "libtinfo6", "libc6", "isc-dhcp-client"),
    *("coreutils", "libacl1", "libattr1", "libgmp10", "libselinux1", "libpcre2-8-0"),
)
HOST_MAC = "02:64:69:70:00:01"


@pytest.fixture(scope="module")
def echoing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the echoing program in its /bin."""
    folder = tmp_path_factory.mktemp("machine")
    (folder / "bin").mkdir()
    command = ["gcc", "-static", "-O2", f"-I{LIBRARY}", "-o", str(folder / "bin" / "echoing")]
    subprocess.run([*command, str(GUESTS / "echo.c"), str(LIBRARY / "dipronn_guest.c")], check=True)
    return folder


@pytest.fixture(scope="module")
def built(images: GuestImages, echoing: Path) -> Path:
    out = echoing.with_suffix(".img")
    build_image(images, echoing, out)
    return out


def whole(unit: Unit, image: BootImage, *programs: GuestProgram, memory_mib: int = 128) -> VmSpec:
    spec = unit.spec()
    return VmSpec(spec.name, memory_mib, 1, spec.mac, (V4, V6), programs, image=image)


@contextmanager
def addresses_served(device: str, spec: VmSpec) -> Iterator[None]:
    """As the agent does on every tap."""
    servers = servers_of(Machine(7, "studio-0", device, HOST_MAC, spec))
    try:
        for server in servers:
            server.start()
        yield
    finally:
        for server in servers:
            server.close()


SECOND = """
echo marked > /dev/vda; sync
export DIPRONN_PARAM_KEY="$(cat /sys/firmware/qemu_fw_cfg/by_name/opt/org.dipronn/programs/raw)"
exec echoing
"""


@pytest.mark.req("D25", "D46", "D63")
async def test_two_programs_run_in_a_machine_of_ours(unit: Unit, built: Path) -> None:
    driver, hooks = unit.driver(), Hooks()
    image = BootImage(BootKind.KERNEL, built, 16 << 20)
    told = {"DIPRONN_PARAM_KEY": 'it\'s "a b"'}
    spec = whole(
        unit,
        image,
        GuestProgram("first", None, (V4,), told, "exec echoing"),
        GuestProgram("second", None, (V4,), {}, SECOND),
    )
    await unit.boot(driver, spec, hooks)
    first, second = await hooks.wait("first/in"), await hooks.wait("second/in")
    assert await exchange(V4, first.real_port, b"param KEY") == told["DIPRONN_PARAM_KEY"].encode()
    assert await exchange(V4, second.real_port, b"hello") == b"hello"
    # What is told to a guest of any kind.
    programs = json.loads(await exchange(V4, second.real_port, b"param KEY"))
    assert {each["name"]: each["run"] for each in programs} == {"first": "exec echoing", "second": SECOND}
    assert programs[0]["environment"]["DIPRONN_PARAM_KEY"] == told["DIPRONN_PARAM_KEY"]
    disk = unit.run / spec.name / "disk.qcow2"
    await until(lambda: b"marked" in disk.read_bytes())

    await driver.stop(spec.name)
    assert not disk.exists() and not disk.parent.exists()


# The kernel takes the router that is advertised, a DHCP client what it is offered; "param KEY" tells both.
LEARN = """
net=/proc/sys/net/ipv6/conf/eth0; echo 1 > $net/accept_ra; echo 5 > $net/router_solicitations
ip link set eth0 down; ip link set eth0 up
printf '#!/bin/sh\\n[ $1 != bound ] || echo $ip $subnet $router $mtu $hostname > /tmp/lease\\n' > /bin/leased
chmod +x /bin/leased
udhcpc -f -q -n -t 60 -T 1 -i eth0 -s /bin/leased
until ip -6 route show default | grep -q via; do sleep 0.1; done
ip route add $DIPRONN_GATEWAY dev eth0; ip route add default via $DIPRONN_GATEWAY
export DIPRONN_PARAM_KEY="$(cat /tmp/lease) $(ip -6 route show default)"
exec echoing
"""


@pytest.mark.req("D5")
async def test_a_guest_learns_its_address_and_its_routers(unit: Unit, built: Path) -> None:
    driver, hooks = unit.driver(), Hooks()
    program = GuestProgram("tv", None, (V4, V6), {}, LEARN)
    spec = whole(unit, BootImage(BootKind.KERNEL, built), program)
    device = await unit.boot(driver, spec, hooks)
    with addresses_served(device, spec):
        port = (await hooks.wait("tv/in")).real_port
        learnt = (await exchange(V4, port, b"param KEY")).decode().split()
        assert learnt[:5] == [str(V4), "255.255.255.255", "100.64.0.1", "1500", "studio-0"]
        assert learnt[5:7] == ["default", "via"] and learnt[7].startswith("fe80::")
    await driver.stop(spec.name)


def packages(images: GuestImages, *names: str) -> list[Path]:
    """Debian's packages, fetched once into the cache and unpacked; a test's namespace has no way out."""
    with locked(images.folder):
        found = DebianPackages(CACHE)
        try:
            found.fetch(*names)
            return [found.root(name) for name in names]
        except Unavailable as error:
            pytest.skip(f"a package of Debian's cannot be had: {error}")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def users(pid: int) -> set[int]:
    status = Path(f"/proc/{pid}/status").read_text()
    return {int(uid) for uid in status.partition("\nUid:")[2].partition("\n")[0].split()}


@pytest.fixture(scope="module")
def ipxe(images: GuestImages) -> Path:
    """A bootable disk that is no Linux: a firmware with a network stack of its own."""
    return packages(images, "ipxe")[0] / "usr/lib/ipxe/ipxe.iso"


@pytest.mark.req("D5", "D25")
async def test_a_disk_of_another_system_boots_and_asks_for_its_address(ipxe: Path, unit: Unit) -> None:
    before = sha256(ipxe)
    driver = unit.driver()
    spec = whole(unit, BootImage(BootKind.RAW, ipxe, 4 << 20), memory_mib=64)
    with await unit.tap(spec) as tap:
        await driver.start(spec, tap)
    with addresses_served(tap.name, spec):
        log = driver.serial_log(spec.name)
        await until(lambda: f"net0: {V4}/255.255.255.255 gw 100.64.0.1" in log.read_text(errors="replace"))
    assert users(driver.vms()[spec.name].pid) <= set(DEFAULT_UIDS)
    await driver.stop(spec.name)
    assert sha256(ipxe) == before


@pytest.fixture(scope="module")
def debian(images: GuestImages, echoing: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image with a small userland of Debian's: its shell, its tools and its DHCP client."""
    folder = tmp_path_factory.mktemp("debian") / "machine"
    shutil.copytree(echoing, folder)
    documents = shutil.ignore_patterns("share")
    for root in packages(images, *DEBIAN):
        shutil.copytree(root, folder, symlinks=True, dirs_exist_ok=True, ignore=documents)
    (folder / "var/lib/dhcp").mkdir(parents=True, exist_ok=True)
    leased = folder / "bin/leased"
    leased.write_text(LEASED)
    leased.chmod(0o755)
    out = folder.with_suffix(".img")
    build_image(images, folder, out)
    return out


LEASED = """#!/bin/bash
if [[ $reason == BOUND || $reason == REBOOT ]]; then
    echo "$new_ip_address $new_routers $new_interface_mtu $BASH_VERSION" > /tmp/lease
fi
"""
ASK = """
dhclient -1 -sf /bin/leased -lf /tmp/leases -pf /tmp/pid eth0
export DIPRONN_PARAM_KEY="$(/bin/cat /tmp/lease) $(/bin/cat --version | /usr/bin/head -n 1)"
exec echoing
"""


@pytest.mark.req("D5", "D25")
async def test_a_userland_of_debian_asks_for_its_address(debian: Path, unit: Unit) -> None:
    driver, hooks = unit.driver(), Hooks()
    program = GuestProgram("tv", None, (V4,), {"PATH": "/bin:/sbin:/usr/bin"}, f"exec /bin/bash -c '{ASK}'")
    spec = whole(unit, BootImage(BootKind.KERNEL, debian), program, memory_mib=320)
    device = await unit.boot(driver, spec, hooks)
    with addresses_served(device, spec):
        port = (await hooks.wait("tv/in")).real_port
        learnt = (await exchange(V4, port, b"param KEY")).decode()
        assert learnt.startswith(f"{V4} 100.64.0.1 1500 5.") and "(GNU coreutils)" in learnt
    await driver.stop(spec.name)


async def test_a_kernel_that_is_none_is_refused_and_leaves_nothing(unit: Unit, tmp_path: Path) -> None:
    (tmp_path / "no.img").write_bytes(bytes(4096))
    spec = whole(unit, BootImage(BootKind.KERNEL, tmp_path / "no.img"))
    with await unit.tap(spec) as tap, pytest.raises(InvalidSession):
        await unit.driver().start(spec, tap)
    assert [path.name for path in unit.run.iterdir()] == [".lock"] and unit.cgroups.vms() == set()


@pytest.fixture
def leaning(tmp_path: Path) -> Path:
    """A qcow2 disk that has a raw one as its backing file."""
    base, disk = tmp_path / "base.raw", tmp_path / "d.qcow2"
    base.write_bytes(bytes(1 << 20))
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(base), str(disk)]
    subprocess.run(command, check=True)
    return disk


async def test_a_disk_that_leans_on_another_or_has_no_room_is_refused(unit: Unit, leaning: Path) -> None:
    refused = (
        BootImage(BootKind.QCOW2, leaning, 1 << 20),
        BootImage(BootKind.RAW, leaning, 1 << 20),
        BootImage(BootKind.RAW, leaning.with_name("base.raw"), 512 << 10),
    )
    for image in refused:
        spec = whole(unit, image)
        with await unit.tap(spec) as tap, pytest.raises(InvalidSession):
            await unit.driver(root=f"run{tap.name}").start(spec, tap)
    assert unit.cgroups.vms() == set()
