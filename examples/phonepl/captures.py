"""The captures beside the examples: what goes in, and what must come out, worked out here without Phonepl.

`python examples/phonepl/captures.py` writes `captures/EXAMPLE/in-STREAM.pcap` and `out-STREAM.pcap` anew.
Addresses are made up (RFC 5737, locally administered MACs); the times start at 2025-01-01.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parent / "captures"
START = 1_735_689_600_000_000_000

Packets = list[tuple[int, bytes]]
"""Time in nanoseconds after START, and the bytes."""


@dataclass(frozen=True)
class Example:
    """One run of one program: captures in, captures out, and the drops that are counted."""

    program: str
    inputs: dict[str, Packets]
    outputs: dict[str, Packets]
    drops: dict[str, int] = field(default_factory=dict)
    link_type: int = 1


def mac(number: int) -> bytes:
    """A locally administered address."""
    return bytes([2, 0, 0, 0, 0, number])


def ethernet(destination: int, source: int, kind: int, payload: bytes) -> bytes:
    """An Ethernet frame."""
    return mac(destination) + mac(source) + struct.pack(">H", kind) + payload


def checksum(data: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(
    source: bytes, destination: bytes, protocol: int, payload: bytes, number: int = 0, flags: int = 0
) -> bytes:
    """An IPv4 packet without options."""
    head = struct.pack(">BBHHHBB", 0x45, 0, 20 + len(payload), number, flags, 64, protocol)
    sum_ = checksum(head + bytes(2) + source + destination)
    return head + struct.pack(">H", sum_) + source + destination + payload


def udp(source: int, destination: int, payload: bytes) -> bytes:
    """A UDP datagram without checksum."""
    return struct.pack(">HHHH", source, destination, 8 + len(payload), 0) + payload


def address(text: str) -> bytes:
    """The four bytes of a dotted address."""
    return bytes(int(part) for part in text.split("."))


A, B = address("192.0.2.10"), address("198.51.100.20")


def frame(size: int, number: int = 0, source: int = 1, destination: int = 2) -> bytes:
    """An Ethernet frame of `size` bytes that carries IPv4 and UDP, distinguishable by `number`."""
    payload = bytes((number + at) & 255 for at in range(size - 42))
    return ethernet(destination, source, 0x0800, ipv4(A, B, 17, udp(4000, 5000, payload), number))


SIZES = (60, 64, 128, 256, 257, 300, 1024, 1514)
FRAMES: Packets = [(1000 * n, frame(size, n)) for n, size in enumerate(SIZES)]
TEB = mac(2) + mac(1) + b"\x65\x58"
PLATFORM = mac(11) + mac(10) + b"\x88\xb5"


def _stamped(sent: int, packet: bytes) -> bytes:
    return PLATFORM + struct.pack(">q", START + sent) + packet


def _pass_through() -> Example:
    back: Packets = [(500 + 1000 * n, frame(90 + n, 40 + n, 2, 1)) for n in range(3)]
    return Example(
        "pass_through",
        {"NetStream1": FRAMES, "NetStream2": back},
        {"NetStream1": back, "NetStream2": FRAMES},
    )


def _add_rem_mac() -> Example:
    doubled = [(at, data[:14] + data) for at, data in FRAMES]
    returning: Packets = [(at + 10, data) for at, data in doubled]
    short: Packets = [(20_000, bytes(13)), (20_001, bytes(14))]
    return Example(
        "add_rem_mac",
        {"NetStream1": FRAMES, "NetStream2": returning + short},
        {"NetStream1": [(at + 10, data) for at, data in FRAMES], "NetStream2": doubled},
        {"range_error": 1, "empty_packet": 1},
    )


def _add_rem_teb() -> Example:
    added = [(at, TEB + data) for at, data in FRAMES]
    strange: Packets = [(30_000, frame(80, 9)), (30_001, TEB + bytes(13))]
    return Example(
        "add_rem_teb",
        {"Slice": FRAMES, "External": [(at + 10, data) for at, data in added] + strange},
        {"Slice": [(at + 10, data) for at, data in FRAMES], "External": added},
        {"no_put": 2},
    )


def _timestamp_insert() -> Example:
    return Example(
        "timestamp_insert", {"Terminal": FRAMES}, {"Network": [(at, _stamped(at, d)) for at, d in FRAMES]}
    )


def _timestamp_restore() -> Example:
    # Sent at 0, 1000, …; here at +50 µs; back from the program at +90 µs, where two were changed on the way.
    came: Packets = [(at + 50_000, _stamped(at, data)) for at, data in FRAMES]
    again: Packets = [(at + 90_000, data) for at, data in FRAMES]
    changed = bytearray(again[3][1])
    changed[30] ^= 1
    again[3] = (again[3][0], bytes(changed))
    again.append((200_000, FRAMES[0][1]))  # restored once already
    restored = [(at + 90_000, _stamped(at, data)) for n, (at, data) in enumerate(FRAMES) if n != 3]
    return Example(
        "timestamp_restore",
        {"Network": came, "Program": again},
        {"Network": restored, "Program": [(at + 50_000, data) for at, data in FRAMES]},
        {"no_put": 2},
    )


def _timestamp_exit() -> Example:
    delays = [178_000 + 3000 * n for n in range(len(FRAMES))]
    arriving = [(at + delay, _stamped(at, data)) for (at, data), delay in zip(FRAMES, delays, strict=True)]
    plain: Packets = [
        (400_000, frame(100)),
        (400_001, _stamped(900_000, frame(60))),
    ]  # no header; from the future
    ask = ethernet(3, 4, 0x88B6, bytes(46))
    figures = struct.pack(">4q", len(delays), sum(delays), min(delays), max(delays))
    return Example(
        "timestamp_exit",
        {"Network": arriving + plain, "Control": [(10, ask), (500_000, ask)]},
        {
            "Terminal": [(at, data[22:]) for at, data in arriving],
            "Control": [(10, ask[:14] + bytes(32)), (500_000, ask[:14] + figures)],
        },
        {"no_put": 2},
    )


def _mac_swap() -> Example:
    def request(kind: int, internal: int, external: int) -> bytes:
        return mac(internal) + mac(external) + bytes([kind, 0])

    def out(source: int) -> bytes:
        return frame(80, source, source, 0x77)

    inside: Packets = [(5, out(1)), (15, out(1)), (16, out(2)), (35, out(1)), (36, out(2))]
    outside: Packets = [(17, frame(70, 1, 0x77, 0x81)), (18, frame(70, 1, 0x77, 0x99))]
    requests: Packets = [
        (10, request(1, 1, 0x81)),
        (11, request(1, 2, 0x82)),
        (30, request(2, 1, 0)),
        (31, request(2, 9, 0)),
    ]
    return Example(
        "mac_swap",
        {"Inside": inside, "Outside": outside, "Control": requests},
        {
            "Outside": [(at, d[:6] + mac(0x80 + d[11]) + d[12:]) for at, d in inside if at in (15, 16, 36)],
            "Inside": [(17, mac(1) + outside[0][1][6:])],
            "Control": requests[:3],
        },
        {"no_put": 4},
    )


def _vlan() -> Example:
    tag = b"\x81\x00\x00\x2a"
    pushed = [(at, data[:12] + tag + data[12:]) for at, data in FRAMES]
    other = FRAMES[0][1][:12] + b"\x81\x00\x00\x2b" + FRAMES[0][1][12:]
    return Example(
        "vlan",
        {
            "Access": FRAMES,
            "Trunk": [*[(at + 10, data) for at, data in pushed], (9000, other), (9001, FRAMES[1][1])],
        },
        {"Access": [(at + 10, data) for at, data in FRAMES], "Trunk": pushed},
        {"no_put": 2},
    )


def _gre() -> Example:
    fitting = [(at, data) for at, data in FRAMES if len(data) <= 1462]
    wrapped = [
        (
            at,
            ethernet(
                2,
                1,
                0x0800,
                ipv4(address("192.0.2.1"), address("198.51.100.1"), 47, b"\0\0\x65\x58" + d, n, 0x4000),
            ),
        )
        for n, (at, d) in enumerate(fitting)
    ]
    broken = bytearray(wrapped[0][1])
    broken[25] ^= 4
    return Example(
        "gre",
        {
            "Local": FRAMES,
            "Tunnel": [*[(at + 10, d) for at, d in wrapped], (9000, bytes(broken)), (9001, frame(80))],
        },
        {"Local": [(at + 10, data) for at, data in fitting], "Tunnel": wrapped},
        {"no_put": 3},
    )


def _nat() -> Example:
    public = address("198.51.100.1")
    hosts = [(address("192.0.2.10"), 4000), (address("192.0.2.11"), 4001)]
    inside: Packets = []
    outside: Packets = []
    left: Packets = []
    entered: Packets = []
    for n, (host, port) in enumerate(hosts):
        public_port = 40000 + ((host[3] * 31 + (port >> 8) * 7 + (port & 255)) & 63)
        ask, answer = bytes([n]) * 30, bytes([n + 100]) * 40
        inside.append((100 * n, ethernet(2, 1, 0x800, ipv4(host, B, 17, udp(port, 53, ask), n))))
        left.append((100 * n, ethernet(2, 1, 0x800, ipv4(public, B, 17, udp(public_port, 53, ask), n))))
        outside.append(
            (100 * n + 50, ethernet(1, 2, 0x800, ipv4(B, public, 17, udp(53, public_port, answer), n)))
        )
        entered.append((100 * n + 50, ethernet(1, 2, 0x800, ipv4(B, host, 17, udp(53, port, answer), n))))
    outside.append((900, ethernet(1, 2, 0x800, ipv4(B, public, 17, udp(53, 40001, bytes(30))))))
    outside.append((901, ethernet(1, 2, 0x800, ipv4(B, public, 17, udp(53, 39999, bytes(30))))))
    inside.append((950, ethernet(2, 1, 0x806, bytes(46))))
    return Example(
        "nat", {"Inside": inside, "Outside": outside}, {"Inside": entered, "Outside": left}, {"no_put": 3}
    )


def _rate_limit() -> Example:
    window = 1 << 30
    first = -START % window  # where a window begins
    arriving: Packets = [(first + 1000 * n, frame(64, n, source=n % 2 + 1)) for n in range(12)]
    arriving += [(first + window + 1000 * n, frame(64, n)) for n in range(4)]
    passed = [packet for n, packet in enumerate(arriving) if n < 6 or 12 <= n < 15]
    return Example("rate_limit", {"In": arriving}, {"Out": passed}, {"no_put": 7})


def _sampler() -> Example:
    copies = [(at, struct.pack(">i", n) + data[:64]) for n, (at, data) in enumerate(FRAMES) if n % 4 == 0]
    return Example("sampler", {"In": FRAMES}, {"Out": FRAMES, "Monitor": copies})


def _labels() -> Example:
    def packet(label: int, hops: int, number: int) -> bytes:
        return struct.pack(">HB", label, hops) + bytes((number + at) & 255 for at in range(17))

    arriving: Packets = [
        (5, packet(0x0105, 9, 1)),
        (15, packet(0x0105, 9, 2)),
        (16, packet(0x0105, 1, 3)),
        (17, packet(0x0105, 0, 4)),
        (18, packet(0x0207, 3, 5)),
    ]
    learn: Packets = [
        (10, struct.pack(">HH", 5, 0x0207) + bytes(12)),
        (11, struct.pack(">HH", 7, 0x0300) + bytes(12)),
    ]
    swapped: Packets = [(15, packet(0x0207, 8, 2)), (16, packet(0x0207, 0, 3)), (18, packet(0x0300, 2, 5))]
    return Example(
        "labels", {"In": arriving, "Control": learn}, {"Out": swapped}, {"no_put": 4}, link_type=147
    )


EXAMPLES = (
    _pass_through(),
    _add_rem_mac(),
    _add_rem_teb(),
    _timestamp_insert(),
    _timestamp_restore(),
    _timestamp_exit(),
    _mac_swap(),
    _vlan(),
    _gre(),
    _nat(),
    _rate_limit(),
    _sampler(),
    _labels(),
)


def pcap(packets: Packets, link_type: int) -> bytes:
    """A little-endian capture in nanoseconds."""
    out = [struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, link_type)]
    for at, data in packets:
        seconds, nanoseconds = divmod(START + at, 1_000_000_000)
        out.append(struct.pack("<IIII", seconds, nanoseconds, len(data), len(data)) + data)
    return b"".join(out)


def files(example: Example) -> dict[str, bytes]:
    """The example's capture files by name."""
    made = {
        f"in-{stream}.pcap": pcap(packets, example.link_type) for stream, packets in example.inputs.items()
    }
    made |= {
        f"out-{stream}.pcap": pcap(packets, example.link_type) for stream, packets in example.outputs.items()
    }
    return made


def main() -> None:
    """Write every capture anew."""
    for example in EXAMPLES:
        folder = FOLDER / example.program
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files(example).items():
            (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
