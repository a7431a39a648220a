"""What a unit's kernel holds, as JSON: run by ``dipronn doctor`` inside the unit's network namespace.

``python -m dipronn.cli.inspection PINS`` opens the pinned maps and writes nothing to them.
"""

from __future__ import annotations

import base64
import json
import socket
import sys
from dataclasses import fields
from pathlib import Path

from controller.steering import wire
from controller.steering.model import Tables
from dipronn.errors import DipronnError
from ebpf.attachment import DeviceNames
from ebpf.devices import attached_xdp
from ebpf.layout import MAPS, Sizes
from ebpf.loader import SteeringProgram
from ebpf.maps import open_maps

COMPARED = tuple(table.name for table in fields(Tables) if table.name != "next_hop")
"""Every table but that of the next hops, which a unit finds itself."""


def main(pins: Path) -> None:
    devices = {name: attached_xdp(index) for index, name in socket.if_nameindex()}
    answer = {
        "tables": base64.b64encode(wire.encode(_rows(pins)).SerializeToString()).decode(),
        "devices": devices,
    }
    sys.stdout.write(json.dumps(answer))


def _rows(pins: Path) -> Tables:
    missing = [name for name in MAPS if not (pins / name).exists()]
    if missing:
        raise DipronnError(f"{len(missing)} of {len(MAPS)} maps are not pinned in {pins}")
    sizes = Sizes()
    program = SteeringProgram(open_maps(pins, sizes, False), pins, sizes, DeviceNames(None), trace=False)
    try:
        return program.rows(COMPARED)
    finally:
        program.close(unpin=False)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except DipronnError as error:
        sys.exit(str(error))
