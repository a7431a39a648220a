"""A switch with the real agent as the unit "edge", and a control unit that does what a test says.

Without root. Each test runs on the fake switch (``[fake]``: no packet is steered) and, where it is present,
on a real bmv2 (``[bmv2]``: frames go in and out by its packet service); what needs steering, on bmv2 only.

::

    receivers (192.0.2.10 …) ── port 1: lan0 (192.0.2.1, 2001:db8:1::1)   port 2: data0 (10.77.0.1) ── units
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

import grpc
import pytest
from finsy.proto import p4r, p4r_grpc

from controller.drivers.p4runtime.agent import SwitchAgent
from controller.drivers.p4runtime.apply import with_groups
from controller.drivers.p4runtime.config import SwitchConfig, read_config
from controller.drivers.p4runtime.entries import Entries, EntryKey, encode
from controller.drivers.p4runtime.frames import Asked, announcement, answer, question, read
from controller.drivers.p4runtime.pipeline import Pipeline
from controller.steering.model import Mac, Tables
from dipronn.unit.slices import SliceStore
from dipronn.v1 import unit_pb2
from tests.conformance.bmv2_switch import DEVICE_ID, PacketPorts, SwitchProcess
from tests.fake_switch.server import FakeSwitch
from tests.system.agent.conftest import DEADLINE, ROOT, ControlUnit

FAKE = pytest.param("fake", marks=pytest.mark.fake_switch)
BMV2 = pytest.param("bmv2", marks=pytest.mark.bmv2)
fake_only = pytest.mark.parametrize("switch", [FAKE], indirect=True)
"""For a test that needs a fault, or a look inside, that a real switch does not offer."""
steers = pytest.mark.parametrize("switch", [BMV2], indirect=True)
"""For a test whose packets are steered: a real switch only."""
LAN_PORT, DATA_PORT = 1, 2
_NO_PORT = -1
LAN_MAC, DATA_MAC = Mac.parse("02:d1:90:00:00:01"), Mac.parse("02:d1:90:00:00:02")
PIPELINE = Pipeline.load()


def read_back(address: str) -> Entries:
    """Every entry of a switch, by a reader that is no controller of it; its groups are checked, too."""
    with grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)]) as channel:
        stub = p4r_grpc.P4RuntimeStub(channel)
        group = p4r.PacketReplicationEngineEntry(multicast_group_entry=p4r.MulticastGroupEntry())
        tables = [p4r.TableEntry(table_id=each.id) for each in PIPELINE.tables.values()]
        wanted = [p4r.Entity(table_entry=each) for each in tables]
        entries: Entries = {}
        groups = set()
        for entity in (*wanted, p4r.Entity(packet_replication_engine_entry=group)):
            request = p4r.ReadRequest(device_id=DEVICE_ID, entities=[entity])
            found = [each for answered in stub.Read(request) for each in answered.entities]
            entries |= PIPELINE.entries(iter(found))
            for each in found:
                if each.HasField("packet_replication_engine_entry"):
                    made = each.packet_replication_engine_entry.multicast_group_entry
                    groups.add((made.multicast_group_id, len(made.replicas)))
    sizes = {key.match[0] for key in with_groups(entries) if key.table == "multicast_group"}
    assert groups == {(size, size) for size in sizes}, "a group for each fork, and no other"
    return entries


class Ports(Protocol):
    """The ports of a switch, as of ``PacketPorts``."""

    def send(self, port: int, frame: bytes) -> None: ...

    def receive(self, timeout: float) -> tuple[int, bytes]: ...

    def close(self) -> None: ...


class AnySwitch(Protocol):
    @property
    def address(self) -> str: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...


class FakePorts:
    def __init__(self, switch: FakeSwitch) -> None:
        self.send, self._left = switch.arrive, switch.left

    def receive(self, timeout: float) -> tuple[int, bytes]:
        port, frame = self._left.get(timeout=timeout)
        if port == _NO_PORT:
            raise ValueError("closed")
        return port, frame

    def close(self) -> None:
        self._left.put((_NO_PORT, b""))


class MortalStore(SliceStore):
    """Nothing is written any more once its agent counts as killed, and what was begun is done by then."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._dead = False
        self._writing = threading.Lock()

    def die(self) -> None:
        with self._writing:
            self._dead = True

    def put_slice(self, slice_: unit_pb2.Slice) -> None:
        with self._writing:
            if not self._dead:
                super().put_slice(slice_)

    def drop_slice(self, session: int) -> None:
        with self._writing:
            if not self._dead:
                super().drop_slice(session)


