"""The name protocol: programs tell the node at which real port they serve a symbolic name (D61–D63).

Text lines over TCP to the gateway, port 7070. This module has the protocol as a pure function (`answer`: a
line, who sent it and what is registered, in; a reply and its effect, out) and the server of one link around
it. The server's sockets are bound to the link's device, so the link tells which VM calls, and the source
address which of its programs. Nothing that arrives is trusted.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from typing import Protocol
from urllib.parse import quote

import structlog

from dipronn.errors import DipronnError, Unavailable
from dipronn.v1 import state_pb2
from vmhost import sharing
from vmhost.bucket import Bucket
from vmhost.vm.spec import GATEWAYS, NAME_PORT, Address

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0
MAX_LINE = 512
"""Bytes of a line or a reply, with its LF."""
TRANSPORTS = ("udp", "artp")

_NAME = re.compile(r"([A-Za-z][A-Za-z0-9_-]*)/([A-Za-z][A-Za-z0-9_-]*)")
_PORT = re.compile(r"[1-9][0-9]{0,4}")


@dataclass(frozen=True, slots=True)
class Registration:
    """The couple (symbolic name, real port) and the address that it was registered from (D63)."""

    program: str
    port: str
    transport: str
    real_port: int
    address: Address

    @property
    def name(self) -> str:
        return f"{self.program}/{self.port}"


@dataclass(frozen=True, slots=True)
class Callers:
    """Who may call over one link: for each of the guest's addresses the programs that it stands for, each
    with the ports that the session gives it. In a user's own VM every address stands for every program."""

    programs: Mapping[Address, Mapping[str, frozenset[str]]]


@dataclass(frozen=True, slots=True)
class Grant:
    """What a registration is answered with: its number and, for ARTP, the channel's key."""

    id: int
    key: bytes | None = None


@dataclass(frozen=True, slots=True)
class Resolution:
    """What RESOLVE tells. `copies`: how many acknowledgements a datagram needs."""

    transport: str
    port: int
    copies: int
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """`text`: one or more lines, without the last LF; None where the answer is the agent's."""

    text: str | None
    register: Registration | None = None
    unregister: Registration | None = None
    resolve: tuple[str, str] | None = None
    share: state_pb2.StateRequest | None = None
    close: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one link. Lines are counted by a bucket that `burst` fills and `per_second` refills."""

    connections: int = 16
    names: int = 256
    burst: int = 200
    per_second: float = 50.0


def answer(
    line: bytes, caller: Address, callers: Callers, held: Mapping[str, Registration], limits: Limits
) -> Reply:
    """The reply to one line without its LF. `held`: the link's registrations by name. Never raises."""
    try:
        words = line.replace(b"\r", b"").decode().split(" ")
    except UnicodeDecodeError:
        return _error(400, "not UTF-8")
    programs = callers.programs.get(caller, {})
    match words:
        case ["REGISTER", name, transport, port]:
            return _register(name, transport, port, caller, programs, held, limits)
        case ["UNREGISTER", name]:
            if error := _judge(name, programs):
                return error
            return (
                Reply("OK", unregister=held[name])
                if name in held
                else _error(404, f"{name} is not registered")
            )
        case ["RESOLVE", name]:
            program, _, port = name.partition("/")
            return _judge(name, programs) or Reply(None, resolve=(program, port))
        case ["LIST"]:
            names = sorted(each.name for each in held.values() if each.program in programs)
            return Reply("\n".join([*names, "."]))
        case ["PING"]:
            return Reply("OK")
        case ["QUIT"]:
            return Reply("OK", close=True)
        case [verb, *_] if verb in sharing.VERBS and programs:
            asked = sharing.read(words)
            return _error(400, asked) if isinstance(asked, str) else Reply(None, share=asked)
    return _error(400, "expected REGISTER, UNREGISTER, RESOLVE, LIST, PING or QUIT with its arguments")


