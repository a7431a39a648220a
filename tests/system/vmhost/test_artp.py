"""Guests speak ARTP: with a client of their input, and with the receiver behind their output."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

import artp
from tests.system.vmhost.conftest import DEADLINE, GUESTS, LIBRARY, V4, Hooks, Unit
from tests.unit.vmhost.tars import make_tar
from vmhost.names import Grant, Registration
from vmhost.vm.spec import GuestProgram

pytestmark = [pytest.mark.root, pytest.mark.vm]
KEY, GROUP_KEY = bytes(range(16)), bytes(range(16, 32))


class Keys(Hooks):
    """Tells the channel's key, too."""

    async def registered(self, device: str, new: Registration, old: Registration | None) -> Grant:
        granted = await super().registered(device, new, old)
        return Grant(granted.id, KEY)


def bundle(language: str, folder: Path) -> Path:
    if language == "python":
        return make_tar(folder / f"{language}.tar", {"run": (GUESTS / "artp_echo_python").read_bytes()})
    sources = [GUESTS / "artp_echo.c", LIBRARY / "dipronn_guest.c", *sorted(LIBRARY.glob("artp*.c"))]
    command = ["gcc", "-static", "-O2", f"-I{LIBRARY}", "-o", str(folder / "artp_echo")]
    subprocess.run([*command, *map(str, sources)], check=True)
    return make_tar(folder / f"{language}.tar", {"run": (folder / "artp_echo").read_bytes()})


@pytest.mark.req("D37", "D39", "A23", "A24")
async def test_guests_receive_answer_and_send(unit: Unit, tmp_path: Path) -> None:
    """A C and a Python program in one machine, on addresses of their own."""
    driver, hooks = unit.driver(), Keys()
    shared = {"DIPRONN_PARAM_artp_key": GROUP_KEY.hex()}
    addresses = {"c": V4, "python": V4 + 1}
    programs = (GuestProgram(name, bundle(name, tmp_path), (at,), shared) for name, at in addresses.items())
    await unit.boot(driver, unit.spec(*programs), hooks)
    for name, address in addresses.items():
        incoming = await hooks.wait(f"{name}/in")
        assert incoming.transport == "artp"
        await hooks.wait(f"{name}/out")
        await converse(str(address), incoming.real_port)


async def converse(address: str, port: int) -> None:
    sent = {order: os.urandom(size) for order, size in enumerate((0, 1, 1420, 1421, 9000, 65536))}
    async with (
        asyncio.timeout(DEADLINE),
        await artp.listen(("100.64.0.1", 9), group_key=GROUP_KEY) as receiver,
    ):
        async with await artp.connect((address, port), timeout=DEADLINE) as connection:
            for order, data in sent.items():
                await connection.send(data, order=order)
            answers = [await connection.receive() for _ in sent]
            assert {each.order: each.data for each in answers} == sent
            outputs = [(await receiver.receive())[0] for _ in sent]
            assert {each.order: each.data for each in outputs} == sent
        receiver.abort()