@dataclass
class Edge:
    """The unit under test. The agent runs in this process, or, to be killed, in one of its own."""

    config_path: Path
    config: SwitchConfig
    switch: AnySwitch
    control: ControlUnit
    folder: Path
    _agents: list[tuple[MortalStore, asyncio.Task[None]]] = field(default_factory=list)
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def expected(self, *slices: Tables) -> Entries:
        """What the switch must have for these rows, with the unit's own links."""
        rows = Tables(link={link.key: link.row for link in self.config.links})
        for each in slices:
            rows.merge(each)
        return encode(rows, self.config.ports)

    def has(self) -> Entries:
        """What it has, but for learnt peers and next hops."""
        learnt = ("peer", "next_hop")
        return {key: row for key, row in read_back(self.switch.address).items() if key.table not in learnt}

    def peers(self) -> list[EntryKey]:
        return [key for key in read_back(self.switch.address) if key.table == "peer"]

    def next_hops(self) -> list[EntryKey]:
        return [key for key in read_back(self.switch.address) if key.table == "next_hop"]

    async def start(self) -> unit_pb2.Hello:
        """Start an agent in this process and wait until it has joined."""
        times = len(self.control.memberships) + 1
        store = MortalStore(self.config.state)
        store.open()
        agent = SwitchAgent(self.config, store, PIPELINE)
        self._agents.append((store, asyncio.create_task(agent.run())))
        return await self.control.joined(times)

    async def stop(self) -> None:
        """End the agent of this process: for the switch and the state folder, as if it had been killed."""
        store, task = self._agents.pop()
        store.die()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def spawn(self) -> unit_pb2.Hello:
        """Start an agent in a process of its own."""
        times = len(self.control.memberships) + 1
        self._processes.append(self._process())
        return await self.control.joined(times)

    async def remove(self) -> int:
        """Take the switch out of the node, as an operator would; the exit status."""
        return await asyncio.to_thread(self._process("--remove").wait, DEADLINE)

    def _process(self, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "controller.drivers.p4runtime", "--config", str(self.config_path)]
        with (self.folder / "agent.log").open("ab") as log:
            return subprocess.Popen([*command, *arguments], cwd=ROOT, stdout=log, stderr=log)

    async def kill(self) -> None:
        process = self._processes.pop()
        process.send_signal(signal.SIGKILL)
        await asyncio.to_thread(process.wait, DEADLINE)

    async def close(self) -> None:
        while self._agents:
            await self.stop()
        while self._processes:
            await self.kill()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a state of the switch, which may be away, or half changed, meanwhile."""

        def holds() -> bool:
            with contextlib.suppress(grpc.RpcError, AssertionError):
                return condition()
            return False

        async with asyncio.timeout(DEADLINE):
            while not await asyncio.to_thread(holds):  # noqa: ASYNC110
                await asyncio.sleep(0.05)


class Network:
    """What is behind the switch's ports: hosts that answer for their addresses, and frames that arrive."""

    def __init__(self, ports: Callable[[], Ports]) -> None:
        """``ports`` joins the switch's, which go with every restart."""
        self._join = ports
        self._ports: Ports | None = None
        self._joined = threading.Event()
        self.hosts: dict[str, Mac] = {}
        self.arrived: list[tuple[int, bytes]] = []
        self._news = threading.Condition()
        self._over = threading.Event()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def send(self, port: int, frame: bytes) -> None:
        assert self._joined.wait(DEADLINE) and self._ports, "the switch has no ports"
        self._ports.send(port, frame)

    def close(self) -> None:
        self._over.set()
        if self._ports:
            self._ports.close()

    def _listen(self) -> None:
        """The switch has no ports before it has a pipeline, so ask again until there are, also later."""
        while not self._over.wait(0.1):
            self._ports = self._join()
            self._joined.set()
            with contextlib.suppress(grpc.RpcError, ValueError, AssertionError, queue.Empty):
                while not self._over.is_set():
                    self._arrive(*self._ports.receive(timeout=DEADLINE))
            self._ports.close()

    def _arrive(self, port: int, frame: bytes) -> None:
        said = read(frame)
        if isinstance(said, Asked) and str(said.target) in self.hosts:
            self.send(port, answer(said, self.hosts[str(said.target)]))
        with self._news:
            self.arrived.append((port, frame))
            self._news.notify_all()

    async def frame(
        self, wanted: Callable[[int, bytes], bool], again: Callable[[], None] | None = None
    ) -> bytes:
        """The first frame that is wanted, also a past one; ``again`` is done until there is one."""

        def find() -> list[bytes]:
            return [frame for port, frame in self.arrived if wanted(port, frame)]

        def wait() -> bytes:
            for _ in range(int(DEADLINE)):
                if again:
                    again()
                with self._news:
                    if found := self._news.wait_for(find, 1.0):
                        return found[0]
            raise AssertionError("the frame did not arrive")

        return await asyncio.to_thread(wait)

    async def settle(self) -> None:
        """Return when frames go in and out: after a restart the ports are joined anew."""
        asker = Mac(b"\x02\x00" + secrets.token_bytes(4))
        asked = question(0, ip_address("192.0.2.1"), ip_address("192.0.2.250"), asker)
        await self.frame(
            lambda port, frame: port == LAN_PORT and frame.startswith(asker.octets),
            lambda: self.send(LAN_PORT, asked),
        )

    def move(self, address: str, mac: Mac) -> None:
        """A host gets another MAC, and says so."""
        self.hosts[address] = mac
        self.send(LAN_PORT, announcement(0, ip_address(address), mac))


