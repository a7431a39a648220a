"""A real agent in a network namespace of its own, and a control unit that does what a test says.

::

    outside (.10) eth0 ════ data0 (192.0.2.1, 2001:db8:1::1) unit with the agent ── taps ── guests
"""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest

from controller.steering.model import Address
from dipronn.v1 import unit_pb2, unit_pb2_grpc
from tests.system.conftest import CACHE
from tests.unit.vmhost.tars import make_tar
from vmhost.vm.cgroups import group_name
from vmhost.vm.machine import Machine

ROOT = Path(__file__).parents[3]
GUESTS = ROOT / "tests" / "system" / "vmhost" / "guests"
LIBRARY = ROOT / "vmhost" / "guest" / "lib"
DEADLINE = 90.0
"""Seconds for anything that an agent or a guest under TCG on a busy host should do."""
UNIT_ADDRESSES = ("192.0.2.1/24", "2001:db8:1::1/64")
OUTSIDE_ADDRESSES = ("192.0.2.10/24", "2001:db8:1::10/64")
NODAD = {True: ["nodad"], False: []}
"""For an IPv6 address: nobody else has it, and duplicate address detection takes a second."""

Result = TypeVar("Result")
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def inside(namespace: str, work: Callable[[], Result]) -> Result:
    """Do something in a namespace, by a thread of its own; sockets made there stay there."""
    results: list[Result] = []

    def enter() -> None:
        with Path(f"/run/netns/{namespace}").open() as file:
            if _libc.setns(file.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        results.append(work())

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    return results[0]


def run(namespace: str, *command: str) -> str:
    done = subprocess.run(
        ["nsenter", f"--net=/run/netns/{namespace}", *command], check=True, capture_output=True, text=True
    )
    return done.stdout


def change_mac(outside: str, mac: str) -> None:
    """Give the outside another MAC, and have it say so as a host does that takes addresses over."""
    for setting in ("net.ipv4.conf.eth0.arp_notify", "net.ipv6.conf.eth0.ndisc_notify"):
        run(outside, "sysctl", "-qw", f"{setting}=1")
    run(outside, "ip", "link", "set", "eth0", "address", mac)
    for address in OUTSIDE_ADDRESSES:
        run(outside, "ip", "address", "delete", address, "dev", "eth0")
        run(outside, "ip", "address", "add", address, "dev", "eth0", *NODAD[":" in address])


async def until(condition: Callable[[], bool], seconds: float = DEADLINE) -> None:
    """Wait for what no event tells of."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@dataclass
class Membership:
    """One stream of an agent."""

    hello: unit_pb2.Hello
    orders: asyncio.Queue[unit_pb2.UnitOrder] = field(default_factory=asyncio.Queue)


class ControlUnit(unit_pb2_grpc.UnitsServicer):
    """Remembers every report and gives the orders of a test."""

    def __init__(self, address: str, bundles: dict[bytes, bytes]) -> None:
        self.address = address
        self.memberships: list[Membership] = []
        self.reports: list[unit_pb2.UnitReport] = []
        self.fetched: list[bytes] = []
        self._bundles = bundles
        self._news = asyncio.Condition()
        self._last = 0
        self._server = grpc.aio.server()

    async def start(self) -> None:
        self._server = grpc.aio.server()
        unit_pb2_grpc.add_UnitsServicer_to_server(self, self._server)
        self._server.add_insecure_port(self.address)
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(None)

    async def Join(
        self, request_iterator: AsyncIterator[unit_pb2.UnitReport], context: Any
    ) -> AsyncIterator[unit_pb2.UnitOrder]:
        reports = aiter(request_iterator)
        membership = Membership((await anext(reports)).hello)
        self.memberships.append(membership)
        await self._wake()
        reading = asyncio.create_task(self._read(reports))
        try:
            while True:
                yield await membership.orders.get()
        finally:
            reading.cancel()

    async def FetchBundle(
        self, request: unit_pb2.FetchBundleRequest, context: Any
    ) -> AsyncIterator[unit_pb2.BundleChunk]:
        self.fetched.append(request.sha256)
        if request.sha256 not in self._bundles:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such bundle")
        data = self._bundles[request.sha256]
        for start in range(0, len(data), 1 << 16):
            yield unit_pb2.BundleChunk(data=data[start : start + (1 << 16)])

    async def order(self, what: unit_pb2.Slice | unit_pb2.RemoveSlice | unit_pb2.SetAlive) -> str:
        """Give an order; the answer."""
        self._last += 1
        number = self._last
        match what:
            case unit_pb2.Slice():
                order = unit_pb2.UnitOrder(order=number, apply=what)
            case unit_pb2.RemoveSlice():
                order = unit_pb2.UnitOrder(order=number, remove=what)
            case _:
                order = unit_pb2.UnitOrder(order=number, set_alive=what)
        self.memberships[-1].orders.put_nowait(order)
        done = await self.report(lambda report: report.order_done.order == number)
        return done.order_done.error

    async def joined(self, times: int, seconds: float = DEADLINE) -> unit_pb2.Hello:
        """Wait until an agent has joined for the n-th time; its Hello."""
        await self._wait(lambda: len(self.memberships) >= times, f"membership {times}", seconds)
        return self.memberships[times - 1].hello

    async def report(
        self, wanted: Callable[[unit_pb2.UnitReport], bool], seconds: float = DEADLINE, since: int = 0
    ) -> unit_pb2.UnitReport:
        """The first report, also a past one from number ``since`` on, that is wanted."""
        await self._wait(lambda: any(map(wanted, self.reports[since:])), "the report", seconds)
        return next(filter(wanted, self.reports[since:]))

    async def name(self, name: str, since: int = 0) -> int:
        """Wait until ``program/port`` is registered; its real port."""
        report = await self.report(
            lambda each: f"{each.name.program}/{each.name.port}" == name and each.name.real_port > 0,
            since=since,
        )
        return report.name.real_port

    async def _read(self, reports: AsyncIterator[unit_pb2.UnitReport]) -> None:
        async for report in reports:
            self.reports.append(report)
            await self._wake()

    async def _wake(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def _wait(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(condition)
        except TimeoutError:
            seen = [
                each for each in self.reports if each.WhichOneof("report") not in ("heartbeat", "counters")
            ]
            pytest.fail(f"{what} was not seen within {seconds:g} s; seen: {seen[-20:]}")


@dataclass
class Unit:
    """A unit: its namespace, the one outside, its agent's files, and the control unit that it joins."""

    namespace: str
    outside: str
    folder: Path
    config: Path
    pins: Path
    socket_path: Path
    control: ControlUnit
    echo: bytes
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def cgroup(self) -> str:
        return group_name(self.pins)

    @property
    def described(self) -> dict[str, Any]:
        described: dict[str, Any] = json.loads((self.state / "agent.json").read_text())
        return described

    async def start(self) -> unit_pb2.Hello:
        """Start an agent and wait until it has joined."""
        times = len(self.control.memberships) + 1
        self.processes.append(self.spawn())
        return await self.control.joined(times)

    def spawn(self, *arguments: str) -> subprocess.Popen[bytes]:
        enter = ["nsenter", f"--net=/run/netns/{self.namespace}"]
        command = [*enter, sys.executable, "-m", "vmhost.agent", "--config", str(self.config), *arguments]
        with (self.folder / "agent.log").open("ab") as log:
            return subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)

    async def end(self, number: signal.Signals) -> int:
        """End the agent by a signal; its exit status."""
        process = self.processes.pop()
        process.send_signal(number)
        return await asyncio.to_thread(process.wait, DEADLINE)

    async def remove(self) -> int:
        return await asyncio.to_thread(self.spawn("--remove").wait, DEADLINE)

    def links(self) -> set[str]:
        return {name for _, name in inside(self.namespace, socket.if_nameindex)}

    def socket(self, address: Address, port: int = 0) -> socket.socket:
        """A UDP socket outside."""

        def make() -> socket.socket:
            family = socket.AF_INET if address.version == 4 else socket.AF_INET6
            made = socket.socket(family, socket.SOCK_DGRAM)
            made.bind((str(address), port))
            made.setblocking(False)
            return made

        return inside(self.outside, make)


