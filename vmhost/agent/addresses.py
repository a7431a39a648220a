"""What tells guests who they are: DHCP and router advertisements on every tap."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from vmhost.agent.plan import Machine
from vmhost.dhcp import DhcpServer, Lease
from vmhost.router import Advertiser, Router


class AddressServers:
    """The servers of a unit's taps; like name servers they end with their agent and start with the next."""

    def __init__(self) -> None:
        self._serving: dict[str, list[DhcpServer | Advertiser]] = {}

    def serve(self, machine: Machine) -> None:
        """Serve a machine's tap. Raises Unavailable; nothing is served then."""
        self.end(machine)
        servers = self._serving[machine.device] = []
        try:
            for server in servers_of(machine):
                server.start()
                servers.append(server)
        except BaseException:
            self.end(machine)
            raise

    def end(self, machine: Machine) -> None:
        """Of a machine that is not served, nothing happens."""
        for server in self._serving.pop(machine.device, []):
            server.close()


def servers_of(machine: Machine) -> list[DhcpServer | Advertiser]:
    """One for each family of its first address in it and its gateway."""
    spec, servers = machine.spec, list[DhcpServer | Advertiser]()
    v4 = next((one for one in spec.addresses if isinstance(one, IPv4Address)), None)
    gateway4 = next((one for one in spec.gateways if isinstance(one, IPv4Address)), None)
    if v4 and gateway4:
        mac = bytes.fromhex(spec.mac.replace(":", ""))
        servers.append(DhcpServer(machine.device, Lease(mac, v4, gateway4, spec.mtu, machine.name)))
    gateway6 = next((one for one in spec.gateways if isinstance(one, IPv6Address)), None)
    if gateway6 and any(isinstance(one, IPv6Address) for one in spec.addresses):
        host = bytes.fromhex(machine.host_mac.replace(":", ""))
        servers.append(Advertiser(machine.device, Router(host, gateway6, spec.mtu)))
    return servers
