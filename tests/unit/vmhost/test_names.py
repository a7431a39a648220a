"""The name protocol: its replies as a table, and its server on the loopback device as a link."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address

import pytest

from dipronn.errors import Unavailable
from vmhost.names import (
    Callers,
    Grant,
    Limits,
    NameServer,
    Registration,
    Resolution,
    answer,
    resolved,
)

TV = IPv4Address("127.0.0.1")
TA = IPv4Address("127.0.0.2")
PORTS = frozenset({"video", "low"})
CALLERS = Callers({TV: {"tv": PORTS}, TA: {"ta": frozenset({"audio"})}})
HELD = {"tv/video": Registration("tv", "video", "udp", 5000, TV)}


@pytest.mark.req("D61", "D63")
@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"PING", "OK"),
        (b"PI\rNG\r", "OK"),
        (b"QUIT", "OK"),
        (b"LIST", "tv/video\n."),
        (b"UNREGISTER tv/video", "OK"),
        (b"UNREGISTER tv/low", "ERR 404"),
        (b"UNREGISTER tv/none", "ERR 404"),
        (b"UNREGISTER ta/audio", "ERR 403"),
        (b"REGISTER ta/audio udp 5001", "ERR 403"),
        (b"REGISTER tv/none udp 5001", "ERR 404"),
        (b"REGISTER tv/low udp 5000", "ERR 409"),
        (b"REGISTER tv/low tcp 5001", "ERR 400"),
        (b"REGISTER tv/low udp 0", "ERR 400"),
        (b"REGISTER tv/low udp 65536", "ERR 400"),
        (b"REGISTER tv/low udp 05001", "ERR 400"),
        (b"REGISTER tv/low udp -1", "ERR 400"),
        ("REGISTER tv/low udp ٥".encode(), "ERR 400"),
        (b"REGISTER tvlow udp 5001", "ERR 400"),
        (b"REGISTER tv/low/x udp 5001", "ERR 400"),
        (b"REGISTER 1tv/low udp 5001", "ERR 400"),
        (b"REGISTER tv/low udp", "ERR 400"),
        (b"REGISTER tv/low udp 5001 x", "ERR 400"),
        (b"register tv/low udp 5001", "ERR 400"),
        (b"RESOLVE ta/audio", "ERR 403"),
        (b"RESOLVE tv/none", "ERR 404"),
        (b"", "ERR 400"),
        (b"\xff\xfe", "ERR 400"),
        (b"RESOLVE " + b"a" * 500, "ERR 400"),
    ],
)
def test_replies(line: bytes, reply: str) -> None:
    text = answer(line, TV, CALLERS, HELD, Limits()).text
    assert text is not None
    assert text == reply or text.startswith(reply + " ")


def test_registration_is_judged_by_link_and_source_address() -> None:
    line = b"REGISTER tv/low artp 5001"
    assert answer(line, TV, CALLERS, HELD, Limits()).register == Registration("tv", "low", "artp", 5001, TV)
    assert str(answer(line, TA, CALLERS, HELD, Limits()).text).startswith("ERR 403")
    # The same port at another address is another port.
    line = b"REGISTER ta/audio udp 5000"
    assert answer(line, TA, CALLERS, HELD, Limits()).register
    # Again with the same or another port is no conflict.
    for port in (5000, 5002):
        assert answer(b"REGISTER tv/video udp %d" % port, TV, CALLERS, HELD, Limits()).register


def test_names_are_limited() -> None:
    limits = Limits(names=1)
    assert str(answer(b"REGISTER tv/low udp 1", TV, CALLERS, HELD, limits).text).startswith("ERR 429")
    assert answer(b"REGISTER tv/video udp 1", TV, CALLERS, HELD, limits).register


def test_resolution_fits_a_line_and_keeps_its_words_apart() -> None:
    params = {"LANGUAGE": "cs", "TITLE": "a b\n=c", "LONG": "x" * 600, "LAST": "1"}
    assert (
        resolved(Resolution("artp", 5000, 2, params))
        == "OK artp 5000 2 LANGUAGE=cs TITLE=a%20b%0A%3Dc LAST=1"
    )
    assert resolved(None).startswith("ERR 404")


@dataclass
class Agent:
    """Grants with consecutive numbers and a key for ARTP; refuses while `away`."""

    calls: list[tuple[Registration | None, Registration | None]] = field(default_factory=list)
    away: bool = False

    async def registered(self, device: str, new: Registration, old: Registration | None) -> Grant:
        if self.away:
            raise Unavailable("the control unit is away")
        self.calls.append((new, old))
        return Grant(len(self.calls), b"\x0a\xff" if new.transport == "artp" else None)

    async def unregistered(self, device: str, old: Registration) -> None:
        self.calls.append((None, old))

    def resolve(self, device: str, program: str, port: str) -> Resolution | None:
        return Resolution("udp", 5000, 1, {"k": "v"}) if port == "video" else None


@asynccontextmanager
async def serving(agent: Agent, limits: Limits | None = None) -> AsyncIterator[tuple[NameServer, int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    server = NameServer("lo", CALLERS, agent, limits=limits)
    await server.start([IPv4Address("127.0.0.1")], port)
    try:
        yield server, port
    finally:
        await server.close()


async def converse(port: int, sent: bytes, source: str = "127.0.0.1") -> bytes:
    """Send it all and return all that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
    writer.write(sent)
    writer.write_eof()
    received = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    return received


