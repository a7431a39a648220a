"""A node on paper for the tests: units with links, a session laid over them, packets for their oracles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_interface

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from controller.explain import Left, Way, follow, oracles
from controller.program import asks_for_order, check_text, family
from controller.steering import addressing
from controller.steering.compile import Compiled, compile_session
from controller.steering.deployment import (
    Deployment,
    Entrance,
    Exit,
    NodeLink,
    NodeUnit,
    PlacedInstance,
    control_ports,
)
from controller.steering.identifiers import Identifiers
from controller.steering.model import Mac, Socket
from controller.steering.node_rows import link_rows, unit_rows
from controller.steering.oracle import Oracle


def unit(
    number: int, name: str, *, node: bool = True, outside: bool = False, control: bool = False
) -> NodeUnit:
    """``node``: on the data network 10.0.0.0/24; ``outside``: on 192.0.2.0/24, both with IPv6; ``control``:
    on the control network."""
    links = []
    if node:
        addresses = (ip_interface(f"10.0.0.{number}/24"), ip_interface(f"fd00::{number}/64"))
        mac = Mac(bytes([2, 0, 0, 0, 1, number]))
        links.append(NodeLink("data0", 0, "data", False, mac, addresses, 1500))
    if outside:
        addresses = (ip_interface(f"192.0.2.{number}/24"), ip_interface(f"2001:db8::{number}/64"))
        mac = Mac(bytes([2, 0, 0, 0, 2, number]))
        links.append(NodeLink("out0", 0, "outside", True, mac, addresses, 1500))
    if control:
        address = ip_interface(f"10.78.0.{number}/24")
        mac = Mac(bytes([2, 0, 0, 0, 3, number]))
        links.append(NodeLink("ctl0", 0, "control", False, mac, (address,), 1500, control=True))
    return NodeUnit(name, number, tuple(links))


SPREAD = (unit(2, "dist", outside=True), unit(3, "u1"), unit(4, "u2"), unit(5, "agg", outside=True))
ALONE = (unit(2, "solo", node=False, outside=True),)


def lay(text: str, units: Sequence[NodeUnit], places: Sequence[str], session: int = 7) -> Deployment:
    """Place the instances in turn on ``places``; the first unit is distribution, the last aggregation."""
    parsed = check_text(text)
    assert not parsed.diagnostics, parsed.diagnostics
    program = parsed.program
    version = family(program)
    instances: list[PlacedInstance] = []
    for item in program.programs:
        for index in range(item.min_instances):
            names = [*item.inputs, *item.outputs, *control_ports(program, item.name)]
            ports = {port: 5000 + i for i, port in enumerate(dict.fromkeys(names))}
            place = places[len(instances) % len(places)]
            instances.append(PlacedInstance(item.name, index, place, 2 + len(instances), ports))
    first, last = units[0], units[-1]
    entrances = {
        item.name: Entrance(first.name, _socket(first, True, version, item.to.port or 20000 + i))
        for i, item in enumerate(program.inputs)
    }
    exits = {
        item.name: Exit(
            last.name,
            _socket(last, False, version, 21000 + i),
            _socket(last, True, version, 21000 + i),
            _socket(last, False, version, 22000 + i) if asks_for_order(item) else None,
        )
        for i, item in enumerate(program.outputs)
    }
    return Deployment(
        session, program, version, {one.name: one for one in units}, tuple(instances), entrances, exits
    )


def _socket(where: NodeUnit, outside: bool, version: int, port: int) -> Socket:
    address = where.address(version, outside) or where.address(version, not outside)
    assert address is not None
    return Socket(address, port)


@dataclass
class Node:
    """The oracles of a node under one deployment, and guests that the test plays itself."""

    deployment: Deployment
    identifiers: Identifiers = field(default_factory=Identifiers)
    dead: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.compiled: Compiled = compile_session(self.deployment, self.identifiers)
        self.oracles = self.executors()

    def executors(self) -> dict[str, Oracle]:
        units = self.deployment.units
        alive = {one.number: one.name not in self.dead for one in units.values()}
        tables = {}
        for name, one in units.items():
            rows = link_rows(one)
            rows.merge(unit_rows(alive))
            if name in self.compiled.tables:
                rows.merge(self.compiled.tables[name])
            tables[name] = rows
        return oracles(units, tables)

    def instance(self, name: str) -> PlacedInstance:
        return next(one for one in self.deployment.instances if one.name == name)

    def without(self, *names: str) -> Node:
        """The same node after these instances died."""
        instances = tuple(
            replace(one, alive=one.alive and one.name not in names) for one in self.deployment.instances
        )
        return Node(replace(self.deployment, instances=instances), self.identifiers)

    def send(self, where: str, device: str, packet: Packet) -> Way:
        return follow(self.deployment.units, self.oracles, Left(where, device, bytes(packet)))

    def arrive(self, source: str, destination: Socket, payload: bytes = b"data", port: int = 4000) -> Way:
        """A packet from the outside at the first unit."""
        first = next(iter(self.deployment.units.values()))
        link = next(link for link in first.links if link.outside)
        packet = datagram(source, port, destination, payload, destination_mac=str(link.mac))
        return self.send(first.name, link.device, packet)

    def program_sends(self, name: str, port: str, payload: bytes, to: Socket | None = None) -> Way:
        """An instance sends from the port that it registered: to its gateway, or an answer to ``to``."""
        instance = self.instance(name)
        version = self.deployment.version
        address = addressing.instance_address(instance.number, version)
        packet = datagram(
            str(address),
            instance.ports[port],
            to or Socket(addressing.gateway(version), 9),
            payload,
            source_mac=str(addressing.guest_mac(instance.number)),
            destination_mac=str(addressing.HOST_MAC),
        )
        return self.send(instance.unit, addressing.tap_device(instance.number), packet)

    def reached(self, way: Way) -> list[tuple[str, Packet]]:
        """Who got it: an instance's name, or "outside", and the packet."""
        taps = {(one.unit, addressing.tap_device(one.number)): one.name for one in self.deployment.instances}
        return [(taps.get((left.unit, left.device), "outside"), Ether(left.frame)) for left in way.left]


def datagram(
    source: str,
    source_port: int,
    destination: Socket,
    payload: bytes,
    source_mac: str = "02:00:00:00:09:01",
    destination_mac: str = "02:00:00:00:09:02",
) -> Packet:
    layer = IP if ip_address(source).version == 4 else IPv6
    return (
        Ether(src=source_mac, dst=destination_mac)
        / layer(src=source, dst=str(destination.address))
        / UDP(sport=source_port, dport=destination.port)
        / Raw(payload)
    )


def headers(packet: Packet) -> tuple[str, int, str, int]:
    """Source, port, destination, port."""
    network = packet[IP] if IP in packet else packet[IPv6]
    return str(network.src), int(packet[UDP].sport), str(network.dst), int(packet[UDP].dport)


def verdicts(way: Way) -> list[str]:
    return [step.verdict for step in way.steps if step.verdict]
