"""Attaches the steering program to a veth and to a tap, in a namespace of its own: ``dipronn probe``."""

from __future__ import annotations

import asyncio
import sys
from ipaddress import ip_address

from controller.steering.addressing import GATEWAYS
from dipronn.errors import DipronnError
from ebpf.devices import create_veth
from ebpf.loader import SteeringProgram
from vmhost.tap import open_tap


async def main() -> None:
    create_veth("probe0", "probe1", 1500)
    with SteeringProgram.load(pin_directory=None) as program:
        program.attach("probe0")
        tap = await open_tap(
            "dt0", "02:64:00:00:00:01", (ip_address("100.64.0.2"),), gateways=GATEWAYS, mtu=1500
        )
        try:
            program.attach("dt0")
        finally:
            tap.close()
    sys.stdout.write("the steering program loads and attaches\n")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (DipronnError, OSError) as error:
        sys.exit(str(error))
