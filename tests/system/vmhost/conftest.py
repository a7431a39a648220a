"""Real guests behind real taps, each test in a network namespace of its own.

The namespace has no name: the test's main thread enters it and leaves it again, and it is gone with the last
process in it.
"""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import os
import socket
import subprocess
import tarfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from tests.unit.vmhost.tars import make_tar
from vmhost.names import Callers, Grant, NameServer, Registration, Resolution
from vmhost.tap import Tap, open_tap
from vmhost.vm.cgroups import Cgroups
from vmhost.vm.image import GuestImages
from vmhost.vm.machine import Machine
from vmhost.vm.qemu import QemuDriver
from vmhost.vm.rundir import RunDirectory
from vmhost.vm.spec import Address, DriverEvent, GuestProgram, ProgramExit, VmSpec

ROOT = Path(__file__).parents[3]
GUESTS = Path(__file__).parent / "guests"
LIBRARY = ROOT / "vmhost" / "guest" / "lib"
DEADLINE = 90.0
"""Seconds for anything that a guest under TCG on a busy host should do."""

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The test guests' bundles, "c" and "python"."""
    folder = tmp_path_factory.mktemp("bundles")
    command = ["gcc", "-static", "-O2", f"-I{LIBRARY}", "-o", str(folder / "echo")]
    subprocess.run([*command, str(GUESTS / "echo.c"), str(LIBRARY / "dipronn_guest.c")], check=True)
    return {
        "c": make_tar(folder / "c.tar", {"run": (folder / "echo").read_bytes()}),
        "python": make_tar(folder / "python.tar", {"run": (GUESTS / "echo_python").read_bytes()}),
    }


@pytest.fixture
def namespace() -> Iterator[None]:
    """Runs the test in a fresh network namespace."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.unshare(_CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield
    finally:
        if _libc.setns(home, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(home)


class Watcher:
    """Collects a driver's events and waits for some of them."""

    def __init__(self, driver: QemuDriver) -> None:
        self.seen: list[DriverEvent] = []
        self._news = asyncio.Condition()
        self._task = asyncio.create_task(self._collect(driver))

    async def _collect(self, driver: QemuDriver) -> None:
        async for event in driver.events():
            async with self._news:
                self.seen.append(event)
                self._news.notify_all()

    async def wait(self, wanted: Callable[[DriverEvent], bool], seconds: float = DEADLINE) -> DriverEvent:
        """The first event, also a past one, that is wanted."""
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(lambda: any(map(wanted, self.seen)))
        except TimeoutError:
            pytest.fail(f"not seen within {seconds:g} s; seen: {self.seen}")
        return next(filter(wanted, self.seen))

    async def exit_of(self, program: str) -> int:
        event = await self.wait(lambda event: isinstance(event, ProgramExit) and event.program == program)
        assert isinstance(event, ProgramExit)
        return event.status

    async def ended(self) -> None:
        await asyncio.wait_for(self._task, DEADLINE)


@dataclass
class Hooks:
    """An agent that grants everything and remembers it."""

    registered_: dict[str, Registration] = field(default_factory=dict)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def registered(self, device: str, new: Registration, old: Registration | None) -> Grant:
        async with self.news:
            self.registered_[new.name] = new
            self.news.notify_all()
        return Grant(len(self.registered_))

    async def unregistered(self, device: str, old: Registration) -> None:
        self.registered_.pop(old.name, None)

    def resolve(self, device: str, program: str, port: str) -> Resolution | None:
        held = self.registered_.get(f"{program}/{port}")
        return Resolution(held.transport, held.real_port, 1, {"LANGUAGE": "česky ano"}) if held else None

    async def wait(self, name: str, seconds: float = DEADLINE) -> Registration:
        try:
            async with asyncio.timeout(seconds), self.news:
                await self.news.wait_for(lambda: name in self.registered_)
        except TimeoutError:
            pytest.fail(f"{name} was not registered within {seconds:g} s")
        return self.registered_[name]


