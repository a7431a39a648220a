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
    """One end of a veth pair; a bridge enslaves it, or it carries addresses (with prefix length)."""

    namespace: str
    device: str
    addresses: tuple[str, ...] = ()
    bridge: str = ""


@dataclass(frozen=True)
class Veth:
    near: End
    far: End


@dataclass(frozen=True)
class UnitPlace:
    """A unit of the node: its namespace, its role and the devices that its agent is told about."""

    name: str
    namespace: str
    roles: tuple[str, ...]
    control_address: str
    data_device: str
    outside_device: str = ""


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
        veths.append(Veth(End(unit, "data0", data), End(switch, f"data{number}", bridge="data")))
        control_address = f"10.78.0.{number + 2}"
        veths.append(
            Veth(
                End(unit, CONTROL_DEVICE, (f"{control_address}/24",)),
                End(control, f"unit{number}", bridge=CONTROL_DEVICE),
            )
        )
        outside = {"distribution": "in0", "aggregation": "out0"}.get(role, "")
        kind = role if outside else "processing"
        units.append(UnitPlace(role, unit, (kind,), control_address, "data0", outside))
    veths.append(
        Veth(
            End(namespace("source"), "eth0", config.source),
            End(namespace("distribution"), "in0", config.ingress),
        )
    )
    veths.append(
        Veth(
            End(namespace("aggregation"), "out0", config.egress),
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
