"""The example programs as guests run them: the bundle's `/run`, the guest library, the node's name server.

Each program has a link of its own, as behind its tap: two loopback addresses that only this process uses, the
program's and its gateway's. Like the node, the link tells by the source port which output a datagram leaves.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tarfile
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from ipaddress import IPv4Address
from itertools import count
from pathlib import Path

import pytest

from dipronn.demo.bundles import DEMO_BUNDLES, HELLO_BUNDLES, build
from dipronn.demo.capture import Address, read_capture
from dipronn.demo.media import Recipe, compare, decode, transport_stream
from dipronn.demo.traffic import send
from vmhost.names import Callers, Grant, NameServer, Registration, Resolution

ROOT = Path(__file__).resolve().parents[3]
DEADLINE = 60.0
SO_RCVBUFFORCE = 33
KEY = "00112233445566778899aabbccddeeff" * 2
OTHER_KEY = "ff112233445566778899aabbccddeeff" * 2
ANOTHER_STREAM = b"\x80\x21\x00\x00" + bytes(4) + b"next" + b"\x47\x12\x34\x10" + bytes(184)
"""The first RTP packet of another source: the stream before it is complete when this one appears."""
OVERHEAD = 40  # bytes that sealing adds: nonce and tag

pytestmark = pytest.mark.root  # a link's sockets are bound to a device, and to the privileged port 9


class Link:
    """A program's link. `heard` gives (output, payload) of what left the program, in order."""

    def __init__(self, name: str, ports: frozenset[str], place: int) -> None:
        pid = os.getpid()
        network = f"127.{pid >> 8 & 0xFF}.{pid & 0xFF}"
        self.name = name
        self.gateway = IPv4Address(f"{network}.{2 * place}")
        self.address = IPv4Address(f"{network}.{2 * place + 1}")
        self.heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self._ports = ports
        self._real_ports: dict[str, int] = {}
        self._complete = asyncio.Event()

    async def registered(self, device: str, new: Registration, old: Registration | None) -> Grant:
        self._real_ports[new.port] = new.real_port
        if self._real_ports.keys() == self._ports:
            self._complete.set()
        return Grant(len(self._real_ports))

    async def unregistered(self, device: str, old: Registration) -> None:
        del self._real_ports[old.port]

    def resolve(self, device: str, program: str, port: str) -> Resolution | None:
        return None

    @asynccontextmanager
    async def program(self, run: Path, params: dict[str, str]) -> AsyncIterator[None]:
        """Runs the program behind this link, from when all its ports are registered."""
        names = NameServer("lo", Callers({self.address: {self.name: self._ports}}), self)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as receiver:
            receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4 << 20)
            receiver.bind((str(self.gateway), 9))
            listening = asyncio.create_task(self._listen(receiver))
            process = None
            try:
                await names.start([self.gateway])
                process = await spawn(run, self.name, self.gateway, self.address, params)
                async with asyncio.timeout(DEADLINE):
                    await self._complete.wait()
                yield
            finally:
                if process is not None:
                    process.terminate()
                    _, complaints = await process.communicate()
                    sys.stderr.write(complaints.decode())
                await names.close()
                listening.cancel()

    async def _listen(self, receiver: socket.socket) -> None:
        while True:
            payload, (address, port) = await asyncio.get_running_loop().sock_recvfrom(receiver, 65535)
            assert address == str(self.address)
            outputs = {real_port: name for name, real_port in self._real_ports.items()}
            self.heard.put_nowait((outputs[port], payload))

    async def next(self) -> tuple[str, bytes]:
        async with asyncio.timeout(DEADLINE):
            return await self.heard.get()

    def input(self, port: str) -> Address:
        return str(self.address), self._real_ports[port]

    def give(self, port: str, payload: bytes) -> None:
        """Sends a datagram to an input."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(payload, self.input(port))


async def spawn(
    run: Path, name: str, gateway: IPv4Address, address: IPv4Address, params: dict[str, str]
) -> Process:
    environment = {
        "DIPRONN_PROGRAM": name,
        "DIPRONN_GATEWAY": str(gateway),
        "DIPRONN_ADDRESS": str(address),
        "PYTHONPATH": str(ROOT / "vmhost" / "guest" / "lib"),
        "PYTHONDONTWRITEBYTECODE": "1",
        **{f"DIPRONN_PARAM_{param}": value for param, value in params.items()},
    }
    return await asyncio.create_subprocess_exec(run, env=environment, stdin=DEVNULL, stderr=PIPE)


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    for file, path in build(folder, (*DEMO_BUNDLES, *HELLO_BUNDLES)).items():
        with tarfile.open(path) as tar:
            tar.extractall(folder / file.removesuffix(".tar"))
    return folder


Start = Callable[..., AbstractAsyncContextManager[Link]]


@pytest.fixture
def start(unpacked: Path) -> Start:
    """Starts a program of a bundle with its ports and parameters: `async with start("thin", "full", …)`."""
    places = count(1)

    @asynccontextmanager
    async def start(name: str, *ports: str, **params: str) -> AsyncIterator[Link]:
        link = Link(name, frozenset(ports), next(places))
        async with link.program(unpacked / name / "run", params):
            yield link

    return start


async def test_hello(start: Start) -> None:
    async with start("greet", "words", "greetings", GREETING="Hello, ") as greet:
        greet.give("words", b"world")
        assert await greet.next() == ("greetings", b"Hello, world")


@pytest.mark.req("D54")
@pytest.mark.req("D68")
async def test_a_live_stream_is_thinned(start: Start, tmp_path: Path) -> None:
    async with start("thin", "full", "thinned", KEEP="reference") as thin:
        recipe = Recipe(seconds=4, speed=2)
        await send(recipe, thin.input("full"), tmp_path / "sent.pcap", lambda: None)
        sent = [each.payload for each in read_capture(tmp_path / "sent.pcap")]
        thin.give("full", ANOTHER_STREAM)
        kept: list[bytes] = []
        while (left := await thin.next()) != ("thinned", ANOTHER_STREAM):
            assert left[0] == "thinned"
            kept.append(left[1])

    full, low = decode(transport_stream(sent), tmp_path), decode(transport_stream(kept), tmp_path)
    assert low.complaints == ""
    assert (low.width, low.height) == (full.width, full.height)
    assert low.bytes < 0.6 * full.bytes


async def test_what_two_instances_seal_in_turn_one_opens(start: Start, stream: list[bytes]) -> None:
    async with (
        start("seal", "clear", "sealed", KEY=KEY) as one,
        start("seal", "clear", "sealed", KEY=KEY) as two,
        start("open", "sealed", "clear", KEY=KEY) as opener,
    ):
        opened = []
        for number, datagram in enumerate(stream):
            instance = (one, two)[number % 2]
            instance.give("clear", datagram)
            output, sealed = await instance.next()
            assert output == "sealed"
            assert len(sealed) == len(datagram) + OVERHEAD
            assert datagram[12:76] not in sealed
            opener.give("sealed", sealed)
            output, clear = await opener.next()
            assert output == "clear"
            opened.append(clear)
    assert compare(stream, opened).identical


async def test_what_is_altered_or_foreign_is_not_opened(start: Start) -> None:
    async with (
        start("seal", "clear", "sealed", KEY=KEY) as seal,
        start("seal", "clear", "sealed", KEY=OTHER_KEY) as stranger,
        start("open", "sealed", "clear", KEY=KEY) as opener,
    ):
        for instance in (seal, seal, stranger):
            instance.give("clear", b"a secret")
        _, sealed = await seal.next()
        _, again = await seal.next()
        _, foreign = await stranger.next()
        assert sealed != again, "a nonce was used twice"

        altered = [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(len(sealed))]
        for bad in [*altered, foreign, sealed[:-1], sealed[:39], b"", b"x"]:
            opener.give("sealed", bad)
        opener.give("sealed", again)
        assert await opener.next() == ("clear", b"a secret")
        assert opener.heard.empty()


async def test_the_smallest_datagram_and_the_largest_of_a_frame(start: Start) -> None:
    async with (
        start("seal", "clear", "sealed", KEY=KEY) as seal,
        start("open", "sealed", "clear", KEY=KEY) as opener,
    ):
        for payload in (b"", b"x", bytes(1472 - OVERHEAD)):
            seal.give("clear", payload)
            opener.give("sealed", (await seal.next())[1])
            assert await opener.next() == ("clear", payload)


@pytest.mark.parametrize("key", [None, "", "12", KEY + "00", "x" * 64, KEY[:-1]])
@pytest.mark.parametrize("name", ["seal", "open"])
async def test_a_bad_key_ends_the_program_with_a_reason(unpacked: Path, name: str, key: str | None) -> None:
    nowhere = IPv4Address("127.0.0.1")
    params = {} if key is None else {"KEY": key}
    process = await spawn(unpacked / name / "run", name, nowhere, nowhere, params)
    _, complaints = await process.communicate()
    assert process.returncode == 1
    assert b"the key must be 64 hexadecimal digits" in complaints
