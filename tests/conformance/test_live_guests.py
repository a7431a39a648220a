"""What only real devices show: a guest's frames on the kernel's other paths still reach nobody else."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest

from controller.steering.drops import Drop
from controller.steering.model import (
    Binding,
    BindingKey,
    ForkBranch,
    ForkKey,
    LinkKey,
    Selector,
    Slot,
    Tables,
)
from ebpf.loader import SteeringProgram
from tests.conformance.golden.tables import GATEWAY, fork, from_guest, group, node, with_guests
from tests.conformance.network import DEVICES, GUEST1_MAC, LAN, UNIT_MAC, VM0, VM1, socket
from tests.conformance.script import ip
from tests.conformance.wires import Wires, wires
from tests.conformance.xdp_live import PATIENCE
from tests.conformance.xdp_test_run import plain

pytestmark = pytest.mark.root

LARGEST_MTU = 3500
"""Of a veth with XDP on it: headroom and tailroom share the page."""
BOUND = socket("10.0.3.2", 7001)


def _enlarge() -> None:
    for device in (LAN, f"{LAN}-far", VM0, VM1):
        subprocess.run(["ip", "link", "set", device, "mtu", str(LARGEST_MTU)], check=True)


@pytest.fixture
def jumbo_wires() -> Iterator[Wires]:
    with wires() as made:
        made.inside(_enlarge)
        yield made


def _tables() -> Tables:
    tables = with_guests()
    tables.binding[BindingKey(LinkKey(VM0), BOUND)] = Binding(fork(1))
    tables.fork[ForkKey(1, 0)] = ForkBranch(3)
    tables.fork[ForkKey(1, 1)] = ForkBranch(5)
    group(tables, 5, 40, Selector.ZERO, Slot(5))
    tables.endpoint[5] = node(socket("10.9.0.2", 6000))
    return tables


@pytest.mark.req("D27", "R9")
@pytest.mark.parametrize("padding", [0, 3400, 3650, 4000, 9000])
def test_a_forked_frame_never_leaves_as_the_guest_wrote_it(jumbo_wires: Wires, padding: int) -> None:
    """Frames that do not fit a page, padding counted, take the kernel's generic XDP from a tap, which forgets
    what a fork notes with the packet; they must be too long for every device."""
    frame = from_guest(ip(BOUND, GATEWAY)) + bytes(padding)

    def run() -> list[tuple[str, bytes]]:
        with SteeringProgram.load(pin_directory=None) as program:
            program.apply(_tables())
            for device in DEVICES:
                program.attach(device)
            jumbo_wires.send(VM0, frame)
            deadline = time.monotonic() + PATIENCE
            while (counters := plain(program.counters())).received == 0:
                assert time.monotonic() < deadline, "the frame never arrived"
            sent = counters.sent - counters.drops[Drop.DEVICE_DROP]
            return jumbo_wires.collect(sent, deadline)

    arrived = jumbo_wires.inside(run)
    expected = {LAN: UNIT_MAC.octets, VM1: GUEST1_MAC.octets}
    for device, sent in arrived:
        assert sent[:6] == expected[device], f"{device} sent {sent.hex()}"
    if len(frame) < LARGEST_MTU:
        assert {device for device, _ in arrived} == set(expected)
