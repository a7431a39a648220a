"""The configuration file of a unit agent in an all-in-one node; meaning: `vmhost/agent/config.py`."""

from __future__ import annotations

import os
from pathlib import Path

from dipronn.node.topology import CONTROL_DEVICE, CONTROL_NETWORK, DATA_NETWORK, UnitPlace

CACHE = Path("/var/cache/dipronn")
"""Guest kernels and base images, which outlive nodes because they take seconds to make."""


def agent_config(
    unit: UnitPlace, *, state: Path, pins: Path, control: str, certs: Path, sharing: int, beacon: float
) -> str:
    """The TOML text.  ``sharing`` processing units are on this host, so each offers its part of it.

    ``beacon``: seconds between the unit's beats."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    links = [_link(unit.data_device, DATA_NETWORK, outside=False)]
    if unit.outside_device:
        links.append(_link(unit.outside_device, f"{unit.name}-outside", outside=True))
    links.append(_link(CONTROL_DEVICE, CONTROL_NETWORK, outside=False, control=True))
    return f"""\
unit = "{unit.name}"
roles = [{", ".join(f'"{role}"' for role in unit.roles)}]
state = "{state}"
pins = "{pins}"
cache = "{CACHE}"

[control]
address = "{control}"
certs = "{certs}"
beacon = {beacon}

[resources]
cpu = {(os.cpu_count() or 1) / sharing}
memory = {memory // 2 // sharing}

{"".join(links)}"""


def _link(device: str, network: str, *, outside: bool, control: bool = False) -> str:
    return f"""\
[[links]]
device = "{device}"
network = "{network}"
outside = {str(outside).lower()}
control = {str(control).lower()}
"""