@dataclass
class Unit:
    """A processing unit without its agent: a driver, and the means to put guests behind taps."""

    prefix: str
    folder: Path
    images: GuestImages
    machine: Machine
    bundles: dict[str, Path]
    drivers: list[QemuDriver] = field(default_factory=list)
    servers: list[NameServer] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def program(self, language: str) -> bytes:
        """What a bundle starts."""
        with tarfile.open(self.bundles[language]) as tar:
            source = tar.extractfile("run")
            assert source is not None
            return source.read()

    @property
    def cgroups(self) -> Cgroups:
        return Cgroups(f"dipronn.{self.prefix}", self.folder)

    def driver(self, log_bytes: int = 1 << 20, root: str = "run") -> QemuDriver:
        driver = QemuDriver(
            self.folder / root, self.images, self.machine, cgroups=self.cgroups, log_bytes=log_bytes
        )
        self.drivers.append(driver)
        return driver

    def end(self) -> None:
        """End every VM, also those that no driver knows any more."""
        for path in self.folder.glob("run*/*"):
            if path.is_dir():
                RunDirectory(path).end()
        self.cgroups.remove_all()

    def spec(self, *programs: GuestProgram, mtu: int = 1500, memory_mib: int = 16) -> VmSpec:
        """A VM with the programs' addresses."""
        number = next(self.numbers)
        addresses = tuple(address for program in programs for address in program.addresses)
        mac = f"52:54:00:00:01:{number:02x}"
        return VmSpec(f"{self.prefix}.{number}", memory_mib, 1, mac, addresses, programs, mtu=mtu)

    async def tap(self, spec: VmSpec) -> Tap:
        number = spec.name.rpartition(".")[2]
        return await open_tap(f"{self.prefix}t{number}", spec.mac, spec.addresses, mtu=spec.mtu)

    async def boot(self, driver: QemuDriver, spec: VmSpec, hooks: Hooks) -> str:
        """Start a VM behind a tap with a name server, as the agent does; returns the tap's name."""
        with await self.tap(spec) as tap:
            await self.serve(tap.name, spec, hooks)
            await driver.start(spec, tap)
        return tap.name

    async def serve(self, device: str, spec: VmSpec, hooks: Hooks) -> None:
        ports = frozenset({"in", "out"})
        callers: dict[Address, dict[str, frozenset[str]]] = {}
        for program in spec.programs:
            for address in program.addresses:
                callers.setdefault(address, {})[program.name] = ports
        server = NameServer(device, Callers(callers), hooks)
        await server.start()
        self.servers.append(server)


@pytest.fixture
async def unit(
    namespace: None,
    tmp_path: Path,
    prefix: str,
    images: GuestImages,
    machine: Machine,
    bundles: dict[str, Path],
) -> AsyncIterator[Unit]:
    """Whatever the test started is ended afterwards; what the test kept running must be known to a driver."""
    unit = Unit(prefix, tmp_path, images, machine, bundles)
    yield unit
    for server in unit.servers:
        await server.close()
    for driver in unit.drivers:
        await driver.close()
    await asyncio.to_thread(unit.end)


V4 = IPv4Address("10.77.0.5")
V6 = IPv6Address("fd00:77::5")


async def exchange(address: Address, port: int, data: bytes, seconds: float = DEADLINE) -> bytes:
    """Send a datagram to a guest until it answers; the answer."""
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.connect((str(address), port))
        return await until_answered(lambda: loop.sock_sendall(client, data), client, seconds)


async def until_answered(send: Callable[[], Awaitable[None]], client: socket.socket, seconds: float) -> bytes:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(seconds):
        while True:
            await send()
            try:
                return await asyncio.wait_for(loop.sock_recv(client, 65536), 2)
            except (TimeoutError, ConnectionRefusedError):
                continue


async def tell(address: Address, port: int, data: bytes) -> None:
    """Send a datagram to which nothing will be answered."""
    family = socket.AF_INET6 if isinstance(address, IPv6Address) else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.sendto(data, (str(address), port))


async def until(condition: Callable[[], bool], seconds: float = DEADLINE) -> None:
    """Wait for what no event tells of."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def cgroups_of(pid: int) -> list[str]:
    """The control groups of a process, one for each hierarchy."""
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return [line.split(":", 2)[2] for line in lines]


def links() -> set[str]:
    """The links of this namespace."""
    return {name for _, name in socket.if_nameindex()}


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie whose parent looks away does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
