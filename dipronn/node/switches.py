"""Distribution and aggregation as P4 switches: bmv2's process and the configuration of its agent."""

from __future__ import annotations

import shutil
from pathlib import Path

from controller.drivers.p4runtime.pipeline import CONTROLLER_PORT
from dipronn.errors import Unavailable
from dipronn.node import switch_queues
from dipronn.node.topology import SwitchPort, UnitPlace

PROGRAM = "simple_switch_grpc"
DEVICE_ID = 1
_P4RUNTIME = "127.0.0.1:9559"
"""Of the unit's own namespace, as Thrift's port is."""
_THRIFT_PORT = 9090


class NoSwitch(Unavailable):
    """This machine has no bmv2."""


def require() -> None:
    """Raises NoSwitch with the way to get it."""
    if shutil.which(PROGRAM) is None:
        raise NoSwitch(
            f"dataplane p4 needs bmv2, and {PROGRAM} is not on PATH; get it from the p4lang packages "
            "(https://github.com/p4lang/behavioral-model: Debian packages p4lang-bmv2 and p4lang-pi), "
            "or use dataplane xdp"
        )


def command(unit: UnitPlace, folder: Path) -> list[str]:
    """How to start the switch, inside the unit's namespace."""
    interfaces = [part for port in unit.ports for part in ("-i", f"{port.number}@{port.device}")]
    return [
        *(PROGRAM, "--no-p4", "--log-level", "off", "--device-id", str(DEVICE_ID), *interfaces),
        *("--thrift-port", str(_THRIFT_PORT), "--notifications-addr", f"ipc://{folder / 'notifications'}"),
        *("--", "--cpu-port", str(CONTROLLER_PORT), "--grpc-server-addr", _P4RUNTIME),
    ]


def queue_arguments() -> list[str]:
    """Of ``dipronn.node.switch_queues``, for a switch started by ``command``."""
    return [str(_THRIFT_PORT), str(switch_queues.DEPTH)]


def agent_config(unit: UnitPlace, *, state: Path, control: str, certs: Path) -> str:
    """The TOML text; meaning: `controller/drivers/p4runtime/config.py`."""
    return f"""\
unit = "{unit.name}"
roles = [{", ".join(f'"{role}"' for role in unit.roles)}]
state = "{state}"

[control]
address = "{control}"
certs = "{certs}"

[switch]
address = "{_P4RUNTIME}"
device_id = {DEVICE_ID}

{"".join(map(_link, unit.ports))}"""


def _link(port: SwitchPort) -> str:
    return f"""\
[[links]]
device = "{port.device}"
network = "{port.network}"
outside = {str(port.outside).lower()}
port = {port.number}
mac = "{port.mac}"
addresses = [{", ".join(f'"{address}"' for address in port.addresses)}]
"""
