"""The demonstration's source and receivers, each a process of its own in its namespace.

    python -m dipronn.demo.traffic send --to 192.0.2.1:5004 --capture sent.pcap
    python -m dipronn.demo.traffic receive --address 198.51.100.7 --port 6000=high.pcap --port 6002=safe.pcap

`send` has ffmpeg stream live by RTP to a socket of ours on the namespace's loopback, and hands on every
datagram unaltered to the node, recording what the kernel took. So the record is exactly what the node was
given: a second output of ffmpeg would have RTP numbers of its own, and a capture beside it could lose.
ffmpeg's RTCP stays on the loopback. The loopback must be up.

Standard output carries JSON lines: `{"event": "ready"}` when the sockets are bound (`send`: when the first
datagram left), and last `{"event": "counts", …}`. SIGTERM and SIGINT end both early, still with their counts.
Exit codes: 0 done, 1 something failed (told on standard error), 2 usage.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from dipronn.demo.capture import Address, CaptureWriter, Datagram
from dipronn.demo.media import Recipe
from dipronn.errors import DipronnError, Unavailable

_LARGEST = 65535
_RECEIVE_BUFFER = 8 << 20
_SO_RCVBUFFORCE = 33  # Linux's numbers, which Python 3.11 does not name
_SO_TIMESTAMPNS = 35
_SO_RXQ_OVFL = 40
_MOST_BYTES = 256 << 20  # of a capture; a demonstration is some megabytes
_ANCILLARY = socket.CMSG_SPACE(16) + socket.CMSG_SPACE(4)
_SEND_GAP = (
    0.001  # seconds between two datagrams: an ffmpeg that was late catches up without flooding a program
)
_FFMPEG_GRACE = 5.0


class TrafficFailed(DipronnError):
    """ffmpeg or a socket did not do its part."""


class _Receiver:
    """A bound UDP socket that tells when the kernel got each datagram, and how many it had no room for."""

    def __init__(self, address: Address) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.lost = 0
        try:
            _enlarge_receive_buffer(self.socket)
            self.socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            self.socket.setsockopt(socket.SOL_SOCKET, _SO_RXQ_OVFL, 1)
            self.socket.bind(address)
        except OSError as error:
            self.socket.close()
            raise TrafficFailed(f"cannot receive on {address[0]}:{address[1]}: {error.strerror}") from error
        self.address: Address = self.socket.getsockname()

    def receive(self) -> Datagram | None:
        """The next datagram that has arrived, or None."""
        try:
            payload, ancillary, _, source = self.socket.recvmsg(_LARGEST, _ANCILLARY)
        except BlockingIOError:
            return None
        arrival = time.time_ns()
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = struct.unpack("=qq", data)
                arrival = seconds * 1_000_000_000 + nanoseconds
            elif level == socket.SOL_SOCKET and kind == _SO_RXQ_OVFL:
                (self.lost,) = struct.unpack("=I", data)
        return Datagram(arrival, source, self.address, payload)

    def close(self) -> None:
        self.socket.close()


def _enlarge_receive_buffer(receiver: socket.socket) -> None:
    try:
        receiver.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
    except PermissionError:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)


def _bind_rtp_pair() -> tuple[_Receiver, _Receiver]:
    """An even port on the loopback for RTP and the odd one above it for RTCP, both free."""
    for _ in range(64):
        rtp = _Receiver(("127.0.0.1", 0))
        if rtp.address[1] % 2 == 0:
            try:
                return rtp, _Receiver(("127.0.0.1", rtp.address[1] + 1))
            except TrafficFailed:
                pass
        rtp.close()
    raise TrafficFailed("no two neighbouring UDP ports are free on the loopback")


async def _take_arrived(receiver: _Receiver, take: Callable[[Datagram], None], gap: float = 0.0) -> None:
    """Hands every datagram that has arrived to `take`, pausing `gap` seconds after each."""
    while (datagram := receiver.receive()) is not None:
        take(datagram)
        if gap:
            await asyncio.sleep(gap)


async def _pump(receiver: _Receiver, take: Callable[[Datagram], None], gap: float = 0.0) -> None:
    """Hands every datagram that arrives to `take`, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        await _take_arrived(receiver, take, gap)
        readable = asyncio.Event()
        loop.add_reader(receiver.socket, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(receiver.socket)


async def _until_first(*activities: Coroutine[None, None, None]) -> None:
    """Runs activities side by side until one ends or fails, then ends the others; fails as it did."""
    tasks = [asyncio.ensure_future(activity) for activity in activities]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass
class SendCounts:
    """What `send` did. Times in nanoseconds since the epoch."""

    sent: int = 0
    bytes: int = 0
    refused: int = 0  # datagrams that the kernel did not take for sending; not in the capture
    lost_before: int = 0  # datagrams of ffmpeg that did not reach us over the loopback
    first: int = 0
    last: int = 0


async def send(recipe: Recipe, to: Address, capture: Path, on_first: Callable[[], None]) -> SendCounts:
    """Streams `recipe` live to an address of the node and records what left.

    When cancelled it ends early. Raises TrafficFailed and Unavailable.
    """
    counts = SendCounts()
    with ExitStack() as stack:
        rtp, rtcp = _bind_rtp_pair()
        stack.callback(rtp.close)
        stack.callback(rtcp.close)
        sender = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sender.bind((_source_towards(to), 0))
        source = sender.getsockname()
        record = stack.enter_context(CaptureWriter(capture))

        def forward(datagram: Datagram) -> None:
            now = time.time_ns()
            try:
                sender.sendto(datagram.payload, to)
            except OSError:
                counts.refused += 1
                return
            record.write(Datagram(now, source, to, datagram.payload))
            counts.sent += 1
            counts.bytes += len(datagram.payload)
            counts.last = now
            if counts.sent == 1:
                counts.first = now
                on_first()

        def ignore(_: Datagram) -> None:
            pass

        deadline = 30 + 2 * recipe.seconds / recipe.speed
        ffmpeg = _run_ffmpeg(recipe.ffmpeg_arguments(rtp.address), deadline)
        with suppress(asyncio.CancelledError):
            await _until_first(_pump(rtp, forward, _SEND_GAP), _pump(rtcp, ignore), ffmpeg)
            await _take_arrived(rtp, forward, _SEND_GAP)
        counts.lost_before = rtp.lost
    return counts


def _source_towards(to: Address) -> str:
    """The address from which the kernel sends to `to`."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(to)
        except OSError as error:
            raise TrafficFailed(f"no way to {to[0]}:{to[1]}: {error.strerror}") from error
        address: str = probe.getsockname()[0]
        return address


async def _run_ffmpeg(arguments: list[str], deadline: float) -> None:
    """Runs ffmpeg to its end; it ends with us, also if we are killed."""
    try:
        process = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "TERM", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    except FileNotFoundError as error:
        raise Unavailable(
            "setpriv (package util-linux) is not installed; `make setup` installs it"
        ) from error
    try:
        async with asyncio.timeout(deadline):
            _, complaints = await process.communicate()
    except TimeoutError as error:
        raise TrafficFailed(f"ffmpeg had not ended after {deadline:.0f} s") from error
    finally:
        if process.returncode is None:
            await _end(process)
    if process.returncode:
        raise TrafficFailed(
            f"ffmpeg ended with exit code {process.returncode}: {complaints.decode(errors='replace').strip()}"
        )


async def _end(process: asyncio.subprocess.Process) -> None:
    process.terminate()
    try:
        async with asyncio.timeout(_FFMPEG_GRACE):
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()


@dataclass
class PortCounts:
    """What one port received. Times in nanoseconds since the epoch, zero if nothing came."""

    capture: str
    received: int = 0
    bytes: int = 0
    lost: int = 0  # arrived, but the socket had no room
    first: int = 0
    last: int = 0


class _Port:
    """A UDP port, the file in which its datagrams are recorded, and their counts."""

    def __init__(self, receiver: _Receiver, record: CaptureWriter) -> None:
        self.receiver = receiver
        self.counts = PortCounts(capture=str(record.path))
        self._record = record

    def take(self, datagram: Datagram) -> None:
        counts = self.counts
        if counts.bytes + len(datagram.payload) > _MOST_BYTES:
            raise TrafficFailed(f"{counts.capture} would grow beyond {_MOST_BYTES} bytes")
        self._record.write(datagram)
        counts.received += 1
        counts.bytes += len(datagram.payload)
        counts.first = counts.first or datagram.time
        counts.last = datagram.time


async def receive(
    address: str, captures: dict[int, Path], idle: float, deadline: float, on_ready: Callable[[], None]
) -> dict[int, PortCounts]:
    """Records what comes to UDP ports, each into its own file, and gives the counts by port.

    Ends when every port has had something and all were quiet for `idle` seconds, after `deadline` seconds,
    or when cancelled; what came until then is recorded in each case. Raises TrafficFailed.
    """
    with ExitStack() as stack:
        ports: dict[int, _Port] = {}
        for number, path in captures.items():
            receiver = _Receiver((address, number))
            stack.callback(receiver.close)
            ports[number] = _Port(receiver, stack.enter_context(CaptureWriter(path)))

        async def quiet() -> None:
            before: list[int] = []
            while True:
                await asyncio.sleep(idle)
                now = [port.counts.received for port in ports.values()]
                if all(now) and now == before:
                    return
                before = now

        on_ready()
        with suppress(asyncio.CancelledError, TimeoutError):
            async with asyncio.timeout(deadline):
                await _until_first(quiet(), *(_pump(port.receiver, port.take) for port in ports.values()))
        for port in ports.values():
            await _take_arrived(port.receiver, port.take)
            port.counts.lost = port.receiver.lost
        return {number: port.counts for number, port in ports.items()}


def _tell(event: str, **facts: object) -> None:
    sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stdout.flush()


async def _send(options: argparse.Namespace) -> None:
    recipe = Recipe(seconds=options.seconds, speed=options.speed)
    counts = await send(recipe, options.to, options.capture, lambda: _tell("ready"))
    _tell("counts", capture=str(options.capture), **vars(counts))


async def _receive(options: argparse.Namespace) -> None:
    counts = await receive(
        options.address,
        dict(options.port),
        options.idle,
        options.timeout,
        lambda: _tell("ready", ports=sorted(dict(options.port))),
    )
    _tell("counts", ports={str(port): vars(each) for port, each in counts.items()})


def _address(text: str) -> Address:
    host, _, port = text.rpartition(":")
    return str(IPv4Address(host)), _port(port)


def _port(text: str) -> int:
    port = int(text)
    if not 0 < port < 65536:
        raise ValueError(f"{port} is no UDP port")
    return port


def _port_and_file(text: str) -> tuple[int, Path]:
    port, _, path = text.partition("=")
    if not path:
        raise ValueError("PORT=FILE")
    return _port(port), Path(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dipronn.demo.traffic", allow_abbrev=False)
    commands = parser.add_subparsers(required=True)
    sending = commands.add_parser("send", help="stream live from ffmpeg to the node, recording what left")
    sending.add_argument("--to", type=_address, required=True, metavar="ADDRESS:PORT")
    sending.add_argument("--capture", type=Path, required=True, metavar="FILE")
    sending.add_argument("--seconds", type=float, default=Recipe.seconds)
    sending.add_argument("--speed", type=float, default=Recipe.speed)
    sending.set_defaults(run=_send)
    receiving = commands.add_parser("receive", help="record what arrives, until it is quiet")
    receiving.add_argument("--address", type=lambda text: str(IPv4Address(text)), default="0.0.0.0")
    receiving.add_argument(
        "--port", type=_port_and_file, action="append", required=True, metavar="PORT=FILE", dest="port"
    )
    receiving.add_argument(
        "--idle", type=float, default=3.0, help="quiet seconds after which it ends, all ports served"
    )
    receiving.add_argument("--timeout", type=float, default=120.0, help="seconds after which it ends anyway")
    receiving.set_defaults(run=_receive)
    return parser


async def _main(options: argparse.Namespace) -> None:
    task = asyncio.ensure_future(options.run(options))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    await task


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        asyncio.run(_main(options))
    except (DipronnError, OSError) as error:
        sys.stderr.write(f"traffic: {error}\n")
        return 1
    except asyncio.CancelledError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
