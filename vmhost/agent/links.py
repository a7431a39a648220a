"""The unit's own links as they really are: MAC, addresses and MTU, by netlink."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

from pyroute2 import AsyncIPRoute

from controller.steering.model import MAX_BURST, Limit, Link, LinkKey, LinkKind, Mac
from dipronn.errors import Unavailable
from dipronn.unit.config import LinkConfig
from dipronn.v1 import unit_pb2


@dataclass(frozen=True)
class Interface:
    """A network interface. A VLAN's sub-interface has ``vlan``, and ``parent`` is the index of its device."""

    index: int
    name: str
    mac: str
    mtu: int
    parent: int
    vlan: int
    xdp: bool


async def interfaces(route: AsyncIPRoute) -> dict[int, Interface]:
    """Every interface of this namespace, by index."""
    found = {}
    async for message in await route.link("dump"):
        info = message.get_attr("IFLA_LINKINFO")
        kind = info.get_attr("IFLA_INFO_KIND") if info else ""
        data = info.get_attr("IFLA_INFO_DATA") if info else None
        vlan = data.get_attr("IFLA_VLAN_ID") if kind == "vlan" and data else 0
        xdp = message.get_attr("IFLA_XDP")
        found[message["index"]] = Interface(
            index=message["index"],
            name=message.get_attr("IFLA_IFNAME"),
            mac=message.get_attr("IFLA_ADDRESS") or "",
            mtu=message.get_attr("IFLA_MTU"),
            parent=message.get_attr("IFLA_LINK") or 0,
            vlan=vlan,
            xdp=bool(xdp and xdp.get_attr("IFLA_XDP_ATTACHED")),
        )
    return found


def link_key(interface: Interface, found: dict[int, Interface]) -> LinkKey:
    """How the steering tables name an interface: a VLAN's sub-interface by its parent's name."""
    if interface.vlan and interface.parent in found:
        return LinkKey(found[interface.parent].name, interface.vlan)
    return LinkKey(interface.name)


async def measure(links: Iterable[LinkConfig]) -> list[unit_pb2.UnitLink]:
    """What Hello says of the configured links. Raises Unavailable for a device that is not there."""
    async with AsyncIPRoute() as route:
        found = await interfaces(route)
        by_key = {link_key(interface, found): interface for interface in found.values()}
        addresses: dict[int, list[str]] = {}
        async for message in await route.addr("dump"):
            address = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
            if not ip_address(address).is_link_local or not isinstance(ip_address(address), IPv6Address):
                addresses.setdefault(message["index"], []).append(f"{address}/{message['prefixlen']}")
    measured = []
    for link in links:
        # A VLAN is steered without a sub-interface, too; it only has no addresses then.
        interface = by_key.get(link.key) or by_key.get(LinkKey(link.device))
        if interface is None:
            raise Unavailable(f"link {link.device}: no such device in this network namespace; make it first")
        measured.append(
            unit_pb2.UnitLink(
                device=link.device,
                vlan=link.vlan,
                network=link.network,
                outside=link.outside,
                mac=Mac.parse(interface.mac).octets,
                addresses=addresses.get(interface.index, []) if link.key in by_key else [],
                mtu=interface.mtu,
                control=link.control,
            )
        )
    return measured


LEAST_BURST = 1 << 16
BURST_SECONDS = 0.01
"""What a class may send at once: so much time of the link, but at least the longest datagram."""


def link_limits(links: Iterable[LinkConfig]) -> dict[str, Limit]:
    """By device; where several links of one device state a rate, the smallest."""
    rates: dict[str, int] = {}
    for link in links:
        if link.rate:
            rates[link.device] = min(link.rate, rates.get(link.device, link.rate))
    return {
        device: Limit(sent=rate, burst=min(MAX_BURST, max(LEAST_BURST, int(rate * BURST_SECONDS / 8))))
        for device, rate in rates.items()
    }


def unscheduled(links: Iterable[LinkConfig]) -> dict[str, str]:
    """Why the unit does not choose by class what leaves, as Hello's ``unheld``; empty if it does."""
    without = sorted({link.device for link in links if not link.rate and not link.control})
    return {"sending by class": f"no `rate` in [[links]] of {', '.join(without)}"} if without else {}


def link_rows(links: Iterable[LinkConfig], measured: Iterable[unit_pb2.UnitLink]) -> dict[LinkKey, Link]:
    """The rows of the unit's own links. What the host's stack may see of the unmatched is the host's own
    matter, so these rows come from the configuration and not from the control unit."""
    return {
        link.key: Link(
            kind=_kind(link),
            mac=Mac(real.mac),
            unmatched=link.unmatched,
        )
        for link, real in zip(links, measured, strict=True)
    }


def _kind(link: LinkConfig) -> LinkKind:
    if link.control:
        return LinkKind.CONTROL
    return LinkKind.OUTSIDE if link.outside else LinkKind.NODE
