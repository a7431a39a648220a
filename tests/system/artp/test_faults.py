"""Real sockets over a network that loses, doubles, reorders and damages; each seed can be played again."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Iterator

import pytest

import artp
import artp.wire
from tests.system.artp.bad_network import FAR, BadNetwork, Faults, bad_network

pytestmark = [pytest.mark.root, pytest.mark.timeout(170)]
PORT = 5004
PATIENCE = 120.0
_counter = itertools.count()


@pytest.fixture(scope="module")
def network(prefix: str) -> Iterator[BadNetwork]:
    with bad_network(f"{prefix}q{next(_counter)}") as made:
        yield made


async def receive(count: int) -> tuple[Counter[bytes], Counter[str]]:
    """The datagrams that come, each answered with its own bytes."""
    got: Counter[bytes] = Counter()
    async with asyncio.timeout(PATIENCE), await artp.listen((FAR, PORT), key=bytes(16)) as listener:
        async with await listener.accept() as connection:
            async for datagram in connection:
                got[datagram.data] += 1
                await connection.send(datagram.data)
        return got, listener.counters


async def send(data: list[bytes]) -> tuple[Counter[bytes], Counter[str]]:
    async with asyncio.timeout(PATIENCE):
        connection = await artp.connect((FAR, PORT), timeout=60)
        async with connection:
            for each in data:
                await connection.send(each)
            got = Counter([(await connection.receive()).data for _ in data])
            await connection.flush()
        return got, connection.counters


CASES = {
    "none": Faults(),
    "loss": Faults(loss=0.3),
    "duplication": Faults(duplication=0.3),
    "reordering": Faults(reordering=0.3),
    "bit errors": Faults(bit_errors=0.3),
    "all": Faults(0.1, 0.1, 0.1, 0.1),
}


@pytest.mark.req("D39")
@pytest.mark.parametrize("name", CASES)
def test_every_datagram_once_in_both_directions(network: BadNetwork, name: str) -> None:
    chance = random.Random(name)
    sent = [
        index.to_bytes(4, "big") + chance.randbytes(chance.choice((0, 1, 1000, 1440, 4000)))
        for index in range(120)
    ]
    faults = CASES[name]
    network.behave(seed=len(name), faults=faults)
    far = network.far.start(lambda: asyncio.run(receive(len(sent))))
    echoed, _ = network.near.start(lambda: asyncio.run(send(sent))).result(PATIENCE + 20)
    got, counters = far.result(PATIENCE + 20)
    assert got == Counter(sent)
    assert echoed == Counter(sent)
    there, back = network.done()
    for done in (there, back):
        assert (done.lost > 0, done.doubled > 0, done.delayed > 0, done.damaged > 0) == (
            faults.loss > 0,
            faults.duplication > 0,
            faults.reordering > 0,
            faults.bit_errors > 0,
        )
    if faults.duplication:
        assert counters["duplicates"] > 0
    if name == "bit errors":
        assert sum(counters[fault] for fault in artp.wire.FAULTS) > 0
