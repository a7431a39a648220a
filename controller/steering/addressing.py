"""What the control unit decides about every guest without asking its unit: addresses, MACs, tap names."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from controller.steering.model import Address, Mac

HOST_MAC = Mac.parse("02:64:69:70:00:01")
"""The unit's own MAC on every tap."""
GATEWAYS: tuple[Address, ...] = (IPv4Address("100.64.0.1"), IPv6Address("fd64:6970:726f::1"))
"""The unit's addresses on every tap."""
GUEST_MTU = 1500
ORDER_DEVICE = "dpn-o"
"""What the names of sequencers' devices begin with."""
ORDER_MAC = Mac.parse("02:64:69:70:00:02")
"""The unit's own MAC on every sequencer's device."""
ORDER_MTU = 3498
"""What a veth carries under XDP without fragments, less a VLAN tag."""

_INSTANCES_V4 = int(IPv4Address("100.64.0.0"))  # shared address space, RFC 6598
_INSTANCES_V6 = int(IPv6Address("fd64:6970:726f::"))  # unique local, RFC 4193


def instance_address(number: int, version: int) -> Address:
    """The address of the instance with this number, unique in the node."""
    return IPv4Address(_INSTANCES_V4 + number) if version == 4 else IPv6Address(_INSTANCES_V6 + number)


def gateway(version: int) -> Address:
    return next(one for one in GATEWAYS if one.version == version)


def guest_mac(number: int) -> Mac:
    return Mac(b"\x02\x64" + (_INSTANCES_V4 + number).to_bytes(4, "big"))


def order_device(session: int) -> str:
    """The unit's end of the veth to the session's sequencer."""
    return f"{ORDER_DEVICE}{session}"


def tap_device(number: int) -> str:
    return f"dt{number:x}"