@pytest.fixture(params=[FAKE, BMV2])
def switch(request: pytest.FixtureRequest) -> Iterator[AnySwitch]:
    kinds: dict[str, Callable[[], AnySwitch]] = {
        "fake": FakeSwitch,
        "fake without heirs": partial(FakeSwitch, heirs=False),
        "bmv2": SwitchProcess,
    }
    switch = kinds[request.param]()
    try:
        switch.start()
        yield switch
    finally:
        switch.stop()


@pytest.fixture
async def edge(switch: AnySwitch, prefix: str, tmp_path: Path) -> AsyncIterator[Edge]:
    """The unit; its agent is not started yet."""
    with tempfile.TemporaryDirectory(prefix=prefix) as short:  # a socket's path has at most 107 bytes
        control = ControlUnit(f"unix:{short}/control.sock", {})
        await control.start()
        path = tmp_path / "switch.toml"
        path.write_text(
            f"""
unit = "edge"
roles = ["distribution", "aggregation"]
state = "{tmp_path}/state"
[control]
address = "{control.address}"
[switch]
address = "{switch.address}"
[[links]]
device = "lan0"
network = "lan"
outside = true
port = {LAN_PORT}
mac = "{LAN_MAC}"
addresses = ["192.0.2.1/24", "2001:db8:1::1/64"]
[[links]]
device = "data0"
network = "data"
port = {DATA_PORT}
mac = "{DATA_MAC}"
addresses = ["10.77.0.1/24"]
[[routes]]
to = "203.0.113.0/24"
via = "192.0.2.254"
"""
        )
        edge = Edge(path, read_config(path), switch, control, tmp_path)
        try:
            yield edge
        finally:
            await edge.close()
            await control.stop()


@pytest.fixture
def network(edge: Edge) -> Iterator[Network]:
    def ports() -> Ports:
        switch = edge.switch
        if isinstance(switch, FakeSwitch):
            return FakePorts(switch)
        assert isinstance(switch, SwitchProcess)
        return PacketPorts(switch.packet_address)

    network = Network(ports)
    network.hosts = {
        "192.0.2.10": Mac.parse("02:00:00:00:00:10"),
        "2001:db8:1::10": Mac.parse("02:00:00:00:00:10"),
        "192.0.2.254": Mac.parse("02:00:00:00:00:fe"),
    }
    yield network
    network.close()
