"""A session as it is laid over the node: the compiler's input, plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv6Interface

from controller.steering.model import Address, Mac, Socket
from dipronn.errors import Unavailable
from dipronn.v1 import session_pb2 as pb

NOWHERE = 1
"""The number of a unit that is never alive: endpoints of instances that are gone point to it."""


@dataclass(frozen=True)
class NodeLink:
    device: str
    vlan: int
    network: str
    outside: bool
    mac: Mac
    addresses: tuple[IPv4Interface | IPv6Interface, ...]
    mtu: int
    control: bool = False
    """Of the control network, which carries no data of sessions."""

    @property
    def inside(self) -> bool:
        """It carries data between units."""
        return not self.outside and not self.control


@dataclass(frozen=True)
class Hop:
    """How a unit reaches another: the device it sends by, both MACs, the MTU of both ends."""

    device: str
    vlan: int
    source_mac: Mac
    destination_mac: Mac
    mtu: int


@dataclass(frozen=True)
class NodeUnit:
    """A unit as the control unit knows it; ``number`` is its key in the table ``unit``."""

    name: str
    number: int
    links: tuple[NodeLink, ...]

    @property
    def on_node_network(self) -> bool:
        return any(link.inside for link in self.links)

    @property
    def on_control_network(self) -> bool:
        return any(link.control for link in self.links)

    def hop(self, other: NodeUnit) -> Hop:
        """By the first network that both have a link of the node on.  Raises Unavailable if there is none."""
        return self._hop(other, [link for link in self.links if link.inside], "one `network`")

    def control_hop(self, other: NodeUnit) -> Hop:
        """The same over the control network."""
        links = [link for link in self.links if link.control]
        return self._hop(other, links, "one `network` with `control = true`")

    def _hop(self, other: NodeUnit, links: Sequence[NodeLink], remedy: str) -> Hop:
        for mine in links:
            for theirs in other.links:
                if theirs.control == mine.control and not theirs.outside and mine.network == theirs.network:
                    return Hop(mine.device, mine.vlan, mine.mac, theirs.mac, min(mine.mtu, theirs.mtu))
        what = "control network" if "control" in remedy else "network"
        raise Unavailable(
            f"units {self.name} and {other.name} have no {what} in common; give both a link of {remedy}"
        )

    def address(self, version: int, outside: bool) -> Address | None:
        """The first address of this family on a link to the outside, or of the node."""
        for link in self.links:
            for interface in link.addresses:
                if link.outside == outside and not link.control and interface.version == version:
                    return interface.ip
        return None


@dataclass(frozen=True)
class PlacedInstance:
    """``ports``: real ports by the names registered so far, ``artp``: those of them that speak it.

    ``alive``: not known to be dead.  ``kernel``: the number of a kernel program; 0: it is in a machine.
    ``weight``: its part under ``least_loaded``.  ``leaving``: it works off what it has, and gets nothing new
    that another could get.
    """

    program: str
    index: int
    unit: str
    number: int
    ports: Mapping[str, int]
    alive: bool = True
    artp: frozenset[str] = frozenset()
    kernel: int = 0
    weight: int = 1
    leaving: bool = False

    @property
    def name(self) -> str:
        """Also the name of its machine."""
        return f"{self.program}-{self.index}"


@dataclass(frozen=True)
class Entrance:
    """Where a session input enters the node."""

    unit: str
    socket: Socket


@dataclass(frozen=True)
class Exit:
    """Where a session output leaves: other units send to ``internal``, receivers see ``public``.

    ``ordered``: where packets go on that a sequencer has put in order; None where nobody asks for it.
    """

    unit: str
    internal: Socket
    public: Socket
    ordered: Socket | None = None


@dataclass(frozen=True)
class Deployment:
    session: int
    program: pb.Program
    version: int  # the session's IP family
    units: Mapping[str, NodeUnit]
    instances: tuple[PlacedInstance, ...]
    entrances: Mapping[str, Entrance]
    exits: Mapping[str, Exit]

    @property
    def owner(self) -> str:
        """The owner of its numbers in ``Identifiers``."""
        return f"session {self.session}"

    def of(self, program: str) -> list[PlacedInstance]:
        return [instance for instance in self.instances if instance.program == program]

    def data_ports(self, program: str) -> list[str]:
        """The ports of a program that stand in `data` lines: the names that it has to register."""
        ports: dict[str, None] = {}
        for channel in self.program.channels:
            if channel.kind == pb.CHANNEL_KIND_DATA:
                for port in (channel.source, channel.destination):
                    if port.program == program:
                        ports[port.name] = None
        return list(ports)

    def hearing(self, program: str, port: str) -> list[PlacedInstance]:
        """Living instances that have registered this port."""
        return [one for one in self.of(program) if one.alive and port in one.ports]

    def missing_names(self) -> list[str]:
        """Names that living instances have not registered yet: ``session/program/port (instance …)``."""
        return [
            f"{self.program.name}/{instance.program}/{port} (instance {instance.index} on {instance.unit})"
            for instance in self.instances
            for port in self.data_ports(instance.program)
            if port not in instance.ports and instance.alive
        ]

    def serving(self, program: str) -> list[PlacedInstance]:
        """The instances that are alive and have registered all their names: their rows stand."""
        ports = set(self.data_ports(program))
        return [one for one in self.of(program) if one.alive and ports <= one.ports.keys()]

    def receiving(self, program: str) -> list[PlacedInstance]:
        """Those among which packets are distributed; the leaving ones only if there are no others."""
        serving = self.serving(program)
        return [one for one in serving if not one.leaving] or serving


def control_ports(session: pb.Program, program: str) -> list[str]:
    """The ports of a program that stand in `control` lines; they need no declaration."""
    ends = (
        port
        for channel in session.channels
        if channel.kind == pb.CHANNEL_KIND_CONTROL
        for port in (channel.source, channel.destination)
    )
    return list(dict.fromkeys(port.name for port in ends if port.program == program))
