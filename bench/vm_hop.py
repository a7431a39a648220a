"""What the way into a virtual machine and back costs, steered by XDP and over a plain Linux bridge.

Two machines of one image answer datagrams. One is behind a tap that XDP steers, rewriting addresses and
checksums both ways; the other's tap is a port of a bridge, and the client is its neighbour.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import socket
import statistics
import subprocess
import tarfile
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from bench.lab import Namespace, namespace, wire
from bench.registry import Result, interleaved, measurement, noise
from controller.steering import model as rows
from dipronn.node.agent_config import CACHE
from ebpf.loader import SteeringProgram
from vmhost.agent.machines import prepare
from vmhost.names import Callers, Grant, NameServer, Registration, Resolution
from vmhost.tap import open_tap
from vmhost.vm.qemu import QemuDriver
from vmhost.vm.spec import GATEWAYS, GuestProgram, VmSpec

ROUNDS, PINGS, SECONDS, IN_FLIGHT = 7, 500, 1.0, 32
SMALL, LARGE = 22, 1372
"""Payloads of frames of 64 bytes and of IP packets of 1,400 bytes."""
HERE = Path(__file__).parent
LIBRARY = HERE.parent / "vmhost" / "guest" / "lib"
GATEWAY = IPv4Address(str(GATEWAYS[0]))
STEERED, BRIDGED = IPv4Address("100.64.0.2"), IPv4Address("100.64.0.3")
PUBLIC = rows.Socket(IPv4Address("192.0.2.1"), 5000)
HOST_MAC, SPARE_MAC = "02:64:69:70:00:01", "02:64:69:70:00:02"
ALL_CORES = os.sched_getaffinity(0)


@measurement
def vm_hop() -> Iterator[Result]:
    with namespace("dut") as dut, namespace("near") as near, namespace("far") as far:
        wire(near, "eth0", dut, "in0")
        wire(far, "eth0", dut, "br1")
        near.run("ip", "addr", "add", "192.0.2.10/24", "dev", "eth0")
        far.run("ip", "link", "set", "eth0", "address", HOST_MAC)
        far.run("ip", "addr", "add", f"{GATEWAY}/32", "dev", "eth0")
        far.run("ip", "route", "add", str(BRIDGED), "dev", "eth0")
        trips, rates = dut.inside(lambda: asyncio.run(_measure(dut, near, far)))
    conditions = (
        f"C program under QEMU, medians of {ROUNDS} interleaved rounds, "
        f"noise ±{noise(trips['xdp']):.1%} (XDP) and ±{noise(trips['bridge']):.1%} (bridge)"
    )
    hop, bridge = statistics.median(trips["xdp"]), statistics.median(trips["bridge"])
    peers = {"Linux bridge": bridge, "ratio to the bridge": hop / bridge}
    yield Result("vm_hop_us", hop, "µs", None, peers, f"round trip of 64-byte frames, {conditions}")
    rate, bridge = statistics.median(rates["xdp"]), statistics.median(rates["bridge"])
    peers = {"Linux bridge": bridge, "ratio to the bridge": rate / bridge}
    conditions = f"1,400-byte packets echoed, {IN_FLIGHT} in flight, noise ±{noise(rates['xdp']):.1%}"
    yield Result("vm_hop_mbps", rate, "Mbit/s", None, peers, conditions)


async def _measure(
    dut: Namespace, near: Namespace, far: Namespace
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    os.sched_setaffinity(0, ALL_CORES)
    async with _guests() as ports:
        with contextlib.ExitStack() as stack:
            steering = stack.enter_context(SteeringProgram.load(pin_directory=None))
            steering.apply(_steering(dut, ports["steered"]))
            for device in ("in0", "steered"):
                steering.attach(device)
            _bridge(dut)
            clients = {
                "xdp": near.inside(lambda: _client(PUBLIC.address, PUBLIC.port)),
                "bridge": far.inside(lambda: _client(BRIDGED, ports["bridged"])),
            }
            for client in clients.values():
                stack.callback(client.close)

            def run(measure: Callable[[socket.socket], float]) -> dict[str, list[float]]:
                contenders = {
                    name: (lambda client=client: measure(client)) for name, client in clients.items()
                }
                return interleaved(contenders, ROUNDS)

            trips = await asyncio.to_thread(run, _round_trip)
            rates = await asyncio.to_thread(run, _throughput)
    return trips, rates


def _client(address: rows.Address, port: int) -> socket.socket:
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.settimeout(5)
    client.connect((str(address), port))
    # The first datagrams may be lost while MACs are being learnt.
    client.settimeout(1)
    for _ in range(30):
        client.send(b"is anybody there")
        with contextlib.suppress(TimeoutError):
            client.recv(2048)
            client.settimeout(5)
            return client
    raise TimeoutError(f"the guest at {address}:{port} does not answer")


def _round_trip(client: socket.socket) -> float:
    """Median in µs."""
    payload, trips = bytes(SMALL), []
    for _ in range(PINGS):
        start = time.perf_counter()
        client.send(payload)
        client.recv(2048)
        trips.append(time.perf_counter() - start)
    return statistics.median(trips) * 1e6


def _throughput(client: socket.socket) -> float:
    """Mbit/s of IP packets that came back; what is lost is replaced after a while."""
    payload, echoed = bytes(LARGE), 0
    for _ in range(IN_FLIGHT):
        client.send(payload)
    start = time.perf_counter()
    while (seconds := time.perf_counter() - start) < SECONDS:
        client.recv(2048)
        echoed += 1
        client.send(payload)
    client.settimeout(0.2)
    with contextlib.suppress(TimeoutError):
        while True:
            client.recv(2048)
    client.settimeout(5)
    return echoed * (LARGE + 28) * 8 / seconds / 1e6


def _steering(dut: Namespace, port: int) -> rows.Tables:
    """Packets to the public address go to the guest; its answers are allowed back."""
    mac = rows.Mac.parse(_mac(dut, "in0"))
    guest = rows.LinkKey("steered")
    to_guest = rows.Endpoint(
        rows.EndpointKind.GUEST,
        "steered",
        rows.Mac.parse(HOST_MAC),
        rows.Mac.parse(_guest_mac(STEERED)),
        rows.Socket(STEERED, port),
        public=PUBLIC,
    )
    return rows.Tables(
        link={
            rows.LinkKey("in0"): rows.Link(rows.LinkKind.OUTSIDE, mac, rows.Unmatched.HOST),
            guest: rows.Link(
                rows.LinkKind.GUEST,
                rows.Mac.parse(HOST_MAC),
                slice=1,
                guest_mac=rows.Mac.parse(_guest_mac(STEERED)),
                addresses=(STEERED,),
                gateways=(GATEWAY,),
            ),
        },
        flow={
            rows.FlowKey(rows.UDP, PUBLIC): rows.Flow(
                rows.Target(rows.TargetKind.CHANNEL, 1), rows.LinkScope.OUTSIDE
            )
        },
        channel={1: rows.Channel(rows.Selector.ZERO, 0, 1, 1)},
        slot={rows.SlotKey(1, 0): rows.Slot(1)},
        endpoint={1: to_guest},
    )


def _bridge(dut: Namespace) -> None:
    """The second guest's tap becomes a port of a bridge; its gateway is now the client behind it."""
    # The first guest's gateway has the same address; on the bridge it must neither answer nor ask for it.
    dut.run("sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1")
    for command in (
        ("route", "delete", str(BRIDGED)),
        ("addr", "flush", "dev", "bridged"),
        ("link", "set", "bridged", "address", SPARE_MAC),
        ("link", "add", "br0", "type", "bridge"),
        ("link", "set", "br0", "up"),
        ("link", "set", "bridged", "master", "br0"),
        ("link", "set", "br1", "master", "br0"),
        ("addr", "add", f"{PUBLIC.address}/24", "dev", "in0"),
    ):
        dut.run("ip", *command)