@pytest.fixture(scope="session")
def echo(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A bundle whose program sends what it receives to its output."""
    folder = tmp_path_factory.mktemp("echo")
    command = ["gcc", "-static", "-O2", f"-I{LIBRARY}", "-o", str(folder / "run")]
    subprocess.run([*command, str(GUESTS / "echo.c"), str(LIBRARY / "dipronn_guest.c")], check=True)
    return make_tar(folder / "echo.tar", {"run": (folder / "run").read_bytes()}).read_bytes()


@pytest.fixture
def namespaces(prefix: str) -> Iterator[tuple[str, str]]:
    """The unit's and the outside's, joined by a veth pair that is fit for XDP."""
    unit, outside = f"{prefix}u", f"{prefix}o"
    try:
        for name in (unit, outside):
            subprocess.run(["ip", "netns", "add", name], check=True)
            run(name, "ip", "link", "set", "lo", "up")
        run(unit, *["ip", "link", "add", "data0", "type", "veth", "peer", "name", "eth0", "netns"], outside)
        ends = ((unit, "data0", UNIT_ADDRESSES), (outside, "eth0", OUTSIDE_ADDRESSES))
        for name, device, addresses in ends:
            for address in addresses:
                run(name, "ip", "address", "add", address, "dev", device, *NODAD[":" in address])
            run(name, "ip", "link", "set", device, "up")
            run(name, "ethtool", "-K", device, "tx", "off", "gro", "on")
        yield unit, outside
    finally:
        for name in (unit, outside):
            subprocess.run(["ip", "netns", "delete", name], check=False)


@pytest.fixture
async def unit(
    machine: Machine, namespaces: tuple[str, str], tmp_path: Path, prefix: str, echo: bytes
) -> AsyncIterator[Unit]:
    """A unit whose agent is not started yet; all of it is gone afterwards."""
    # A socket's path has at most 107 bytes, and pytest's folders are deep.
    path = Path(f"/tmp/{prefix}.sock")
    control = ControlUnit(f"unix:{path}", {hashlib.sha256(echo).digest(): echo})
    await control.start()
    config = tmp_path / "agent.toml"
    pins = Path("/sys/fs/bpf") / f"{prefix}pins"
    config.write_text(f"""
unit = "u1"
roles = ["processing", "distribution"]
state = "{tmp_path}/state"
pins = "{pins}"
cache = "{CACHE}"

[control]
address = "{control.address}"

[[links]]
device = "data0"
network = "outside"
outside = true
""")
    unit = Unit(*namespaces, tmp_path, config, pins, path, control, echo)
    try:
        yield unit
    finally:
        removed = await unit.remove()
        await control.stop()
        await asyncio.to_thread(_check_gone, unit, removed)
        for process in unit.processes:
            process.wait(DEADLINE)


def _check_gone(unit: Unit, removed: int) -> None:
    unit.socket_path.unlink(missing_ok=True)
    log = (unit.folder / "agent.log").read_text()
    sys.stderr.write(log)
    if removed:
        for process in unit.processes:
            process.kill()
    assert removed == 0, log
    assert not unit.pins.exists()
