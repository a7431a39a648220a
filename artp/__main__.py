"""Pipe bytes over ARTP: ``python -m artp receive HOST:PORT > copy``, ``… send HOST:PORT < original``."""

from __future__ import annotations

import argparse
import asyncio
import sys

import artp
from artp.wire import MAX_DATAGRAM


def address(text: str) -> tuple[str, int]:
    """``192.0.2.1:5004`` or ``[2001:db8::1]:5004``."""
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text}: not an address and a port, as 192.0.2.1:5004")
    return host.removeprefix("[").removesuffix("]"), int(port)


def key(text: str) -> bytes:
    try:
        raw = bytes.fromhex(text)
    except ValueError:
        raw = b""
    if len(raw) != 16:
        raise argparse.ArgumentTypeError("a key is 32 hexadecimal digits")
    return raw


async def send(options: argparse.Namespace) -> None:
    """Standard input, in datagrams whose order tells where they belong."""
    if options.group_key is None:
        connection = await artp.connect(
            options.address, session=options.session, copies=options.copies, timeout=options.timeout
        )
    else:
        connection = await artp.open_group(
            options.address, options.group_key, session=options.session, copies=options.copies
        )
    async with connection:
        order = 0
        while data := await asyncio.to_thread(sys.stdin.buffer.read, options.size):
            await connection.send(data, order=order)
            order += 1
        # Nothing says that there is no more but a datagram of its own.
        await connection.send(b"", order=order)
        await connection.flush()
        report(connection.counters)


async def receive(options: argparse.Namespace) -> None:
    """One connection's datagrams to standard output, put in order."""
    async with await artp.listen(
        options.address, group_key=options.group_key, session=options.session
    ) as listener:
        waiting: dict[int, bytes] = {}
        following = 0
        connection = await listener.accept()
        async for datagram in connection:
            if datagram.order is None:
                raise artp.ArtpError("a datagram has no order; only `send` can be received so")
            waiting[datagram.order] = datagram.data
            while (data := waiting.pop(following, None)) is not None:
                following += 1
                # Whoever reads the other end of a pipe may take his time; the connection must not.
                await asyncio.to_thread(sys.stdout.buffer.write, data)
            if following == options.count:
                # What comes through a node comes from a program, which has no reason to close.
                break
        sys.stdout.buffer.flush()
        report(listener.counters)
        if waiting:
            raise artp.ArtpError(f"the connection ended before datagram {following}")


def report(counters: dict[str, int]) -> None:
    sys.stderr.write(", ".join(f"{name} {count}" for name, count in sorted(counters.items())) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m artp", description=__doc__)
    parser.add_argument("role", choices=("send", "receive"))
    parser.add_argument("address", type=address, help="192.0.2.1:5004 or [2001:db8::1]:5004")
    parser.add_argument("--session", type=int, default=0, help="number that the node gave")
    parser.add_argument("--group-key", type=key, help="32 hexadecimal digits, shared by a group")
    parser.add_argument("--copies", type=int, default=1, help="receivers that must have each datagram")
    parser.add_argument("--size", type=int, default=MAX_DATAGRAM, help="bytes of a datagram, up to 65536")
    parser.add_argument("--count", type=int, help="datagrams after which `receive` ends, if nobody closes")
    parser.add_argument("--timeout", type=float, default=10.0, help="seconds to wait for an answer")
    options = parser.parse_args()
    if not 1 <= options.size <= MAX_DATAGRAM or options.copies < 1:
        parser.error("--size is 1 to 65536, --copies at least 1")
    try:
        asyncio.run(send(options) if options.role == "send" else receive(options))
    except (artp.ArtpError, OSError) as error:
        sys.stderr.write(f"artp: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