@pytest.mark.req("D62", "D63")
async def test_a_conversation() -> None:
    agent = Agent()
    async with serving(agent) as (server, port):
        lines = [
            *(b"REGISTER tv/video udp 5000", b"REGISTER tv/low artp 5001", b"REGISTER tv/video udp 6000\r"),
            *(b"RESOLVE tv/video", b"RESOLVE tv/low", b"LIST", b"UNREGISTER tv/low", b"LIST"),
            *(b"REGISTER ta/audio udp 1", b"PING", b"QUIT", b"PING"),
        ]
        received = await converse(port, b"\n".join(lines) + b"\n")
        assert received.decode().split("\n") == [
            *("OK 1", "OK 2 key=0AFF", "OK 3"),
            *("OK udp 5000 1 k=v", "ERR 404 unknown name", "tv/low", "tv/video", ".", "OK", "tv/video", "."),
            *("ERR 403 ta is not a program of this caller", "OK", "OK", ""),
        ]
        video = Registration("tv", "video", "udp", 5000, TV)
        moved = Registration("tv", "video", "udp", 6000, TV)
        low = Registration("tv", "low", "artp", 5001, TV)
        assert agent.calls == [(video, None), (low, None), (moved, video), (None, low)]
        # Another caller sees and touches its own names only; an unknown one nothing.
        assert await converse(port, b"LIST\nREGISTER ta/audio udp 1\n", "127.0.0.2") == b".\nOK 5\n"
        assert (await converse(port, b"LIST\n", "127.0.0.3")).startswith(b"ERR 403 ")
        assert sorted(server.registrations) == ["ta/audio", "tv/video"]
        # A program's end takes its names with it.
        await server.forget("tv")
        assert sorted(server.registrations) == ["ta/audio"]
        assert agent.calls[-1] == (None, moved)


async def test_the_longest_line_and_one_more() -> None:
    async with serving(Agent()) as (_, port):
        longest = b"PING" + b"\r" * 507 + b"\n"
        assert len(longest) == 512
        assert await converse(port, longest) == b"OK\n"
        assert (await converse(port, b"\r" + longest + b"PING\n")).startswith(b"ERR 413 ")
        # Closed after that: the PING behind is not answered, and neither is a line without an end.
        assert (await converse(port, b"\r" + longest + b"PING\n")).count(b"\n") == 1
        assert (await converse(port, b"x" * 100_000)).startswith(b"ERR 413 ")
        assert await converse(port, b"PING") == b""


async def test_lines_and_connections_are_limited() -> None:
    async with serving(Agent(), Limits(burst=3, per_second=0)) as (_, port):
        received = await converse(port, b"PING\n" * 5)
        assert received.startswith(b"OK\nOK\nOK\nERR 429 ")
        assert received.count(b"\n") == 4
    async with serving(Agent(), Limits(connections=2)) as (_, port):
        open_ones = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for reader, writer in open_ones:
            writer.write(b"PING\n")
            assert await reader.readline() == b"OK\n"
        assert (await converse(port, b"PING\n")).startswith(b"ERR 429 ")
        for _, writer in open_ones:
            writer.close()


async def test_what_cannot_be_bound_now_is_not_answered_and_not_held() -> None:
    agent = Agent(away=True)
    async with serving(agent) as (server, port):
        assert await converse(port, b"REGISTER tv/video udp 5000\n") == b""
        assert server.registrations == {}
        agent.away = False
        assert await converse(port, b"REGISTER tv/video udp 5000\n") == b"OK 1\n"
