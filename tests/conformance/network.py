"""The small network that golden and generated tables stand in.

``wan`` leads outside, ``lan`` to other units, ``vm0`` and ``vm1`` to guests; ``wan`` and ``lan`` carry VLANs
too.
"""

from __future__ import annotations

from ipaddress import ip_address

from controller.steering.model import Address, Link, LinkKey, LinkKind, Mac, Socket, Unmatched

WAN, LAN, VM0, VM1 = "wan", "lan", "vm0", "vm1"
DEVICES = (WAN, LAN, VM0, VM1)
FORK = "fork0"
"""The fork veth of those data planes that have one."""

WAN_MAC = Mac.parse("02:00:00:00:01:01")
LAN_MAC = Mac.parse("02:00:00:00:02:01")
VM0_MAC = Mac.parse("02:00:00:00:03:01")
VM1_MAC = Mac.parse("02:00:00:00:04:01")
OWN_MACS = {WAN: WAN_MAC, LAN: LAN_MAC, VM0: VM0_MAC, VM1: VM1_MAC}

ROUTER_MAC = Mac.parse("02:00:00:00:01:02")
UNIT_MAC = Mac.parse("02:00:00:00:02:02")
GUEST0_MAC = Mac.parse("02:00:00:00:03:02")
GUEST1_MAC = Mac.parse("02:00:00:00:04:02")
PEER_MACS = {WAN: ROUTER_MAC, LAN: UNIT_MAC, VM0: GUEST0_MAC, VM1: GUEST1_MAC}


def address(text: str) -> Address:
    return ip_address(text)


def socket(text: str, port: int) -> Socket:
    return Socket(ip_address(text), port)


GUEST0 = (address("10.0.3.2"), address("10.0.3.3"), address("fd00:3::2"))
GUEST1 = (address("10.0.4.2"), address("fd00:4::2"))
GATEWAYS0 = (address("10.0.3.1"), address("fd00:3::1"))
GATEWAYS1 = (address("10.0.4.1"), address("fd00:4::1"))


def links(unmatched: Unmatched = Unmatched.DROP, guests: bool = True) -> dict[LinkKey, Link]:
    """The links of the unit: two untagged, one VLAN on each, and the guests."""
    rows = {
        LinkKey(WAN): Link(LinkKind.OUTSIDE, WAN_MAC, unmatched),
        LinkKey(WAN, 7): Link(LinkKind.NODE, WAN_MAC),
        LinkKey(LAN): Link(LinkKind.NODE, LAN_MAC, unmatched),
        LinkKey(LAN, 5): Link(LinkKind.OUTSIDE, LAN_MAC, Unmatched.HOST),
    }
    if guests:
        rows[LinkKey(VM0)] = Link(
            LinkKind.GUEST, VM0_MAC, slice=1, guest_mac=GUEST0_MAC, addresses=GUEST0, gateways=GATEWAYS0
        )
        rows[LinkKey(VM1)] = Link(
            LinkKind.GUEST, VM1_MAC, slice=2, guest_mac=GUEST1_MAC, addresses=GUEST1, gateways=GATEWAYS1
        )
    return rows
