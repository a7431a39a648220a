"""Makes a planned topology real, and removes it: namespaces, bridges and veth pairs, by netlink."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from ipaddress import ip_interface
from pathlib import Path

from pyroute2 import NetNS, netns
from pyroute2.netlink.exceptions import NetlinkError

from dipronn.errors import Unavailable
from dipronn.node.topology import Bridge, End, Topology

NAMESPACES = Path("/run/netns")


def existing(node: str) -> list[str]:
    """Names of the namespaces that belong to the node."""
    if not NAMESPACES.is_dir():
        return []
    return sorted(entry.name for entry in NAMESPACES.iterdir() if entry.name.startswith(f"{node}-"))


def build(topology: Topology) -> None:
    """Make everything; on an error what was made is removed again. Raises Unavailable."""
    with _all_or_nothing(topology), ExitStack() as stack:
        handles = {}
        for name in topology.namespaces:
            netns.create(name)
            handles[name] = stack.enter_context(NetNS(name))
        for near, far in ((veth.near, veth.far) for veth in topology.veths):
            peer = {"ifname": far.device, "net_ns_fd": far.namespace}
            handles[near.namespace].link("add", ifname=near.device, kind="veth", peer=peer)
        _finish(topology, handles)


def adopt(topology: Topology, processes: Mapping[str, int]) -> None:
    """Name namespaces that somebody else made, with their veth pairs, and finish all as ``build`` does.

    ``processes``: by the namespace's name, one that runs in it. Raises Unavailable.
    """
    with _all_or_nothing(topology), ExitStack() as stack:
        for name, pid in processes.items():
            netns.attach(name, pid)
        handles = {name: stack.enter_context(NetNS(name)) for name in topology.namespaces}
        _finish(topology, handles)


@contextmanager
def _all_or_nothing(topology: Topology) -> Iterator[None]:
    try:
        yield
    except (NetlinkError, OSError, subprocess.SubprocessError) as error:
        for name in topology.namespaces:
            remove(name)
        raise Unavailable(
            f"the node's network could not be made: {error}; it needs root; `dipronn down` clears leftovers"
        ) from error


def _finish(topology: Topology, handles: Mapping[str, NetNS]) -> None:
    """Bridges, addresses, and what the ends of veth pairs need."""
    for handle in handles.values():
        _set_up(handle, "lo")
    for bridge in topology.bridges:
        _make_bridge(handles[bridge.namespace], bridge)
    for veth in topology.veths:
        for end in (veth.near, veth.far):
            _finish_end(handles[end.namespace], end)


def remove(name: str) -> None:
    """Remove a namespace and with it all its links; one that is not there is no error."""
    try:
        netns.remove(name)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.EINVAL):
            raise


def _make_bridge(handle: NetNS, bridge: Bridge) -> None:
    handle.link("add", ifname=bridge.device, kind="bridge")
    _add_addresses(handle, bridge.device, bridge.addresses)
    _set_up(handle, bridge.device)


def _finish_end(handle: NetNS, end: End) -> None:
    if end.bridge:
        handle.link("set", index=_index(handle, end.device), master=_index(handle, end.bridge))
    if end.port:
        _silence(end)
    _add_addresses(handle, end.device, end.addresses)
    _set_up(handle, end.device)
    # XDP rewrites packets whose checksums must be real, and a redirect to a veth needs NAPI at its peer. bmv2
    # reads through libpcap, whose ring holds 8 frames where a device may join segments, else a thousand.
    command = ["nsenter", f"--net={NAMESPACES / end.namespace}", "ethtool", "-K", end.device, "tx", "off"]
    command += ["gro", "off", "gso", "off"] if end.port else ["gro", "on"]
    subprocess.run(command, check=True, capture_output=True, timeout=10)


def _silence(end: End) -> None:
    """Have the kernel neither speak nor forward on a switch's port: it hears all that the switch hears."""
    for setting, value in (("ipv6/conf/{}/disable_ipv6", b"1"), ("ipv4/conf/{}/forwarding", b"0")):
        path = f"/proc/sys/net/{setting.format(end.device)}"
        command = ["nsenter", f"--net={NAMESPACES / end.namespace}", "tee", path]
        subprocess.run(command, input=value, check=True, capture_output=True, timeout=10)


def _add_addresses(handle: NetNS, device: str, addresses: tuple[str, ...]) -> None:
    for text in addresses:
        interface = ip_interface(text)
        handle.addr(
            "add",
            index=_index(handle, device),
            address=str(interface.ip),
            prefixlen=interface.network.prefixlen,
            # No duplicate address detection: the node's own networks have no strangers, and it takes seconds.
            **({"flags": 0x02} if interface.version == 6 else {}),
        )


def _set_up(handle: NetNS, device: str) -> None:
    handle.link("set", index=_index(handle, device), state="up")


def _index(handle: NetNS, device: str) -> int:
    return int(handle.link_lookup(ifname=device)[0])