def resolved(resolution: Resolution | None) -> str:
    """The reply to RESOLVE. Values are percent-encoded where they must be; parameters beyond a line's length
    are left off, the program has them in its environment, too."""
    if resolution is None:
        return "ERR 404 unknown name"
    text = f"OK {resolution.transport} {resolution.port} {resolution.copies}"
    for key, value in resolution.params.items():
        longer = f"{text} {quote(key, safe='')}={quote(value, safe='/:,;@+*')}"
        if len(longer) < MAX_LINE:
            text = longer
    return text


def _register(
    name: str,
    transport: str,
    port: str,
    caller: Address,
    programs: Mapping[str, frozenset[str]],
    held: Mapping[str, Registration],
    limits: Limits,
) -> Reply:
    if transport not in TRANSPORTS:
        return _error(400, "the transport is udp or artp")
    if not _PORT.fullmatch(port) or int(port) > 65535:
        return _error(400, "the port is a number from 1 to 65535")
    if error := _judge(name, programs):
        return error
    program, _, port_name = name.partition("/")
    wanted = Registration(program, port_name, transport, int(port), caller)
    for other in held.values():
        if other.name != name and (other.address, other.real_port) == (caller, wanted.real_port):
            return _error(409, f"port {port} is taken by {other.name}")
    if name not in held and len(held) >= limits.names:
        return _error(429, "too many names")
    return Reply(None, register=wanted)


def _judge(name: str, programs: Mapping[str, frozenset[str]]) -> Reply | None:
    """What is wrong with a name, if anything is."""
    match = _NAME.fullmatch(name)
    if not match:
        return _error(400, "a name is <program>/<port>")
    program, port = match.groups()
    if program not in programs:
        return _error(403, f"{program} is not a program of this caller")
    if port not in programs[program]:
        return _error(404, f"{program} has no port {port} in its session")
    return None


def _error(code: int, text: str, *, close: bool = False) -> Reply:
    # What is echoed of a caller's line must not make the reply longer than a line.
    return Reply(f"ERR {code} {text}"[: MAX_LINE - 1], close=close)


class NameHooks(Protocol):
    """What the agent does about names. Called one at a time per link."""

    async def registered(self, device: str, new: Registration, old: Registration | None) -> Grant:
        """Make the binding; `old` is what the name meant before. The program is answered after that.

        A DipronnError closes the connection without an answer, so that the program tries again.
        """
        ...

    async def unregistered(self, device: str, old: Registration) -> None:
        """Remove the binding."""
        ...

    def resolve(self, device: str, program: str, port: str) -> Resolution | None:
        """What RESOLVE is answered with; None: unknown."""
        ...


Share = Callable[[Address, state_pb2.StateRequest], Awaitable[str]]
"""Who asks, and what, about shared state → the line that answers; may take half a minute.

Called any number at a time. A DipronnError closes the connection without an answer.
"""


