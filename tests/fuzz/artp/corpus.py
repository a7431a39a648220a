"""Packets for every ARTP parser, with what it has to say of them.

``python -m tests.fuzz.artp.corpus`` writes corpus.jsonl. Made byte by byte, without ``artp.wire``, so that
it can contradict it.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).with_name("corpus.jsonl")
ORIGIN = b"\x02\x04\xca\xfe\xba\xbe"
K = 0x0123456789ABCDEF
HELLO, COOKIE, DATA, ACK, CLOSE, RESET, PING = range(1, 8)


class Case(NamedTuple):
    """``fixed``: what the first 40 bytes tell, None for nothing wrong; ``whole``: what an endpoint says."""

    name: str
    packet: bytes
    fixed: str | None
    whole: str | None


def packet(
    type: int,
    payload: bytes = b"",
    *,
    version: int = 1,
    flags: int = 0,
    length: int | None = None,
    session: int = 7,
    connection: int = K,
    datagram: int = 0,
    fragment: int = 0,
    fragments: int = 0,
    instance: int = 0,
    count: int = 0,
    zero: bytes = bytes(5),
    order: int = 0,
    destinations: bytes = b"",
    options: bytes = b"",
    origin: bytes = ORIGIN,
    check: bytes | None = None,
) -> bytes:
    middle = destinations + options + origin
    size = 40 + len(middle) + 6 if length is None else length
    head = struct.pack("!BBHIQIHHHB", version << 4 | type, flags, size, session, connection, datagram,
                       fragment, fragments, instance, count)  # fmt: skip
    head += zero + struct.pack("!Q", order)
    if check is None:
        sum = zlib.crc32(head[:24] + head[26:] + middle + b"\x01\x04" + payload)
        check = b"\x01\x04" + struct.pack("!I", sum)
    return head + middle + check + payload


def data(payload: bytes = b"abc", **fields: object) -> bytes:
    return packet(DATA, payload, **{"fragments": 1, **fields})  # type: ignore[arg-type]


def ack(*entries: tuple[int, int, int, int], more: bytes = b"") -> bytes:
    body = struct.pack("!II", 0xCAFEBABE, 65536) + b"".join(struct.pack("!IHHQ", *each) for each in entries)
    return packet(ACK, body + more, flags=0x40)


V4 = bytes(10) + b"\xff\xff" + bytes((192, 0, 2, 1)) + b"\x17\x70"
V6 = bytes.fromhex("20010db8000000000000000000000001") + b"\x17\x71"


def cases() -> Iterator[Case]:
    good = {
        "hello": packet(HELLO, connection=0),
        "cookie": packet(COOKIE),
        "data": data(),
        "data, empty": data(b""),
        "data, last of 64 fragments": data(fragment=63, fragments=64),
        "data, last number": data(datagram=0xFFFFFFFF, session=0xFFFFFFFF, instance=0xFFFF),
        "data, control": data(flags=0x80),
        "data, chosen instance": data(flags=0x40, instance=3),
        "data, order": data(flags=0x20, order=2**64 - 1),
        "data, order without its flag": data(order=5),
        "data, two destinations": data(count=2, destinations=V4 + V6),
        "data, four destinations": data(count=4, destinations=V4 * 4),
        "data, option": data(options=b"\x40\x02hi"),
        "data, empty option": data(options=b"\x41\x00"),
        "data, unknown option": data(options=b"\x20\x01x"),
        "data, critical option": data(options=b"\xc0\x01x"),
        "data, header of 208 bytes": data(options=b"\x40\x9a" + bytes(154)),
        "data, header of 208 bytes with destinations": data(
            count=4, destinations=V6 * 4, options=b"\x40\x52" + bytes(82)
        ),
        "data, 64 KiB would not matter here": data(bytes(9000)),
        "ack, no entry": ack(),
        "ack, one entry": ack((5, 3, 0, 0b101)),
        "ack, 32 entries": ack(*((n, 64, 1, 2**64 - 1) for n in range(32))),
        "ack, unknown datagram": ack((5, 0, 0, 0)),
        "close": packet(CLOSE, b"\0", flags=0x80),
        "close, answer": packet(CLOSE, b"\1", flags=0x40),
        "reset": packet(RESET, b"\2no such connection"),
        "reset without origin": packet(RESET, b"\2", origin=b"\x02\x04" + bytes(4)),
        "reset, text of 64 bytes": packet(RESET, b"\1" + b"x" * 64),
        "ping": packet(PING, datagram=9),
    }
    for name, raw in good.items():
        yield Case(name, raw, None, None)
    # Bytes 24-25 belong to the data plane.
    yield Case(
        "data, instance written on the way", good["data"][:24] + b"\0\7" + good["data"][26:], None, None
    )

    whole = good["data"]
    broken = {
        "nothing": (b"", "short"),
        "one byte": (b"\x13", "short"),
        "39 bytes": (whole[:39], "short"),
        "version 0": (data(version=0), "version"),
        "version 2": (data(version=2), "version"),
        "version 15": (data(version=15), "version"),
        "type 0": (packet(0), "type"),
        "type 8": (packet(8), "type"),
        "type 15": (packet(15), "type"),
        "version before type": (packet(0, version=3), "version"),
        "flag 0x01": (data(flags=0x01), "flags"),
        "flag 0x10": (data(flags=0x10), "flags"),
        "control and chosen": (data(flags=0xC0), "flags"),
        "control in hello": (packet(HELLO, connection=0, flags=0x80), "flags"),
        "control in ack": (packet(ACK, bytes(8), flags=0x80), "flags"),
        "control in ping": (packet(PING, flags=0x80), "flags"),
        "five destinations": (data(count=5, destinations=V4 * 5), "destinations"),
        "255 destinations": (data(count=255), "destinations"),
        "byte 27": (data(zero=b"\1\0\0\0\0"), "reserved"),
        "byte 31": (data(zero=b"\0\0\0\0\1"), "reserved"),
        "header of 39": (data(length=39), "length"),
        "header of 0": (data(length=0), "length"),
        "header of 209": (data(bytes(300), length=209), "length"),
        "header of 65535": (data(length=65535), "length"),
        "header longer than the packet": (data(b"", length=53), "length"),
        "no room for a destination": (data(b"", count=1, length=57), "length"),
        "no room for four destinations": (data(bytes(200), count=4, length=111), "length"),
        "no fragments": (data(fragments=0), "fragment"),
        "fragment 1 of 1": (data(fragment=1), "fragment"),
        "fragment 64 of 64": (data(fragment=64, fragments=64), "fragment"),
        "65 fragments": (data(fragments=65), "fragment"),
        "65535 fragments": (data(fragments=65535), "fragment"),
        "hello with a fragment": (packet(HELLO, connection=0, fragments=1), "fragment"),
        "ack with a fragment": (packet(ACK, bytes(8), fragment=1), "fragment"),
    }
    for name, (raw, fault) in broken.items():
        yield Case(name, raw, fault, fault)

    deeper = {
        "header alone": (data(b"", length=40), "options"),
        "header cuts the check": (data(length=51), "options"),
        "check before origin": (data(b"", origin=b"\x01\x04abcd", check=ORIGIN), "options"),
        "no origin": (data(origin=b"\x40\x04abcd"), "options"),
        "origin of 3 bytes": (data(origin=b"\x02\x03abcd"), "options"),
        "two origins": (data(options=ORIGIN), "options"),
        "two checks": (data(options=b"\x01\x04abcd"), "options"),
        "option beyond the tail": (data(options=b"\x40\x03hi"), "options"),
        "option of one byte": (data(options=b"\x40"), "options"),
        "option of 255": (data(options=b"\x40\xff" + bytes(100)), "options"),
        "wrong check": (data(check=b"\x01\x04\0\0\0\0"), "check"),
        "payload changed": (whole[:-1] + b"x", "check"),
        "payload longer": (whole + b"\0", "check"),
        "payload cut": (whole[:-1], "check"),
        "session changed": (whole[:4] + b"\1" + whole[5:], "check"),
        "order changed": (whole[:39] + b"\1" + whole[40:], "check"),
        "hello with a connection": (packet(HELLO), "connection"),
        "data without a connection": (data(connection=0), "connection"),
        "reset without a connection": (packet(RESET, b"\2", connection=0), "connection"),
        "data with origin 0": (data(origin=b"\x02\x04" + bytes(4)), "connection"),
        "empty fragment": (data(b"", fragment=1, fragments=2), "payload"),
        "hello with a payload": (packet(HELLO, b"x", connection=0), "payload"),
        "cookie with a payload": (packet(COOKIE, b"x"), "payload"),
        "ping with a payload": (packet(PING, b"x"), "payload"),
        "close without a byte": (packet(CLOSE), "payload"),
        "close 2": (packet(CLOSE, b"\2"), "payload"),
        "close, two bytes": (packet(CLOSE, b"\0\0"), "payload"),
        "reset without a reason": (packet(RESET), "payload"),
        "reset, text of 65 bytes": (packet(RESET, b"\1" + b"x" * 65), "payload"),
        "reset, not UTF-8": (packet(RESET, b"\1\xff"), "payload"),
        "ack, no window": (packet(ACK, bytes(7)), "payload"),
        "ack, empty": (packet(ACK), "payload"),
        "ack, half an entry": (ack((5, 3, 0, 1), more=bytes(8)), "payload"),
        "ack, 33 entries": (ack(*((n, 1, 1, 1) for n in range(33))), "payload"),
        "ack, 65 fragments": (ack((5, 65, 0, 1)), "payload"),
        "ack, state 2": (ack((5, 1, 2, 1)), "payload"),
        "ack, bitmap too long": (ack((5, 3, 0, 0b1000)), "payload"),
        "ack, taken in part": (ack((5, 3, 1, 0b011)), "payload"),
        "ack, nothing taken": (ack((5, 0, 1, 0)), "payload"),
    }
    for name, (raw, fault) in deeper.items():
        yield Case(name, raw, None, fault)


def read() -> list[Case]:
    lines = FILE.read_text().splitlines()
    raw = [json.loads(line) for line in lines]
    return [Case(each["name"], bytes.fromhex(each["packet"]), each["fixed"], each["whole"]) for each in raw]


def lines() -> str:
    return "".join(json.dumps({**case._asdict(), "packet": case.packet.hex()}) + "\n" for case in cases())


if __name__ == "__main__":
    FILE.write_text(lines())
