"""A tap for one guest, in the network namespace of the calling process.

The tap belongs to whoever holds its descriptor: it is not persistent, so it vanishes with the last holder,
which is the VM. On it the host has the gateway's addresses, and behind it lie the guest's.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
import struct
from collections.abc import Iterable
from ipaddress import IPv6Address
from pathlib import Path
from types import TracebackType

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from dipronn.errors import AlreadyExists, Unavailable
from vmhost.vm.spec import GATEWAYS, Address

_TUNSETIFF = 0x400454CA
_IFF_TAP = 0x0002
_IFF_NO_PI = 0x1000
_IFF_TUN_EXCL = 0x8000
_IFA_F_NODAD = 0x02
_NUD_PERMANENT = 0x80
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,14}")
# The guest's addresses are allotted and its MAC is known: nothing is to be discovered, nobody to be believed.
_SYSCTL = {"accept_ra": "0", "accept_dad": "0", "router_solicitations": "0", "autoconf": "0"}


class Tap:
    """An open tap. Usable as a context manager, which closes our descriptor."""

    def __init__(self, name: str, index: int, fd: int) -> None:
        self.name = name
        self.index = index
        self._fd = fd

    def fileno(self) -> int:
        return self._fd

    def close(self) -> None:
        """Let go of the descriptor; the link vanishes unless a VM holds another."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Tap:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def open_tap(
    name: str,
    guest_mac: str,
    guest_addresses: Iterable[Address],
    *,
    gateways: Iterable[Address] = GATEWAYS,
    mtu: int = 1500,
    host_mac: str | None = None,
) -> Tap:
    """Make a tap, bring it up with the gateways' addresses, and route the guest's addresses to it.

    `host_mac`: the tap's own MAC, which the guest sees as its gateway's; by default the kernel's choice.

    Raises AlreadyExists (a link of that name) or Unavailable (no tun/tap, no permission, an address refused);
    nothing is left then.
    """
    tap = _open(name)
    try:
        guest = tuple(guest_addresses)
        _set_sysctl(name)
        families = {address.version for address in guest}
        await _configure(tap, guest_mac, guest, [g for g in gateways if g.version in families], mtu, host_mac)
    except (NetlinkError, OSError) as error:
        tap.close()
        raise Unavailable(f"tap {name} cannot be configured: {error}") from error
    except BaseException:
        tap.close()
        raise
    return tap


def _open(name: str) -> Tap:
    if not _NAME.fullmatch(name):
        raise Unavailable(f"{name!r} cannot name a tap: up to 15 letters, digits, - and _")
    try:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise Unavailable(
            f"/dev/net/tun cannot be opened: {error.strerror}; it needs root and tun"
        ) from error
    try:
        flags = _IFF_TAP | _IFF_NO_PI | _IFF_TUN_EXCL
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
        return Tap(name, socket.if_nametoindex(name), fd)
    except OSError as error:
        os.close(fd)
        if _exists(name):
            raise AlreadyExists(f"a link named {name} exists in this namespace; remove it first") from error
        raise Unavailable(f"tap {name} cannot be made: {error.strerror}") from error


def _set_sysctl(name: str) -> None:
    for key, value in _SYSCTL.items():
        Path(f"/proc/sys/net/ipv6/conf/{name}/{key}").write_text(value)


def _exists(name: str) -> bool:
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True


async def _configure(
    tap: Tap,
    guest_mac: str,
    guest: tuple[Address, ...],
    gateways: list[Address],
    mtu: int,
    host_mac: str | None,
) -> None:
    async with AsyncIPRoute() as route:
        if host_mac is not None:
            await route.link("set", index=tap.index, address=host_mac)
        await route.link("set", index=tap.index, mtu=mtu, state="up")
        for gateway in gateways:
            await route.addr(
                "add",
                index=tap.index,
                address=str(gateway),
                prefixlen=gateway.max_prefixlen,
                flags=_IFA_F_NODAD if isinstance(gateway, IPv6Address) else 0,
            )
        for address in guest:
            await route.route("add", dst=f"{address}/{address.max_prefixlen}", oif=tap.index)
            await route.neigh(
                "replace", dst=str(address), lladdr=guest_mac, ifindex=tap.index, state=_NUD_PERMANENT
            )