class NameServer:
    """Serves the name protocol to one link. `held`: registrations to start with, as after a restart.
    `share`: None where no state is shared."""

    def __init__(
        self,
        device: str,
        callers: Callers,
        hooks: NameHooks,
        *,
        held: Iterable[Registration] = (),
        limits: Limits | None = None,
        share: Share | None = None,
    ) -> None:
        self._share = share
        self._device = device
        self._callers = callers
        self._hooks = hooks
        self._limits = limits or Limits()
        self._held = {each.name: each for each in held}
        self._turn = asyncio.Lock()
        self._connections: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._bucket = Bucket(self._limits.burst, self._limits.per_second)

    @property
    def registrations(self) -> Mapping[str, Registration]:
        """By name."""
        return dict(self._held)

    async def start(self, gateways: Iterable[Address] = GATEWAYS, port: int = NAME_PORT) -> None:
        """Listen at those gateways whose family the guest has. Raises Unavailable."""
        families = {address.version for address in self._callers.programs}
        try:
            for gateway in gateways:
                if gateway.version in families:
                    listener = _listen(self._device, gateway, port)
                    # A line may have 511 bytes before its LF; a longer one overruns.
                    server = await asyncio.start_server(self._serve, sock=listener, limit=MAX_LINE - 1)
                    self._servers.append(server)
        except OSError as error:
            await self.close()
            raise Unavailable(f"name server on {self._device}: {error.strerror or error}") from error

    async def close(self) -> None:
        """Stop listening and end all conversations; registrations stay what they are."""
        for server in self._servers:
            server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()

    async def forget(self, program: str) -> None:
        """Unregister all names of a program, as when it has ended."""
        async with self._turn:
            for each in [held for held in self._held.values() if held.program == program]:
                await self._unregister(each)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        full = len(self._connections) >= self._limits.connections
        self._connections.add(task)
        try:
            # An IPv6 peer's address may carry its scope.
            caller = ip_address(writer.get_extra_info("peername")[0].partition("%")[0])
            if full:
                await self._say(writer, "ERR 429 too many connections")
            elif caller not in self._callers.programs:
                await self._say(writer, "ERR 403 not an address of a program")
            else:
                await self._converse(reader, writer, caller)
            await _drain(reader, writer)
        except (OSError, TimeoutError):
            pass
        except DipronnError as error:
            log.warning("name not served", device=self._device, error=str(error))
        finally:
            self._connections.discard(task)
            writer.close()

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, caller: Address
    ) -> None:
        while True:
            try:
                line = await reader.readuntil(b"\n")
            except asyncio.IncompleteReadError:
                return
            except asyncio.LimitOverrunError:
                await self._say(writer, f"ERR 413 line longer than {MAX_LINE} bytes")
                return
            if not self._bucket.take():
                await self._say(writer, "ERR 429 too many lines")
                return
            async with self._turn:
                reply = answer(line[:-1], caller, self._callers, self._held, self._limits)
                text = await self._carry_out(reply)
            if reply.share:  # others need not wait for what this one waits for
                text = await self._shared(reader, caller, reply.share)
            await self._say(writer, text)
            if reply.close:
                return

    async def _carry_out(self, reply: Reply) -> str:
        if new := reply.register:
            grant = await self._hooks.registered(self._device, new, self._held.get(new.name))
            self._held[new.name] = new
            return f"OK {grant.id}" + (f" key={grant.key.hex().upper()}" if grant.key is not None else "")
        if reply.unregister:
            await self._unregister(reply.unregister)
        if reply.resolve:
            return resolved(self._hooks.resolve(self._device, *reply.resolve))
        return reply.text or ""

    async def _shared(
        self, reader: asyncio.StreamReader, caller: Address, request: state_pb2.StateRequest
    ) -> str:
        """An answer, or the end of the conversation: a caller that has left need not be waited for."""
        if self._share is None:
            return "ERR 404 no state is shared here"
        asking = asyncio.ensure_future(self._share(caller, request))
        try:
            while not (await asyncio.wait({asking}, timeout=_LOOK_SECONDS))[0]:
                if reader.at_eof():
                    raise ConnectionResetError
            return asking.result()
        finally:
            asking.cancel()

    async def _unregister(self, registration: Registration) -> None:
        await self._hooks.unregistered(self._device, registration)
        self._held.pop(registration.name, None)

    async def _say(self, writer: asyncio.StreamWriter, text: str) -> None:
        writer.write(text.encode() + b"\n")
        async with asyncio.timeout(10):
            await writer.drain()


async def _drain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close our half and take a little of what is still coming: a reset would overtake the last reply."""
    writer.write_eof()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1):
            for _ in range(64):
                if not await reader.read(1024):
                    return


def _listen(device: str, gateway: Address, port: int) -> socket.socket:
    """A listener that hears one link only, whatever else has the same address."""
    family = socket.AF_INET6 if isinstance(gateway, IPv6Address) else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind((str(gateway), port))
        listener.setblocking(False)
        return listener
    except OSError:
        listener.close()
        raise