def _mac(place: Namespace, device: str) -> str:
    words = place.run("ip", "-oneline", "link", "show", "dev", device).split()
    return words[words.index("link/ether") + 1]


def _guest_mac(address: IPv4Address) -> str:
    return f"02:64:{address.packed.hex(':')}"


@dataclass
class _Names:
    """Grants every name and tells where it is."""

    ports: dict[str, asyncio.Future[int]] = field(default_factory=dict)

    async def registered(self, device: str, new: Registration, old: Registration | None) -> Grant:
        self.ports[device].set_result(new.real_port)
        return Grant(1)

    async def unregistered(self, device: str, old: Registration) -> None:
        pass

    def resolve(self, device: str, program: str, port: str) -> Resolution | None:
        return None


@contextlib.asynccontextmanager
async def _guests() -> AsyncIterator[dict[str, int]]:
    """Two machines of one image behind the taps `steered` and `bridged`; the real ports of their programs."""
    images, machine = await prepare(CACHE)
    names, servers = _Names(), list[NameServer]()
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dipronn-bench-")))
        bundle = _bundle(folder)
        driver = QemuDriver(folder / "run", images, machine)
        stack.push_async_callback(driver.close)
        for device, address in (("steered", STEERED), ("bridged", BRIDGED)):
            program = GuestProgram("echo", bundle, (address,))
            spec = VmSpec(f"bench.{device}", 16, 1, _guest_mac(address), (address,), (program,))
            names.ports[device] = asyncio.get_running_loop().create_future()
            with await open_tap(device, spec.mac, spec.addresses, host_mac=HOST_MAC) as tap:
                callers = Callers({address: {"echo": frozenset({"in"})}})
                server = NameServer(device, callers, names)
                await server.start()
                servers.append(server)
                await driver.start(spec, tap)
                stack.push_async_callback(driver.stop, spec.name)
        async with asyncio.timeout(120):
            ports = {device: await port for device, port in names.ports.items()}
        # Their connections would have the host ask for the bridged guest in the client's name.
        await asyncio.gather(*(server.close() for server in servers))
        yield ports


def _bundle(folder: Path) -> Path:
    binary = folder / "run-echo"
    sources = [str(HERE / "echo.c"), str(LIBRARY / "dipronn_guest.c")]
    command = ["gcc", "-static", "-O2", f"-I{LIBRARY}", "-o", str(binary), *sources]
    subprocess.run(command, check=True)
    member = tarfile.TarInfo("run")
    data = binary.read_bytes()
    member.size, member.mode = len(data), 0o755
    path = folder / "echo.tar"
    with tarfile.open(path, "w") as tar:
        tar.addfile(member, io.BytesIO(data))
    return path
