"""The C library and the Python endpoint talk to each other, over good and bad networks, under sanitizers."""

from __future__ import annotations

import asyncio
import itertools
import random
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import artp
from tests.system.artp.bad_network import FAR, BadNetwork, Faults, bad_network

pytestmark = [pytest.mark.root, pytest.mark.timeout(170)]
PORT, PATIENCE, KEY = 5005, 120.0, bytes(16)
LIBRARY = Path(__file__).parents[3] / "vmhost" / "guest" / "lib"
FAULTS = {"good": Faults(), "bad": Faults(0.1, 0.1, 0.1, 0.1)}
_counter = itertools.count()


@pytest.fixture(scope="module")
def network(prefix: str) -> Iterator[BadNetwork]:
    with bad_network(f"{prefix}w{next(_counter)}") as made:
        yield made


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    binary = tmp_path_factory.mktemp("artp") / "c_peer"
    sources = [Path(__file__).with_name("c_peer.c"), *sorted(LIBRARY.glob("artp*.c"))]
    strict = ["-Wall", "-Wextra", "-Werror", "-O1", "-g", "-fsanitize=address,undefined"]
    command = ["gcc", *strict, "-fno-sanitize-recover=all", f"-I{LIBRARY}", "-o", str(binary)]
    subprocess.run([*command, *map(str, sources)], check=True)
    return binary


def expected(count: int) -> Counter[tuple[int | None, bytes]]:
    """What c_peer.c sends."""
    sizes = [index * 7919 % 8192 for index in range(count)]
    datagrams = [bytes((index + 31 * at) & 0xFF for at in range(size)) for index, size in enumerate(sizes)]
    return Counter(enumerate(datagrams))


async def receive(count: int, listening: asyncio.Event | None = None) -> Counter[tuple[int | None, bytes]]:
    got: Counter[tuple[int | None, bytes]] = Counter()
    async with asyncio.timeout(PATIENCE), await artp.listen((FAR, PORT), key=KEY, group_key=KEY) as listener:
        connection = await listener.accept()
        async for datagram in connection:
            got[datagram.order, datagram.data] += 1
    return got


@pytest.mark.parametrize("quality", FAULTS)
@pytest.mark.parametrize("how", ["send", "group"])
def test_c_sends_to_python(network: BadNetwork, peer: Path, how: str, quality: str) -> None:
    network.behave(7, FAULTS[quality])
    far = network.far.start(lambda: asyncio.run(receive(60)))
    command = network.near.command(str(peer), how, FAR, str(PORT), "60")
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert far.result(PATIENCE) == expected(60)


async def exchange(data: list[bytes]) -> Counter[tuple[int | None, bytes]]:
    async with asyncio.timeout(PATIENCE):
        connection = await artp.connect((FAR, PORT), timeout=60)
        async with connection:
            for order, each in enumerate(data):
                await connection.send(each, order=order)
            datagrams = [await connection.receive() for _ in data]
    return Counter((each.order, each.data) for each in datagrams)


@pytest.mark.parametrize("quality", FAULTS)
def test_c_answers_python(network: BadNetwork, peer: Path, quality: str) -> None:
    network.behave(8, FAULTS[quality])
    chance = random.Random(8)
    sent = [chance.randbytes(chance.choice((0, 1, 1000, 1440, 9000, 65536))) for _ in range(25)]
    command = network.far.command(str(peer), "echo", FAR, str(PORT))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as echo:
        try:
            assert echo.stdout is not None and echo.stdout.readline() == "ready\n"
            for _ in range(2):  # a second client after the first
                got = network.near.start(lambda: asyncio.run(exchange(sent))).result(PATIENCE)
                assert got == Counter(enumerate(sent))
            assert echo.poll() is None
        finally:
            echo.terminate()
            _, complaints = echo.communicate(timeout=30)
    assert complaints == ""
