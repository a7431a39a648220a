"""`run` on XDP: every packet by BPF_PROG_RUN, with its timestamp as the clock."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from ebpf.bpf import run_program
from phonepl import ir
from phonepl.compiler import Compiled
from phonepl.targets import Arrival, Departure, NotAvailable, Outcome, PacketNotExpressible
from phonepl.targets.xdp import limits
from phonepl.targets.xdp.program import XdpProgram, load

_XDP_ABORTED, _XDP_DROP, _XDP_PASS, _XDP_TX = range(4)
_RUN = struct.Struct("=QIIII")
_KEY = bytes(4)
_META = struct.Struct("=II")
_MAGIC = 0x70686F6E


def run(compiled: Compiled, arrivals: Sequence[Arrival], memory: bool | None = None) -> Outcome:
    """Handle the packets in order, with fresh arrays."""
    for number, arrival in enumerate(arrivals, 1):
        if len(arrival.data) < limits.SHORTEST:
            raise PacketNotExpressible(
                f"xdp cannot take packet {number}, of {arrival.stream}: its {len(arrival.data)} bytes are "
                f"fewer than an Ethernet header's {limits.SHORTEST}; use --target interpreter"
            )
    longest = max((len(arrival.data) for arrival in arrivals), default=0)
    loaded = load(compiled, run=True, frags=longest > limits.LINEAR, memory=memory)
    try:
        return run_loaded(loaded, arrivals)
    finally:
        loaded.close()


def run_loaded(loaded: XdpProgram, arrivals: Sequence[Arrival]) -> Outcome:
    """The same with a program that is loaded, and what its arrays hold."""
    before = loaded.drops()
    departures: list[Departure] = []
    missed = dict.fromkeys(ir.DROPS, 0)
    for position, arrival in enumerate(arrivals):
        function = loaded.functions.get(arrival.stream)
        if function is None:
            missed[ir.NO_PUT] += 1
            continue
        if len(arrival.data) > limits.LONGEST:
            missed[ir.TARGET_LIMIT] += 1
            continue
        for stream, data in _handle(loaded, function, arrival):
            departures.append(Departure(stream, position, data))
    drops = {kind: count - before[kind] + missed[kind] for kind, count in loaded.drops().items()}
    return Outcome(tuple(departures), drops)


def _handle(loaded: XdpProgram, function: int, arrival: Arrival) -> list[tuple[str, bytes]]:
    state = loaded.maps["run"]
    now = arrival.timestamp & 0xFFFF_FFFF_FFFF_FFFF
    state.update(_KEY, _RUN.pack(now, 0, 0, 0, 0))
    done = run_program(function, arrival.data)
    if done.verdict == _XDP_DROP:
        return []
    if done.verdict != _XDP_TX:
        raise NotAvailable(f"BPF_PROG_RUN ended with XDP verdict {done.verdict}")
    _, stream, puts, plan, _ = _RUN.unpack(state.lookup(_KEY) or b"")
    streams = loaded.manifest.streams
    if puts == 1:
        return [(streams[stream], done.frame)]
    return [made for _ in range(puts) if (made := _copy(loaded, arrival.data, plan)) is not None]


def _copy(loaded: XdpProgram, packet: bytes, plan: int) -> tuple[str, bytes] | None:
    """One of several puts, of a copy of the arrived packet, as it is made in front of a device."""
    assert loaded.copy is not None
    data = _META.pack(_MAGIC, plan) + packet
    context = struct.pack("=6I", _META.size, len(data), 0, 0, 0, 0)
    done = run_program(loaded.copy, data, context=context)
    if done.verdict == _XDP_DROP:
        return None
    state = loaded.maps["run"].lookup(_KEY) or b""
    return loaded.manifest.streams[_RUN.unpack(state)[1]], done.frame
