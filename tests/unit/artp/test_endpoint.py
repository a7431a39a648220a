"""The asyncio endpoint on real sockets of the loopback interface."""

from __future__ import annotations

import asyncio
import os
import socket
import zlib

import pytest

import artp
from artp.wire import ResetReason, Type, parse

HERE = ("127.0.0.1", 0)


@pytest.mark.req("D39")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_echo_of_every_size(host: str) -> None:
    async def echo(listener: artp.Listener) -> None:
        async with await listener.accept() as connection:
            async for datagram in connection:
                await connection.send(datagram.data, order=datagram.order)

    async with await artp.listen((host, 0)) as listener:
        serving = asyncio.create_task(echo(listener))
        async with await artp.connect(listener.local) as connection:
            sent = [os.urandom(size) for size in (0, 1, 1000, 1432, 1433, 20000, 65535, 65536)]
            for order, data in enumerate(sent):
                await connection.send(data, order=order)
            got = [await connection.receive() for _ in sent]
            assert {each.order: each.data for each in got} == dict(enumerate(sent))
            await connection.flush()
        await serving
        assert listener.connections == []


async def test_many_clients_at_once() -> None:
    async with await artp.listen(HERE) as listener:

        async def client(number: int) -> None:
            async with await artp.connect(listener.local) as connection:
                for part in range(5):
                    await connection.send(bytes([number, part]))

        clients = asyncio.gather(*(client(number) for number in range(20)))
        got: set[bytes] = set()
        while len(got) < 100:
            datagram, _ = await listener.receive()
            assert datagram.data not in got
            got.add(datagram.data)
        await clients
        assert got == {bytes([number, part]) for number in range(20) for part in range(5)}


async def test_a_slow_program_slows_the_sender() -> None:
    """More than the receiver may hold; nothing is lost, the sender's buffer is bounded too."""
    async with await artp.listen(HERE, memory=300_000) as listener:
        connection = await artp.connect(listener.local)
        sending = asyncio.create_task(_send(connection, [bytes([i]) * 60_000 for i in range(100)]))
        accepted = await listener.accept()
        got: set[int] = set()
        for _ in range(100):
            datagram = await accepted.receive()
            assert accepted.core.sender.buffered == 0
            assert connection.core.sender.buffered <= (4 << 20) + 70_000
            got.add(datagram.data[0])
        await sending
        await connection.close()
        assert got == set(range(100))


async def _send(connection: artp.Connection, data: list[bytes]) -> None:
    for each in data:
        await connection.send(each)


async def test_nobody_there() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(HERE)
        with pytest.raises(artp.TimedOut):
            await artp.connect(nobody.getsockname(), timeout=0.5)


async def test_closed_by_the_other_side() -> None:
    async with await artp.listen(HERE) as listener:
        connection = await artp.connect(listener.local)
        await connection.send(b"x")
        accepted = await listener.accept()
        assert (await accepted.receive()).data == b"x"
        await accepted.send(b"last words")
        await asyncio.gather(accepted.close(), _drain(connection))
        with pytest.raises(artp.Closed):
            await connection.send(b"y")


async def _drain(connection: artp.Connection) -> None:
    assert [each.data async for each in connection] == [b"last words"]


async def test_abort_resets_the_other_side() -> None:
    async with await artp.listen(HERE) as listener:
        connection = await artp.connect(listener.local)
        await connection.send(b"x")
        accepted = await listener.accept()
        connection.abort()
        await accepted.receive()
        with pytest.raises(artp.Reset) as caught:
            await accepted.receive()
        assert caught.value.reason == ResetReason.ENDING


async def test_a_listener_that_restarted_resets() -> None:
    listener = await artp.listen(HERE)
    connection = await artp.connect(listener.local)
    listener.abort()
    async with await artp.listen(connection.peer):
        await connection.send(b"whose cookie is this?")
        with pytest.raises(artp.Reset) as caught:
            await connection.flush()
        assert caught.value.reason == ResetReason.NO_CONNECTION


