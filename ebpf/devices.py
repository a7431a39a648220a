"""Network devices, in the calling thread's network namespace: numbers and names, XDP, readiness to be sent
to.

pyroute2 wants an event loop of its own, so it runs in a short thread, which inherits the namespace.
"""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from pyroute2 import GenericNetlinkSocket, IPRoute, NetlinkError
from pyroute2.netlink import NLM_F_REQUEST, genlmsg

from dipronn.errors import Unavailable

Result = TypeVar("Result")

XDP_NATIVE = 1 << 2
_NDO_XMIT = 1 << 2
_DEV_GET = 1
_SIOCETHTOOL, _ETHTOOL_SGRO = 0x8946, 0x2C


class _NetdevMessage(genlmsg):  # type: ignore[misc]
    """Generic netlink family ``netdev`` (Linux 6.3)."""

    prefix = "NETDEV_A_DEV_"
    nla_map = (
        ("NETDEV_A_DEV_UNSPEC", "none"),
        ("NETDEV_A_DEV_IFINDEX", "uint32"),
        ("NETDEV_A_DEV_PAD", "hex"),
        ("NETDEV_A_DEV_XDP_FEATURES", "uint64"),
    )


def _apart(work: Callable[[], Result]) -> Result:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(work).result()


def namespace() -> int:
    """The inode of the thread's network namespace."""
    return Path("/proc/thread-self/ns/net").stat().st_ino


def index_of(name: str) -> int:
    """Unavailable when there is no such device here."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        raise Unavailable(f"no network device {name} in this namespace; create it first") from None


def name_of(index: int) -> str:
    """``#index`` for a device that is gone."""
    try:
        return socket.if_indextoname(index)
    except OSError:
        return f"#{index}"


def attach_xdp(index: int, program: int) -> None:
    """Native mode; replaces in one step what is attached there. -1 detaches."""

    def work() -> None:
        with IPRoute() as route:
            xdp = [("IFLA_XDP_FD", program), ("IFLA_XDP_FLAGS", XDP_NATIVE)]
            route.link("set", index=index, IFLA_XDP={"attrs": xdp})

    try:
        _apart(work)
    except NetlinkError as error:
        raise Unavailable(
            f"native XDP on {name_of(index)}: {error}; its driver must have it, and its MTU must fit a page"
        ) from None


def attached_xdp(index: int) -> int | None:
    """The id of the native XDP program there."""

    def work() -> int | None:
        with IPRoute() as route:
            (link,) = route.link("get", index=index)
            xdp = link.get_attr("IFLA_XDP")
            found: int | None = xdp.get_attr("IFLA_XDP_DRV_PROG_ID") or xdp.get_attr("IFLA_XDP_PROG_ID")
            return found

    return _apart(work)


def create_veth(name: str, peer: str, mtu: int) -> None:
    """Both ends up, without addresses of the kernel's own."""

    def work() -> None:
        with IPRoute() as route:
            route.link("add", ifname=name, kind="veth", peer=peer)
            for end in (name, peer):
                no_addresses = Path(f"/proc/sys/net/ipv6/conf/{end}/disable_ipv6")
                if no_addresses.exists():
                    no_addresses.write_text("1")
                route.link("set", index=route.link_lookup(ifname=end)[0], mtu=mtu, state="up")

    _apart(work)


def set_down(name: str) -> None:
    def work() -> None:
        with IPRoute() as route:
            route.link("set", index=route.link_lookup(ifname=name)[0], state="down")

    _apart(work)


def enable_gro(name: str) -> None:
    """So that a veth whose program is at the other end, or nowhere, takes redirected frames."""
    value = struct.pack("=II", _ETHTOOL_SGRO, 1)
    held = ctypes.create_string_buffer(value, len(value))
    request = struct.pack("16sQ8x", name.encode()[:15], ctypes.addressof(held))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SIOCETHTOOL, request)


def delete_device(name: str) -> None:
    """Nothing happens when it is not there."""

    def work() -> None:
        with IPRoute() as route:
            for index in route.link_lookup(ifname=name):
                route.link("del", index=index)

    _apart(work)


def require_ready(index: int, mtu: int) -> None:
    """Unavailable, with the remedy, when frames of ``mtu`` bytes redirected to the device would be lost.

    Frames for a device that cannot take them vanish without a return code: hence asked when a rule is
    installed.
    """

    def work() -> tuple[dict[str, Any], int | None]:
        with IPRoute() as route:
            (link,) = route.link("get", index=index)
        try:
            with GenericNetlinkSocket() as netdev:
                netdev.bind("netdev", _NetdevMessage)
                message = _NetdevMessage()
                message["cmd"], message["version"] = _DEV_GET, 1
                message["attrs"] = [("NETDEV_A_DEV_IFINDEX", index)]
                reply = tuple(netdev.nlm_request(message, netdev.prid, msg_flags=NLM_F_REQUEST))
            return link, reply[0].get_attr("NETDEV_A_DEV_XDP_FEATURES")
        except NetlinkError:
            return link, None  # before Linux 6.3: cannot be asked

    link, features = _apart(work)
    name = name_of(index)
    attributes = dict(link["attrs"])
    if attributes["IFLA_MTU"] < mtu:
        raise Unavailable(
            f"{name}: MTU {attributes['IFLA_MTU']} is below the {mtu} bytes to be sent there; "
            f"ip link set {name} mtu {mtu}, or a smaller mtu in the row"
        )
    if not link["flags"] & 1:
        raise Unavailable(f"{name} is down; ip link set {name} up")
    if features is not None and not features & _NDO_XMIT:
        raise Unavailable(
            f"{name} takes no redirected frames: its other end has neither XDP nor GRO; "
            f"at the other end: ethtool -K DEVICE gro on"
        )
