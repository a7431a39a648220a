"""Random programs between real devices: what leaves by them is what the interpreter puts."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

import pytest

from phonepl import ir
from phonepl.compiler import compile_source
from phonepl.targets import Arrival
from phonepl.targets.interpreter import Handled, Interpreter
from phonepl.targets.xdp.attachment import Attachment
from phonepl.targets.xdp.limits import LINEAR, MAXIMUM_FRONT, SHORTEST
from phonepl.targets.xdp.program import XdpProgram, load
from tests.fuzz.phonepl.programs import Features, packets, program_from_seed
from tests.system.ebpf.rig import Rig, rig

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]

TIMELESS = Features(clock=False)
"""Between devices the clock is the host's."""
PATIENCE = 60.0
DEVICES = {"NetA": "port-a", "NetB": "port-b"}
Puts = dict[str, list[bytes]]


def _expected(handled: Handled, arrival: Arrival) -> list[tuple[Puts, dict[str, int]]]:
    """What may come of a packet: what the interpreter says, or that a limit of the target was met."""
    fit = [put for put in handled.puts if len(put[1]) >= SHORTEST]
    short = len(handled.puts) - len(fit)
    outcomes = [_outcome(fit, handled.drops, short)]
    if len(arrival.data) > LINEAR:
        # In several pieces: not copied, and nothing behind the first piece can be deleted in front.
        outcomes.append(_outcome([], handled.drops, len(handled.puts)))
    near = [put for put in fit if len(put[1]) <= MAXIMUM_FRONT]
    if len(near) < len(fit):  # more in front than the driver has left room for
        outcomes.append(_outcome(near, handled.drops, short + len(fit) - len(near)))
    return outcomes


def _outcome(
    puts: Sequence[tuple[str, bytes]], drops: Sequence[str], beyond: int
) -> tuple[Puts, dict[str, int]]:
    counted = {kind: drops.count(kind) for kind in ir.DROPS}
    counted[ir.TARGET_LIMIT] += beyond
    return {stream: [data for name, data in puts if name == stream] for stream in DEVICES}, counted


class _Between:
    """A program between two devices; `handle` sends one packet and gathers what comes of it."""

    def __init__(self, wires: Rig, loaded: XdpProgram) -> None:
        self._wires, self._loaded = wires, loaded
        self._drops = loaded.drops()

    def handle(self, arrival: Arrival, allowed: list[tuple[Puts, dict[str, int]]]) -> None:
        self._wires.wires[DEVICES[arrival.stream]].send(arrival.data)
        found: Puts = {stream: [] for stream in DEVICES}
        deadline = time.monotonic() + PATIENCE
        while True:
            for stream, device in DEVICES.items():
                found[stream] += self._wires.wires[device].rest()
            now = self._loaded.drops()
            drops = {kind: now[kind] - self._drops[kind] for kind in ir.DROPS}
            if (found, drops) in allowed:
                self._drops = now
                return
            assert time.monotonic() < deadline, f"{arrival.data.hex()}: {found}, {drops} are not of {allowed}"
            time.sleep(0.0005)


def _check(wires: Rig, seed: int, longest: int) -> None:
    frags = longest > LINEAR
    compiled = compile_source(program_from_seed(seed, TIMELESS), f"program_from_seed({seed})")
    truth = Interpreter(compiled.checked)
    with load(compiled, frags=frags) as loaded:
        attached = wires.inside(lambda: Attachment(loaded, DEVICES, mtu=9100 if frags else 1500))
        try:
            between = _Between(wires, loaded)
            for arrival in packets(seed, SHORTEST, longest):
                if arrival.stream not in loaded.functions:  # nothing is attached to its device
                    continue
                between.handle(arrival, _expected(truth.handle(arrival.stream, arrival.data, 0), arrival))
        finally:
            wires.inside(attached.close)


def _check_all(seeds: range, longest: int) -> None:
    with rig(f"fz{os.getpid()}") as wires:
        for device in DEVICES.values():
            wires.veth(device)
            for end in (device, f"{device}-far"):
                wires.run("ip", "link", "set", end, "mtu", "9100" if longest > LINEAR else "3000")
        for seed in seeds:
            _check(wires, seed, longest)


@pytest.mark.req("P62", "P66")
@pytest.mark.parametrize(
    ("seeds", "longest"), [(range(500, 504), 400), (range(506, 509), 8000)], ids=["linear", "pieces"]
)
def test_programs_between_devices(seeds: range, longest: int) -> None:
    _check_all(seeds, longest)


@pytest.mark.soak
@pytest.mark.parametrize("longest", [400, 8000], ids=["linear", "pieces"])
def test_many_programs_between_devices(longest: int) -> None:
    _check_all(range(20_000, 20_400), longest)