async def test_instances_share_a_key() -> None:
    """What one instance answered to, another one verifies: it takes the connection over without a word."""
    key = os.urandom(16)
    listener = await artp.listen(HERE, key=key)
    connection = await artp.connect(listener.local)
    listener.abort()
    async with await artp.listen(connection.peer, key=key) as successor:
        await connection.send(b"to whom it may concern")
        assert (await successor.receive())[0].data == b"to whom it may concern"
        await connection.flush()
        connection.abort()


async def test_critical_options() -> None:
    async with await artp.listen(HERE, understands=frozenset({0xC1})) as listener:
        async with await artp.connect(listener.local) as connection:
            await connection.send(b"x", options=[artp.Option(0xC1, b"v"), artp.Option(0x41, b"")])
            datagram, _ = await listener.receive()
            assert datagram.options == (artp.Option(0xC1, b"v"), artp.Option(0x41, b""))
        connection = await artp.connect(listener.local)
        await connection.send(b"x", options=[artp.Option(0xC2, b"")])
        with pytest.raises(artp.Reset, match="0xc2 is not understood"):
            await connection.receive()


@pytest.mark.req("D66")
async def test_destinations_reach_the_program() -> None:
    receivers = [artp.Destination("198.51.100.7", 6000), artp.Destination("2001:db8::7", 6001)]
    async with (
        await artp.listen(HERE) as listener,
        await artp.connect(listener.local) as connection,
    ):
        await connection.send(b"x", destinations=receivers)
        assert (await listener.receive())[0].destinations == tuple(receivers)
        for wrong in ([receivers[0]] * 5, [artp.Destination("example.org", 1)], [artp.Destination("::", -1)]):
            with pytest.raises(artp.TooLarge):
                await connection.send(b"x", destinations=wrong)
        with pytest.raises(artp.TooLarge):
            await connection.send(bytes(65537))
        with pytest.raises(artp.TooLarge):
            await connection.send(b"", options=[artp.Option(0x40, bytes(155))])
        with pytest.raises(artp.TooLarge):
            await connection.send(b"", options=[artp.Option(0x02, bytes(4))])


@pytest.mark.req("A2")
async def test_a_group_without_a_node() -> None:
    key = os.urandom(16)
    async with (
        await artp.listen(HERE, group_key=key) as receiver,
        await artp.open_group(receiver.local, key, copies=1) as group,
    ):
        await group.send(b"to all")
        assert (await receiver.receive())[0].data == b"to all"
        await group.flush()
    async with await artp.listen(HERE) as stranger:
        group = await artp.open_group(stranger.local, key, copies=1)
        await group.send(b"to all")
        with pytest.raises(artp.Reset):
            await group.flush()
        assert stranger.connections == []


async def test_a_flood_of_hellos_keeps_no_state() -> None:
    """A real one, through the socket: many origins, each answered with no more than it sent."""
    hello = bytes.fromhex("1100003400000000" + "00" * 32 + "0204cafebabe0104")
    check = zlib.crc32(hello[:24] + hello[26:])
    hello += check.to_bytes(4, "big")
    assert parse(hello).type == Type.HELLO
    async with await artp.listen(HERE) as listener:
        answers = 0
        for _ in range(200):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as source:
                source.setblocking(False)
                source.sendto(hello, listener.local)
                answer = await asyncio.get_running_loop().sock_recv(source, 2048)
                assert len(answer) <= len(hello)
                assert parse(answer).type == Type.COOKIE
                answers += 1
        assert listener.connections == []
        assert listener.counters["hellos"] == answers
        # And who means it gets in.
        async with await artp.connect(listener.local) as connection:
            await connection.send(b"in")
            assert (await listener.receive())[0].data == b"in"


async def test_a_limit_of_connections() -> None:
    async with (
        await artp.listen(HERE, max_connections=1) as listener,
        await artp.connect(listener.local) as first,
    ):
        await first.send(b"1")
        await listener.receive()
        second = await artp.connect(listener.local)
        await second.send(b"2")
        with pytest.raises(artp.Reset) as caught:
            await second.flush()
        assert caught.value.reason == ResetReason.LIMIT
