"""ARTP for asyncio programs: connect, listen, send, receive, close.

async with await artp.connect(("192.0.2.1", 5004)) as connection:
    await connection.send(b"a datagram of up to 64 KiB")
    answer = await connection.receive()
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from artp.acceptor import MAX_CONNECTIONS, Acceptor
from artp.connection import ConnectionCore, Role, Settings, State
from artp.cookie import KEY_BYTES, Source, group_cookie
from artp.errors import Closed, Malformed
from artp.port import Port, resolve, udp_socket
from artp.receiver import Budget, Datagram
from artp.wire import Destination, Option, Packet, ResetReason, parse

Address = tuple[str, int]
MTU = 1500
MEMORY = 16 << 20
_IP_AND_UDP = {socket.AF_INET: 28, socket.AF_INET6: 48}


class Connection:
    """One connection, made by ``connect``, ``open_group`` or ``Listener.accept``."""

    def __init__(
        self, core: ConnectionCore, port: Port, peer: Address, on_end: Callable[[Connection], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._core = core
        self._port = port
        self._on_end = on_end
        self.peer = peer
        self._changed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._flushing = False

    # The program's side

    async def send(
        self,
        data: bytes,
        *,
        control: bool = False,
        order: int | None = None,
        instance: int | None = None,
        destinations: Sequence[Destination] = (),
        options: Sequence[Option] = (),
    ) -> None:
        """Send a datagram of 0 to 65,536 bytes; returns when it is buffered, see ``flush``.

        ``control``: for all instances of the session's control group. ``order``: 64 bits for an output that
        keeps order. ``instance``: which one of the next program's instances shall have it. ``destinations``:
        at most 4, instead of the receivers of the session's output. TooLarge, or what ended the connection.
        """
        core = self._core
        core.require_open()
        while not core.can_send(len(data)):
            await self._changed.wait()
            core.require_open()
        core.send(
            data,
            control=control,
            order=order,
            instance=instance,
            destinations=destinations,
            options=options,
        )
        self.flush_soon()

    async def flush(self) -> None:
        """Wait until all that was sent has been taken; raises what ended the connection before."""
        while not self._core.sender.idle:
            if self._core.error is not None:
                raise self._core.error
            await self._changed.wait()

    async def receive(self) -> Datagram:
        """The next datagram, in no order; what ended the connection, once all are read."""
        while True:
            datagram = self.receive_now()
            if datagram is not None:
                return datagram
            if self._core.error is not None:
                raise self._core.error
            await self._changed.wait()

    def receive_now(self) -> Datagram | None:
        """The next datagram if there is one."""
        datagram = self._core.take(self._loop.time())
        if datagram is not None:
            self.flush_soon()
        return datagram

    async def __aiter__(self) -> AsyncIterator[Datagram]:
        """All datagrams until either side closes; other ends raise."""
        while True:
            try:
                yield await self.receive()
            except Closed:
                return

    async def close(self) -> None:
        """Wait until all that was sent is taken, and tell the other side. What was not received is lost."""
        self._core.close(self._loop.time())
        self.flush_now()
        try:
            while self._core.state is not State.CLOSED:
                await self._changed.wait()
        finally:
            self.abort()

    def abort(self) -> None:
        """End at once; what was not taken is lost."""
        self._core.abort(ResetReason.ENDING, "the program ended the connection")
        self._core.discard(self._loop.time())
        self.flush_now()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await self.close()
        else:
            self.abort()

    @property
    def closed(self) -> bool:
        return self._core.state is State.CLOSED

    @property
    def local(self) -> Address:
        """The own address and port."""
        return self._port.address

    @property
    def counters(self) -> Counter[str]:
        """By name, see docs/artp.md; those of an accepted connection are its listener's."""
        return self._core.counters + self._port.counters

    @property
    def core(self) -> ConnectionCore:
        return self._core

    # The event loop's side

    def handle(self, packet: Packet, now: float) -> None:
        self._core.receive(packet, now)

    def flush_soon(self) -> None:
        """Send what is due when the program has had its turn."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self.flush_now)

    def flush_now(self) -> None:
        """Send what is due, set the timer, wake who waits."""
        self._flushing = False
        core, port = self._core, self._port
        if not port.full:
            for packet in core.transmit(self._loop.time()):
                port.send(packet, self.peer)
                if port.full:
                    break
        if core.state is State.CLOSED:
            if self._timer is not None:
                self._timer.cancel()
            self._on_end(self)
        else:
            self._set_timer()
        self._changed.set()
        self._changed.clear()

    def _set_timer(self) -> None:
        deadline = None if self._port.full else self._core.deadline()
        timer = self._timer
        if deadline is None:
            return
        if timer is not None:
            if timer.when() <= deadline and not timer.cancelled():
                return  # it will find that it is early and set itself anew
            timer.cancel()
        self._timer = self._loop.call_at(deadline, self._elapsed)

    def _elapsed(self) -> None:
        self._timer = None
        self.flush_now()


async def connect(
    address: Address,
    *,
    session: int = 0,
    local: Address | None = None,
    udp: socket.socket | None = None,
    copies: int = 1,
    mtu: int = MTU,
    understands: frozenset[int] = frozenset(),
    timeout: float = 10.0,
) -> Connection:
    """Shake hands with a listener, or with a session's input.

    ``local``: the own address, or ``udp``: a socket to take over. ``copies``: how many acknowledgements a
    datagram needs, as the session's establishment tells; ``mtu``: of the path, in bytes of IP packets.
    TimedOut when nobody answers in ``timeout`` seconds, OSError of the socket.
    """
    settings = _settings(session, copies, understands, timeout)
    return await _open(address, local, udp, mtu, settings, None)


async def open_group(
    address: Address,
    group_key: bytes,
    *,
    copies: int,
    session: int = 0,
    local: Address | None = None,
    udp: socket.socket | None = None,
    mtu: int = MTU,
    understands: frozenset[int] = frozenset(),
) -> Connection:
    """Send to ``copies`` receivers that share ``group_key``; ``address`` is where the node forks from.

    No handshake: the first datagram opens the connection at each receiver.
    """
    settings = _settings(session, copies, understands, 10.0)
    return await _open(address, local, udp, mtu, settings, group_key)


async def _open(
    address: Address,
    local: Address | None,
    udp: socket.socket | None,
    mtu: int,
    settings: Settings,
    group_key: bytes | None,
) -> Connection:
    family, target = await resolve(address)
    settings = replace(settings, room=mtu - _IP_AND_UDP[socket.AddressFamily(family)])
    budget, origin, now = Budget(MEMORY), new_origin(), asyncio.get_running_loop().time()
    if group_key is None:
        core = ConnectionCore(Role.CLIENT, settings, origin, None, budget, now)
    else:
        number = group_cookie(group_key, settings.session, origin)
        core = ConnectionCore(Role.GROUP_SENDER, settings, origin, number, budget, now)

    def packets(batch: list[tuple[bytes, Address]]) -> None:
        now = connection._loop.time()
        for data, _ in batch:
            try:
                connection.handle(parse(data), now)
            except Malformed as error:
                core.counters[error.fault] += 1
        connection.flush_now()

    # An answer of a group's receiver comes from its own address.
    remote = target if group_key is None else None
    port = Port(udp or udp_socket(family, local), remote, packets, lambda: connection.flush_now())
    connection = Connection(core, port, target, lambda _: port.close())
    connection.flush_now()
    try:
        while core.state is State.OPENING:
            await connection._changed.wait()
        if core.error is not None:
            raise core.error
    except BaseException:
        connection.abort()
        raise
    return connection


def _settings(session: int, copies: int, understands: frozenset[int], timeout: float) -> Settings:
    return Settings(session=session, copies=copies, understands=understands, connect_timeout=timeout)


def new_origin() -> int:
    """A random number that is not 0."""
    return random.SystemRandom().randrange(1, 1 << 32)


class Listener:
    """Accepts connections on one UDP port; made by ``listen``."""

    def __init__(self, udp: socket.socket, acceptor: Acceptor) -> None:
        self._loop = asyncio.get_running_loop()
        self._acceptor = acceptor
        self._connections: dict[int, Connection] = {}
        self._new: deque[Connection] = deque()
        self._readable: dict[Connection, None] = {}
        self._changed = asyncio.Event()
        self._closed = False
        self._port = Port(udp, None, self._packets, self._room)

    async def accept(self) -> Connection:
        """The next connection; Closed when the listener is. Use either this or ``receive``."""
        self._readable.clear()
        while not self._new:
            self._require_open()
            await self._changed.wait()
        return self._new.popleft()

    async def receive(self) -> tuple[Datagram, Connection]:
        """The next datagram of any connection; Closed when the listener is. Use either this or ``accept``."""
        while True:
            self._new.clear()
            while self._readable:
                connection = next(iter(self._readable))
                datagram = connection.receive_now()
                # Each connection in turn.
                del self._readable[connection]
                if datagram is not None:
                    self._readable[connection] = None
                    return datagram, connection
            self._require_open()
            await self._changed.wait()

    def _require_open(self) -> None:
        if self._closed:
            raise Closed("the listener is closed")

    @property
    def local(self) -> Address:
        """The own address and port."""
        return self._port.address

    @property
    def connections(self) -> list[Connection]:
        return list(self._connections.values())

    @property
    def counters(self) -> Counter[str]:
        """By name, see docs/artp.md; of all connections."""
        return self._acceptor.counters + self._port.counters

    async def close(self) -> None:
        """Close every connection, then the port."""
        try:
            await asyncio.gather(*(each.close() for each in self.connections))
        finally:
            self.abort()

    def abort(self) -> None:
        """End at once."""
        for connection in self.connections:
            connection.abort()
        self._closed = True
        self._port.close()
        self._notify()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            await self.close()
        else:
            self.abort()

    def _packets(self, batch: list[tuple[bytes, Address]]) -> None:
        now = self._loop.time()
        touched: dict[Connection, None] = {}
        for data, address in batch:
            try:
                packet = parse(data)
            except Malformed as error:
                self._acceptor.counters[error.fault] += 1
                continue
            core, answer = self._acceptor.receive(packet, Source.of(*address), now)
            if answer is not None and not self._port.full:
                self._port.send(answer, address)
            if core is not None:
                touched[self._connection(core, address)] = None
        for connection in touched:
            connection.flush_now()
            if connection.core.ready:
                self._readable[connection] = None
        self._notify()

    def _connection(self, core: ConnectionCore, address: Address) -> Connection:
        number = core.number or 0
        connection = self._connections.get(number)
        if connection is None:
            connection = Connection(core, self._port, address, self._ended)
            self._connections[number] = connection
            self._new.append(connection)
        return connection

    def _ended(self, connection: Connection) -> None:
        self._acceptor.forget(connection.core, self._loop.time())
        self._connections.pop(connection.core.number or 0, None)
        if not connection.core.ready:
            self._readable.pop(connection, None)
            if connection in self._new:
                self._new.remove(connection)

    def _room(self) -> None:
        for connection in self.connections:
            connection.flush_now()

    def _notify(self) -> None:
        self._changed.set()
        self._changed.clear()


async def listen(
    address: Address | socket.socket,
    *,
    key: bytes | None = None,
    group_key: bytes | None = None,
    session: int = 0,
    mtu: int = MTU,
    memory: int = MEMORY,
    max_connections: int = MAX_CONNECTIONS,
    understands: frozenset[int] = frozenset(),
) -> Listener:
    """Accept connections at ``address``, port 0 takes a free one, or on a bound UDP socket.

    ``key``: the channel's, if several instances answer for one address; else a random one. ``group_key``: of
    the outputs that may send here without a handshake. ``memory``: bytes held for all connections together.
    """
    udp = address if isinstance(address, socket.socket) else udp_socket(*await resolve(address))
    room = mtu - _IP_AND_UDP[udp.family]
    settings = replace(_settings(session, 1, understands, 10.0), room=room)
    settings = replace(settings, receive_limit=min(settings.receive_limit, memory))
    acceptor = Acceptor(
        key or os.urandom(KEY_BYTES),
        new_origin(),
        settings,
        Budget(memory),
        group_key=group_key,
        max_connections=max_connections,
    )
    return Listener(udp, acceptor)
