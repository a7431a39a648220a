"""A real bmv2 with our pipeline, plainly controlled, without root."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from controller.drivers.p4runtime.pipeline import Pipeline
from tests.conformance.bmv2 import Bmv2
from tests.conformance.bmv2_switch import Control, PacketPorts, SwitchProcess, switch_process

Start = Callable[[], Bmv2]


@pytest.fixture(scope="module")
def process() -> Iterator[SwitchProcess]:
    with switch_process() as process:
        yield process


@pytest.fixture(scope="module")
def control(process: SwitchProcess) -> Iterator[Control]:
    control = Control(process.address, Pipeline.load())
    control.push()
    yield control
    control.close()


@pytest.fixture(scope="module")
def packets(process: SwitchProcess, control: Control) -> Iterator[PacketPorts]:
    packets = PacketPorts(process.packet_address)
    yield packets
    packets.close()


@pytest.fixture(scope="module")
def plane(control: Control, packets: PacketPorts) -> Bmv2:
    return Bmv2(control, packets)
