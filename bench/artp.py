"""What ARTP carries from Python over a link of 200 Mbit/s, beside TCP from Python over the same link.

Sender and receiver are processes of their own in two namespaces; the link is shaped by a token bucket.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import artp
from bench.lab import Namespace, namespace, wire
from bench.registry import Goal, Result, interleaved, measurement, noise

ROUNDS, BYTES, CHUNK = 5, 25 << 20, 60_000
ADDRESS, PORT = "10.78.0.2", 5004
SHAPED = ("tbf", "rate", "200mbit", "burst", "64kb", "latency", "20ms")


@measurement
def artp_throughput() -> Iterator[Result]:
    with namespace("near") as near, namespace("far") as far:
        wire(near, "eth0", far, "eth0")
        for end, address in ((near, "10.78.0.1"), (far, ADDRESS)):
            end.run("ip", "addr", "add", f"{address}/24", "dev", "eth0")
            end.run("tc", "qdisc", "add", "dev", "eth0", "root", *SHAPED)
        contenders = {name: lambda name=name: _transfer(name, near, far) for name in ("artp", "tcp")}
        rates = interleaved(contenders, ROUNDS)
    ours, tcp = statistics.median(rates["artp"]), statistics.median(rates["tcp"])
    conditions = (
        f"{BYTES >> 20} MiB in datagrams of {CHUNK} bytes over 200 Mbit/s (TBF), medians of {ROUNDS} "
        f"interleaved rounds, noise ±{noise(rates['artp']):.1%} (ARTP) and ±{noise(rates['tcp']):.1%} (TCP)"
    )
    peers = {"ARTP Mbit/s": ours, "TCP Mbit/s": tcp}
    yield Result("artp_to_tcp", ours / tcp, "× TCP", Goal(">=", 0.5), peers, conditions)


def _transfer(transport: str, near: Namespace, far: Namespace) -> float:
    """Mbit/s of payload, as the receiver sees it."""
    receiver = subprocess.Popen(_command(far, transport, "receive"), stdout=subprocess.PIPE, text=True)
    try:
        assert receiver.stdout is not None
        if receiver.stdout.readline() != "ready\n":
            raise RuntimeError(f"the {transport} receiver did not start")
        subprocess.run(_command(near, transport, "send"), check=True, timeout=120)
        return float(receiver.communicate(timeout=60)[0])
    finally:
        receiver.kill()
        receiver.wait()


def _command(place: Namespace, *words: str) -> list[str]:
    return ["nsenter", f"--net=/run/netns/{place.name}", sys.executable, "-m", "bench.artp", *words]


async def _receive_artp() -> None:
    got, start = 0, 0.0
    async with await artp.listen((ADDRESS, PORT)) as listener:
        _say("ready")
        async with await listener.accept() as connection:
            async for datagram in connection:
                start = start or time.perf_counter()
                got += len(datagram.data)
                if got >= BYTES:
                    _say(str(got * 8e-6 / (time.perf_counter() - start)))


async def _send_artp() -> None:
    async with await artp.connect((ADDRESS, PORT)) as connection:
        for _ in range(-(-BYTES // CHUNK)):
            await connection.send(bytes(CHUNK))


def _receive_tcp() -> None:
    with socket.create_server((ADDRESS, PORT)) as server:
        _say("ready")
        connection, _ = server.accept()
        with connection:
            got, start = 0, 0.0
            while data := connection.recv(CHUNK):
                start = start or time.perf_counter()
                got += len(data)
            _say(str(got * 8e-6 / (time.perf_counter() - start)))


def _send_tcp() -> None:
    with socket.create_connection((ADDRESS, PORT), timeout=60) as connection:
        for _ in range(-(-BYTES // CHUNK)):
            connection.sendall(bytes(CHUNK))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    transport, role = sys.argv[1:]
    if transport == "tcp":
        _receive_tcp() if role == "receive" else _send_tcp()
    else:
        asyncio.run(_receive_artp() if role == "receive" else _send_artp())
