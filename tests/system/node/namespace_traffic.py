"""Traffic of the node's tests, run as a script inside a namespace; one JSON line on standard output.

send ADDRESS PORT COUNT PER_SECOND      numbered datagrams; prints what came back as answers
say ADDRESS PORT TEXT ...               a datagram of each text
receive ADDRESS PORT IDLE [answer]      records until IDLE seconds pass without a datagram
stream ADDRESS PORT PER_SECOND          numbered datagrams until standard input ends, then "end" three times
collect ADDRESS PORT                    records until one ends with "end"
receive ADDRESS PORT IDLE COUNT         records so many, and no longer
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time


def send(address: str, port: int, count: int, per_second: float) -> dict[str, object]:
    answers = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as source:
        start = time.monotonic()
        for number in range(count):
            source.sendto(b"%d" % number, (address, port))
            source.settimeout(max(0.0001, start + (number + 1) / per_second - time.monotonic()))
            try:
                while True:
                    answers.append(source.recvfrom(2048)[0].decode())
            except TimeoutError:
                pass
    return {"sent": count, "answers": answers}


def say(address: str, port: int, *texts: str) -> dict[str, object]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as source:
        for text in texts:
            source.sendto(text.encode(), (address, port))
    return {"sent": len(texts)}


def receive(address: str, port: int, idle: float, answer: bool, count: int = 0) -> dict[str, object]:
    received: list[str] = []
    sources: set[str] = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind((address, port))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        receiver.settimeout(max(30, idle))
        try:
            while not count or len(received) < count:
                payload, source = receiver.recvfrom(2048)
                receiver.settimeout(idle)
                received.append(payload.decode("latin-1"))
                sources.add(f"{source[0]}:{source[1]}")
                if answer:
                    receiver.sendto(b"thanks for " + payload, source)
        except TimeoutError:
            pass
    return {"received": received, "sources": sorted(sources)}


def stream(address: str, port: int, per_second: float) -> dict[str, object]:
    number = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as source:
        while not select.select([sys.stdin], [], [], 1 / per_second)[0]:
            source.sendto(b"%d" % number, (address, port))
            number += 1
        for _ in range(3):
            source.sendto(b"end", (address, port))
    return {"sent": number}


def collect(address: str, port: int) -> dict[str, object]:
    received: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        receiver.bind((address, port))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        receiver.settimeout(120)
        while not (payload := receiver.recv(2048)).endswith(b"end"):
            received.append(payload.decode("latin-1"))
    return {"received": received}


if __name__ == "__main__":
    verb, address, port, *rest = sys.argv[1:]
    if verb == "send":
        result = send(address, int(port), int(rest[0]), float(rest[1]))
    elif verb == "stream":
        result = stream(address, int(port), float(rest[0]))
    elif verb == "collect":
        result = collect(address, int(port))
    elif verb == "say":
        result = say(address, int(port), *rest)
    else:
        count = int(rest[1]) if rest[1:] and rest[1].isdigit() else 0
        result = receive(address, int(port), float(rest[0]), rest[1:] == ["answer"], count)
    sys.stdout.write(json.dumps(result) + "\n")
