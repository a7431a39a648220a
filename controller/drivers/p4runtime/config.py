"""The configuration of a switch's agent: a TOML file, checked once.

::

    unit = "distribution"
    roles = ["distribution"]                    # distribution, aggregation
    state = "/run/dipronn/distribution"         # desired state; the agent's alone

    [control]
    address = "10.0.0.1:7000"                   # by mutual TLS with the files in `certs`, or "unix:PATH"
    certs = "/etc/dipronn/certs"
    heartbeat = 0.25                            # seconds

    [switch]
    address = "127.0.0.1:9559"                  # its P4Runtime server
    device_id = 1
    election_id = 100                           # the controller with the highest is primary; at least 100:
                                                # below are those who look on (`make shell`)

    [[links]]                                   # as of a unit agent, and what only a host could measure:
    device = "data0"                            # the port's name in the steering rows
    network = "data"
    vlan = 0
    outside = false
    unmatched = "host"                          # drop, host, request
    port = 1                                    # the switch's number
    mac = "02:00:00:00:00:01"
    addresses = ["10.77.0.1/24", "fd77::1/64"]  # for which the agent answers ARP and ND
    mtu = 1500

    [[routes]]                                  # what is on no link's network; none is needed otherwise
    to = "0.0.0.0/0"
    via = "192.0.2.254"
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network
from pathlib import Path

from controller.drivers.p4runtime.entries import Ports
from controller.steering.model import Address, Link, LinkKey, LinkKind, Mac, Network, Unmatched
from dipronn.unit.config import Control, TableReader
from dipronn.v1 import unit_pb2

_PORTS = 510
_MTU = 1500


@dataclass(frozen=True)
class SwitchLink:
    """A port of the switch, or a VLAN on it."""

    key: LinkKey
    network: str
    outside: bool
    unmatched: Unmatched
    port: int
    mac: Mac
    addresses: tuple[IPv4Interface | IPv6Interface, ...]
    mtu: int

    @property
    def row(self) -> Link:
        return Link(LinkKind.OUTSIDE if self.outside else LinkKind.NODE, self.mac, self.unmatched)

    @property
    def hello(self) -> unit_pb2.UnitLink:
        return unit_pb2.UnitLink(
            device=self.key.device,
            vlan=self.key.vlan,
            network=self.network,
            outside=self.outside,
            mac=self.mac.octets,
            addresses=map(str, self.addresses),
            mtu=self.mtu,
        )


@dataclass(frozen=True)
class Route:
    to: Network
    via: Address


@dataclass(frozen=True)
class SwitchConfig:
    unit: str
    roles: tuple[unit_pb2.Role.ValueType, ...]
    state: Path
    control: Control
    address: str
    device_id: int
    election_id: int
    links: tuple[SwitchLink, ...]
    routes: tuple[Route, ...] = ()

    @property
    def ports(self) -> Ports:
        return Ports({link.key.device: link.port for link in self.links})


def read_config(path: Path) -> SwitchConfig:
    """Read and check a configuration file; raises BadConfiguration."""
    file = _Reader.of_file(path)
    unit, roles = file.unit(), file.roles()
    if unit_pb2.ROLE_PROCESSING in roles:
        raise file.wrong("roles", "has processing: a switch runs no programs; take it out")
    switch = file.table("switch")
    config = SwitchConfig(
        unit=unit,
        roles=roles,
        state=file.path("state"),
        control=file.table("control").control(),
        address=switch.text("address"),
        device_id=int(switch.number("device_id", 1, 1, (1 << 63) - 1)),
        election_id=int(switch.number("election_id", 100, 100, (1 << 63) - 1)),
        links=file.links(),
        routes=file.routes(),
    )
    switch.done()
    file.done()
    return config


class _Reader(TableReader):
    def links(self) -> tuple[SwitchLink, ...]:
        links = tuple(table._switch_link() for table in self.tables("links"))
        self.once("links", [link.key for link in links])
        ports = {link.key.device: link.port for link in links}
        if len(set(ports.values())) != len(ports) or any(ports[one.key.device] != one.port for one in links):
            raise self.wrong("links", "must give each device one port of its own")
        return links

    def _switch_link(self) -> SwitchLink:
        link = self.link()
        port = int(self.number("port", 0, 1, _PORTS - 1))
        if not port:
            raise self.wrong("port", "is missing")
        try:
            mac = Mac.parse(self.text("mac"))
            addresses = tuple(ip_interface(text) for text in self.items("addresses"))
        except ValueError as error:
            raise self.wrong("mac or addresses", f"cannot be read: {error}") from error
        mtu = int(self.number("mtu", _MTU, 68, 9216))
        self.done()
        return SwitchLink(link.key, link.network, link.outside, link.unmatched, port, mac, addresses, mtu)

    def routes(self) -> tuple[Route, ...]:
        return tuple(table._route() for table in self.tables("routes")) if "routes" in self else ()

    def _route(self) -> Route:
        try:
            route = Route(ip_network(self.text("to")), ip_address(self.text("via")))
        except ValueError as error:
            raise self.wrong("to or via", f"cannot be read: {error}") from error
        self.done()
        return route
