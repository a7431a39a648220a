"""The network of an all-in-one node, as data: which namespaces, bridges and links it is made of.

::

    source ── distribution ══ data network ══ unit1 … unitN ══ aggregation ── receivers' network ── receiver1
                   └───────────────── control network (control unit and every unit) ────────────┘

Everything is planned here and done in ``namespaces.py``.  Every namespace's name starts with the node's name,
so that the node can be found and removed whatever happened to the process that made it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

from dipronn.node.config import NodeConfig

SWITCH = "switch"
"""The namespace of the bridges that stand for the data network and the receivers' network."""
CONTROL = "control"
DATA_NETWORK = "data"
CONTROL_NETWORK = "control"
CONTROL_DEVICE = "ctl0"


@dataclass(frozen=True)
class Bridge:
    """An Ethernet bridge in a namespace."""

    namespace: str
    device: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True)
class End:
    """One end of a veth pair; a bridge enslaves it, or it carries addresses (with prefix length).

    A ``port`` is a switch's: the kernel's stack keeps silent on it.
    """

    namespace: str
    device: str
    addresses: tuple[str, ...] = ()
    bridge: str = ""
    port: bool = False


@dataclass(frozen=True)
class Veth:
    near: End
    far: End


@dataclass(frozen=True)
class SwitchPort:
    """A port of a P4 switch, and what its agent is told of it since there is no stack to ask."""

    number: int
    device: str
    network: str
    outside: bool
    mac: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class UnitPlace:
    """A unit of the node: its namespace, its role and the devices that its agent is told about.

    One with ``ports`` is a switch.
    """

    name: str
    namespace: str
    roles: tuple[str, ...]
    control_address: str
    data_device: str
    outside_device: str = ""
    ports: tuple[SwitchPort, ...] = ()


@dataclass(frozen=True)
class Topology:
    """All that has to exist before the node's processes start."""

    namespaces: tuple[str, ...]
    bridges: tuple[Bridge, ...]
    veths: tuple[Veth, ...]
    units: tuple[UnitPlace, ...]
    control_address: str
    source: str
    receivers: tuple[str, ...]


def plan_topology(config: NodeConfig) -> Topology:
    """The topology that a configuration asks for; pure."""

    def namespace(role: str) -> str:
        return f"{config.name}-{role}"

    switch, control = namespace(SWITCH), namespace(CONTROL)
    roles = ["distribution", *(f"unit{i + 1}" for i in range(config.processing_units)), "aggregation"]
    receivers = [f"receiver{i + 1}" for i in range(len(config.receivers))]

    edges = {"distribution": config.ingress, "aggregation": config.egress}
    bridges = (
        Bridge(switch, "data"),
        Bridge(switch, "receivers"),
        Bridge(control, CONTROL_DEVICE, ("10.78.0.1/24",)),
    )
    veths: list[Veth] = []
    units: list[UnitPlace] = []
    for number, role in enumerate(roles):
        unit = namespace(role)
        data = (f"10.77.0.{number + 1}/24", f"fd77::{number + 1:x}/64")
        outside = {"distribution": "in0", "aggregation": "out0"}.get(role, "")
        is_switch = config.dataplane == "p4" and bool(outside)
        veths.append(Veth(_end(unit, "data0", data, is_switch), End(switch, f"data{number}", bridge="data")))
        control_address = f"10.78.0.{number + 2}"
        veths.append(
            Veth(
                End(unit, CONTROL_DEVICE, (f"{control_address}/24",)),
                End(control, f"unit{number}", bridge=CONTROL_DEVICE),
            )
        )
        kind = role if outside else "processing"
        ports: tuple[SwitchPort, ...] = ()
        if is_switch:
            ports = (
                SwitchPort(1, "data0", DATA_NETWORK, False, _mac(number, 1), data),
                SwitchPort(2, outside, f"{role}-outside", True, _mac(number, 2), edges[role]),
            )
        units.append(UnitPlace(role, unit, (kind,), control_address, "data0", outside, ports))
    veths.append(
        Veth(
            End(namespace("source"), "eth0", config.source),
            _end(namespace("distribution"), "in0", config.ingress, config.dataplane == "p4"),
        )
    )
    veths.append(
        Veth(
            _end(namespace("aggregation"), "out0", config.egress, config.dataplane == "p4"),
            End(switch, "aggregation", bridge="receivers"),
        )
    )
    for name, addresses in zip(receivers, config.receivers, strict=True):
        veths.append(Veth(End(namespace(name), "eth0", addresses), End(switch, name, bridge="receivers")))
    return Topology(
        namespaces=tuple(map(namespace, chain([SWITCH, CONTROL, "source"], roles, receivers))),
        bridges=bridges,
        veths=tuple(veths),
        units=tuple(units),
        control_address="10.78.0.1",
        source=namespace("source"),
        receivers=tuple(map(namespace, receivers)),
    )


def _end(namespace: str, device: str, addresses: tuple[str, ...], is_switch: bool) -> End:
    """An end in a unit's namespace: the addresses of a switch's port are its agent's to answer for."""
    return End(namespace, device, port=True) if is_switch else End(namespace, device, addresses)


def _mac(unit: int, port: int) -> str:
    """Locally administered, the same for every node: networks of two nodes never meet."""
    return f"02:d1:90:00:{unit:02x}:{port:02x}"
